//! Every function of `vh` does its work on the hub: what other clients receive, what the
//! database holds, what a next login meets.
#![cfg(feature = "cli")]

use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::{EVAL, all, eval};

fn builder() -> HubBuilder {
    HubBuilder::new().script("eval.py", EVAL).set("max_chat_msg", "0")
}

fn passive(hub: &TestHub, nick: &str) -> Client {
    let mut client = Client::connect(hub, 7);
    client.info = "d<test V:1,M:P,H:1/0/0,S:1>$ $50\x01$mail@x$100$".into();
    client.login(nick, None)
}

#[test]
fn messages_reach_whom_they_should() {
    let hub = builder().start();
    let mut master = hub.master();
    let mut active = hub.guest("active");
    let mut passive = passive(&hub, "passive");
    let mut asker = hub.guest("asker");
    // The call; what the master, the active and the passive user get for it.
    let cases: &[(&str, [Option<&str>; 3])] = &[
        ("vh.SendToOpChat('m1')", [Some("$To: master From: OpChat $<vhpy> m1"), None, None]),
        ("vh.SendToOpChat('m2', 'me')", [Some("$To: master From: OpChat $<me> m2"), None, None]),
        ("vh.SendToActive('m3')", [Some("m3"), Some("m3"), None]),
        ("vh.SendToPassive('m4', 1)", [None, None, Some("m4")]),
        ("vh.SendToActiveClass('m5', 1, 10)", [Some("m5"), None, None]),
        ("vh.SendToPassiveClass('m6', 0, 0)", [None, None, Some("m6")]),
        ("vh.SendDataToUser('m7', 'active')", [None, Some("m7"), None]),
        ("vh.SendDataToAll('m8\\x7c', 0, 5)", [None, Some("m8"), Some("m8")]),
        (
            "vh.SendPMToAll('m9', 'me', 0, 5)",
            [None, Some("$To: active From: me $<me> m9"), Some("$To: passive From: me $<me> m9")],
        ),
        ("vh.mc('m10')", [Some("<vhpy> m10"); 3]),
        ("vh.mc('m11', 'me')", [Some("<me> m11"); 3]),
        ("vh.usermc('m12', 'active')", [None, Some("<vhpy> m12"), None]),
        ("vh.usermc('active', 'm13')", [None, Some("<vhpy> m13"), None]),
        ("vh.classmc('m14', 10, 10, 'me')", [Some("<me> m14"), None, None]),
        ("vh.classmc('m15', 0, 'me')", [Some("<me> m15"); 3]),
        ("vh.pm('m16', 'passive')", [None, None, Some("$To: passive From: vhpy $<vhpy> m16")]),
        ("vh.pm('m17', 'passive', 'me', 'shown')", [None, None, Some("$To: passive From: me $<shown> m17")]),
        ("vh.mc('m18 a\\x7c$Quit bc\\x7c')", [Some("<vhpy> m18 a&#124;$Quit bc"); 3]),
        ("vh.mc('m19', 'a> \\x7cb')", [Some("<a___b> m19"); 3]),
        ("vh.SendToAll('m20')", [Some("<vhpy> m20"); 3]),
        ("vh.SendToUser('active', 'm21')", [None, Some("<vhpy> m21"), None]),
        ("vh.pm('active', 'passive', 'm22')", [None, None, Some("$To: passive From: active $<active> m22")]),
        ("vh.pm('passive', 'm23')", [None, None, Some("$To: passive From: vhpy $<vhpy> m23")]),
        ("vh.pm('not_here', 'passive', 'm24 has blanks')", [None, None, Some("$<not_here> m24 has blanks")]),
        ("vh.pm(nick='passive', message='m25', shown_nick='it')", [None, None, Some("$<it> m25")]),
        ("vh.usermc(nick='active', message='m26', from_nick='me')", [None, Some("<me> m26"), None]),
        ("vh.classmc(min_class=10, message='m27')", [Some("<vhpy> m27"), None, None]),
        ("vh.SendDataToAll(max_class=5, min_class=0, data='m28')", [None, Some("m28"), Some("m28")]),
    ];
    for (at, (call, expected)) in cases.iter().enumerate() {
        let mark = format!("m{}", at + 1);
        // A user of its own asks, so that what the master gets is all there.
        asker.chat(&format!("+eval {call}"));
        assert_eq!(asker.wait_for("<vhpy> = "), "<vhpy> = True", "{call}");
        for (client, expected) in [&mut master, &mut active, &mut passive].into_iter().zip(expected) {
            let seen = client.so_far();
            let got: Vec<&String> = seen.iter().filter(|message| message.contains(&mark)).collect();
            let nick = &client.nick;
            match expected {
                Some(expected) => {
                    assert_eq!(got.len(), 1, "{call}: {nick}: {seen:?}");
                    assert!(got[0].contains(expected), "{call}: {nick}: {seen:?}");
                }
                None => assert!(got.is_empty(), "{call}: {nick}: {seen:?}"),
            }
        }
    }
    all(
        &mut master,
        &[
            ("vh.pm('x', 'nobody')", "False"),
            ("vh.usermc('x', 'nobody')", "False"),
            ("vh.SendDataToUser('x', 'nobody')", "False"),
            ("vh.SendDataToAll('x', 5, 1)", "False"),
            ("vh.classmc('x', 5, 1)", "False"),
        ],
    );
}

