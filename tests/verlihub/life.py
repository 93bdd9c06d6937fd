"""Checks of the scripts' life: the console, options, crashes, threads, and the plugin's and
the hub's own end."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

from hub import LIMIT, free_port, is_alive, wait_for, wait_for_end

HERE = pathlib.Path(__file__).resolve().parent
VENV = HERE.parent.parent / "target/verlihub/fastapi"


def add(hub, *scripts):
    for script in scripts:
        shutil.copy(HERE / "scripts" / script, hub.scripts)


def load(hub, master, *scripts):
    add(hub, *scripts)
    for script in scripts:
        master.command(f"!pyload {script}", f"Script {script.removesuffix('.py')} is loaded")


# ---------------------------------------------------------------- on a hub that goes on


def check_console(hub, master):
    listed = master.command("!pylist", r"^<Verlihub> \d+ \w+: ")
    assert re.search(r"\d+ probe: ready, ", listed), listed
    master.command("!pystat probe", r"^<Verlihub> probe: ready, \d+ event")
    assert "probe.py" in master.command("!pyfiles", "^<Verlihub> Scripts in")
    master.command("!pyreload probe", "Script probe is reloaded")
    master.command("!pyhelp", "!pyunload NAME")
    master.pm("Verlihub", "!pylist")
    master.expect(r"^\$To: master From: Verlihub \$<Verlihub> \d+ \w+: ")
    with hub.client("oper") as oper, hub.client("guest") as guest:
        oper.command("!pylist", "no rights", never="probe")
        guest.command("!pylist", "nknown", never="probe.py")
    # No script can lock an operator out.
    for hook in ("OnHubCommand", "OnOperatorCommand"):
        master.eval(f"answer('{hook}', 0)")
    master.command("!pyunload probe", "Script probe is unloaded")
    master.command("!pyload nothing.py", "is not loaded")
    master.command("!pyload probe", "Script probe is loaded")


def check_options(hub, master):
    def stored(name):
        return hub.database.sql(f"SELECT val FROM SetupList WHERE file = 'pi_python' AND var = '{name}'").strip()

    assert stored("hook_timeout") == "2" and stored("step_delay") == "1"
    master.command("!set [pi_python] hook_timeout 1.5", "hook_timeout")
    wait_for("the option", lambda: stored("hook_timeout") == "1.5")
    master.command("!set [pi_python] hook_timeout never", "must be a number of seconds")
    master.command("!set pi_python.hook_timout 3", "there is no option hook_timout")
    master.command("!set [pi_python] hook_timeout 2", "hook_timeout")
    assert stored("hook_timout") == ""
    master.command("!pylog 3", "The log level is 3")
    wait_for("the level", lambda: stored("log_level") == "3")
    master.command("!set [pi_python] log_level 2", "log_level")
    master.command("!pylog", "The log level is 2")


def check_crash_under_chat(hub, master):
    load(hub, master, "crash.py")
    with hub.client("guest") as guest, hub.client("oper") as oper:
        for number in range(3):
            guest.chat(f"before {number}")
            guest.chat("crash")
            # After its first death a script is back before anything else is said; then it
            # has to wait.
            if number:
                wait_for("the script's return", lambda: is_back(master, "crash", number + 1))
            guest.chat(f"a secret {number}")
            guest.chat(f"after {number}")
            master.expect(f"^<guest> before {number}$", never="secret")
            master.expect(f"^<guest> after {number}$", never="secret")
        oper.expect("crash")  # the operators are told
    master.command("!pyunload crash", "is unloaded")


def is_back(master, name, restarts):
    """Whether a script is ready and was started again so often."""
    listed = master.command("!pylist", r"^<Verlihub> \d+ \w+: ")
    line = next((line for line in listed.splitlines() if f" {name}: ready" in line), "")
    counted = re.search(r"(\d+) restart", line)
    return bool(line) and int(counted.group(1) if counted else 0) >= restarts


def check_hang_under_chat(hub, master):
    master.command("!set [pi_python] hook_timeout 0.5", "hook_timeout")
    master.command("!set [pi_python] kill_timeout 1", "kill_timeout")
    load(hub, master, "crash.py")
    with hub.client("guest") as guest:
        guest.chat("hang")
        for number in range(50):
            guest.chat(f"line {number}")
        master.expect("^<guest> line 49$")
        wait_for("the script's restart", lambda: is_back(master, "crash", 1))
        guest.chat("a secret")
        guest.chat("said")
        master.expect("^<guest> said$", never="secret")
    master.command("!pyunload crash", "is unloaded")
    master.command("!set [pi_python] hook_timeout 2", "hook_timeout")
    master.command("!set [pi_python] kill_timeout 10", "kill_timeout")


def check_thread_on_an_idle_hub(hub, master):
    load(hub, master, "caller.py")
    answer = ""

    def all_measured():
        nonlocal answer
        answer = master.command("delays", r"^<Verlihub> \d+ calls, worst").split("> ", 1)[1]
        return answer.startswith("20 ")

    # Asked seldom: the hub must be idle between its calls.
    threading.Event().wait(2)
    wait_for("20 calls", all_measured)
    master.command("!pyunload caller", "is unloaded")
    return answer


def fastapi():
    """An environment with FastAPI; made once."""
    if not (VENV / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([VENV / "bin/pip", "install", "-q", "fastapi", "uvicorn"], check=True)
        (VENV / "ready").touch()
    return VENV


def check_fastapi_in_a_thread(hub, master):
    try:
        environment = fastapi()
    except (subprocess.CalledProcessError, OSError) as error:
        return f"skipped: FastAPI cannot be installed ({error})"
    folder = hub.folder / "web"
    folder.mkdir()
    (folder / ".venv").symlink_to(environment)
    shutil.copy(HERE / "scripts/api.py", folder)
    master.command(f"!pyload {folder}/api.py", "Script api is loaded")
    port = hub.folder / "port"
    wait_for("the web server", port.exists)
    address = f"http://127.0.0.1:{port.read_text()}"
    with hub.client("guest") as guest:
        with urllib.request.urlopen(address + "/users", timeout=60) as answer:
            told = json.load(answer)
        assert {"guest", "master"} <= set(told["users"]) and told["count"] == 2, told
        urllib.request.urlopen(urllib.request.Request(address + "/say/hello", method="POST"), timeout=60).close()
        guest.expect("^<Web> hello$")
    master.command("!pyunload api", "is unloaded")


def check_ncdc(hub, master):
    missing = [program for program in ("ncdc", "tmux") if not shutil.which(program)]
    if missing:
        return f"skipped: install {' and '.join(missing)}"
    master.eval("answer('OnParsedMsgChat', lambda nick, text: 0 if 'secret' in text else text.replace('cat', 'dog'))")
    session, folder = f"vhpy-{os.getpid()}", hub.root / "ncdc"

    def tmux(*args):
        return subprocess.run(["tmux", "-L", session, *args], check=True, capture_output=True, text=True).stdout

    def keys(line):
        tmux("send-keys", "-t", session, "-l", line)
        tmux("send-keys", "-t", session, "Enter")

    def screen():
        return tmux("capture-pane", "-p", "-t", session)

    tmux("new-session", "-d", "-s", session, "-x", "120", "-y", "40", f"ncdc -c {folder}")
    try:
        wait_for("ncdc", lambda: "ncdc" in screen())
        for line in ("/set nick realone", "/set encoding CP1252", f"/open test nmdc://127.0.0.1:{hub.port}/"):
            keys(line)
        master.expect(r"^\$MyINFO \$ALL realone .*<ncdc V:")
        master.chat("welcome")
        wait_for("the line on ncdc's screen", lambda: "<master> welcome" in screen())
        keys("a secret")
        keys("my cat")
        master.expect("^<realone> my dog$", never="secret")
        wait_for("the own line", lambda: "<realone> my dog" in screen())
        master.pm("realone", "psst")
        wait_for("the private message's tab", lambda: "~master" in screen())
        assert master.eval("'realone' in vh.GetNickList(), vh.CloseConnection('realone')") == (True, True)
        # The hub drops a connection when the next thing happens on another one.
        wait_for("its end", lambda: master.eval("('realone',) in seen.get('OnUserLogout', [])"))
    finally:
        tmux("kill-server")


def check_a_script_cannot_unload_the_plugin(hub, master):
    for command in ("!plugout Python", "!plugoutPython", "!offplug python", "!plugreload Python", "!plugreloadPython",
                    "!plugout  Python", "!plugout\\tPython"):
        master.chat(f"eval 0 vh.ParseCommand('master', '{command}', 0)")
        master.expect("cannot unload plugins")
    assert master.eval("1 + 1") == 2


def check_timers_commands_and_filters(hub, master):
    load(hub, master, "beside.py")
    with hub.client("guest") as guest, hub.client("oper") as oper:
        # The bot speaks after the line that it answers.
        guest.chat("bot, are you there?")
        master.expect(r"^<guest> bot, are you there\?$", never="yes")
        master.expect("> guest, yes\\?$")
        guest.chat("nobody in particular")
        guest.chat("bot, again")
        master.expect("^<guest> bot, again$")
        master.expect("> guest, yes\\?$")
        oper.command("+ticks 3", "at least 3 ticks")
        oper.command("+ticks many", r"Usage: \+ticks \[least\]")
    master.command("!pyunload beside", "is unloaded")
    assert (hub.folder / "beside").read_text() == "True"


def check_menus(hub, master):
    entry = r"^\$UserCommand 1 1 Scripts\\ticks: how often the timer came\$<%\[mynick\]> \+ticks %\[line:least\]&#124;$"
    knows = {"supports": " UserCommand"}
    with hub.client("guest", **knows) as guest:
        with hub.client("oper", **knows) as oper:
            load(hub, master, "beside.py")
            oper.expect(entry)
        # Who comes later has it, too.
        with hub.client("oper", **knows) as oper:
            oper.expect(entry)
            master.command("!pyunload beside", "is unloaded")
            oper.expect(r"^\$UserCommand 255 1$")
        # Who may not give it hears nothing of it, nor does who has no menus.
        for client in guest, master:
            client.chat("the end")
            client.expect("> the end$", never="UserCommand")


def check_storms(hub, master):
    """Users drop off, are kicked and banned by a script while others come."""
    master.eval("answer('OnUserLogin', lambda nick: vh.KickUser('master', nick, 'storm') if nick.startswith('kicked') else 1)")
    master.eval("answer('OnParsedMsgChat', lambda nick, text: vh.Ban('master', nick, 'storm', 60, vh.eBF_NICK) if text == 'ban me' else 1)")
    clients = []
    for number in range(60):
        kind = ("kicked", "banned", "dropped")[number % 3]
        client = hub.client(f"{kind}{number}", login=kind != "kicked")
        clients.append(client)
        if kind == "kicked":
            try:
                client.login()
            except AssertionError:
                pass  # thrown out while it logged in
        elif kind == "banned":
            client.chat("ban me")
        else:
            client.send("$Search 127.0.0.1:412 F?T?0?1?x")
            client.close()
        if kind == "kicked":
            # Kicks ban the address, too, which the next client has as well.
            wait_for("the kick", lambda: hub.database.sql(f"SELECT nick FROM banlist WHERE nick = '{client.nick}'").strip())
        hub.database.sql("DELETE FROM banlist")
    wait_for("all to be gone", lambda: master.eval("vh.GetUsersCount()") == 1)
    for client in clients:
        client.close()
    assert master.eval("len([n for n in vh.GetNickList() if n[-1].isdigit()])") == 0
    hub.database.sql("DELETE FROM banlist")


SHARED = [check for name, check in list(globals().items()) if name.startswith("check_")]


# ---------------------------------------------------------------- on a hub of its own


def own_autoload_in_order(hub):
    add(hub, "crash.py", "ending.py")
    hub.start()
    with hub.client("master") as master:
        table = master.command("!pylist", r"^<Verlihub> \d+ \w+: ")
        assert re.findall(r"(\d) (\w+): ready", table) == [("0", "crash"), ("1", "ending"), ("2", "probe")], table


def own_plugin_cycles(hub):
    """The plugin goes and comes; nothing is left behind."""
    add(hub, "ending.py")
    hub.start()
    descriptors = pathlib.Path(f"/proc/{hub.process.pid}/fd")
    threads = pathlib.Path(f"/proc/{hub.process.pid}/task")

    def counts():
        return len(list(descriptors.iterdir())), len(list(threads.iterdir()))

    with hub.client("master") as master, hub.client("guest") as guest:
        master.eval("vh.AddRobot('Robot', 0, '', '', '', '')")
        seen = []
        for number in range(12):
            old = hub.workers()
            off, on = (("!offplug python", "!onplug python"), ("!plugreload Python", None))[number % 2]
            guest.chat(f"during {number}")
            master.chat(off)
            wait_for_end(old)
            if on:
                master.command(on, "loaded|success")
            master.command("!pylist", "probe: ready")
            guest.chat(f"after {number}")
            master.expect(f"^<guest> after {number}$")
            assert master.eval("vh.GetUserClass('guest'), vh.GetUserClass('Robot')") == (0, -2)
            seen.append(counts())
        assert seen[-1] == seen[1], f"descriptors and threads after each cycle: {seen}"
        # As often as the plugin went, both; in order.
        lines = (hub.folder / "ended").read_text().split("\n")
        assert lines[:4] == ["OnUnLoad 0", "UnLoad"] * 2, lines
        master.chat("!offplug python")
        wait_for_end(hub.workers())
        master.command("!pylist", "nknown", never="ready")
        guest.chat("without")
        master.expect("^<guest> without$")


def own_quit_and_restart(hub):
    add(hub, "ending.py")
    hub.start()
    with hub.client("master") as master, hub.client("guest"):
        master.command("!pylog 1", "level is 1")
        workers = hub.workers()
        master.chat("!restart")
        assert hub.wait() == 1
    wait_for_end(workers)
    assert (hub.folder / "ended").read_text() == "OnUnLoad 0\nUnLoad\n"
    hub.start()
    with hub.client("master") as master:
        master.command("!pylog", "level is 1")
        workers = hub.workers()
        master.eval("vh.StopHub(7)")
        assert hub.wait() == 7
    wait_for_end(workers)


def own_signals(hub):
    """Signals end the hub at once, without a word to its plugins: no worker stays."""
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL, signal.SIGSEGV):
        hub.start()
        with hub.client("master") as master:
            master.eval("1")
            workers = hub.workers()
            assert workers and all(map(is_alive, workers))
            hub.process.send_signal(number)
            hub.wait()
        wait_for_end(workers)


def own_reload_of_the_configuration(hub):
    hub.start()
    with hub.client("master") as master:
        hub.set("hub_security", "Other")
        hub.process.send_signal(signal.SIGHUP)
        wait_for("the new name", lambda: master.eval("vh.botname") == "Other")
        master.chat("said")
        master.expect("^<master> said$")


def own_missing_worker(hub):
    """Half an installation: the hub says why, and goes on without scripts."""
    lonely = hub.root / "lonely"
    lonely.mkdir()
    for name in ("libpython_pi.so", "libvhpy.so"):
        shutil.copy(hub.plugin.parent / name, lonely)
    hub.database.sql(f"UPDATE pi_plug SET path = '{lonely}/libpython_pi.so'")
    hub.start()
    with hub.client("master") as master, hub.client("guest") as guest:
        guest.chat("said")
        master.expect("^<guest> said$")
        assert hub.logged("Python scripts cannot run: ") and hub.logged("libvh_worker.so"), hub.tail()
        master.chat("!offplug python")
        guest.chat("again")
        master.expect("^<guest> again$")


def own_filters_and_figures(hub):
    """A filter gets what it is for and nothing else; what became of it can be read, also over HTTP."""
    add(hub, "filtering.py")
    address = f"127.0.0.1:{free_port()}"
    os.environ["VHPY_METRICS"] = address
    try:
        hub.start()
    finally:
        del os.environ["VHPY_METRICS"]

    def metrics():
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=LIMIT) as answer:
            return answer.read().decode()

    with hub.client("master") as master, hub.client("guest") as guest:
        wait_for("the script", lambda: 'vhpy_script_up{script="filtering"} 1' in metrics())
        guest.chat("my CASINO")
        guest.chat("http://example.org")
        master.expect("^<guest> http://example.org$", never="CASINO")
        master.chat("http://example.org/2")
        master.chat("said")
        guest.expect("^<master> said$", never="example.org/2")
        guest.pm("master", "what?")
        guest.expect(re.escape("given: [('guest', 'my CASINO'), ('master', 'http://example.org/2')]"))
        master.command("!pystat filtering", "^<Verlihub> filtering: ready, 3 events")
        count = 'vhpy_hook_seconds_count{script="filtering",hook="OnParsedMsgChat"} 2'
        wait_for("the figures", lambda: count in metrics())
        with urllib.request.urlopen(f"http://{address}/health", timeout=LIMIT) as answer:
            assert answer.read() == b"ok\n"
        assert "vhpy_users" not in metrics(), "what Verlihub has itself"


def own_clock_that_is_set_back(hub):
    """Verlihub's timer stands still then; scripts' lives go on."""
    if not shutil.which("cc"):
        return "skipped: install a C compiler"
    hub.preload, clock = hub.root / "clock.so", hub.root / "clock"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", hub.preload, HERE / "clock.c"], check=True)
    os.environ["VHPY_CLOCK"] = str(clock)
    add(hub, "crash.py")
    hub.set("kill_timeout", 0.2, "pi_python")
    hub.start()
    with hub.client("master") as master, hub.client("guest") as guest:
        ticks = "len(ticks)"
        master.eval("globals().setdefault('ticks', [])")
        master.eval("answer('OnTimer', lambda now: ticks.append(now))")
        wait_for("the hub's timer", lambda: master.eval(ticks) > 1)
        clock.write_text("-7200")
        before = master.eval(ticks)
        wait_for("five ticks more", lambda: master.eval(ticks) > before + 5)
        # Deaths and deadlines are noticed on an idle hub.
        old = hub.workers()
        for word in ("crash", "hang"):
            guest.chat(word)
            wait_for(f"a new process after {word}", lambda: len(hub.workers() - old) > 0)
            old |= hub.workers()
        wait_for("the script to be back", lambda: "ready" in master.command("!pylist", "crash: [a-z]+"))
        # And forward: the hub's own timer ticks again.
        clock.write_text("7200")
        before = master.eval(ticks)
        wait_for("five ticks more", lambda: master.eval(ticks) > before + 5)


def start_with_control(hub):
    """The hub's control socket."""
    os.environ["VHPY_CONTROL"] = str(hub.root / "control")
    try:
        hub.start()
    finally:
        del os.environ["VHPY_CONTROL"]
    return hub.root / "control"


