"""Checks of what a script does to the very user, robot or command that an event is about: every hook with
every act, and a storm of both. What happens to the memory is valgrind's to say."""

import os
import pathlib
import random
import shutil
import socket
import threading
import time
import xml.etree.ElementTree

from client import Client
from hub import wait_for, wait_for_end

HERE = pathlib.Path(__file__).resolve().parent
ACTS = {
    "close": "vh.CloseConnection(nick)",
    "kick": "vh.KickUser('master', nick, 'why')",
    "ban": "vh.Ban('master', nick, 'why', 1, vh.eBF_NICK)",
    "redirect": "vh.KickUser('master', nick, 'why', 'dchub://127.0.0.1:1')",
    "robot": "vh.DelRobot(robot)",
    "unreg": "vh.DelRegUser(nick)",
    "drop": "vh.ParseCommand('master', f'!drop {nick} why', 0)",
    "command": "vh.ParseCommand('master', f'!regnew by{nick} 1', 0)",
    "config": "vh.SetConfig('opchat_name', f'Ops{nick}')",
}

# These come from the hub alone, and last.
AT_THE_END = ("OnUnLoad",)


def hooks():
    """Their names, as probe.py has them."""
    text = (HERE / "scripts/probe.py").read_text()
    return text.split('HOOKS = """', 1)[1].split('"""', 1)[0].split()


HOOKS = hooks()


def lines(nick, robot, address):
    """One of everything that a client can say, as a user of class 5."""
    return [
        f"$MyINFO $ALL {nick} other<++ V:0.868,M:A,H:1/0/0,S:3>$ $100\x01$$2000$",
        f"$ExtJSON {nick} {{}}",
        f"$To: master From: {nick} $<{nick}> private", f"$To: {robot} From: {nick} $<{nick}> to a robot",
        f"$To: OpChat From: {nick} $<{nick}> to the operators", f"$MCTo: master ${nick} seen by one",
        f"$Search {address}:412 F?T?0?1?something", f"$SR {nick} file\x0510 1/1\x05hub (127.0.0.1:1)\x05master",
        f"$ConnectToMe master {address}:412", f"$RevConnectToMe {nick} master", "$Unheard of",
        f"<{nick}> !getip master", f"<{nick}> +myip", f"<{nick}> !regnew for{nick} 1",
        f"<{nick}> !bannick for{nick} 1h why", f"<{nick}> !set hub_topic of {nick}", f"<{nick}> !topic from {nick}",
    ]


class Scene:
    """One user's life, in which a script acts at one place."""

    def __init__(self, hub, master, act, number):
        self.hub, self.master, self.act, self.hook = hub, master, act, HOOKS[number]
        # No nick may end in another one's.
        self.nick, self.robot, self.bait = f"{act}{number}.", f"bot{act}{number}.", f"bait{act}{number}."
        self.net = f"127.{2 + list(ACTS).index(act)}.{number}"
        self.end = "everything was said"

    def play(self):
        """What the act answered; None when the hook was not called."""
        self.master.eval(f"vh.AddRobot({self.robot!r}, 5, '', '', '', '')")
        self.master.eval(f"arm({self.hook!r}, {self.nick!r}, {self.robot!r}, {ACTS[self.act]!r})")
        bait = None
        if self.hook.startswith("OnOperator") and self.hook != "OnOperatorCommand":
            bait = self.hub.client(self.bait, address=f"{self.net}.2")
        try:
            self.speak()
        except (AssertionError, OSError) as error:
            self.end = str(error)  # as a rule the act was about it
        if bait:
            bait.close()
        wait_for(f"the end of {self.nick}", lambda: self.master.eval(f"vh.GetUserClass({self.nick!r})") == -2)
        reached = self.master.eval(f"reached.get({self.hook!r})")
        self.master.eval(f"vh.DelRobot({self.robot!r})")
        return reached

    def speak(self):
        if self.hook == "OnCtmToHub":
            with socket.create_connection(("127.0.0.1", self.hub.port), 60, (f"{self.net}.3", 0)) as stray:
                stray.sendall(f"$MyNick {self.nick}|$Lock EXTENDEDPROTOCOLABCABC Pk=1Ref=127.0.0.9:411|".encode())
                while stray.recv(4096):
                    pass
        pinger = self.hook == "OnParsedMsgBotINFO"
        user = self.hub.client(self.nick, self.nick + "pass", address=f"{self.net}.1", login=False,
                               supports=" BotINFO" if pinger else "")
        try:
            user.login()
            for line in ["$BotINFO pinger"] * pinger + lines(self.nick, self.robot, f"{self.net}.1"):
                user.send(line)
            if self.hook == "OnOperatorKicks" and self.act == "robot":
                self.master.eval(f"vh.KickUser({self.robot!r}, {self.bait!r}, 'why')")
            elif self.hook == "OnOperatorKicks":
                user.chat(f"!kick {self.bait} why")
            elif self.hook.startswith("OnOperatorDrops"):
                user.chat(f"!drop {self.bait} why")
            elif self.hook == "OnScriptCommand":
                self.master.eval("vh.ScriptCommand('a', 'b', 1)")
            elif self.hook == "OnTimer":
                wait_for("the timer", lambda: self.master.eval("bool(reached.get('OnTimer'))"))
            user.chat(f"all said by {self.nick}")
            user.expect("all said by")
        finally:
            user.close()


