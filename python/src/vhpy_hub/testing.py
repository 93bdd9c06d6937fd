"""A real hub for tests of scripts, and users in it.

The fixture `hub` of the pytest plugin gives a `Hub`; without pytest, `Hub` is a context manager:

    with Hub("dice.py") as hub:
        alice = hub.join("alice")
        alice.say("+dice")
        alice.expect(r"rolls a (\\d)")

Nothing is simulated: the program `vhpy` runs, every script in a process of its own, and users are
clients that speak NMDC over TCP. Only time is the test's: `OnTimer` comes when `tick` or
`forward` say so.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vhpy_hub import program

__all__ = ["CallFailed", "Hub", "HubError", "Log", "Problem", "Script", "User", "Verdict", "find_program"]

#: How long something that must happen may take, on a machine that is busy, in seconds.
PATIENCE = 60.0

#: What `expect` waits, unless it is told, in seconds. `VHPY_EXPECT_TIMEOUT` changes it for all.
EXPECT_TIMEOUT = float(os.environ.get("VHPY_EXPECT_TIMEOUT", "5"))

#: How a hub for tests differs from others: nobody writes too fast, and a busy machine makes no
#: script late.
SETTINGS: Mapping[str, object] = {
    "int_flood_chat_period": 0,
    "int_flood_to_period": 0,
    "int_flood_myinfo_period": 0,
    "int_flood_search_period": 0,
    "int_flood_sr_period": 0,
    "int_flood_ctm_period": 0,
    "int_flood_other_period": 0,
    "hook_timeout": 60,
    "load_timeout": 60,
    # So that each user can have an address.
    "trusted_proxies": "127.0.0.0/8",
}

_MARK = "$VhpyMark "


class HubError(AssertionError):
    """The hub did not do what the test needs; the text says why."""


class CallFailed(Exception):
    """A function of a script raised, or there is no such function; the text says which."""


def find_program() -> Path:
    """The program `vhpy`: the one of `VHPY`, of this environment, or on the PATH.

    Raises FileNotFoundError when there is none.
    """
    if given := os.environ.get("VHPY"):
        return Path(given)
    try:
        return program()
    except FileNotFoundError as error:
        if found := shutil.which("vhpy"):
            return Path(found)
        raise FileNotFoundError(f"{error}, or set VHPY to its path") from None


@dataclass(frozen=True)
class Verdict:
    """What the scripts answered to an event."""

    blocked: bool
    """Whether a script returned 0."""
    replacement: list[str | None] | None
    """What stands in for the arguments: nick and message of a chat, the five parts of a MyINFO."""
    send: list[str]
    """What is sent to the client that the event came from."""


@dataclass(frozen=True)
class Script:
    """How a script is doing."""

    name: str
    number: int
    path: str
    state: str
    """`ready`, `starting`, `stuck`, `backoff`, `stopping` or `failed`."""
    pid: int | None
    restarts: int
    events: int


@dataclass
class Problem:
    """Something that fails a test unless it is expected: a traceback, the death of a script."""

    text: str
    expected: bool = False


_ENTRY = re.compile(r"\[\S+ (?P<level>\w+) +(?P<target>\S+)\] (?P<text>.*)")
_TRACEBACK = ("Traceback (most recent call last):", "  + Exception Group Traceback (most recent call last):")
_LINKS = (
    "",
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


@dataclass
class _Traceback:
    """A traceback of one script of which more lines may come."""

    problem: Problem
    ended: bool = False
    linked: list[str] = field(default_factory=list)

    def takes(self, line: str) -> bool:
        """Whether the line belongs to it."""
        if not self.ended:
            self.problem.text += f"\n{line}"
            self.ended = not line.startswith(" ")
            return True
        if line in _LINKS:
            self.linked.append(line)
            return True
        if line.startswith(_TRACEBACK) and len(self.linked) > 1:
            self.problem.text += "\n".join(["", *self.linked, line])
            self.ended, self.linked = False, []
            return True
        return False


class Log:
    """What the hub has logged and printed, without times; `str(log)` is all of it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._problems: list[Problem] = []
        self._tracebacks: dict[str, _Traceback] = {}
        self._marks: set[str] = set()
        self._ended = False
        self._changed = threading.Condition()

    def _follow(self, pipe: Any) -> None:
        for raw in pipe:
            self._take(raw.decode(errors="replace").rstrip("\n"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        with self._changed:
            if line.startswith(_MARK):
                self._marks.add(line)
            elif entry := _ENTRY.fullmatch(line):
                self._lines.append(f"{entry['level']:<5} {entry['text']}")
                self._judge(entry["level"], entry["target"], entry["text"])
            else:
                self._lines.append(line)
            self._changed.notify_all()

    def _judge(self, level: str, target: str, text: str) -> None:
        if target == "script":
            name, _, said = text.partition(": ")
            going = self._tracebacks.get(name)
            if going and going.takes(said):
                return
            if level == "WARN" and said.startswith(_TRACEBACK):
                problem = Problem(f"script {name}: {said}")
                self._problems.append(problem)
                self._tracebacks[name] = _Traceback(problem)
        elif level == "ERROR" or (level == "WARN" and text.startswith("Script ")):
            self._problems.append(Problem(text))

    def _wait_for_mark(self, mark: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: mark in self._marks or self._ended, PATIENCE)

    def _wait_for_end(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended, PATIENCE)

    @property
    def lines(self) -> list[str]:
        """The lines so far."""
        with self._changed:
            return list(self._lines)

    @property
    def problems(self) -> list[Problem]:
        """Tracebacks and deaths so far."""
        with self._changed:
            return list(self._problems)

    def expect(self, pattern: str, timeout: float | None = None) -> re.Match[str]:
        """Waits for a line in which the expression is found; those so far count, too."""
        expression = re.compile(pattern)

        def look() -> re.Match[str] | None:
            return next(filter(None, map(expression.search, self._lines)), None)

        with self._changed:
            limit = EXPECT_TIMEOUT if timeout is None else timeout
            found = self._changed.wait_for(lambda: look() or self._ended, limit)
            match = look()
        if match is None:
            why = "the hub has ended" if found else f"it did not come within {limit:g} s"
            raise AssertionError(f"waited for /{pattern}/ in the hub's log: {why}; there was\n{self}")
        return match

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and text in str(self)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def _unescaped(text: str) -> str:
    return text.replace("&#36;", "$").replace("&#124;", "|").replace("&#96;", "`").replace("&amp;", "&")


def _escaped(text: str) -> str:
    return text.replace("|", "&#124;")


_PRIVATE = re.compile(r"\$To: \S+ From: (\S+) \$(.*)", re.DOTALL)


def _readable(message: str) -> str:
    """As a client shows it: the chat as it is, `PM from NICK: <NICK> text`, all else unchanged."""
    if private := _PRIVATE.fullmatch(message):
        return _unescaped(f"PM from {private[1]}: {private[2]}")
    return _unescaped(message) if not message.startswith("$") else message


def _is_talk(line: str) -> bool:
    return bool(line) and not line.startswith("$")


class User:
    """A user in the hub, with a connection of their own. `Hub.join` makes them."""

    def __init__(self, hub: Hub, nick: str, address: str, encoding: str) -> None:
        self.nick = nick
        self.address = address
        self._hub = hub
        self._encoding = encoding
        self._socket = socket.create_connection(hub.address, PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = b""
        self._seen: list[str] = []
        self._at = 0
        self._marks = itertools.count(1)
        self._passed: set[str] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<User {self.nick}{' (gone)' if self._closed else ''}>"

    @property
    def seen(self) -> list[str]:
        """All that the hub has sent to them, as far as it is here."""
        while self._receive(0):
            pass
        return list(self._seen)

    @property
    def is_connected(self) -> bool:
        """Whether the hub keeps the connection open."""
        while self._receive(0):
            pass
        return not self._closed

    # ------------------------------------------------------------------ what they do

    def say(self, text: str) -> None:
        """Writes in the main chat; commands are said, too: `say("+dice")`."""
        self.send(f"<{self.nick}> {_escaped(text)}|")

    def pm(self, to: User | str, text: str) -> None:
        """Writes a private message to a user, a bot or the operator chat."""
        nick = to.nick if isinstance(to, User) else to
        self.send(f"$To: {nick} From: {self.nick} $<{self.nick}> {_escaped(text)}|")

    def search(self, what: str) -> None:
        """Searches for files, passively; `what` is a text, or `TTH:` and a hash."""
        if what.startswith("TTH:"):
            pattern = f"F?T?0?9?{what}"
        else:
            pattern = "F?T?0?1?" + what.replace(" ", "$")
        self.send(f"$Search Hub:{self.nick} {_escaped(pattern)}|")

    def set_info(self, description: str = "", *, email: str = "", share: int = 0, tag: str = "") -> None:
        """Sends a new `$MyINFO`."""
        self.send(_my_info(self.nick, description, email, share, tag or _TAG) + "|")

    def send(self, message: str) -> None:
        """Sends text as it is: whole messages of the protocol, each with its `|`."""
        try:
            self._socket.sendall(message.encode(self._encoding))
        except OSError:
            # The next expectation tells that the hub has closed the connection.
            self._closed = True

    def quit(self) -> None:
        """Leaves; the hub has noticed when this returns."""
        if self._closed:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self.expect_closed()

    # ----------------------------------------------------------------- what they see

    def expect(self, pattern: str, timeout: float | None = None) -> re.Match[str]:
        """Waits for something in which the expression is found, and gives the match.

        It is looked for in what came after the last thing that was expected. Chat looks as in a
        client, `<nick> text`; private messages are `PM from nick: <nick> text`; all else is as
        the protocol has it, such as `$Quit bob`.
        """
        limit = EXPECT_TIMEOUT if timeout is None else timeout
        end = time.monotonic() + limit
        expression = re.compile(pattern)
        at = self._at
        while True:
            while at < len(self._seen):
                found = expression.search(self._seen[at])
                at += 1
                if found:
                    self._at = at
                    return found
            left = end - time.monotonic()
            if self._closed or not self._receive(max(left, 0)) and left <= 0:
                break
        why = "the hub closed the connection" if self._closed else f"it did not come within {limit:g} s"
        raise AssertionError(
            f"{self.nick} waited for /{pattern}/: {why}; meanwhile came\n{_listed(self._seen[self._at :])}"
        )

    def expect_nothing(self, pattern: str | None = None) -> None:
        """Makes sure that nothing came in chat and private messages after what was expected last.

        With an expression, that nothing came in which it is found, of the protocol's messages
        too. This waits for no time: the hub has dealt with all that any user sent and that
        scripts' hooks did then. What scripts do in threads of their own may come later.
        """
        self._hub.settle()
        new, self._at = self._seen[self._at :], len(self._seen)
        if pattern is None:
            unwanted = [line for line in new if _is_talk(line)]
        else:
            unwanted = [line for line in new if re.search(pattern, line)]
        if unwanted:
            raise AssertionError(f"{self.nick} should have seen nothing, but came\n{_listed(unwanted)}")

    def expect_closed(self, timeout: float | None = None) -> None:
        """Waits until the hub has closed the connection."""
        limit = PATIENCE if timeout is None else timeout
        end = time.monotonic() + limit
        while not self._closed:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"the hub did not close {self.nick}'s connection within {limit:g} s")
            self._receive(left)
        self._socket.close()

    # ---------------------------------------------------------------------- inside

    def _receive(self, seconds: float) -> bool:
        """Reads what has come, waiting for so long. False when nothing came."""
        if self._closed or not select.select([self._socket], [], [], seconds)[0]:
            return False
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._closed = True
            return False
        *messages, self._input = (self._input + data).split(b"|")
        for message in messages:
            text = message.decode(self._encoding, "replace")
            if text.startswith(_MARK):
                self._passed.add(text)
            elif text:
                self._seen.append(_readable(text))
        return True

    def _send_mark(self) -> str:
        mark = f"{_MARK}{next(self._marks)}"
        self.send(f"{mark}|")
        return mark

    def _wait_for_mark(self, mark: str) -> None:
        end = time.monotonic() + PATIENCE
        while mark not in self._passed and not self._closed:
            left = end - time.monotonic()
            if left <= 0:
                raise HubError(f"the hub did not answer {self.nick} within {PATIENCE:g} s")
            self._receive(left)

    def _wait_for(self, start: str) -> str:
        """The next message that begins so, while they log in."""
        end = time.monotonic() + PATIENCE
        at = 0
        while True:
            while at < len(self._seen):
                if self._seen[at].startswith(start):
                    return self._seen[at]
                at += 1
            left = end - time.monotonic()
            if self._closed or left <= 0:
                why = "the hub closed the connection" if self._closed else "it did not come"
                raise AssertionError(
                    f"{self.nick} could not log in: waited for {start}: {why}; there was\n{_listed(self._seen)}"
                )
            self._receive(left)


_TAG = "<test V:1.0,M:A,H:1/0/0,S:5>"


def _my_info(nick: str, description: str, email: str, share: int, tag: str) -> str:
    return f"$MyINFO $ALL {nick} {description}{tag}$ $100\x01${email}${share}$"


def _listed(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines) if lines else "    nothing"


def _to_json(value: object) -> object:
    match value:
        case bytes() | bytearray():
            return {"__bytes__": bytes(value).hex()}
        case dict():
            if all(isinstance(key, str) and not key.startswith("__") for key in value):
                return {key: _to_json(entry) for key, entry in value.items()}
            return {"__dict__": [[_to_json(key), _to_json(entry)] for key, entry in value.items()]}
        case list() | tuple() | set() | frozenset():
            return [_to_json(entry) for entry in value]
        case _:
            return value


def _from_json(value: Any) -> Any:
    match value:
        case {"__bytes__": str(digits)} if len(value) == 1:
            return bytes.fromhex(digits)
        case {"__dict__": list(entries)} if len(value) == 1:
            return {_from_json(key): _from_json(entry) for key, entry in entries}
        case dict():
            return {key: _from_json(entry) for key, entry in value.items()}
        case list():
            return [_from_json(entry) for entry in value]
        case _:
            return value


class Hub:
    """A hub with scripts, in a process and a data folder of its own.

    Scripts are paths, relative to `folder`. Settings are the hub's variables, as `--set` takes
    them.
    """

    def __init__(
        self,
        *scripts: str | os.PathLike[str],
        folder: str | os.PathLike[str] | None = None,
        settings: Mapping[str, object] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        base = Path.cwd() if folder is None else Path(folder)
        self.log = Log()
        self.users: list[User] = []
        self.address = ("", 0)
        self._scripts = [base / script for script in scripts]
        self._settings = {**SETTINGS, **(settings or {})}
        self._encoding = encoding
        self._ids = itertools.count(1)
        self._addresses = itertools.count(1)
        self._data = tempfile.TemporaryDirectory(prefix="vhpy-test-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_down = True
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def data(self) -> Path:
        """The hub's data folder; it goes with the hub."""
        return Path(self._data.name)

    @property
    def pid(self) -> int:
        """The number of the hub's process."""
        return self._process.pid if self._process else 0

    # --------------------------------------------------------------------- users

    def join(
        self,
        nick: str,
        user_class: int = 0,
        *,
        address: str | None = None,
        password: str = "secret",
        description: str = "",
        email: str = "",
        share: int = 0,
        tag: str = _TAG,
    ) -> User:
        """Lets a user log in, and returns when that is complete, scripts' hooks included.

        From class 1 on the nick is registered first: 1 registered, 2 VIP, 3 operator, 4 chief,
        5 admin, 10 master. What they are greeted with waits for `User.expect`. A script may turn
        them away: that is an AssertionError.
        """
        if user_class > 0:
            self._ask("register", nick=nick, **{"class": user_class}, password=password)
        number = next(self._addresses)
        address = address or f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        user = User(self, nick, address, self._encoding)
        self.users.append(user)
        version = 6 if ":" in address else 4
        here = "::1" if version == 6 else "127.0.0.1"
        user.send(f"PROXY TCP{version} {address} {here} 50000 411\r\n")
        user._wait_for("$Lock ")
        user.send(f"$Supports NoHello NoGetINFO UserIP2 HubTopic TTHS MCTo|$Key x|$ValidateNick {nick}|")
        if user_class > 0:
            user._wait_for("$GetPass")
            user.send(f"$MyPass {password}|")
        user._wait_for(f"$Hello {nick}")
        user.send(f"$Version 1,0091|$GetNickList|{_my_info(nick, description, email, share, tag)}|")
        user._wait_for_mark(user._send_mark())
        user._wait_for("$MyINFO $ALL " + nick + " ")
        return user

    # ------------------------------------------------------------------- scripts

    @property
    def scripts(self) -> dict[str, Script]:
        """How all scripts are doing, by their names."""
        return {status["name"]: Script(**status) for status in self._ask("list")}

    def load(self, path: str | os.PathLike[str]) -> list[str]:
        """Loads a script; gives the warnings. An AssertionError when it is not loaded."""
        answer = self._ask("load", path=str(Path(path).absolute()))
        return list(answer["warnings"])

    def unload(self, script: str) -> None:
        """Unloads a script."""
        self._ask("unload", script=script)

    def reload(self, script: str) -> list[str]:
        """Loads a script anew; gives the warnings. An AssertionError when it is not loaded."""
        return list(self._ask("reload", script=script)["warnings"])

    def kill(self, script: str) -> None:
        """Kills the script's process as a crash would, and waits until it is back."""
        pid = self._ask("kill", script=script)["pid"]
        self.expect_error(rf"Script {re.escape(script)} \(process \d+\) died: .*KILL")
        assert pid

    def wait_until_ready(self, script: str) -> Script:
        """Waits until a script that has died or hung is back."""
        self._pass_marks()
        return Script(**self._ask("ready", script=script, but=None))

    def call(self, script: str, function: str, *args: object) -> Any:
        """Calls a function of a script. `CallFailed` when it raised; its traceback is no failure
        of the test then."""
        try:
            return self._ask("call", script=script, function=function, args=_to_json(args))
        except HubError as error:
            if self._is_down:
                raise
            reason = str(error).removeprefix("call: ")
            self.settle()
            for problem in self.log.problems:
                if problem.text.startswith("script ") and problem.text.endswith(reason):
                    problem.expected = True
            raise CallFailed(reason) from None

    def store(self, script: str) -> dict[str, Any]:
        """What the script keeps in `vh.store`."""
        self.settle()
        stored: dict[str, Any] = self._ask("store", script=script)
        return stored

    def event(self, hook: str, *args: object) -> Verdict:
        """Raises an event, with all arguments that the manual's table names, and tells what the
        scripts answered. The hub itself does nothing about it."""
        return Verdict(**self._ask("event", hook=hook, args=_to_json(args)))

    def vh(self, function: str, *args: object) -> Any:
        """Calls a function of the module `vh` as the C interface has it: all arguments."""
        return self._ask("vh", function=function, args=_to_json(args))

    def sql(self, query: str, limit: int = 1000) -> list[list[str | None]]:
        """Runs a query as `vh.SQL` does; gives the rows. An AssertionError when it fails."""
        answer = self.vh("SQL", query, limit)
        if not answer[0]:
            raise HubError(f"SQL: {answer[1]}; the query: {query}")
        rows: list[list[str | None]] = answer[1]
        return rows

    # ---------------------------------------------------------------------- time

    def tick(self, times: int = 1) -> None:
        """Puts the hub's clock forward by a second and lets `OnTimer` come, so many times.

        `OnTimer` comes at no other time.
        """
        self._ask("tick", times=times)

    def forward(self, seconds: float) -> None:
        """Puts the hub's clock forward: what is due until then happens (bans end, say), and
        `OnTimer` comes once.

        The clock of the hub moves, with it `OnTimer`'s argument, `NOW()` in SQL, and the times
        that the hub notes. `time.time()` in a script does not.
        """
        self._ask("forward", seconds=seconds)

    def settle(self) -> None:
        """Returns when the hub has dealt with all that users have sent, and scripts with all that
        they were told, observers too; what they printed is in the log then."""
        # Twice: what one script does may be an event for another.
        for _ in range(2):
            self._pass_marks()
            mark = f"{_MARK}{next(self._ids)}"
            self._ask("settle", mark=mark)
            self.log._wait_for_mark(mark)
        self._pass_marks()

    def _pass_marks(self) -> None:
        marks = [(user, user._send_mark()) for user in self.users if not user._closed]
        for user, mark in marks:
            user._wait_for_mark(mark)

    # ------------------------------------------------------------------- failures

    def expect_error(self, pattern: str, timeout: float | None = None) -> re.Match[str]:
        """Waits for a traceback or a death of a script in whose text the expression is found,
        those so far included. It does not fail the test any more."""
        expression = re.compile(pattern)
        limit = EXPECT_TIMEOUT if timeout is None else timeout

        def look() -> re.Match[str] | None:
            for problem in self.log._problems:
                if not problem.expected and (found := expression.search(problem.text)):
                    problem.expected = True
                    return found
            return None

        if not self._is_down:
            self.settle()
        with self.log._changed:
            match = self.log._changed.wait_for(look, limit)
        if match is None:
            found = "\n".join(problem.text for problem in self.log.problems if not problem.expected)
            raise AssertionError(f"waited for an error like /{pattern}/; there was {found or 'none'}")
        return match

    def check(self) -> None:
        """An AssertionError when a script raised or died and no `expect_error` was for that."""
        if not self._is_down:
            self.settle()
        unexpected = [problem for problem in self.log.problems if not problem.expected]
        if unexpected:
            for problem in unexpected:
                problem.expected = True
            texts = "\n\n".join(problem.text for problem in unexpected)
            raise AssertionError(f"not expected (hub.expect_error says what is):\n{texts}")

    # ----------------------------------------------------------------------- life

    def restart(self) -> None:
        """Ends the hub in order and starts it anew with the same data; users have to join again."""
        self.stop()
        self._start()

    def stop(self) -> int:
        """Ends the hub in order; gives its exit code."""
        process = self._process
        if process is None:
            return 0
        if not self._is_down:
            with contextlib.suppress(HubError):
                self._ask("stop")
        self._is_down = True
        self._control.close()
        self._lines.close()
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise HubError(f"the hub did not end within {PATIENCE:g} s; its log:\n{self.log}") from None
        finally:
            self.log._wait_for_end()
            for user in self.users:
                # What they saw last is read, for `seen`.
                while user._receive(0):
                    pass
                user._closed = True
                user._socket.close()
            self._process = None
        self.users.clear()
        return code

    def close(self) -> None:
        """Ends the hub and removes its data."""
        try:
            self.stop()
        finally:
            self._data.cleanup()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [str(find_program()), "hub", "--listen", "127.0.0.1:0", "--data", str(self.data)]
        command += ["--test-control", str(theirs.fileno()), "--encoding", self._encoding]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={value}"]
        command += ["--", *map(str, self._scripts)]
        # The log names the parts of the program, which tell scripts from the hub.
        environment = {**os.environ, "RUST_LOG": os.environ.get("RUST_LOG") or "info"}
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        ours.settimeout(PATIENCE)
        self._control, self._lines = ours, ours.makefile("rb")
        self.log._ended = False
        threading.Thread(target=self.log._follow, args=[self._process.stdout], daemon=True).start()
        self._is_down = False
        ready = self._next_line().get("ready", {})
        host, _, port = ready["address"].rpartition(":")
        self.address = (host, int(port))
        if ready["not_loaded"]:
            reasons = "\n".join(f"{script['path']}: {script['error']}" for script in ready["not_loaded"])
            raise HubError(f"not loaded: {reasons}")

    def _next_line(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise HubError(f"the hub does not answer: {error}; its log:\n{self.log}") from None
        if not line:
            self._is_down = True
            self.log._wait_for_end()
            raise HubError(f"the hub has ended; its log:\n{self.log}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ask(self, what: str, **arguments: object) -> Any:
        if self._is_down:
            raise HubError("the hub is not running")
        number = next(self._ids)
        try:
            self._control.sendall(json.dumps({"id": number, "do": what, **arguments}).encode() + b"\n")
        except OSError:
            pass  # What is read next tells.
        answer = self._next_line()
        while answer.get("id") != number:
            answer = self._next_line()
        if "error" in answer:
            raise HubError(f"{what}: {answer['error']}")
        return _from_json(answer["answer"])

    def _report(self) -> Iterator[tuple[str, str]]:
        """What helps to understand a failure: headings and texts."""
        if not self._is_down:
            with contextlib.suppress(HubError, OSError):
                self.settle()
        yield "hub's log", str(self.log)
        for user in self.users:
            yield f"seen by {user.nick}", "\n".join(line for line in user.seen) or "nothing"
