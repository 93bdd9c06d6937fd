"""Checks of events and functions: users talk, and probe.py says what came."""

from hub import wait_for

KICK = 2  # vh.eCR_KICKED


def check_login(hub, master):
    with hub.client("guest") as guest:
        master.expect(r"^\$MyINFO \$ALL guest ")
        assert master.eval("vh.GetUserClass('guest'), vh.GetUserClass('nobody')") == (0, -2)
        assert master.eval("last('OnUserLogin'), last('OnUserInList')") == (("guest",), ("guest",))
        assert master.eval("last('OnParsedMsgValidateNick')") == ("$ValidateNick guest",)
        assert master.eval("last('OnValidateTag')") == ("guest", "<++ V:0.868,M:A,H:1/0/0,S:3>")
        first = ("guest", "", "<++ V:0.868,M:A,H:1/0/0,S:3>", "100\x01", "", "1000")
        assert master.eval("last('OnFirstMyINFO')") == first
        assert master.eval("last('OnNewConn')") == ("127.0.0.1",)
        assert master.eval("any(a[1].startswith('$Key') for a in seen['OnParsedMsgAnyEx'])")
        assert master.eval("last('OnParsedMsgSupports')[1]").startswith("$Supports NoHello")
        assert master.eval("last('OnParsedMsgVersion')") == ("127.0.0.1", "$Version 1,0091")
        wait_for("the hub's address", lambda: master.eval("last('OnParsedMsgMyHubURL')")[0] == "guest")
    master.expect(r"^\$Quit guest")
    assert master.eval("last('OnUserLogout')") == ("guest",)
    assert master.eval("last('OnCloseConnEx')")[2] == "guest"
    with hub.client("oper"):
        assert master.eval("last('OnParsedMsgMyPass')") == ("oper", "operpass")
        assert master.eval("'oper' in vh.GetOpList()")


def check_refused_login(hub, master):
    master.eval("answer('OnParsedMsgValidateNick', lambda data: 0 if data.endswith('bad') else 1)")
    bad = hub.client("bad", login=False)
    bad.send("$Supports NoHello ")
    bad.send("$ValidateNick bad")
    bad.expect_end()
    master.eval("answer('OnUserLogin', lambda nick: 0 if nick == 'late' else 1)")
    hub.client("late").expect_end()
    master.eval("forget()")
    hub.client("late").close()


def check_chat_filter(hub, master):
    master.eval("answer('OnParsedMsgChat', lambda nick, text: 'secret' not in text)")
    with hub.client("guest") as guest, hub.client("reg") as reg:
        guest.chat("a secret")
        guest.chat("and this")
        reg.expect("^<guest> and this$", never="secret")
        assert master.eval("seen['OnParsedMsgChat'][-2:]") == [("guest", "a secret"), ("guest", "and this")]


def check_replacement(hub, master):
    with hub.client("guest") as guest:
        # Nobody may say the same twice in a row.
        for number, (answer, wanted) in enumerate((
            ("'a text that is longer than what was said'", "^<guest> a text that is longer than what was said$"),
            ("('Somebody', 'else')", "^<Somebody> else$"),
            ("(None, 'short')", "^<guest> short$"),
            ("('Other', None)", "^<Other> said 3$"),
            ("'a|$Quit guest|b'", r"^<guest> a&#124;\$Quit guest&#124;b$"),
        )):
            master.eval(f"answer('OnParsedMsgChat', {answer})")
            guest.chat(f"said {number}")
            master.expect(wanted, never=r"^\$Quit")


def check_answer_to_the_connection(hub, master):
    master.eval("answer('OnParsedMsgChat', ('<Bot> only you', 0))")
    with hub.client("guest") as guest:
        guest.chat("unheard")
        guest.expect("^<Bot> only you$")
        master.eval("answer('OnParsedMsgChat', ('<Bot> and all|', 1))")
        guest.chat("heard")
        guest.expect("^<Bot> and all$")
        master.expect("^<guest> heard$", never="unheard|^<Bot>")
    master.eval("answer('OnNewConn', ('<Bot> welcome', 1))")
    hub.client("guest", login=False).expect("^<Bot> welcome$")