def prepare(hub, acts):
    for number, hook in enumerate(HOOKS):
        # Operators' commands are others.
        hub.register(1 if hook == "OnUserCommand" else 5, [f"{act}{number}." for act in acts])
    hub.set("classdif_kick", 0)
    hub.set("tban_kick", 1)


def play_all(hub, master, acts):
    """Every hook with these acts; which hooks were never called."""
    silent = []
    for act in acts:
        for number, hook in enumerate(HOOKS):
            scene = Scene(hub, master, act, number)
            if hook not in AT_THE_END and scene.play() is None:
                silent.append(f"{hook} ({act}: {scene.end})")
    return silent


def end_in_order(hub, master):
    """The last act of all: in OnUnLoad."""
    workers = hub.workers()
    master.eval("vh.AddRobot('lastbot', 1, '', '', '', '')")
    master.eval("arm('OnUnLoad', 'master', 'lastbot', \"vh.DelRobot(robot), vh.ParseCommand('master', '!regnew last 1', 0)\")")
    master.chat("!plugoutPython")
    wait_for_end(workers)
    master.chat("still here")
    master.expect("^<master> still here$")
    master.chat("!quit")
    assert hub.wait() == 0


def own_every_hook_with_every_act(hub):
    prepare(hub, ACTS)
    hub.start()
    with hub.client("master") as master:
        silent = play_all(hub, master, ACTS)
        assert not silent, f"no event of {silent}"
        assert not hub.logged("defect in vhpy"), hub.tail()
        end_in_order(hub, master)


# ---------------------------------------------------------------- commands from within commands


def own_commands_within_commands(hub):
    """The same command from the event that it raised: it is given when the first one is over."""
    hub.start()
    with hub.client("master") as master:
        for hook, what, command, answer in (
            ("OnNewReg", "!regnew beta 1", "!regnew alpha 1", "alpha"),
            ("OnSetConfig", "!set hub_topic inner", "!set hub_desc outer", "hub_desc"),
            ("OnNewBan", "!bannick beta 1h inner", "!bannick alpha 1h outer", "alpha"),
            ("OnOperatorDrops", "!drop nobody inner", "!drop guest outer", "guest"),
            ("OnHubCommand", "!regnew gamma 1", "!regnew delta 1", "delta"),
        ):
            guest = hub.client("guest")
            master.eval(f"answer({hook!r}, lambda *a: 0 if {what[1:]!r} in str(a) else vh.ParseCommand('master', {what!r}, 0))"
                        if hook == "OnHubCommand" else
                        f"answer({hook!r}, lambda *a: answers.pop({hook!r}) and vh.ParseCommand('master', {what!r}, 0))")
            master.command(command, answer)
            master.eval("forget()")
            guest.close()
        wait_for("both registrations", lambda: hub.database.sql(
            "SELECT nick FROM reglist WHERE nick IN ('alpha', 'beta') ORDER BY nick").split() == ["alpha", "beta"])
        wait_for("both bans", lambda: hub.database.sql(
            "SELECT nick FROM banlist WHERE nick IN ('alpha', 'beta') ORDER BY nick").split() == ["alpha", "beta"])
        wait_for("the topic", lambda: master.eval("vh.GetConfig('hub_topic')") == "inner")


# ---------------------------------------------------------------- signals