#[test]
fn users_are_known_and_changed() {
    let hub = builder().start();
    let mut master = hub.master();
    let mut nick = passive(&hub, "nick");
    nick.send("$MyHubURL dchub://here|$ExtJSON nick {\"a\": 1}|");
    nick.so_far();
    all(
        &mut master,
        &[
            (
                "vh.GetMyINFO('nick')",
                "('nick', 'd', '<test V:1,M:P,H:1/0/0,S:1>', '50\\x01', 'mail@x', '100')",
            ),
            ("vh.GetMyINFO('nobody')", "None"),
            ("vh.GetUserClass('NICK'), vh.GetUserClass('master'), vh.GetUserClass('vhpy')", "(0, 10, 10)"),
            ("vh.GetUserClass('nobody')", "-2"),
            (
                "vh.GetUserIP('nick'), vh.GetUserIP('vhpy'), vh.GetUserIP('nobody')",
                "('127.0.0.7', '127.0.0.1', None)",
            ),
            ("vh.GetUserHost('nobody')", "None"),
            ("isinstance(vh.GetUserHost('nick'), str)", "True"),
            ("vh.GetUserHubURL('nick'), vh.GetUserHubURL('nobody')", "('dchub://here', None)"),
            ("vh.GetUserExtJSON('nick')", "'$ExtJSON nick {\"a\": 1}'"),
            ("sorted(vh.GetNickList())", "['OpChat', 'master', 'nick', 'vhpy']"),
            ("sorted(vh.GetOpList())", "['OpChat', 'master', 'vhpy']"),
            ("sorted(vh.GetBotList())", "['OpChat', 'vhpy']"),
            ("vh.GetRawBotList()", "'$BotList vhpy$$OpChat$$'"),
            ("vh.GetRawNickList()", "'$NickList vhpy$$OpChat$$master$$nick$$'"),
            ("vh.GetRawOpList()", "'$OpList vhpy$$OpChat$$master$$'"),
            ("vh.GetNickList().split('$$') == vh.GetNickList()", "True"),
            ("vh.GetUsersCount()", "2"),
            ("vh.GetTotalShareSize()", "'200'"),
            ("vh.SetMyINFO('nick', 'other', None, None, 'a$b', 5)", "True"),
            ("vh.GetTotalShareSize()", "'105'"),
            ("vh.SetMyINFO('nobody', 'other')", "False"),
        ],
    );
    nick.wait_for("$MyINFO $ALL nick other<test V:1,M:P,H:1/0/0,S:1>$ $50\x01$a_b$5$");
    all(&mut master, &[("vh.SetMyINFOFlag('nick', 2)", "True"), ("vh.SetMyINFOFlag('nick', 0)", "False")]);
    nick.wait_for("$ $50\x03$");
    all(&mut master, &[("vh.UnsetMyINFOFlag('nick', 1)", "True")]);
    nick.wait_for("$ $50\x02$");
    // What would end or split the message is no status.
    all(
        &mut master,
        &[("vh.SetMyINFOFlag('nick', 0x24)", "True"), ("vh.UnsetMyINFOFlag('nick', 2)", "False")],
    );
    nick.wait_for("$ $50&$");
    all(&mut master, &[("vh.UnsetMyINFOFlag('nick', 0x24)", "True")]);
    nick.wait_for("$ $50\x02$");
    all(&mut master, &[("vh.SetUserIP('nick', '10.1.2.3')", "True"), ("vh.SetUserIP('nick', 'x')", "False")]);
    nick.wait_for("$UserIP nick 10.1.2.3$$");
    master.send("$UserIP nick|");
    master.wait_for("$UserIP nick 10.1.2.3$$");
    all(
        &mut master,
        &[("vh.CloseConnection('nick', vh.eCR_KICKED)", "True"), ("vh.CloseConnection('nobody')", "False")],
    );
    nick.closed();
    let mut nick = passive(&hub, "nick");
    all(&mut master, &[("vh.CloseConnection('nick', 0, 20)", "True")]);
    nick.closed();
}

