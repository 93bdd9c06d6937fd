"""The script of the adapter's tests with a fake hub."""

import threading

import vh

got = []


def check(have, want):
    assert have == want, f"{have!r} is not {want!r}"


def functions():
    check(vh.SendToOpChat("a"), True)
    check(vh.SendToActive("a", 1), True)
    check(vh.SendToPassive("a"), True)
    check(vh.SendToActiveClass("a", 1, 2, 3), True)
    check(vh.SendToPassiveClass("a", 1, 2), True)
    check(vh.SendDataToUser("a", "user"), True)
    check(vh.SendDataToAll("a", 0, 10), True)
    check(vh.SendPMToAll("a", "b", 0, 10), True)
    check(vh.CloseConnection("user", 21, 5), True)
    check(vh.GetMyINFO("user"), ("user", "desc", "<tag>", "100\x01", "a@b", "1234"))
    check(vh.GetMyINFO("nobody"), None)
    check(vh.SetMyINFO("user", None, "<t>"), True)
    check((vh.GetUserClass("op"), vh.GetUserClass("nobody")), (3, -2))
    check((vh.GetUserHost("user"), vh.GetUserHost("nobody")), ("user_host", None))
    check((vh.GetUserIP("user"), vh.GetUserIP("nobody")), ("user_ip", None))
    check(vh.SetUserIP("user", "1.1.1.1"), True)
    check(vh.SetMyINFOFlag("user", 2), True)
    check(vh.UnsetMyINFOFlag("user", 2), True)
    check((vh.GetUserHubURL("user"), vh.GetUserExtJSON("nobody")), ("user_hub_url", None))
    check((vh.GetUserCC("user"), vh.GetIPCC("1"), vh.GetIPCN("nobody")), ("user_cc", "ip_cc", None))
    check(vh.GetIPASN("1", "file"), "AS1")
    place = vh.GetGeoIP("1")
    check((place["latitude"], place["longitude"], place["metro_code"], place["area_code"]), (64.125, -21.5, 7, 0))
    check((place["host"], place["city"]), ("1", "Reykjav\u00edk"))
    check(vh.GetGeoIP("nobody"), None)
    check(vh.users("nick", "class"), [{"nick": "op", "class": 3}, {"nick": "Bot", "class": 0}])
    check((list(vh.GetNickList()), list(vh.GetOpList()), list(vh.GetBotList())), (["op", "user"], ["op"], ["Bot"]))
    check(vh.GetRawNickList(), "$NickList op$$user$$")
    check(vh.AddRegUser("new", 1, "pass"), True)
    check(vh.DelRegUser("new"), True)
    check(vh.SetRegClass("new", 3), True)
    check(vh.Ban("op", "user", "why", 60, vh.eBF_IP), True)
    check(vh.KickUser("op", "user", "why"), True)
    check((vh.DelNickTempBan("user"), vh.DelIPTempBan("1.2.3.4")), (True, True))
    check(vh.ScriptCommand("command", "data"), True)
    check(vh.SetConfig("hub_name", "x"), True)
    check((vh.GetConfig("hub_name"), vh.GetConfig("none"), vh.GetConfig("f", "none", "else")), ("x", None, "else"))
    check((vh.IsRobotNickBad("good"), vh.IsRobotNickBad("bad")), (0, 3))
    check(vh.AddRobot("R", 1, "d", "s", "m", "0"), True)
    check(vh.SQL("select", 10), (1, [["one", "1"], ["NULL", "2"]]))
    check(vh.SQL("empty"), (1, []))
    check((vh.SQL("bad")[0], vh.SQL("throw")[0]), (0, 0))
    check((vh.GetServFreq(), vh.GetUsersCount(), vh.GetTotalShareSize()), (12.5, 2, "12345678901234567890"))
    check(vh.UserRestrictions("user", "1d"), {"chat": True, "pm": False, "search": False, "ctm": True})
    check(vh.UserRestrictions("nobody"), {})
    check((vh.Topic("T\u00f6pic"), vh.Topic()), ("T\u00f6pic", "T\u00f6pic"))
    check(vh.mc("m"), True)
    check(vh.usermc("m", "user"), True)
    check(vh.classmc("m", 1, 10, "f"), True)
    check(vh.pm("m", "user", "op", "shown"), True)
    check(vh.name_and_version(), ("fake", ""))
    check(vh.StopHub(1, 2), True)
    return "all"