def check_pm(hub, master):
    with hub.client("guest") as guest, hub.client("reg") as reg:
        guest.pm("reg", "hello")
        reg.expect(r"^\$To: reg From: guest \$<guest> hello$")
        assert master.eval("last('OnParsedMsgPM')") == ("guest", "hello", "reg")
        master.eval("answer('OnParsedMsgPM', lambda nick, text, to: text != 'psst')")
        guest.pm("reg", "psst")
        guest.pm("reg", "again")
        reg.expect(r"<guest> again$", never="psst")
        assert master.eval("vh.pm('from the hub', 'reg')") is True
        reg.expect(r"^\$To: reg From: Verlihub \$<Verlihub> from the hub$")
        assert master.eval("vh.pm('as two', 'reg', 'guest', 'mask')") is True
        reg.expect(r"^\$To: reg From: guest \$<mask> as two$")
        assert master.eval("vh.SendPMToAll('to all', 'Verlihub', 0, 10)") is True
        reg.expect("<Verlihub> to all$")
        guest.send("$MCTo: reg $guest private")
        reg.expect(r"^\$MCTo: reg \$guest private$")
        assert master.eval("last('OnParsedMsgMCTo')") == ("guest", "private", "reg")


def check_op_chat(hub, master):
    with hub.client("oper") as oper:
        oper.expect(r"^\$OpList")
        oper.pm("OpChat", "heard")
        master.expect("<oper> heard$")
        assert master.eval("seen['OnOpChatMessage']") == [("oper", "heard")]
        master.eval("answer('OnOpChatMessage', lambda nick, text: text != 'unheard')")
        oper.pm("OpChat", "unheard")
        oper.pm("OpChat", "heard again")
        master.expect("<oper> heard again$", never="unheard")
        assert master.eval("vh.SendToOpChat('news'), vh.SendToOpChat('old', 'Robot')") == (True, True)
        oper.expect(r"^\$To: oper From: OpChat \$<OpChat> news$")
        oper.expect(r"^\$To: oper From: OpChat \$<Robot> old$")


def check_search(hub, master):
    with hub.client("guest") as guest, hub.client("reg") as reg:
        search = "$Search 127.0.0.1:412 F?T?0?1?text"
        guest.send(search)
        reg.expect(r"^\$Search 127\.0\.0\.1:412 F\?T\?0\?1\?text$")
        assert master.eval("last('OnParsedMsgSearch')") == ("guest", search)
        master.eval("answer('OnParsedMsgSearch', lambda nick, data: 'porn' not in data)")
        guest.send(search.replace("text", "porn"))
        guest.send(search.replace("text", "other"))
        reg.expect(r"other$", never="porn")
        guest.send("$SA ABCDEFGHIJKLMNOPQRSTUVWXYZ2345672345677 127.0.0.1:412")
        wait_for("the short search", lambda: "TTH:ABC" in master.eval("last('OnParsedMsgSearch')")[1])
        guest.send("$SR guest file\x05100 1/2\x05hub (127.0.0.1)\x05reg")
        reg.expect(r"^\$SR guest file")
        assert master.eval("last('OnParsedMsgSR')")[0] == "guest"
        guest.send("$ConnectToMe reg 127.0.0.1:4000")
        reg.expect(r"^\$ConnectToMe reg 127.0.0.1:4000")
        assert master.eval("last('OnParsedMsgConnectToMe')") == ("guest", "reg", "127.0.0.1", "4000")
        guest.send("$RevConnectToMe guest reg")
        reg.expect(r"^\$RevConnectToMe guest reg")
        assert master.eval("last('OnParsedMsgRevConnectToMe')") == ("guest", "reg")
        guest.send("$Nonsense 1 2")
        wait_for("the unknown message", lambda: master.eval("seen.get('OnUnknownMsg')") == [("guest", "$Nonsense 1 2")])