#[test]
fn kicks_and_bans_keep_out() {
    let hub = builder().set("tban_kick", "4000").start();
    let mut master = hub.master();
    let mut other = hub.guest("other");
    let refused = |nick: &str, host: u8| {
        let mut client = Client::connect(&hub, host);
        client.send(&format!(
            "$Supports NoHello|$Key x|$ValidateNick {nick}|$MyINFO $ALL {nick} d$ $5\x01$$4711$|"
        ));
        let got = client.closed();
        assert!(got.contains("banned"), "{got}");
    };
    let welcome = |nick: &str, host: u8| drop(Client::connect(&hub, host).login(nick, None));
    let mut nick = Client::connect(&hub, 20).login("nick", None);
    all(
        &mut master,
        &[
            ("vh.KickUser('other', 'nick', 'no')", "False"),
            ("vh.KickUser('master', 'nick', 'go away', 'hub.example', 'for ops', 'for you')", "True"),
            (
                "vh.SQL(\"select `nick`, `ip`, `reason`, `note_op`, `nick_op` from `banlist`\")",
                "(1, [['nick', '127.0.0.20', 'go away', 'for ops', 'master']])",
            ),
            (
                "vh.SQL('select `op`, `reason`, `is_drop` from `kicklist`')",
                "(1, [['master', 'go away', '0']])",
            ),
        ],
    );
    let got = nick.closed();
    assert!(
        got.contains("You were kicked because: go away") && got.contains("$ForceMove hub.example"),
        "{got}"
    );
    other.wait_for("$Quit nick");
    refused("nick", 21);
    refused("new", 20);
    all(&mut master, &[("vh.DelNickTempBan('nick'), vh.DelNickTempBan('nick')", "(True, False)")]);
    welcome("nick", 20);
    for (at, (kind, online_refused, also_refused)) in [
        ("NICKIP", true, "other"),
        ("IP", true, "other"),
        ("NICK", true, ""),
        ("RANGE", true, "other"),
        ("SHARE", true, "other"),
        ("PREFIX", true, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let host = 30 + at as u8;
        let name = format!("bad{at}");
        let mut bad = Client::connect(&hub, host);
        bad.info = "d<t V:1,M:A>$ $5\x01$$4711$".into();
        let mut bad = bad.login(&name, None);
        assert_eq!(
            eval(&mut master, &format!("vh.Ban('master', '{name}', 'why', 0, vh.eBF_{kind})")),
            "True",
            "{kind}"
        );
        bad.closed();
        // A range or a share would keep others of this test out, too; a fresh connection shows it.
        if online_refused {
            let mut again = Client::connect(&hub, host);
            again.send(&format!(
                "$Supports NoHello|$Key x|$ValidateNick {name}|$MyINFO $ALL {name} d$ $5\x01$$4711$|"
            ));
            let got = again.closed();
            assert!(got.contains("banned from this hub for ever because: why"), "{kind}: {got}");
        }
        if !also_refused.is_empty() {
            refused(&format!("{also_refused}{at}"), host);
        }
        assert_eq!(eval(&mut master, "vh.SQL('delete from banlist')"), "(1, [])");
    }
    all(
        &mut master,
        &[
            (
                "vh.Ban('master', '127.0.0.40', 'why', 60, vh.eBF_IP), vh.DelIPTempBan('127.0.0.40'), vh.DelIPTempBan('x')",
                "(True, True, False)",
            ),
            ("vh.Ban('master', 'x', 'why', 60, 99)", "False"),
            ("vh.Ban('master', 'gone', 'why', 60, vh.eBF_NICK)", "True"),
        ],
    );
    refused("gone", 41);
}

#[test]
fn restrictions_restrict() {
    let hub = builder().start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    all(
        &mut master,
        &[
            ("vh.UserRestrictions('nick')", "{'chat': False, 'pm': False, 'search': False, 'ctm': False}"),
            (
                "vh.UserRestrictions('nick', '3h', ctm='1d')",
                "{'chat': True, 'pm': False, 'search': False, 'ctm': True}",
            ),
            (
                "vh.UserRestrictions('nick', None, 1, '5m', '0')",
                "{'chat': True, 'pm': True, 'search': True, 'ctm': False}",
            ),
            ("vh.UserRestrictions('nick', 'soon')", "{}"),
            ("vh.UserRestrictions('nobody', '1d')", "{}"),
            (
                "vh.SQL('select st_chat - since, st_pm - since, st_search - since, st_ctm from temp_rights')",
                "(1, [['10800', '604800', '300', '1']])",
            ),
        ],
    );
    for again in [false, true] {
        if again {
            drop(nick);
            master.wait_for("$Quit nick");
            nick = hub.guest("nick");
        }
        nick.chat("hello");
        nick.wait_for("You may not use the main chat now");
        nick.private("master", "hello");
        nick.wait_for("You may not write private messages now");
        nick.send("$Search 127.0.0.1:5 F?T?0?1?word|");
        nick.wait_for("You may not search now");
    }
    all(
        &mut master,
        &[(
            "vh.UserRestrictions('nick', 0, 0, 0, '1d')",
            "{'chat': False, 'pm': False, 'search': False, 'ctm': True}",
        )],
    );
    nick.send("$ConnectToMe master 127.0.0.1:5|");
    nick.wait_for("You may not download now");
    nick.chat("hello");
    master.wait_for("<nick> hello");
}

#[test]
fn robots_live_in_the_list() {
    let hub = builder().start();
    let mut master = hub.master();
    all(
        &mut master,
        &[
            (
                "vh.IsRobotNickBad('R'), vh.IsRobotNickBad('master'), vh.IsRobotNickBad(''), vh.IsRobotNickBad('a b'), vh.IsRobotNickBad('OPCHAT')",
                "(0, 1, 2, 3, 4)",
            ),
            ("vh.AddRobot('R', 3, 'I am $', 'fast', 'r@x', 1000)", "True"),
            ("vh.AddRobot('R', 3, '', '', '', 0)", "False"),
            ("vh.GetUserClass('R'), 'R' in vh.GetBotList(), 'R' in vh.GetOpList()", "(3, True, True)"),
            ("vh.GetMyINFO('R')", "('R', 'I am _', '', 'fast\\x01', 'r@x', '1000')"),
        ],
    );
    let mut nick = Client::connect(&hub, 9);
    nick.wait_for("$Lock");
    nick.send("$Supports NoHello NoGetINFO BotList|$Key x|$ValidateNick R|");
    assert!(nick.closed().contains("$ValidateDenide R"));
    let mut nick = hub.guest("nick");
    nick.so_far();
    nick.private("R", "hello");
    assert_eq!(
        eval(&mut master, "vh.DelRobot('R'), vh.DelRobot('R'), vh.DelRobot('vhpy')"),
        "(True, False, False)"
    );
    nick.wait_for("$Quit R");
}

#[test]
fn robots_go_with_their_script() {
    let hub = HubBuilder::new()
        .script("eval.py", EVAL)
        .script("robot.py", "import os\nvh.AddRobot('R', 0, '', '', '', 0)\ndef OnParsedMsgPM(nick, text, to):\n    if to == 'R': vh.pm('you said ' + text, nick, 'R')\n    if text == 'die': os._exit(1)\n")
        .start();
    let mut nick = hub.guest("nick");
    nick.private("R", "hello");
    nick.wait_for("$To: nick From: R $<R> you said hello");
    nick.private("R", "die");
    nick.wait_for("$Quit R");
    nick.wait_for("$MyINFO $ALL R ");
    let mut master = hub.master();
    master.chat("!pyunload robot");
    nick.wait_for("$Quit R");
}

#[test]
fn registrations_are_kept() {
    let hub = builder().start();
    let mut master = hub.master();
    all(
        &mut master,
        &[
            ("vh.AddRegUser('reg', 3, 'a password', 'master')", "True"),
            ("vh.AddRegUser('reg', 3, 'a password')", "False"),
            (
                "vh.AddRegUser('x', 7), vh.AddRegUser('a b', 1), vh.AddRegUser('x', 1, 'short')",
                "(False, False, False)",
            ),
            (
                "vh.SQL('select nick, class, reg_op, pwd_change, substr(login_pwd, 1, 10) from reglist where `class` < 10')",
                "(1, [['reg', '3', 'master', '0', '$argon2id$']])",
            ),
        ],
    );
    let mut reg = Client::connect(&hub, 3).login("reg", Some("a password"));
    assert_eq!(eval(&mut reg, "vh.GetUserClass('reg')"), "3");
    all(
        &mut master,
        &[(
            "vh.SetRegClass('reg', 4), vh.SetRegClass('nobody', 4), vh.SetRegClass('reg', 8), vh.GetUserClass('reg')",
            "(True, False, False, 4)",
        )],
    );
    all(
        &mut master,
        &[("vh.DelRegUser('reg'), vh.DelRegUser('reg'), vh.GetUserClass('reg')", "(True, False, 0)")],
    );
    let mut wrong = Client::connect(&hub, 3);
    wrong.send("$Supports NoHello|$Key x|$ValidateNick master|$MyPass wrong|");
    let got = wrong.closed();
    assert!(got.contains("$BadPass") && got.contains("The password is wrong"), "{got}");
    master.wait_for("Wrong password for master from 127.0.0.3");
}

#[test]
fn the_configuration_is_kept() {
    let hub = builder().start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    all(
        &mut master,
        &[
            ("vh.GetConfig('hub_name'), vh.GetConfig('config', 'max_users')", "('vhpy hub', '6000')"),
            (
                "vh.GetConfig('config', 'nonsense'), vh.GetConfig('config', 'nonsense', 'default')",
                "(None, 'default')",
            ),
            (
                "vh.SetConfig('hub_name', 'New'), vh.SetConfig('config', 'max_users', 7), vh.SetConfig('max_users', 'many')",
                "(True, True, False)",
            ),
            (
                "vh.SetConfig('config', 'nonsense', '1'), vh.SetConfig('mine', 'nonsense', '1'), vh.GetConfig('mine', 'nonsense')",
                "(False, True, '1')",
            ),
            (
                "vh.SQL(\"select `file`, `var`, `val` from `SetupList` where `var` in ('hub_name', 'max_users', 'nonsense') order by 1, 2\")",
                "(1, [['config', 'hub_name', 'New'], ['config', 'max_users', '7'], ['mine', 'nonsense', '1']])",
            ),
            (
                "vh.GetConfig('listen_port'), vh.GetConfig('send_crash_report'), vh.GetConfig('hublist_host')",
                "('4111', '1', '')",
            ),
            ("vh.SetConfig('int_search', 5), vh.GetConfig('int_search')", "(True, '5')"),
            (
                "vh.SQL(\"select count(*) from SetupList where file = 'config' and var in ('hub_topic', 'int_search', 'search_chars')\")",
                "(1, [['3']])",
            ),
            (
                "[vh.SQL('select count(*) from ' + table)[0] for table in 'file_trigger custom_redirects conn_types pi_plug pi_isp'.split()]",
                "[1, 1, 1, 1, 1]",
            ),
            ("vh.Topic()", "''"),
            ("vh.Topic('A topic'), vh.Topic()", "('A topic', 'A topic')"),
        ],
    );
    nick.wait_for("$HubName New - A topic");
    nick.wait_for("$HubTopic A topic");
    master.chat("+eval vh.SetConfig('hub_security', 'Guard'), vh.SetConfig('opchat_name', 'Guard'), vh.SetConfig('opchat_name', 'Ops')");
    master.wait_for("<Guard> = (True, False, True)");
    nick.wait_for("$Quit vhpy");
    nick.wait_for("$MyINFO $ALL Guard ");
    nick.wait_for("$MyINFO $ALL Ops ");
    nick.wait_for("<script> _hub_security_change Guard ");
    master.chat("+eval vh.botname, vh.opchatname");
    master.wait_for("<Guard> = ('Guard', 'Ops')");
    let data = hub.kill();
    let hub = HubBuilder::in_folder(data).start();
    let mut nick = Client::connect(&hub, 2);
    nick.wait_for("$Lock");
    nick.send("$Supports NoHello|$Key x|$ValidateNick nick|$GetNickList|$MyINFO $ALL nick d$ $5\x01$$1$|");
    nick.wait_for("$HubName New - A topic");
    nick.wait_for("$MyINFO $ALL Guard ");
}

#[test]
fn the_rest_of_the_hub_is_there_too() {
    let hub = builder().start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    all(
        &mut master,
        &[
            (
                "vh.SQL('select 1, null, \"x\"'), vh.SQL(1, 'select 1 union select 2')",
                "((1, [['1', 'NULL', 'x']]), (1, [['1']]))",
            ),
            ("vh.SQL('nonsense'), vh.SQL('select * from nowhere')", "((0, []), (0, []))"),
            ("vh.sql_error()", "\"Table 'verlihub.nowhere' doesn't exist\""),
            ("vh.SQL('select 1'), vh.sql_error()", "((1, [['1']]), '')"),
            ("isinstance(vh.GetServFreq(), float)", "True"),
            (
                "vh.name_and_version(), vh.name_and_version('Mine', '2'), vh.name_and_version()",
                "(('eval', '1.0.0'), ('Mine', '2'), ('Mine', '2'))",
            ),
            (
                "vh.ParseCommand('nick', '+myip', 0), vh.ParseCommand('nobody', '+myip', 0), vh.ParseCommand('nick', 'myip', 0)",
                "(True, False, False)",
            ),
            ("vh.ScriptCommand('cmd', 'data')", "True"),
            ("vh.GetIPCC('127.0.0.1'), vh.GetGeoIP('x')", "(None, None)"),
        ],
    );
    nick.wait_for("<vhpy> Your address is 127.0.0.1");
    nick.wait_for("<script> cmd data python");
    all(&mut master, &[("vh.StopHub(3)", "True")]);
    nick.closed();
    assert_eq!(hub.ended().0, 3);
}

#[test]
fn keywords_and_other_orders_do_the_same() {
    let hub = builder().start();
    let mut master = hub.master();
    let mut nick = Client::connect(&hub, 40).login("nick", None);
    let mut other = Client::connect(&hub, 41).login("other", None);
    all(
        &mut master,
        &[
            ("vh.SetConfig(variable='hub_name', value='A')", "True"),
            (
                "vh.SetConfig(conf='config', var='max_users', val=9), vh.GetConfig(var='max_users')",
                "(True, '9')",
            ),
            ("vh.GetConfig(conf='mine', variable='x', default='d')", "'d'"),
            (
                "vh.SQL(limit=1, query='select 1 union select 2'), vh.SQL(1, 'select 3')",
                "((1, [['1']]), (1, [['3']]))",
            ),
            ("vh.AddRegUser(nick='reg', uclass=2, passwd='a password', op='master')", "True"),
            ("vh.SQL(\"select class, reg_op from reglist where nick = 'reg'\")", "(1, [['2', 'master']])"),
            (
                "vh.SetMyINFO('nick', email='e@x', share=77), vh.GetMyINFO('nick')[4:]",
                "(True, ('e@x', '77'))",
            ),
            ("vh.UserRestrictions('nick', chat='1h', ctm=0)['chat']", "True"),
            ("vh.AddRobot(nick='R', uclass=0, desc='d', speed='', email='', share='5')", "True"),
            ("vh.Topic(topic='by name')", "'by name'"),
            (
                "vh.KickUser(op='master', nick='nick', reason='why', note_op='for ops', note_user='for you')",
                "True",
            ),
            ("vh.SQL('select note_op, note_usr from banlist')", "(1, [['for ops', 'for you']])"),
            ("vh.Ban(op='master', nick='other', reason='why', howlong=60, bantype=vh.eBF_NICK)", "True"),
            ("vh.ParseCommand(nick='master', command='!topic', in_pm=0)", "True"),
            ("vh.CloseConnection(nick='master', reason=vh.eCR_DEFAULT, delay=1000000)", "True"),
        ],
    );
    assert!(nick.closed().contains("You were kicked because: why"));
    other.closed();
}

#[test]
fn functions_that_need_no_hub() {
    let hub = builder().start();
    let mut master = hub.master();
    all(
        &mut master,
        &[
            ("vh.Encode('a$b') == vh.encode('a$b') == 'a&#36;b'", "True"),
            ("vh.Decode('a&#36;b') == vh.decode('a&#36;b') == 'a$b'", "True"),
            ("vh.GetUserNick('n'), vh.GetConnNick('n'), vh.GetChatMessage('m')", "('n', 'n', 'm')"),
            (
                "vh.CallDynamicFunction('no_such', 1)",
                "NameError: the hub has no function 'no_such' for this script",
            ),
            ("vh.call('no_such')", "NameError: the hub has no function 'no_such' for this script"),
        ],
    );
}

/// Each row of the table of functions, and each name that is beside it, has its place in tests
/// on a real hub.
#[test]
fn no_function_is_without_a_test() {
    let tests = [
        include_str!("functions.rs"),
        include_str!("geoip.rs"),
        include_str!("bans.rs"),
        include_str!("accounts.rs"),
        include_str!("configuration.rs"),
        include_str!("survival.rs"),
    ];
    let beside = [
        "GetRawNickList",
        "GetRawOpList",
        "GetRawBotList",
        "Encode",
        "Decode",
        "CallDynamicFunction",
        "encode",
        "decode",
        "call",
        "SendToAll",
        "sql_error",
        "SendToUser",
        "GetUserNick",
        "GetConnNick",
        "GetChatMessage",
    ];
    for name in plugin_abi::CALLS.iter().map(|spec| spec.name).chain(beside) {
        let is_called = tests.iter().any(|test| test.contains(&format!("vh.{name}(")));
        assert!(is_called, "vh.{name} is called in no test");
    }
}

#[test]
fn everybody_is_told_of_at_once() {
    let hub = builder().start();
    let mut master = hub.master();
    let _guest = hub.guest("guest");
    let everybody = "sorted(vh.users('nick', 'class', 'ip', 'share', 'tag'), key=lambda user: user['nick'])";
    all(
        &mut master,
        &[
            (&format!("[user['nick'] for user in {everybody}]"), "['OpChat', 'guest', 'master', 'vhpy']"),
            (
                &format!("{everybody}[1]"),
                "{'nick': 'guest', 'class': 0, 'ip': '127.0.0.1', 'share': 100, 'tag': '<test V:1,M:A,H:1/0/0,S:1>'}",
            ),
            ("len(vh.users()[0])", "9"),
            ("all(user['class'] == vh.GetUserClass(user['nick']) for user in vh.users())", "True"),
            ("all(user['ip'] == vh.GetUserIP(user['nick']) for user in vh.users('nick', 'ip'))", "True"),
            (
                "all((user['desc'], user['tag'], user['speed'], user['mail'], str(user['share'])) == \
                 vh.GetMyINFO(user['nick'])[1:] for user in vh.users())",
                "True",
            ),
        ],
    );
    let wrong = eval(&mut master, "vh.users('nik')");
    assert!(wrong.contains("there is no field 'nik'; there are: nick, class, ip"), "{wrong}");
}
