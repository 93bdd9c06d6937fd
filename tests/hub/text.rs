//! Text in every encoding that hubs use: what users write reaches scripts and comes back byte
//! for byte, also where it is no text in that encoding.
#![cfg(feature = "cli")]

use crate::support::client::{Client, HubBuilder, TestHub};

/// What each function makes of a nick and a message.
const ECHO: &str = r"
def sql(text):
    return '\'' + text.replace('\\', '\\\\').replace('\'', '\\\'') + '\''

def OnParsedMsgChat(nick, message):
    if message == 'replace': return (None, 'instead ' + nick)
    if message == 'register':
        vh.AddRegUser(nick, 1)
        rows = vh.SQL('select hex(nick), nick from reglist where nick = ' + sql(nick))
        vh.mc('registered ' + rows[1][0][0] + ' ' + str(rows[1][0][1] == nick))
        return 0
    if not message.startswith('echo '): return 1
    message = message[5:]
    vh.mc(message, nick)
    vh.usermc(message, 'other', nick)
    vh.pm(message, 'other', nick, nick)
    vh.SendDataToUser('$Data ' + nick + ' ' + message, 'other')
    vh.SetConfig('mine', 'last ' + nick, message)
    vh.mc('kept ' + vh.GetConfig('mine', 'last ' + nick))
    # In GBK, the second byte of a character can be a backslash, which the database takes for one.
    vh.mc(vh.SQL('select ' + sql(message))[1][0][0] if vh.GetConfig('hub_encoding') != 'gbk' else message, nick)
    vh.Topic(message)
    vh.mc('known ' + str((nick in vh.GetNickList(), vh.GetUserClass(nick), vh.GetMyINFO(nick)[0] == nick)))
    vh.mc('described as ' + vh.GetMyINFO(nick)[1])
    return 0

def OnUserLogin(nick):
    vh.mc('as ascii ' + ascii(nick))
";

/// A user whose nick need not be text.
fn login(hub: &TestHub, nick: &[u8], desc: &[u8]) -> Client {
    let mut client = Client::connect(hub, 3);
    client.wait_for("$Lock ");
    client.send_bytes(&[b"$Supports NoHello NoGetINFO HubTopic |$Key x|$ValidateNick ", nick, b"|"].concat());
    client.wait_for_bytes(&[b"$Hello ", nick].concat());
    client.send_bytes(&[b"$GetNickList|$MyINFO $ALL ", nick, b" ", desc, b"$ $50\x01$$1$|"].concat());
    client.wait_for_bytes(&[b"$MyINFO $ALL ", nick, b" "].concat());
    client
}

/// Waits for a message that begins so, and compares all of it.
fn expect(client: &mut Client, start: &[u8], rest: &[&[u8]]) {
    let wanted = [start, &rest.concat()].concat();
    let got = client.wait_for_bytes(start);
    assert_eq!(got.escape_ascii().to_string(), wanted.escape_ascii().to_string());
}

fn check(hub: &TestHub, other: &mut Client, nick: &[u8], ascii: &str, message: &[u8]) {
    let mut user = login(hub, nick, message);
    let own = &[b"<", nick, b"> "].concat()[..];
    let say = |user: &mut Client, text: &[u8]| user.send_bytes(&[own, text, b"|"].concat());
    expect(other, &[b"$MyINFO $ALL ", nick, b" "].concat(), &[message, b"$ $50\x01$$1$"]);
    expect(other, b"<vhpy> as ascii ", &[ascii.as_bytes()]);
    say(&mut user, message);
    expect(other, own, &[message]);
    say(&mut user, b"replace");
    expect(other, own, &[b"instead ", nick]);
    say(&mut user, &[b"echo ", message].concat());
    expect(other, own, &[message]);
    expect(other, own, &[message]);
    expect(other, b"$To: other From: ", &[nick, b" $", own, message]);
    expect(other, b"$Data ", &[nick, b" ", message]);
    expect(other, b"<vhpy> kept ", &[message]);
    expect(other, own, &[message]);
    // A topic has a limit.
    if message.len() < 1000 {
        expect(other, b"$HubTopic ", &[message]);
    }
    expect(other, b"<vhpy> known ", &[b"(True, 0, True)"]);
    expect(other, b"<vhpy> described as ", &[message]);
    say(&mut user, b"register");
    let hex: String = nick.iter().map(|byte| format!("{byte:02X}")).collect();
    expect(other, b"<vhpy> registered ", &[hex.as_bytes(), b" True"]);
    drop(user);
    expect(other, b"$Quit ", &[nick]);
}

/// All bytes that the protocol leaves to the text, in pairs, one message for each first byte that
/// is no ASCII, so that each of them comes before each other.
fn all_bytes() -> Vec<u8> {
    let free = |byte: &u8| !matches!(byte, 0 | b'|' | b'$' | b'\r' | b'\n');
    let mut message = Vec::new();
    for first in (0x80..=0xff_u8).step_by(9) {
        message.extend((1..=0xff).filter(free).flat_map(|second| [first, second, b' ']));
    }
    message.extend((1..=0xff).filter(free));
    message
}