def check_my_info(hub, master):
    master.eval("answer('OnFirstMyINFO', lambda *a: ('first', None, None, 'a@b.c', '4242') if a[0] == 'guest' else 1)")
    with hub.client("guest", desc="mine") as guest:
        master.expect(r"^\$MyINFO \$ALL guest first<\+\+ V:0.868,M:A,H:1/0/0,S:3>\$ \$100\x01\$a@b.c\$4242\$$", never="mine")
        assert master.eval("last('OnFirstMyINFO')[1], last('OnParsedMsgMyINFO')[1]") == ("mine", "first")
        info = ("guest", "first", "<++ V:0.868,M:A,H:1/0/0,S:3>", "100\x01", "a@b.c", "4242")
        assert master.eval("vh.GetMyINFO('guest')") == info
        master.eval("answer('OnParsedMsgMyINFO', ('later', None, '9\\x01', '', '777'))")
        guest.send(guest.myinfo.replace("mine", "theirs"))
        master.expect(r"^\$MyINFO \$ALL guest later<.*\$9\x01\$\$777\$$", never="theirs")
        with hub.client("reg") as reg:
            reg.send("$GetNickList")
            reg.expect(r"^\$MyINFO \$ALL guest later<", never="theirs")
        assert master.eval("[a[0] for a in seen['OnFirstMyINFO']].count('guest')") == 1
        assert master.eval("vh.SetMyINFO('guest', 'set')") is True
        master.expect(r"^\$MyINFO \$ALL guest set<")
    master.eval("answer('OnFirstMyINFO', lambda *a: a[0] != 'refused')")
    # Refused in the middle of its login.
    refused = hub.client("refused", login=False)
    refused.send("$Supports NoHello NoGetINFO ")
    refused.send("$ValidateNick refused")
    refused.send("$Version 1,0091")
    refused.send("$GetNickList")
    refused.send(refused.myinfo)
    refused.expect_end()


def check_kick(hub, master):
    with hub.client("guest") as guest:
        assert master.eval("vh.KickUser('master', 'guest', 'because', 'other.example:411')") is True
        guest.expect("because")
        guest.expect_end()
    assert master.eval("last('OnOperatorKicks')") == ("master", "guest", "because")
    wait_for("the end of guest", lambda: master.eval("vh.GetUserClass('guest')") == -2)
    assert master.eval("vh.DelNickTempBan('guest'), vh.DelIPTempBan('127.0.0.1')")[0] in (True, False)
    wait_for("no ban", lambda: not hub.database.sql("DELETE FROM banlist; SELECT nick FROM banlist").strip())
    master.eval("answer('OnOperatorKicks', 0)")
    with hub.client("guest") as guest, hub.client("oper") as oper:
        assert master.eval("vh.KickUser('master', 'guest', 'no')") is False
        oper.chat("!kick guest no")
        oper.expect("blocked by a plugin")
        guest.chat("still here")
        master.expect("^<guest> still here$")


def check_drop(hub, master):
    with hub.client("guest") as guest, hub.client("oper") as oper:
        oper.chat("!drop guest")
        guest.expect_end()
    assert master.eval("last('OnOperatorDrops')") == ("oper", "guest")
    assert master.eval("last('OnOperatorDropsWithReason')[:2]") == ("oper", "guest")
    with hub.client("guest") as guest:
        assert master.eval("vh.CloseConnection('guest', 0, 1)") is True
        guest.expect_end()


def check_ban(hub, master):
    guest = hub.client("guest")
    assert master.eval("vh.Ban('master', 'guest', 'enough', 0, vh.eBF_NICK)") is True
    guest.expect_end()
    row = hub.database.sql("SELECT nick, ban_type, reason, date_limit FROM banlist").split()
    assert row == ["guest", "2", "enough", "0"] or row == ["guest", "2", "enough", "NULL"], row
    again = hub.client("guest", login=False)
    again.send("$Supports NoHello ")
    again.send("$ValidateNick guest")
    again.expect("enough")
    again.expect_end()
    hub.database.sql("DELETE FROM banlist")
    master.chat("!bannick spammer reason")
    master.expect("spammer")
    assert master.eval("last('OnNewBan')[0], last('OnNewBan')[2]") == ("master", "spammer")
    hub.database.sql("DELETE FROM banlist")


