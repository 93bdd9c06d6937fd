"""Each option of the C ABI by its effect: options.py LIBRARY [OPTION].

Without an option, checks that each that vhpy.h names has a row here, and runs this program again
for each. Every other option is such that it cannot have the effect that is waited for.
"""

import ctypes
import grp
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any, Callable

HEADER = os.path.join(os.path.dirname(__file__), "../../plugin-abi/include/vhpy.h")
# W_OnParsedMsgChat
CHAT = 3
# How long a test waits for something that must happen.
LIMIT = 60
# What no test waits for.
NEVER = "10000"
# Seconds: what comes thirty times too late does not come within LIMIT.
SOON = "3"

SCRIPT = """
import os, resource, sys, time, vh
def OnParsedMsgChat(nick, message):
    exec(message, globals())
    return globals().pop('it', 'nothing')
"""


class Element(ctypes.Structure):
    _fields_ = [("type", ctypes.c_char), ("text", ctypes.c_char_p)]


class Verdict(ctypes.Structure):
    _fields_ = [
        ("blocked", ctypes.c_int),
        ("replaces", ctypes.c_int),
        ("parts", ctypes.c_char_p * 5),
        ("send", ctypes.c_char_p),
        ("send_length", ctypes.c_size_t),
    ]


class Script(ctypes.Structure):
    _fields_ = [
        ("id", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("path", ctypes.c_char_p),
        ("state", ctypes.c_char_p),
        ("pid", ctypes.c_long),
        ("uptime", ctypes.c_double),
        ("restarts", ctypes.c_longlong),
        ("events", ctypes.c_longlong),
        ("memory", ctypes.c_longlong),
    ]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class Hub:
    """A hub without users."""

    def __init__(self, library: str) -> None:
        self.folder = os.path.realpath(tempfile.mkdtemp())
        self.lib = ctypes.CDLL(library)
        self.lib.vhpy_last_error.restype = ctypes.c_char_p
        self.lines: list[bytes] = []
        self.log = LOG(lambda data, level, line: self.lines.append(line))
        self.lib.vhpy_set_log(self.log, None)
        self.table = (ctypes.c_void_p * 100)()
        assert self.lib.w_Begin(self.table) == 1, self.error()
        for name in ("hook_timeout", "kill_timeout", "load_timeout", "slow_hook"):
            self.set(name, NEVER)
        self.set("spare", "0")

    def error(self) -> str:
        return (self.lib.vhpy_last_error() or b"").decode()

    def set(self, name: str, value: str) -> None:
        assert self.lib.vhpy_set_option(name.encode(), value.encode()) == 1, self.error()

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def load(self, source: str = SCRIPT) -> int:
        with open(self.path("script.py"), "w") as file:
            file.write(source)
        return int(self.lib.vhpy_load(self.path("script.py").encode()))

    def run(self, code: str) -> bytes | None:
        """Runs code in the script. What it left in `it`; None if it did not answer."""
        verdict = Verdict()
        args = (Element * 2)(Element(b"s", b"nick"), Element(b"s", code.encode()))
        self.lib.vhpy_event(CHAT, args, ctypes.c_size_t(2), ctypes.byref(verdict))
        answer = verdict.parts[1] if verdict.replaces else None
        self.lib.vhpy_verdict_free(ctypes.byref(verdict))
        return answer

    def sees(self, expression: str) -> str:
        """What an expression gives in a script that is loaded now."""
        assert self.load() >= 0, self.error()
        answer = self.run(f"it = str({expression})")
        assert answer is not None, self.lines
        return answer.decode()

    def status(self) -> tuple[str, int, int]:
        scripts = ctypes.POINTER(Script)()
        self.lib.vhpy_status.restype = ctypes.c_size_t
        assert self.lib.vhpy_status(ctypes.byref(scripts)) == 1
        script = scripts[0]
        answer = (script.state.decode(), script.pid, script.restarts)
        self.lib.vhpy_free(scripts)
        return answer

    def wait_for(self, what: str, there: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not there():
            assert time.monotonic() < end, f"waited for {what}: {self.status()} {self.lines}"
            self.lib.vhpy_serve()
            time.sleep(0.005)

    def die(self) -> None:
        os.kill(self.status()[1], signal.SIGKILL)

    def children(self) -> int:
        found = 0
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children") as file:
                found += len(file.read().split())
        return found


def hook_timeout(hub: Hub) -> None:
    hub.load()
    hub.set("hook_timeout", SOON)
    assert hub.run("time.sleep(10000)") is None
    assert hub.status()[0] == "stuck", hub.status()


def kill_timeout(hub: Hub) -> None:
    hub.load()
    hub.set("kill_timeout", SOON)
    hub.set("hook_timeout", "0.1")
    hub.run("time.sleep(10000)")
    hub.wait_for("the script to be killed and back", lambda: hub.status()[2] == 1)


def load_timeout(hub: Hub) -> None:
    hub.set("load_timeout", SOON)
    assert hub.load("import time\ntime.sleep(10000)\n") == -1


def restart_wait(hub: Hub) -> None:
    hub.load()
    for wait, answer in (("60", b"here"), ("0", None)):
        hub.set("restart_wait", wait)
        hub.wait_for("the script", lambda: hub.status()[0] == "ready")
        hub.die()
        assert hub.run("it = 'here'") == answer, wait


def when_away(hub: Hub) -> None:
    hub.set("restart_wait", "0")
    hub.load()
    for value, blocked in (("pass", 0), ("block", 1)):
        hub.set("when_away", value)
        hub.wait_for("the script", lambda: hub.status()[0] == "ready")
        hub.die()
        verdict = Verdict()
        args = (Element * 2)(Element(b"s", b"nick"), Element(b"s", b"pass"))
        hub.lib.vhpy_event(CHAT, args, ctypes.c_size_t(2), ctypes.byref(verdict))
        assert verdict.blocked == blocked, value
        hub.lib.vhpy_verdict_free(ctypes.byref(verdict))


def restart_limit(hub: Hub) -> None:
    hub.set("restart_limit", "1")
    hub.set("restart_wait", "0")
    hub.load()
    for death, state in enumerate(("ready", "failed"), 1):
        hub.die()
        hub.wait_for(f"death {death}", lambda: hub.status()[0] == state and hub.status()[2] == min(death, 1))


def spare(hub: Hub) -> None:
    for value, children in (("1", 2), ("0", 1)):
        hub.set("spare", value)
        if value == "1":
            hub.load()
        hub.wait_for(f"{children} processes", lambda: hub.children() == children)


def log_level(hub: Hub) -> None:
    hub.load()
    for level, is_logged in (("0", False), ("2", True)):
        hub.set("log_level", level)
        hub.run(f"print('said at {level}', flush=True)")
        hub.run(f"print('end of {level}', file=sys.stderr, flush=True)")
        if is_logged:
            hub.wait_for("the line", lambda: any(b"said at 2" in line for line in hub.lines))
    assert not any(b"said at 0" in line for line in hub.lines), hub.lines


def slow_hook(hub: Hub) -> None:
    hub.set("slow_hook", NEVER)
    hub.load()
    hub.run("time.sleep(0.2)")
    hub.set("slow_hook", "0.01")
    hub.run("time.sleep(0.1)")
    hub.wait_for("the report", lambda: any(b"is slow" in line for line in hub.lines))
    assert sum(b"is slow" in line for line in hub.lines) == 1, hub.lines


def python(hub: Hub) -> None:
    real = os.path.realpath(sys.executable)
    os.makedirs(hub.path("environment/bin"))
    os.symlink(real, hub.path("environment/bin/python"))
    with open(hub.path("environment/pyvenv.cfg"), "w") as file:
        file.write(f"home = {os.path.dirname(real)}\n")
    hub.set("python", hub.path("environment/bin/python"))
    assert hub.sees("sys.prefix") == hub.path("environment")


def worker(hub: Hub) -> None:
    shutil.copy(os.environ.pop("VHPY_WORKER"), hub.path("another.so"))
    # The hub keeps the library that it began with.
    assert hub.lib.w_End() == 1
    hub.set("worker", hub.path("another.so"))
    assert hub.lib.w_Begin(hub.table) == 1, hub.error()
    seen = hub.sees("[line for line in open('/proc/self/maps') if '.so' in line]")
    assert "another.so" in seen, seen


def metrics(hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        # It is no reason for scripts not to run.
        hub.set("metrics", address)
        hub.load()

    def is_read() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=LIMIT) as answer:
                return b'vhpy_script_up{script="script"} 1' in answer.read()
        except OSError:
            return False

    # Who asks waits for the hub for a moment, and then gets the last figures.
    hub.wait_for("metrics where another program was", is_read)
    child = os.fork()
    if child == 0:
        # A hub that has become a daemon: as soon as the first process lets go of the address.
        hub.wait_for("metrics of a child", lambda: hub.status()[0] == "ready" and is_read())
        os._exit(0)
    hub.set("metrics", "")
    hub.wait_for("metrics of the child or its end", lambda: os.waitpid(child, os.WNOHANG) == (child, 0))
    assert not is_read()


def store_dir(hub: Hub) -> None:
    os.mkdir(hub.path("stores"))
    hub.set("store_dir", hub.path("stores"))
    hub.sees("vh.store.__setitem__('key', 'kept')")

    def is_kept() -> bool:
        files = [os.path.join(hub.path("stores"), name) for name in os.listdir(hub.path("stores"))]
        return any(b"kept" in open(file, "rb").read() for file in files)

    hub.wait_for("the store's file", is_kept)


def control(hub: Hub) -> None:
    hub.load("def double(number): return number * 2\n")
    hub.set("control", hub.path("control"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(hub.path("control"))
        answers = client.makefile("rb")
        assert b'"control":1' in answers.readline()
        # What looks is answered while the hub does something else, what acts when it looks.
        client.sendall(b'{"do": "list"}\n')
        assert b'"name":"script"' in answers.readline()
        client.sendall(b'{"do": "call", "script": "script", "function": "double", "args": [21]}\n')
        hub.wait_for("the answer", lambda: select.select([client], [], [], 0)[0] != [])
        assert b'"answer":42' in answers.readline()
        hub.set("control", "")
        # What was there is let go of.
        while client.recv(1000):
            pass
    assert not os.path.exists(hub.path("control"))


def control_group(hub: Hub) -> None:
    hub.set("control_group", grp.getgrgid(os.getegid()).gr_name)
    hub.set("control", hub.path("control"))
    assert os.stat(hub.path("control")).st_mode & 0o777 == 0o660
    hub.set("control_group", "")
    assert os.stat(hub.path("control")).st_mode & 0o777 == 0o600


def encoding(hub: Hub) -> None:
    hub.set("encoding", "cp1251")
    hub.load()
    assert hub.run(r"it = '\u044f'") == b"\xff"


def seen(value: str, expression: str, expected: str) -> Callable[[Hub, str], None]:
    """An option with this value, by an expression of a script."""

    def check(hub: Hub, name: str) -> None:
        hub.set(name, value)
        answer = hub.sees(expression)
        assert answer == expected, f"{name} = {value}: {expression} is {answer}, not {expected}"

    return check


def limit(resource: str) -> str:
    return f"resource.getrlimit(resource.RLIMIT_{resource})[0]"


NICER = "os.getpriority(os.PRIO_PROCESS, 0) - os.getpriority(os.PRIO_PROCESS, os.getppid())"
ROWS: dict[str, Any] = {
    "hook_timeout": hook_timeout,
    "kill_timeout": kill_timeout,
    "load_timeout": load_timeout,
    "restart_wait": restart_wait,
    "when_away": when_away,
    "restart_limit": restart_limit,
    "limit_memory": seen("300", limit("AS"), str(300 << 20)),
    "limit_cpu": seen("1000", limit("CPU"), "1000"),
    "limit_files": seen("77", limit("NOFILE"), "77"),
    "limit_processes": seen("54321", limit("NPROC"), "54321"),
    "nice": seen("3", NICER, "3"),
    "slow_hook": slow_hook,
    "spare": spare,
    "log_level": log_level,
    "python": python,
    "worker": worker,
    "control": control,
    "control_group": control_group,
    "scripts_dir": seen("/the/scripts", "sys.path[1]", "/the/scripts"),
    "metrics": metrics,
    "store_dir": store_dir,
    "encoding": encoding,
    "basedir": seen("/the/base", "vh.basedir", "/the/base"),
    "config_name": seen("the_name", "vh.config_name", "the_name"),
    "starttime": seen("1234567", "vh.starttime", "1234567"),
    "botname": seen("TheBot", "vh.botname", "TheBot"),
    "opchatname": seen("TheChat", "vh.opchatname", "TheChat"),
}
# Makes hub and scripts sleep sooner, which shows in nothing but time: tested in src/supervisor.
WITHOUT_EFFECT = {"stay_awake"}


def main(library: str, *names: str) -> None:
    if not names:
        with open(HEADER) as file:
            options = file.read().split("(begin of the options)")[1].split("(end of the options)")[0]
        # The list is the table's: tests/docs.rs.
        there = set(re.findall(r"^ \*   (\w+)", options, re.MULTILINE))
        assert there == ROWS.keys() | WITHOUT_EFFECT, there ^ (ROWS.keys() | WITHOUT_EFFECT)
        for name in ROWS:
            # What waits within the library ends here.
            subprocess.run([sys.executable, __file__, library, name], check=True, timeout=LIMIT)
        return
    (name,) = names
    hub = Hub(library)
    row = ROWS[name]
    row(hub, name) if row.__code__.co_argcount == 2 else row(hub)
    assert hub.lib.w_End() == 1
    shutil.rmtree(hub.folder)


main(*sys.argv[1:])
