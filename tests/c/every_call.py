"""Calls every function of vh once and says what came back, for the test host to compare."""
import vh


def check(have, want):
    assert have == want, f"{have!r} is not {want!r}"


def run():
    check(vh.SendToOpChat("a", "b"), True)
    check(vh.SendToActive("a", 1), True)
    check(vh.SendToPassive("a"), True)
    check(vh.SendToActiveClass("a", 1, 2, 3), True)
    check(vh.SendToPassiveClass("a", 1, 2), True)
    check(vh.SendDataToUser("a|", "bob"), True)
    check(vh.SendDataToAll("a|", 0, 10), True)
    check(vh.SendPMToAll("a", "b", 0, 10), True)
    check(vh.CloseConnection("bob", vh.eCR_KICKED, 5), True)
    check(vh.GetMyINFO("bob"), ("bob", "desc", "<++ V:1>", "100", "a@b", "1234"))
    check(vh.GetMyINFO("nobody"), None)
    check(vh.SetMyINFO("bob", None, "<t>"), True)
    check(vh.GetUserClass("alice"), 5)
    check(vh.GetUserClass("nobody"), -2)
    check(vh.GetUserHost("bob"), "a static buffer")
    check(vh.GetUserIP("bob"), "10.0.0.7")
    check(vh.GetUserIP("nobody"), None)
    check(vh.SetUserIP("bob", "1.1.1.1"), True)
    check(vh.SetMyINFOFlag("bob", 2), True)
    check(vh.UnsetMyINFOFlag("bob", 2), True)
    check(vh.GetUserHubURL("bob"), "a literal")
    check(vh.GetUserExtJSON("bob"), None)
    check(vh.GetUserCC("bob"), "bob")
    check(vh.GetIPCC("1.2.3.4"), "1.2.3.4")
    check(vh.GetIPCN("1.2.3.4"), None)
    check(vh.GetIPASN("1.2.3.4").encode("utf-8", "surrogateescape"), b"AS1 \xff no UTF-8")
    place = vh.GetGeoIP("1.2.3.4")
    check((place["latitude"], place["metro_code"]), (64.1, 1))
    check((place["host"], place["city"]), ("1.2.3.4", "Reykjav\u00edk, which is far away"))
    check(vh.GetGeoIP("nowhere"), None)
    check(list(vh.GetNickList()), ["alice", "bob", "Bot"])
    check(list(vh.GetOpList()), ["alice"])
    check(list(vh.GetBotList()), ["Bot"])
    check(vh.GetRawNickList(), "$NickList alice$$bob$$Bot$$")
    check(vh.GetRawOpList(), "$OpList alice$$")
    check(vh.GetRawBotList(), "$BotList Bot$$")
    everybody = vh.users("nick", "class", "ip", "share", "tag", "cc")
    check([user["nick"] for user in everybody], ["alice", "bob", "Bot"])
    check(everybody[1], {"nick": "bob", "class": vh.GetUserClass("bob"), "ip": "10.0.0.7", "share": 1234,
                         "tag": "<++ V:1>", "cc": "bob"})
    check(vh.AddRegUser("new", 1), True)
    check(vh.DelRegUser("new"), False)
    check(vh.SetRegClass("new", 3), False)
    check(vh.Ban("op", "bob", "why", 60, vh.eBF_IP), True)
    check(vh.KickUser("op", "bob", "why"), True)
    check(vh.DelNickTempBan("bob"), True)
    check(vh.DelIPTempBan("1.2.3.4"), True)
    check(vh.ParseCommand("alice", "!help", 0), True)
    check(vh.ScriptCommand("command", "data"), True)
    check(vh.SetConfig("hub_name", "x"), True)
    check(vh.GetConfig("hub_name"), "a value")
    check(vh.IsRobotNickBad("a b"), 3)
    check(vh.AddRobot("R", 1, "d", "s", "m", "0"), True)
    check(vh.DelRobot("R"), False)
    check(vh.SQL("select", 10), (1, [["alice", "5", ""], ["bob", "NULL", "x y"]]))
    check(vh.SQL("bad")[0], 0)
    check(vh.SQL("empty"), (1, []))
    check(vh.SQL("wrong")[0], 0)
    check(vh.GetServFreq(), 12.5)
    check(vh.GetUsersCount(), 3)
    check(vh.GetTotalShareSize(), "12345678901234567890")
    check(vh.UserRestrictions("bob", "1d"), {"chat": True, "pm": False, "search": False, "ctm": True})
    check(vh.Topic("T\u00f6pic"), "T\u00f6pic")
    check(vh.Topic(), "T\u00f6pic")
    check(vh.mc("m"), True)
    check(vh.usermc("m", "bob"), True)
    check(vh.classmc("m", 1, 10, "f"), True)
    check(vh.pm("m", "bob", "alice", "shown"), True)
    check(vh.name_and_version(), ("the name", "1.0"))
    check(vh.StopHub(1, 2), True)
    return 1


def city():
    return vh.GetIPCity("1.2.3.4")


def has_city():
    try:
        return vh.GetIPCity("1.2.3.4") is not None
    except AttributeError:
        return False