def check_robot(hub, master):
    nick = "Robot"
    assert master.eval(f"vh.IsRobotNickBad('{nick}'), vh.IsRobotNickBad('a b'), vh.IsRobotNickBad('Verlihub')") == (0, 3, 4)
    assert master.eval(f"vh.AddRobot('{nick}', 3, 'serves', 'fast', 'm@x', '5')") is True
    master.expect(r"^\$MyINFO \$ALL Robot serves\$ \$fast\x01\$m@x\$5\$$")
    with hub.client("guest") as guest:
        guest.send("$GetNickList")
        guest.expect(r"^\$BotList .*Robot\$\$")
        assert master.eval("'Robot' in vh.GetBotList(), 'Robot' in vh.GetNickList(), vh.IsRobotNickBad('Robot')") == (True, True, 1)
        guest.pm(nick, "hello robot")
        wait_for("the robot's message", lambda: master.eval("seen.get('OnParsedMsgPM')") == [("guest", "hello robot", nick)])
        assert master.eval("vh.DelRobot('Verlihub'), vh.DelRobot('guest')") == (False, False)
        assert master.eval("vh.DelRobot('Robot')") is True
        guest.expect(r"^\$Quit Robot$")
    master.eval("vh.AddRobot('Ghost', 0, '', '', '', '')")
    master.expect(r"^\$MyINFO \$ALL Ghost ")
    master.chat("!pyreload probe")
    master.expect(r"^\$Quit Ghost$")


def check_lines(hub, master):
    """Nothing that a script passes ends or splits a line, and no number is cut."""
    with hub.client("guest") as guest:
        assert master.eval("vh.SetMyINFO('guest', 'a$b', None, None, 'm|', 7)") is True
        master.expect(r"^\$MyINFO \$ALL guest a_b<\+\+ [^$]*\$ \$100\x01\$m_\$7\$$")
        assert master.eval("vh.SetMyINFO('guest', size='abc'), vh.SetMyINFO('guest', size=-5)") == (False, False)
        assert master.eval("vh.AddRobot('r', 1, 'd$d', '', '', '')") is True
        master.expect(r"^\$MyINFO \$ALL r d_d\$ \$\x01\$\$0\$$")
        assert master.eval("vh.DelRobot('r'), vh.AddRegUser('a b', 1)") == (True, False)
        master.eval("vh.Topic('a|$Quit master|b')")
        master.expect(r"^\$HubName .*a&#124;\$Quit master&#124;b$", never=r"^\$Quit master")
        master.eval("vh.SetConfig('hub_topic', 'c|d')")
        assert master.eval("len(vh.GetConfig('hub_topic'))") == len("c&#124;d")
        assert master.eval("vh.Ban('master', 'guest', 'a|b', 2**62, vh.eBF_NICK)") is True
        guest.expect_end()
    wait_for("the ban", lambda: hub.database.sql("SELECT date_limit FROM banlist").split() == ["2147483647"])
    hub.database.sql("DELETE FROM banlist")


def check_topic(hub, master):
    assert master.eval("vh.Topic('news of today')") == "news of today"
    master.expect(r"^\$HubName .*news of today")
    assert master.eval("vh.Topic()") == "news of today"
    assert master.eval("vh.GetConfig('config', 'hub_topic')") == "news of today"
    assert master.eval("last('OnSetConfig')[1:4]") == ("config", "hub_topic", "news of today")


