"""A small NMDC client: it logs in, talks, and waits for what must come."""

import ast
import re
import socket
import time

# How long something that must happen may take.
LIMIT = 60.0


def key_of(lock: bytes) -> bytes:
    """The answer to $Lock."""
    count = len(lock)
    key = [lock[0] ^ lock[-1] ^ lock[-2] ^ 5] + [lock[i] ^ lock[i - 1] for i in range(1, count)]
    out = b""
    for byte in key:
        byte = (byte << 4 | byte >> 4) & 0xFF
        out += b"/%%DCN%03d%%/" % byte if byte in (0, 5, 36, 96, 124, 126) else bytes([byte])
    return out


class Client:
    """One user of the hub."""

    def __init__(self, port, nick, password=None, desc="", tag="<++ V:0.868,M:A,H:1/0/0,S:3>", share=1000,
                 encoding="cp1252", login=True, address="127.0.0.1", supports=""):
        self.port, self.nick, self.password, self.encoding = port, nick, password, encoding
        self.myinfo = f"$MyINFO $ALL {nick} {desc}{tag}$ $100\x01$$" + f"{share}$"
        self.supports = supports
        # The hub bans addresses; all of 127.0.0.0/8 is this machine's.
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT, (address, 0))
        self.buffer = b""
        self.closed = False
        self.evals = 0
        self.recent = []
        # What came while something else was waited for.
        self.unread = []
        if login:
            self.login()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closed = True
        self.socket.close()

    def send(self, message):
        if isinstance(message, str):
            message = message.encode(self.encoding)
        self.socket.sendall(message + b"|")

    def chat(self, text):
        self.send(f"<{self.nick}> {text}")

    def pm(self, to, text):
        self.send(f"$To: {to} From: {self.nick} $<{self.nick}> {text}")

    def receive(self, end):
        """The next message, or None when the connection is closed."""
        return self.unread.pop(0) if self.unread else self.read(end)

    def read(self, end):
        while b"|" not in self.buffer:
            if self.closed:
                return None
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"{self.nick} waited {LIMIT:.0f} s") from None
            except ConnectionError:
                data = b""
            self.closed = not data
            self.buffer += data
        message, self.buffer = self.buffer.split(b"|", 1)
        text = message.decode(self.encoding, "replace")
        if text:
            self.recent = [*self.recent[-30:], text]
        if text.startswith("$ForceMove"):
            # The hub leaves it to the client to hang up.
            self.close()
        if text.startswith("$GetHubURL"):
            self.send(f"$MyHubURL dchub://127.0.0.1:{self.port}")
        return text

    def expect(self, pattern, never=None):
        """The first message from now on that matches; another that matches `never` fails."""
        end = time.monotonic() + LIMIT
        try:
            while (message := self.receive(end)) is not None:
                if never and re.search(never, message, re.S):
                    raise AssertionError(f"{self.nick} got what it must not get: {message!r}")
                if re.search(pattern, message, re.S):
                    return message
        except AssertionError as error:
            raise AssertionError(f"{error}, for {pattern!r}; the last that came: {self.recent}") from None
        raise AssertionError(f"{self.nick} was disconnected, waiting for {pattern!r}; the last: {self.recent}")

    def expect_end(self):
        """The hub closes the connection."""
        end = time.monotonic() + LIMIT
        while self.receive(end) is not None:
            pass

    def login(self):
        lock = self.expect(r"^\$Lock ").split(" ")[1]
        self.send("$Supports NoHello NoGetINFO UserIP2 BotList HubTopic MCTo TTHSearch TTHS ExtJSON2 HubURL" + self.supports)
        self.send(b"$Key " + key_of(lock.encode(self.encoding)))
        self.send(f"$ValidateNick {self.nick}")
        answer = self.expect(r"^\$(Hello|GetPass|ValidateDenide|BadPass)")
        if answer.startswith("$GetPass"):
            self.send(f"$MyPass {self.password}")
            answer = self.expect(r"^\$(Hello|BadPass)")
        assert answer.startswith("$Hello"), answer
        self.send("$Version 1,0091")
        self.send("$GetNickList")
        self.send(self.myinfo)
        self.expect(r"^\$(OpList|MyINFO \$ALL " + re.escape(self.nick) + ")")

    def answer(self, pattern, never=None):
        """The same among what comes from now on; what was unread, or comes before, stays unread."""
        skipped, self.unread = self.unread, []
        wanted = re.compile(pattern, re.S)
        while not wanted.search(message := self.expect("", never)):
            skipped.append(message)
        self.unread = skipped
        return message

    def command(self, line, pattern, never=None):
        """Gives a command and waits for its answer."""
        self.chat(line)
        return self.answer(pattern, never)

    def eval(self, expression):
        """What an expression is in the script probe.py."""
        self.evals += 1
        self.chat(f"eval {self.evals} {expression}".replace("|", "&#124;"))
        mark = f"={self.evals}= "
        answer = self.answer(rf"^<[^>]*> {mark}").split(mark, 1)[1].replace("&#124;", "|")
        if answer.startswith("raises "):
            raise AssertionError(f"{expression}: {answer}")
        return ast.literal_eval(answer)