class Control:
    """A connection to a control socket."""

    def __init__(self, path):
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(LIMIT)
        self.stream.connect(str(path))
        self.lines = self.stream.makefile("rw", encoding="utf-8")
        assert json.loads(self.lines.readline())["control"] == 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.stream.close()

    def say(self, line):
        self.lines.write(line + "\n")
        self.lines.flush()

    def ask(self, **request):
        self.say(json.dumps({"id": 1, **request}))
        return json.loads(self.lines.readline())

    def until(self, wanted):
        """What comes of a stream of bytes until this, with it."""
        seen = ""
        while not seen.endswith(wanted):
            character = self.lines.read(1)
            assert character, f"it ended before {wanted!r}: {seen!r}"
            seen += character
        return seen


def own_recording(hub):
    """Begun and ended over the control socket, as by `vhpy ctl record`."""
    control, file = start_with_control(hub), hub.root / "recording.jsonl"

    def ask(**request):
        with Control(control) as connection:
            return connection.ask(**request)

    with hub.client("master") as master:
        assert ask(do="record", path=str(file)).get("answer") is True
        with hub.client("reg") as reg, hub.client("guest") as guest:
            guest.chat("hello, I am 10.1.2.3")
            master.expect("^<guest> hello")
            guest.pm("reg", "psst")
            reg.expect("psst")
            reg.chat("+passwd hunter2")
            master.eval("vh.SQL(\"select login_pwd from reglist where nick = 'reg'\")")
        assert ask(do="record", path=str(file)).get("error")
        assert "ended" in ask(do="record")["text"]
    wait_for("the end of the recording", lambda: file.read_text().endswith('{"what":"end"}\n'))
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert '"hook":"OnParsedMsgChat","args":["guest","hello, I am 198.18.0.' in text, text
    assert '"hook":"OnParsedMsgMyPass","args":["reg","[secret]"]' in text, text
    for hidden in ("psst", "hunter2", "10.1.2.3", "127.0.0.1", "regpass", hub.account("reg", 1).split("'")[-2]):
        assert hidden not in text, (hidden, text)