def check_sql(hub, master):
    assert master.eval("vh.SQL('CREATE TABLE vhpy_test (a INT, b TEXT)')") == (1, [])
    assert master.eval("vh.SQL(\"INSERT INTO vhpy_test VALUES (1, 'one'), (2, NULL)\")") == (1, [])
    rows = [["1", "one"], ["2", "NULL"]]
    assert master.eval("vh.SQL('SELECT a, b FROM vhpy_test ORDER BY a', 10)") == (1, rows)
    assert master.eval("vh.SQL(1, 'SELECT a, b FROM vhpy_test ORDER BY a')") == (1, rows[:1])
    assert master.eval("vh.SQL('SELECT nonsense FROM nowhere')")[0] == 0
    assert master.eval("vh.SQL('DROP TABLE vhpy_test')") == (1, [])
    # The hub's own queries work on the same connection.
    assert master.eval("vh.AddRegUser('new', 2, 'pass', 'master'), vh.SetRegClass('new', 3)") == (True, True)
    assert hub.database.sql("SELECT class, reg_op FROM reglist WHERE nick = 'new'").split() == ["3", "master"]
    assert master.eval("vh.DelRegUser('new'), vh.DelRegUser('new')") == (True, False)
    assert master.eval("vh.AddRegUser('new', 10, 'pass')") is False


def check_functions(hub, master):
    """What no other check calls."""
    with hub.client("guest") as guest:
        assert master.eval("vh.GetUserIP('guest'), vh.GetUserIP('Verlihub'), vh.GetUserIP('no')") == ("127.0.0.1", "127.0.0.1", None)
        assert isinstance(master.eval("vh.GetUserHost('guest')"), str)
        for call in ("SendToActive('<a> one')", "SendToActiveClass('<a> one|', 0, 10)", "SendDataToUser('<a> one', 'guest')",
                     "SendDataToAll('<a> one', 0, 10)", "SendDataToAll('<a> one', 0, 0, 1)"):
            assert master.eval(f"vh.{call}") is True, call
            guest.expect("^<a> one$")
        assert master.eval("vh.SendToPassive('x'), vh.SendToPassiveClass('x', 0, 10)") == (True, True)
        assert master.eval("vh.SendDataToAll('<a> one', 10, 0)") is False
        for call, text in (("mc('hey')", "<Verlihub> hey"), ("usermc('hey', 'guest', 'X')", "<X> hey"),
                           ("usermc('guest', 'swapped')", "<Verlihub> swapped"), ("classmc('hey', 0, 1)", "<Verlihub> hey"),
                           ("SendToAll('a|b|')", "<Verlihub> a&#124;b")):
            master.eval(f"vh.{call}")
            guest.expect("^" + text.replace("|", r"\|") + "$")
        assert master.eval("vh.GetUserCC('guest'), vh.GetIPCC('127.0.0.1')") == ("L1", "L1")
        assert master.eval("vh.GetIPASN('192.0.2.1'), vh.GetIPCN('nonsense')") == (None, None)
        assert master.eval("vh.GetGeoIP('192.0.2.1')") is None
        assert master.eval("vh.SetUserIP('guest', '192.0.2.7'), vh.GetUserIP('guest')") == (True, "192.0.2.7")
        assert master.eval("vh.SetMyINFOFlag('guest', 2), vh.SetMyINFOFlag('guest', 3)") == (True, False)
        assert master.eval("vh.UnsetMyINFOFlag('guest', 2)") is True
        wait_for("the hub's address", lambda: "127.0.0.1" in master.eval("vh.GetUserHubURL('guest')"))
        guest.send('$ExtJSON guest {"a":1}')
        wait_for("ExtJSON", lambda: '{"a":1}' in master.eval("vh.GetUserExtJSON('guest') or ''"))
        assert master.eval("vh.UserRestrictions('guest', '1', pm='5m')") == {"chat": True, "pm": True, "search": False, "ctm": False}
        assert master.eval("vh.UserRestrictions('guest', chat='0', pm='0')")["chat"] is False
        assert master.eval("vh.UserRestrictions('no')") == {}
        assert master.eval("vh.GetUsersCount()") == 2 and master.eval("int(vh.GetTotalShareSize())") >= 2000
        assert master.eval("vh.GetServFreq()") >= 0.0
        assert master.eval("vh.GetRawNickList()").startswith("$NickList ")
        assert master.eval("vh.GetRawOpList().startswith('$OpList '), vh.GetRawBotList().startswith('$')") == (True, True)
        assert master.eval("vh.name_and_version('Probe', '2'), vh.name_and_version()") == (("Probe", "2"), ("Probe", "2"))
        assert master.eval("vh.SetConfig('config', 'hub_desc', 'of a test'), vh.GetConfig('hub_desc')") == (True, "of a test")
        assert master.eval("vh.GetConfig('nothing', 'here', 'else')") == "else"
        master.chat("eval 0 vh.ParseCommand('guest', '+myip', 0)")
        guest.expect("192.0.2.7|127.0.0.1")
    assert master.eval("vh.basedir, vh.config_name, vh.botname, vh.opchatname") == (str(hub.folder), "config", "Verlihub", "OpChat")
    assert master.eval("vh.starttime") > 10**9


