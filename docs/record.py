#!/usr/bin/env python3
"""Records the terminal sessions shown in README.md and docs/: `make sessions`.

Runs the real hub and the real client ncdc in tmux, types, and puts what the screen shows between
the marks `<!-- session: NAME -->` and `<!-- end -->`. Nothing is made up or touched up, but for
the first account's password, times in the log, and what stands around the chat. `▸` marks what
was typed.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("/tmp/vhpy")  # short, since it is seen
WIDTH, HEIGHT = 118, 70
PATIENCE = 60.0


class Terminal:
    """A program in a tmux session."""

    def __init__(self, name: str, *program: str, height: int = HEIGHT) -> None:
        self.name = name
        size = ["-x", str(WIDTH), "-y", str(height)]
        tmux("new-session", "-d", "-s", name, *size, *program)
        self.said: list[str] = []

    def type(self, line: str, until: str) -> None:
        """Types a line, waits until the screen shows something that was not there before, and
        keeps both: the line after a mark, and what is new in the chat."""
        before = self.screen().count(until)
        lines = len(self.chat())
        tmux("send-keys", "-t", self.name, "-l", line)
        tmux("send-keys", "-t", self.name, "Enter")
        self.wait(until, before + 1)
        self.said += [f"▸ {line}", *self.chat()[lines:]]

    def session(self) -> str:
        """What was kept since the last time."""
        said, self.said = self.said, []
        return "\n".join(said)

    def key(self, key: str, until: str) -> None:
        tmux("send-keys", "-t", self.name, key)
        self.wait(until)

    def wait(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.screen().count(text) < times:
            if time.monotonic() > deadline:
                sys.exit(f"waited in vain for {text!r}; the screen shows\n{self.screen()}")
            time.sleep(0.05)

    def screen(self) -> str:
        return tmux("capture-pane", "-p", "-t", self.name)

    def chat(self) -> list[str]:
        """The lines of the chat, without the client's bars above and below."""
        lines = [line.rstrip() for line in self.screen().splitlines()]
        bars = re.compile(r"\S+ @ nmdc|[#~]?\w+>|─|#\w+: | +\[U/D")
        return [line for line in lines if line and not bars.match(line)]


def tmux(*arguments: str) -> str:
    command = ["tmux", "-u", "-f", "/dev/null", "-S", str(FOLDER / "tmux"), *arguments]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def vhpy() -> Path:
    built = [ROOT / "target" / profile / "vhpy" for profile in ("release", "debug")]
    found = next((file for file in built if file.exists()), None)
    return found or sys.exit("run make first")


@contextlib.contextmanager
def hub() -> Iterator[tuple[str, str]]:
    """A hub; gives what it said at its start, and the password of its master."""
    shutil.copytree(ROOT / "examples/scripts", FOLDER / "scripts", ignore=lambda *_: ["__pycache__"])
    command = [vhpy(), "hub", "--data", FOLDER / "vhpy", "--scripts", FOLDER / "scripts"]
    command += ["--python", "/usr/bin/python3"]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "password " in line:
            break
    else:
        sys.exit(f"the hub did not start:\n{said}")
    password = said.rsplit("password ", 1)[1].strip()
    # From here on nobody reads; the pipe is large enough for a session.
    try:
        yield said.replace(password, "k4vm9whp2xq7ed"), password
    finally:
        process.terminate()
        process.wait()


def client(nick: str, password: str = "") -> Terminal:
    home = FOLDER / nick
    home.mkdir()
    terminal = Terminal(nick, "env", f"HOME={home}", "ncdc", "-c", str(home))
    terminal.wait("main>")
    terminal.type(f"/set nick {nick}", "global.nick")
    if password:
        terminal.type("/open hub nmdc://127.0.0.1:4111/", "Password required")
        terminal.type(f"/password {password}", "<Greeter> Hello")
    else:
        terminal.type("/open hub nmdc://127.0.0.1:4111/", "<Greeter> Hello")
    return terminal


def ctl(*commands: str) -> str:
    """What `vhpy ctl` prints of the hub in the usual folder."""
    session = ""
    for command in commands:
        run = [vhpy(), "ctl", *command.split()]
        environment = {**os.environ, "XDG_STATE_HOME": str(FOLDER)}
        said = subprocess.run(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        session += f"$ vhpy ctl {command}\n{said.stdout}"
    return session.strip()


def top() -> str:
    """What `vhpy top` shows a moment after its start."""
    command = ["env", f"XDG_STATE_HOME={FOLDER}", str(vhpy()), "top"]
    terminal = Terminal("top", *command, height=30)
    terminal.wait("Hooks of")
    screen = "\n".join(line.rstrip() for line in terminal.screen().splitlines())
    tmux("send-keys", "-t", "top", "q")
    return screen.strip("\n")


def record() -> dict[str, str]:
    """All sessions by their names."""
    sessions = {}
    usage = subprocess.run([vhpy(), "hub", "-h"], check=True, capture_output=True, text=True).stdout
    sessions["help"] = usage.strip()
    with hub() as (said, password):
        sessions["run"] = "$ make run\n" + re.sub(r"^\[\S+ (\S+)\]", r"[\1]", said, flags=re.M).strip()
        master, alice = client("master", password), client("alice")

        for terminal in master, alice:
            terminal.session()
        sessions["greeting"] = "\n".join(line for line in alice.chat() if "<Greeter>" in line)

        alice.type("hello everybody", "<alice> hello")
        alice.type("would you like to see my casino?", "not welcome here")
        alice.type("damn, why not?", "<alice> d***")
        alice.type("+remind 1s breathe", "I will remind you")
        alice.type("+top", " alice")
        sessions["chat"] = sessions["greeting"] + "\n" + alice.session()

        master.type("+crash", "Usage:")
        master.type("+crash segv", "Unknown command: crash")
        master.type("+crash", "Usage:")
        master.type("!pylist", "scripts/welcome.py")
        sessions["crash"] = master.session()
        master.key("M-3", "died: signal SIGSEGV")
        sessions["opchat"] = "\n".join(line for line in master.chat() if "died" in line)

        sessions["ctl"] = ctl("stat", "status filter", "reload filter", "set slow_hook 0.2", "stacks reminders")
        sessions["top"] = top()

        (FOLDER / "broken.py").write_text("import vh\n\ndef OnTimer(:\n    pass\n")
        (FOLDER / "typo.py").write_text("def OnParsedMsgChatt(nick, message):\n    return 0\n")
        master.key("M-2", "#hub>")
        master.type(f"!pyload {FOLDER}/broken.py", "is not loaded")
        master.type(f"!pyload {FOLDER}/typo.py", "defines no hook")
        master.type("!pylog show crash", "ended: signal")
        sessions["load"] = master.session()
    return sessions


def insert(sessions: dict[str, str]) -> None:
    for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = file.read_text()

        def replaced(found: re.Match[str]) -> str:
            return f"{found[1]}```text\n{sessions[found[2]]}\n```\n<!-- end -->"

        new = re.sub(r"(<!-- session: (\w+) -->\n).*?<!-- end -->", replaced, text, flags=re.S)
        file.write_text(new)


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    try:
        insert(record())
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            tmux("kill-server")
        shutil.rmtree(FOLDER, ignore_errors=True)  # clients that end may still write


if __name__ == "__main__":
    main()