def own_debugging(hub):
    """pdb over the control socket, as by `vhpy debug`, while the hub goes on."""
    (hub.scripts / "stops.py").write_text(
        "def OnParsedMsgChat(nick, message):\n"
        "    if 'stop' in message:\n"
        "        breakpoint()\n"
        "        return 1\n"
        "    return 0 if 'bad' in message else 1\n"
    )
    control = start_with_control(hub)
    with hub.client("master") as master, hub.client("guest") as guest:
        # Nobody is attached: a line in the log, and nothing else. (Verlihub drops what is said twice.)
        guest.chat("stop 1")
        master.expect("^<guest> stop 1$")
        with Control(control) as person:
            assert "answer" in person.ask(do="debug", script="stops")
            guest.chat("stop 2")
            # The event goes on without the script that is in pdb, and so do others.
            master.expect("^<guest> stop 2$")
            person.until("(Pdb) ")
            person.say("p nick + message")
            assert "'gueststop 2'" in person.until("(Pdb) ")
            guest.chat("bad 1")
            master.expect("^<guest> bad 1$")
            assert "stops: debugged" in master.command("!pylist", r"stops: \w+")
            with Control(control) as second:
                assert "one at a time" in second.ask(do="debug", script="stops")["error"]
            person.say("c")
            wait_for("the script to be back", lambda: "stops: ready" in master.command("!pylist", r"stops: \w+"))
        guest.chat("bad 2")
        guest.chat("good")
        master.expect("^<guest> good$", never="^<guest> bad")