def check_commands(hub, master):
    with hub.client("guest") as guest, hub.client("oper") as oper:
        master.eval("answer('OnUserCommand', lambda nick, text: 'mine' not in text)")
        guest.chat("+mine 1")
        guest.chat("+rules")
        wait_for("the commands", lambda: master.eval("[a[1] for a in seen.get('OnUserCommand', [])]") == ["+mine 1", "+rules"])
        assert master.eval("seen['OnHubCommand'][-2]") == ("guest", "mine 1", 0, 0, "+")
        oper.chat("!getip guest")
        oper.expect("127.0.0.1")
        assert master.eval("('oper', '!getip guest') in seen['OnOperatorCommand']")
        master.eval("answer('OnHubCommand', 0)")
        oper.chat("!getip guest")
        oper.chat("sentinel")
        oper.expect("^<oper> sentinel", never="127.0.0.1")


def check_script_commands(hub, master):
    assert master.eval("vh.ScriptCommand('say', 'later')") is True
    path = str(hub.scripts / "probe.py")
    wait_for("the command", lambda: master.eval("seen.get('OnScriptCommand')") == [("say", "later", "python", path)])
    # A script answers a command with a command.
    master.eval("answer('OnScriptCommand', lambda c, *a: vh.ScriptCommand('inner', 'x', 1) if c == 'outer' else 1)")
    assert master.eval("vh.ScriptCommand('outer', 'now', 1)") is True
    wait_for("the answer", lambda: master.eval("[a[0] for a in seen['OnScriptCommand']]") == ["say", "outer", "inner"])


def check_bot_names(hub, master):
    master.command("!set hub_security Guard", "hub_security")
    wait_for("the bot's name", lambda: master.eval("vh.botname") == "Guard")
    master.eval("vh.mc('by the new one')")
    master.expect("^<Guard> by the new one$")
    master.command("!set hub_security Verlihub", "hub_security")
    wait_for("the bot's name", lambda: master.eval("vh.botname") == "Verlihub")
    master.command("!set opchat_name Ops", "opchat_name")
    wait_for("the room's name", lambda: master.eval("vh.opchatname") == "Ops")
    master.command("!set opchat_name OpChat", "opchat_name")
    wait_for("the room's name", lambda: master.eval("vh.opchatname") == "OpChat")


def check_encoding(hub, master):
    with hub.client("guest") as guest:
        guest.send(b"<guest> caf\xe9 \x81")
        master.expect("^<guest> caf")
        assert master.eval("last('OnParsedMsgChat')[1]") == "caf\xe9 \udc81"
        master.eval("vh.mc(last('OnParsedMsgChat')[1] + '\\u2192')")
        guest.encoding = "latin-1"
        guest.expect("^<Verlihub> caf\xe9 \x81\\?$")
        # Scripts are loaded again, in the new encoding.
        master.eval("seen.update(old=1)")
        master.command("!set hub_encoding CP1251", "hub_encoding")
        wait_for("the script to be loaded again", lambda: not master.eval("'old' in seen"))
        guest.send(b"<guest> \xcf\xf0\xe8")
        master.expect("^<guest> ")
        assert master.eval("last('OnParsedMsgChat')[1]") == "\u041f\u0440\u0438"
        master.command("!set hub_encoding CP1252", "hub_encoding")
        wait_for("the script to be loaded again", lambda: not master.eval("seen.get('OnParsedMsgChat')"))



CHECKS = [check for name, check in globals().items() if name.startswith("check_")]
