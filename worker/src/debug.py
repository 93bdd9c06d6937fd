# pdb for whoever is attached with `vhpy debug`: what it shows and reads travels through the hub.
import io
import pdb
import threading

# How many characters are shown at once: never more bytes than a frame of the debugger may have.
PIECE = 8192


def ask(*wish):
    """What the hub answers; None when it does not any more, because the script is being unloaded."""
    try:
        return vh._debug(*wish)
    except RuntimeError:
        return None


class Relayed(io.TextIOBase):
    """The keyboard and the screen of whoever is attached."""

    encoding = "utf-8"

    def readable(self):
        return True

    def writable(self):
        return True

    def readline(self, size=-1):
        return ask(READ) or ""

    def write(self, text):
        for at in range(0, len(text), PIECE):
            ask(WRITE, text[at : at + PIECE])
        return len(text)


class Debugger(pdb.Pdb):
    def __init__(self):
        relayed = Relayed()
        super().__init__(stdin=relayed, stdout=relayed, skip=["vh"], nosigint=True, readrc=False)

    def interaction(self, *args):
        if not ask(OPEN):
            self.let_go()
            return
        try:
            super().interaction(*args)
        finally:
            # What `continue` sets.
            ask(CLOSE if self.stoplineno == -1 else STEP)

    def let_go(self):
        self.clear_all_breaks()
        self.set_continue()

    def do_quit(self, arg):
        """q(uit)

        Forgets all breakpoints and lets the script go on.
        """
        self.let_go()
        return 1

    do_q = do_exit = do_EOF = do_quit


own = threading.local()


def stop(frame):
    """Opens the debugger in this frame."""
    if not hasattr(own, "debugger"):
        own.debugger = Debugger()
    own.debugger.set_trace(frame)
    # Steps end with the hook: what called it is none of the script's.
    while frame:
        if frame.f_code.co_filename == "<string>":
            frame.f_trace = None
        frame = frame.f_back