def own_stop_signals_while_scripts_work(hub):
    """Verlihub's handler raises an event wherever the thread was: 25 times in the middle of scripts' work."""
    for _ in range(25):
        hub.start()
        with hub.client("master") as master:
            master.eval("1")
            workers = hub.workers()
            for number in range(200):
                master.chat(f"line {number}")
            master.expect("^<master> line")
            hub.stop()
        wait_for_end(workers)
        assert not hub.logged("defect in vhpy") and not hub.logged("already"), hub.tail()


# ---------------------------------------------------------------- a storm


def storm(hub, clients, seconds):
    """Clients come, talk and go while a script acts on each event's own user at random; how many came."""
    shutil.copy(HERE / "scripts/storm.py", hub.scripts)
    hub.register(5, [f"storm{number}." for number in range(0, clients, 2)])
    hub.set("classdif_kick", 0)
    hub.set("tban_kick", 1)
    hub.start()
    end = time.monotonic() + seconds
    counts = [0] * clients
    wrong = []

    def live(number):
        nick, net = f"storm{number}.", f"127.{20 + number // 200}.{number % 200}"
        dice = random.Random(number)
        while time.monotonic() < end:
            try:
                password = nick + "pass" if number % 2 == 0 else None
                with Client(hub.port, nick, password, address=f"{net}.{counts[number] % 250 + 1}") as user:
                    counts[number] += 1
                    talk = lines(nick, "stormbot", user.socket.getsockname()[0])
                    for line in dice.choices(talk, k=dice.randrange(20)):
                        user.send(line)
                    if dice.random() < 0.5:
                        user.chat(f"said {dice.random()}")
                        user.expect("said ")
            except (AssertionError, OSError):
                pass  # thrown out
            if hub.process.poll() is not None:
                wrong.append(f"the hub ended with {hub.process.returncode}")
                return

    threads = [threading.Thread(target=live, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"{wrong[0]}: {hub.tail()}"
    assert not hub.logged("defect in vhpy"), hub.tail()
    with hub.client("master", address="127.19.0.1") as master:
        assert master.eval("vh.GetUsersCount()") >= 1
        master.command("!pylist", "storm: ready")
        master.chat("!quit")
        assert hub.wait() == 0
    return sum(counts)


def own_storm_of_clients(hub):
    seconds = float(os.environ.get("VHPY_STORM_SECONDS", "180"))
    return f"{storm(hub, 200, seconds)} connections in {seconds:.0f} s"


# ---------------------------------------------------------------- memory


def errors_of_ours(report):
    """The errors in valgrind's report that have a library of ours anywhere in them, also in who freed it."""
    ours = []
    for error in xml.etree.ElementTree.parse(report).getroot().iter("error"):
        # Threads keep pointers into the middle of what they own, up to the very end.
        if error.findtext("kind") in ("Leak_PossiblyLost", "Leak_StillReachable"):
            continue
        objects = {frame.findtext("obj", "").rsplit("/", 1)[-1] for frame in error.iter("frame")}
        if objects & {"libpython_pi.so", "libvhpy.so"}:
            frames = [f"{frame.findtext('fn')} ({frame.findtext('obj', '').rsplit('/', 1)[-1]})" for frame in error.iter("frame")]
            ours.append(f"{error.findtext('kind')}: " + " < ".join(frames[:40]))
    return ours


def under_valgrind(hub, check):
    if not shutil.which("valgrind"):
        return "skipped: install valgrind"
    report = hub.root / "valgrind.xml"
    hub.under = ["valgrind", "--xml=yes", f"--xml-file={report}", "--num-callers=40", "--error-limit=no"]
    hub.set("hook_timeout", 60, "pi_python")
    hub.set("load_timeout", 60, "pi_python")
    note = check(hub)
    ours = errors_of_ours(report)
    assert not ours, f"{len(ours)} errors:\n" + "\n".join(ours[:10])
    return note


def own_memory_of_every_act(hub):
    def check(hub):
        prepare(hub, ACTS)
        hub.start()
        with hub.client("master") as master:
            silent = play_all(hub, master, ACTS)
            assert not silent, f"no event of {silent}"
            end_in_order(hub, master)

    return under_valgrind(hub, check)


def own_memory_of_a_small_storm(hub):
    return under_valgrind(hub, lambda hub: f"{storm(hub, 12, 30)} connections")


OWN = [check for name, check in list(globals().items()) if name.startswith("own_")]
