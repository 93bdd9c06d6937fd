"""The script of the tests of the whole plugin: says what it is told, and calls every function."""

import vh

HOOKS = """OnNewConn OnCloseConn OnCloseConnEx OnParsedMsgChat OnParsedMsgPM OnParsedMsgMCTo OnParsedMsgSearch
OnParsedMsgSR OnParsedMsgMyINFO OnFirstMyINFO OnParsedMsgValidateNick OnParsedMsgAny OnParsedMsgAnyEx
OnOpChatMessage OnPublicBotMessage OnUnLoad OnCtmToHub OnParsedMsgSupports OnParsedMsgMyHubURL OnParsedMsgExtJSON
OnParsedMsgBotINFO OnParsedMsgVersion OnParsedMsgMyPass OnParsedMsgConnectToMe OnParsedMsgRevConnectToMe
OnUnknownMsg OnOperatorCommand OnOperatorKicks OnOperatorDrops OnOperatorDropsWithReason OnValidateTag
OnUserCommand OnHubCommand OnScriptCommand OnUserInList OnUserLogin OnUserLogout OnTimer OnNewReg OnNewBan
OnSetConfig""".split()

FUNCTIONS = """
vh.SendToOpChat("a|b|", "f")
vh.SendToOpChat("a")
vh.SendToActive("a", 1)
vh.SendToPassive("a")
vh.SendToActiveClass("a", 1, 2, 3)
vh.SendToPassiveClass("a", 1, 2)
vh.SendDataToUser("a", "user", 1)
vh.SendDataToAll("a", 1, 2, 3)
vh.SendPMToAll("a", "f", 1, 2)
vh.SendPMToAll("a", "f", 2, 1), vh.SendPMToAll("a", "f", 2, 2)
vh.mc("a|b")
vh.mc("a", "f")
vh.classmc("a", 1, 2, "f")
vh.usermc("a", "user", "f")
vh.usermc("a", "Security")
vh.pm("a", "user", "f")
vh.pm("a", "user", "f", "shown")
vh.pm("a", "nobody")
vh.GetMyINFO("user")
vh.SetMyINFO("user", "D")
vh.SetMyINFO("user", None, "<T>", "S", "M", "5")
vh.GetMyINFO("user")
vh.GetUserClass("op"), vh.GetUserClass("nobody")
vh.GetUserHost("user"), vh.GetUserHost("Security")
vh.GetUserIP("user"), vh.GetUserIP("Security"), vh.GetUserIP("nobody")
vh.SetUserIP("user", "4.4.4.4")
vh.SetMyINFOFlag("user", 4), vh.SetMyINFOFlag("user", 0)
vh.UnsetMyINFOFlag("user", 4), vh.UnsetMyINFOFlag("user", 0)
vh.GetUserHubURL("user"), vh.GetUserHubURL("Security")
vh.GetUserExtJSON("user")
vh.GetUserCC("user"), vh.GetUserCC("Security")
vh.GetIPCC("5.5.5.5"), vh.GetIPCC("unknown")
vh.GetIPCN("5.5.5.5"), vh.GetIPCN("unknown")
vh.GetIPASN("5.5.5.5", "db"), vh.GetIPASN("unknown")
sorted(vh.GetGeoIP("5.5.5.5", "db").items())
vh.GetGeoIP("unknown"), vh.GetGeoIP("")
vh.GetRawNickList(), vh.GetRawOpList(), vh.GetRawBotList()
vh.users("nick", "class", "ip", "cc", "desc", "tag", "speed", "mail", "share")
vh.AddRegUser("new", 1, "pass", "op"), vh.AddRegUser("new", -1), vh.AddRegUser("new", 5)
vh.AddRegUser("new", 0), vh.AddRegUser("new", 6), vh.AddRegUser("n w", 1), vh.AddRegUser("", 1)
vh.DelRegUser("new"), vh.DelRegUser("")
vh.SetRegClass("new", 5), vh.SetRegClass("new", 10)
vh.SetRegClass("new", 0), vh.SetRegClass("new", 6)
vh.Ban("", "user", "why", 60, vh.eBF_NICK)
vh.Ban("op", "user", "why", 0, vh.eBF_HOSTR1)
vh.Ban("op", "user", "why", 2**40, 0)
vh.Ban("op", "user", "why", 60, 10), vh.Ban("op", "Security", "why", 60, 1), vh.Ban("op", "user", "", -1, 1)
vh.KickUser("op", "user", "why", "elsewhere", "note", "usernote")
vh.KickUser("op", "op", "why"), vh.KickUser("op", "Security", "why"), vh.KickUser("nobody", "user", "why")
vh.CloseConnection("user", 5, 1), vh.CloseConnection("user"), vh.CloseConnection("Security")
vh.DelNickTempBan("user"), vh.DelNickTempBan("")
vh.DelIPTempBan("1.2.3.4"), vh.DelIPTempBan("")
vh.ParseCommand("user", "+help", 1), vh.ParseCommand("Security", "+help", 0), vh.ParseCommand("user", "", 0)
vh.ScriptCommand("command", "data"), vh.ScriptCommand("", "data")
vh.ScriptCommand("command", "data", 1)
vh.SetConfig("hub_topic", "t|"), vh.SetConfig("file", "var", "v")
vh.SetConfig("", "v")
vh.GetConfig("hub_topic"), vh.GetConfig("file", "var"), vh.GetConfig("none"), vh.GetConfig("c", "none", "else")
vh.Topic("new|topic"), vh.Topic()
[vh.IsRobotNickBad(nick) for nick in ("new", "user", "", "a b", "Security", "OpChat")]
vh.AddRobot("R", 3, "d", "s", "m", 5), vh.AddRobot("R", 3, "", "", "", 0), vh.AddRobot("S", 6, "", "", "", 0)
vh.AddRobot("T", 10, "d", "", "", "")
vh.DelRobot("R"), vh.DelRobot("R"), vh.DelRobot("user")
vh.SQL("select", 2), vh.SQL("nothing"), vh.SQL("bad"), vh.SQL("")
len(vh.SQL("all", 0)[1])
vh.GetServFreq(), vh.GetUsersCount(), vh.GetTotalShareSize()
vh.UserRestrictions("user", "1", "1h", "0", None), vh.UserRestrictions("nobody")
vh.UserRestrictions("user", "never"), vh.UserRestrictions("user", None, None, None, "1d")
vh.StopHub(1, 2)
vh.botname, vh.opchatname, vh.config_name, vh.starttime, vh.basedir[-1:] != "/"
"""

OTHERWISE = r"""
vh.SendToOpChat("a")
vh.GetUserHost("op")
vh.SetMyINFO("user", "E", None, "S\x11")
"""

REFUSED = """
vh.SetMyINFO("user", "F")
vh.KickUser("op", "user", "why", "elsewhere")
"""

WAITING = """
vh.CloseConnection("op")
vh.ParseCommand("user", "+later", 0)
vh.SetConfig("later", "x")
vh.Topic("later")
"""


def say(text):
    vh.SendDataToUser(text, "tester")


def call(lines):
    for line in lines.strip().splitlines():
        try:
            result = eval(line)
        except Exception as error:
            result = error
        say(f"{line} = {result!r}")


def hook(name):
    def said(*args):
        say(f"{name}{args!r}")
        return eval(vh.GetConfig("answer") or "None", globals(), {"name": name})

    return said


for name in HOOKS:
    globals()[name] = hook(name)