def refused():
    for name, done in {
        "SendToOpChat": vh.SendToOpChat("a"),
        "SendToActive": vh.SendToActive("a", 1),
        "SendToPassive": vh.SendToPassive("a"),
        "SendToActiveClass": vh.SendToActiveClass("a", 1, 2, 3),
        "SendToPassiveClass": vh.SendToPassiveClass("a", 1, 2),
        "SendDataToUser": vh.SendDataToUser("a", "user"),
        "SendDataToAll": vh.SendDataToAll("a", 0, 10),
        "SendPMToAll": vh.SendPMToAll("a", "b", 0, 10),
        "CloseConnection": vh.CloseConnection("user"),
        "SetMyINFO": vh.SetMyINFO("user", None, "<t>"),
        "SetUserIP": vh.SetUserIP("user", "1.1.1.1"),
        "SetMyINFOFlag": vh.SetMyINFOFlag("user", 2),
        "UnsetMyINFOFlag": vh.UnsetMyINFOFlag("user", 2),
        "AddRegUser": vh.AddRegUser("new", 1, "pass"),
        "DelRegUser": vh.DelRegUser("new"),
        "SetRegClass": vh.SetRegClass("new", 3),
        "Ban": vh.Ban("op", "user", "why", 60, vh.eBF_IP),
        "KickUser": vh.KickUser("op", "user", "why"),
        "DelNickTempBan": vh.DelNickTempBan("user"),
        "DelIPTempBan": vh.DelIPTempBan("1.2.3.4"),
        "ParseCommand": vh.ParseCommand("op", "!help", 0),
        "ScriptCommand": vh.ScriptCommand("command", "data"),
        "SetConfig": vh.SetConfig("config", "hub_name", "x"),
        "AddRobot": vh.AddRobot("R", 1, "d", "s", "m", "0"),
        "DelRobot": vh.DelRobot("R"),
        "mc": vh.mc("m"),
        "usermc": vh.usermc("m", "user"),
        "classmc": vh.classmc("m", 1, 10),
        "pm": vh.pm("m", "user"),
        "StopHub": vh.StopHub(1, 2),
    }.items():
        check((name, done), (name, False))
    for name, nothing in {
        "GetMyINFO": vh.GetMyINFO("user"),
        "GetUserHost": vh.GetUserHost("user"),
        "GetUserIP": vh.GetUserIP("user"),
        "GetUserHubURL": vh.GetUserHubURL("user"),
        "GetUserExtJSON": vh.GetUserExtJSON("user"),
        "GetUserCC": vh.GetUserCC("user"),
        "GetIPCC": vh.GetIPCC("1"),
        "GetIPCN": vh.GetIPCN("1"),
        "GetIPASN": vh.GetIPASN("1"),
        "GetGeoIP": vh.GetGeoIP("1"),
        "GetConfig": vh.GetConfig("config", "hub_name"),
    }.items():
        check((name, nothing), (name, None))
    check(vh.SQL("select"), (0, []))
    check(vh.UserRestrictions("user", "1d"), {})
    return "all"


def lines():
    check(vh.mc("a|$Quit b|", "x> y|"), True)
    check(vh.pm("a|b", "user", "f$", "s>"), True)
    check(vh.SetMyINFO("user", "a$b", "<|>", "$\x01", "|@", 7), True)
    check((vh.SetMyINFO("user", size="abc"), vh.SetMyINFO("user", size=-5)), (False, False))
    check(vh.AddRobot("R", 1, "d$d", "s", "m", 0), True)
    check(vh.AddRobot("R", 1, "", "", "", "1.5"), False)
    check((vh.SetMyINFOFlag("user", 256), vh.UnsetMyINFOFlag("user", -1)), (False, False))
    check(vh.Ban("op$", "user", "a|b", 2**62, 2), True)
    check(vh.KickUser("op", "user", "a|b", "host|"), True)
    check(vh.ParseCommand("op", "!topic a|b", 0), True)
    check(vh.StopHub(2**40, 2**40), True)
    check(vh.SendDataToUser("<a> b|$Quit c|", "user", -(2**40)), True)
    return "all"


ANSWERS = {
    "block": lambda: 0,
    "replace": lambda: "other|text",
    "both": lambda: ("Other", "else"),
    "spoof": lambda: ("a> b|", None),
    "send": lambda: ("<Bot> you", 0),
    "nested": lambda: vh.ScriptCommand("inner", "data", 1) and 1,
}


errors = []
doing = []


def does(*args):
    """What the hub's configuration says that is to be done now; not again in what that raises."""
    if not doing:
        doing.append(args)
        try:
            exec(vh.GetConfig("config", "does", "") or "", globals())
        except AssertionError as error:
            errors.append(str(error))
        doing.clear()
    return 1


OnUserLogin = OnUserInList = OnOperatorKicks = OnNewReg = does


def last_error():
    return str(errors[-1:] or "none")


def OnParsedMsgChat(nick, text):
    got.append(text)
    if text.startswith("command "):
        return vh.ParseCommand("op", text[8:], 0) and 1
    return ANSWERS.get(text, lambda: 1)()


def OnFirstMyINFO(nick, desc, tag, speed, mail, size):
    return ("d|$", None, None, "", "7")


def OnHubCommand(nick, command, rank, in_pm, prefix):
    does()
    return 0


def OnScriptCommand(command, data, plugin, script):
    got.append((command, data))
    does()


def OnSetConfig(nick, file, variable, value, old, kind):
    does()
    return 0 if value == "refused" else 1


def OnTimer(now):
    got.append(now)
    does()


def thread():
    threading.Thread(target=lambda: vh.SendToAll("from a thread")).start()
    return 1


def last():
    return repr(got[-1])


def names():
    return f"{vh.botname} {vh.opchatname} {vh.config_name} {vh.starttime}"


def OnUnLoad(code):
    vh.mc(f"OnUnLoad {code}")


def UnLoad():
    vh.mc("UnLoad")