#[test]
fn no_byte_is_lost_in_any_encoding() {
    // The encoding, a nick that is text in it and how Python sees it, a nick that is none.
    type Row = (&'static str, &'static [u8], &'static str, &'static [u8], &'static str);
    let table: &[Row] = &[
        ("utf-8", "Jürgen_你".as_bytes(), r"'J\xfcrgen_\u4f60'", b"bad\xff\xc3", r"'bad\udcff\udcc3'"),
        ("cp1251", b"\xde\xe7\xe5\xf0", r"'\u042e\u0437\u0435\u0440'", b"bad\x98", r"'bad\udc98'"),
        ("cp1252", b"J\xfcrgen\x80", r"'J\xfcrgen\u20ac'", b"bad\x81", r"'bad\udc81'"),
        // It has a character for every byte, and the controls among them are no nicks.
        ("iso-8859-2", b"\xa3ukasz", r"'\u0141ukasz'", b"b\xe1d", r"'b\xe1d'"),
        ("gbk", b"\xc4\xe3\xba\xc3\x81\x40", r"'\u4f60\u597d\u4e02'", b"bad\xff\xc4", r"'bad\udcff\udcc4'"),
    ];
    for (encoding, nick, ascii, bad_nick, bad_ascii) in table {
        let hub = HubBuilder::new()
            .arg("--encoding")
            .arg(encoding)
            .script("echo.py", ECHO)
            .set("max_chat_msg", "0")
            .set("max_len_myinfo", "0")
            .set("adv_max_message_size", "100000")
            .start();
        let mut other = hub.guest("other");
        check(&hub, &mut other, nick, ascii, &all_bytes());
        check(&hub, &mut other, bad_nick, bad_ascii, b"\xff\xfe\x80 \xc3");
        check(&hub, &mut other, b"plain", "'plain'", nick);
    }
}

#[test]
fn what_the_hubs_encoding_lacks_becomes_a_question_mark() {
    let hub = HubBuilder::new()
        .arg("--encoding")
        .arg("cp1251")
        .script("script.py", "def OnParsedMsgChat(nick, message):\n    vh.mc('Привет 你好 \\ud800', 'Ж你')\n")
        .start();
    let mut nick = hub.guest("nick");
    nick.chat("x");
    let got = nick.wait_for_bytes(b"<\xc6");
    assert_eq!(got, b"<\xc6?> \xcf\xf0\xe8\xe2\xe5\xf2 ?? ?");
}

/// What a script says cannot end its message and begin another.
#[test]
fn no_text_becomes_another_message() {
    let hub = HubBuilder::new()
        .script(
            "script.py",
            "EVIL = 'a|$Quit victim|<x> $To: b'
def OnParsedMsgChat(nick, message):
    vh.mc(EVIL); vh.mc('x', EVIL); vh.usermc(EVIL, nick, EVIL); vh.classmc(EVIL, 0, 10, EVIL)
    vh.pm(EVIL, nick, EVIL, EVIL); vh.SendPMToAll(EVIL, EVIL, 0, 10); vh.SendToOpChat(EVIL, EVIL)
    vh.SendToAll(EVIL); vh.SendToUser(nick, EVIL)
    vh.Topic(EVIL); vh.SetConfig('hub_name', EVIL); vh.SetConfig('hub_security_desc', EVIL)
    vh.SetMyINFO(nick, EVIL, EVIL, EVIL, EVIL, 5); vh.AddRobot(EVIL, 3, EVIL, EVIL, EVIL, EVIL)
    vh.AddRobot('robot', 3, EVIL, EVIL, EVIL, 5)
    vh.UserRestrictions(nick, EVIL); vh.AddRegUser(EVIL, 1); vh.SetUserIP(nick, EVIL)
    vh.KickUser('master', 'victim', EVIL, EVIL, EVIL, EVIL); vh.Ban(EVIL, 'nobody', EVIL, 0, vh.eBF_NICK)
    return (EVIL, EVIL)
def OnFirstMyINFO(nick, *info):
    return (EVIL, EVIL, EVIL, EVIL, '7') if nick == 'marked' else 1
",
        )
        .start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    let _marked = hub.guest("marked");
    let mut victim = Client::connect(&hub, 9).login("victim", None);
    master.wait_for("$MyINFO $ALL victim");
    nick.so_far();
    nick.chat("go");
    victim.closed();
    for client in [&mut master, &mut nick] {
        let seen = client.so_far();
        let count = |start: &str| seen.iter().filter(|message| message.starts_with(start)).count();
        assert_eq!(count("$Quit victim"), 1, "{seen:#?}");
        for message in &seen {
            // The bots are shown anew when their description changes.
            let known = [
                "<a__Quit_victim__x___To:_b> ",
                "<vhpy> ",
                "$To: master From: ",
                "$To: nick From: ",
                "$HubName ",
                "$HubTopic ",
                "$MyINFO $ALL nick ",
                "$MyINFO $ALL vhpy ",
                "$MyINFO $ALL OpChat ",
                "$MyINFO $ALL robot ",
                "$Quit vhpy",
                "$Quit OpChat",
                "$Quit victim",
                "$OpList ",
                "$BotList ",
                "$UserIP ",
            ];
            assert!(known.iter().any(|start| message.starts_with(start)), "{message}");
            let separators = message.matches('$').count();
            assert!(!message.starts_with("$MyINFO") || separators == 7, "a part has a separator: {message}");
        }
    }
}