def own_reload_that_cannot_hurt(hub):
    """A new version that does not load, however: the one before filters on."""
    filters = "import beside\ndef OnParsedMsgChat(nick, message):\n    return 0 if 'bad' in message else 1\n"
    script, beside = hub.scripts / "filter.py", hub.scripts / "beside.py"
    broken = {
        "syntax": "def OnParsedMsgChat(nick, message: return 1\n",
        "import": "import there_is_no_such_module\n",
        "exit": "import sys\nsys.exit(3)\n",
        "crash": "import os\nos.abort()\n",
        "exception": "1 / 0\n",
    }
    hub.start()
    with hub.client("master") as master, hub.client("guest") as guest:

        def filters_still(number):
            guest.chat(f"bad {number}")
            guest.chat(f"good {number}")
            master.expect(f"^<guest> good {number}$", never="^<guest> bad")

        beside.write_text("")
        script.write_text(filters)
        master.command("!pyload filter.py", "Script filter is loaded")
        filters_still("at first")
        for name, source in broken.items():
            script.write_text(source)
            master.command("!pyreload filter", "serves on")
            filters_still(name)
            # After a crash, too.
            old = hub.workers()
            os.kill(int(re.search(r"filter: ready, process (\d+)", master.command("!pylist", "filter: ready"))[1]), 9)
            wait_for(f"a new process after {name}", lambda: len(hub.workers() - old) > 0)
            wait_for("the script to be back", lambda: "filter: ready" in master.command("!pylist", r"filter: \w+"))
            filters_still(f"{name}, after a crash")
        script.write_text(filters)
        beside.write_text("def broken(:\n")
        master.command("!pyreload filter", "serves on")
        filters_still("with a broken module beside it")
        beside.write_text("")
        master.command("!pyreload filter", "Script filter is reloaded")
        filters_still("at last")


def own_nobody_waits(hub):
    """For a script that loads or ends until it is let."""
    gate = hub.root / "gate"
    hub.set("load_timeout", 60, "pi_python")
    hub.set("kill_timeout", 60, "pi_python")
    hub.start()
    (hub.scripts / "waits.py").write_text(
        "import os, time\n"
        f"def wait():\n    while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "wait()\n"
        "def UnLoad(): wait()\n"
    )
    with hub.client("master") as master, hub.client("guest") as guest:
        for number, (command, done) in enumerate(
            [("!pyload waits.py", "Script waits is loaded"), ("!pyunload waits", "Script waits is unloaded")]
        ):
            master.chat(command)
            guest.chat(f"meanwhile {number}")
            master.expect(f"^<guest> meanwhile {number}$", never=done)
            gate.write_text("")
            master.expect(done)
            gate.unlink()


OWN = [check for name, check in list(globals().items()) if name.startswith("own_")]
