//! A stranger's kit: what anybody who can reach the hub's port may try, from floods of passwords
//! to random nonsense without end; whoever belongs there gets in, and nothing breaks.

#[path = "support/client.rs"]
mod client;
#[path = "support/eval.rs"]
mod eval;

use client::{Client, HubBuilder, TestHub};
use eval::{EVAL, eval};

/// A hub whose limits hold for everybody, with a proxy at 127.0.0.9.
fn strict() -> HubBuilder {
    HubBuilder::new().script("eval.py", EVAL).set("limit_exempt", "").set("trusted_proxies", "127.0.0.9")
}

/// A client from an address that the proxy names.
fn from(hub: &TestHub, ip: &str) -> Client {
    let mut client = Client::connect(hub, 9);
    if ip.contains(':') {
        client.send(&format!("PROXY TCP6 {ip} ::1 5000 411\r\n"));
    } else {
        client.send(&format!("PROXY TCP4 {ip} 127.0.0.1 5000 411\r\n"));
    }
    client
}

fn sends_password(mut client: Client, nick: &str, password: &str) -> Client {
    client.send(&format!("$Supports NoHello NoGetINFO|$Key x|$ValidateNick {nick}|$MyPass {password}|"));
    client
}

/// Fails until the address is kept out; no further password is checked then.
fn is_kept_out_for_guessing(hub: &TestHub, ip: &str, nick: &str) {
    let guesses = 1
        + (0..100)
            .position(|_| {
                let said = sends_password(from(hub, ip), nick, "a guess").closed();
                said.contains("kept out") && said.contains("because: too many wrong passwords")
            })
            .unwrap_or_else(|| panic!("{ip} may guess without end"));
    assert_eq!(guesses, 3, "two wrong passwords were allowed");
}

#[test]
fn guessers_do_not_keep_the_owner_waiting() {
    let hub = strict().set("pwd_tries", "3").set("max_logins_from_ip", "0").start();
    // More than may wait, and they stay.
    let guessers: Vec<Client> =
        (0..40).map(|_| sends_password(Client::connect(&hub, 66), "master", "x")).collect();
    // Whoever hangs up waits for nothing.
    for _ in 0..200 {
        drop(sends_password(Client::connect(&hub, 67), "master", "x"));
    }
    let mut master = Client::connect(&hub, 77).login("master", Some(&hub.password));
    let mut refused = 0;
    for mut guesser in guessers {
        let said = guesser.closed();
        let early = said.contains("Too many passwords from your address");
        let kept_out = said.contains("because: too many wrong passwords");
        assert!(early || kept_out || said.contains("$BadPass"), "{said}");
        refused += usize::from(early || kept_out);
    }
    assert_eq!(refused, 37, "three passwords of an address are checked");
    let errors = "vh.SQL(\"select error_cnt from reglist where nick = 'master'\")[1][0][0]";
    let errors: u32 = eval(&mut master, errors).trim_matches('\'').parse().unwrap();
    assert!(errors <= 6, "{errors} passwords of two addresses were checked");
}

#[test]
fn a_guessers_address_is_kept_out_but_for_those_who_came_from_there() {
    let hub = strict().set("pwd_tries", "2").start();
    let mut master = from(&hub, "192.0.2.1").login("master", Some(&hub.password));
    for user in ["one", "two"] {
        master.chat(&format!("!regnew {user} 1 password of {user}"));
        master.wait_for("is registered.");
    }
    drop(from(&hub, "192.0.2.66").login("one", Some("password of one")));
    is_kept_out_for_guessing(&hub, "192.0.2.66", "two");
    let mut guest = from(&hub, "192.0.2.66");
    guest.send("$Supports NoHello|$Key x|$ValidateNick guest|");
    assert!(guest.closed().contains("You are kept out for another "));
    // Who has come from there before comes in, also after a slip, and so does the owner of the
    // nick that was guessed at, from elsewhere.
    assert!(sends_password(from(&hub, "192.0.2.66"), "one", "a slip").closed().contains("$BadPass"));
    drop(from(&hub, "192.0.2.66").login("one", Some("password of one")));
    drop(from(&hub, "192.0.2.7").login("two", Some("password of two")));
    master.so_far();
    master.chat("!unban 192.0.2.66");
    master.wait_for("One ban was lifted.");
    drop(from(&hub, "192.0.2.66").login("guest", None));
    assert!(sends_password(from(&hub, "192.0.2.66"), "two", "a slip").closed().contains("$BadPass"));

    // Of IPv6, a whole /64 is one; its neighbours are others.
    is_kept_out_for_guessing(&hub, "2001:db8:0:1::1", "two");
    let said = sends_password(from(&hub, "2001:db8:0:1:9:9:9:9"), "two", "password of two").closed();
    assert!(said.contains("because: too many wrong passwords"), "{said}");
    drop(from(&hub, "2001:db8:0:2::1").login("two", Some("password of two")));
    master.so_far();
    master.chat("!unban 2001:db8:0:1:7::7");
    master.wait_for("One ban was lifted.");
    drop(from(&hub, "2001:db8:0:1::1").login("two", Some("password of two")));
}

#[test]
fn exempt_addresses_may_be_wrong_as_often_as_they_like() {
    let hub = HubBuilder::new().set("limit_exempt", "127.0.0.64/26").set("pwd_tries", "1").start();
    for _ in 0..5 {
        assert!(sends_password(Client::connect(&hub, 66), "master", "x").closed().contains("$BadPass"));
    }
    drop(Client::connect(&hub, 66).login("master", Some(&hub.password)));
}

#[test]
fn proxies_tell_for_whom_they_connect() {
    let mut hub = strict().start();
    let mut nick = from(&hub, "192.0.2.5").login("nick", None);
    assert_eq!(eval(&mut nick, "vh.GetUserIP('nick')"), "'192.0.2.5'");
    let mut six = from(&hub, "2001:db8::5").login("six", None);
    assert_eq!(eval(&mut six, "vh.GetUserIP('six')"), "'2001:db8::5'");
    // The second version, in two pieces, with what the client says behind it; and for itself.
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x06\x7f\0\0\x01\x13\x88\x01\x9b";
    let mut two = Client::connect(&hub, 9);
    two.send_bytes(&binary[..20]);
    two.send_bytes(&binary[20..]);
    let mut two = two.login("two", None);
    assert_eq!(eval(&mut two, "vh.GetUserIP('two')"), "'192.0.2.6'");
    let mut own = Client::connect(&hub, 9);
    own.send("PROXY UNKNOWN\r\n");
    let mut own = own.login("own", None);
    assert_eq!(eval(&mut own, "vh.GetUserIP('own')"), "'127.0.0.9'");
    // Bans and limits go by the address that the proxy tells.
    assert_eq!(eval(&mut nick, "vh.Ban('vhpy', '192.0.2.9', 'why', 60, vh.eBF_IP)"), "True");
    let mut banned = from(&hub, "192.0.2.9");
    banned.send("$Supports NoHello|$Key x|$ValidateNick banned|");
    assert!(banned.closed().contains("You are banned"));
    // A proxy that says nothing of the kind is no proxy, and nobody else may say it.
    let mut silent = Client::connect(&hub, 9);
    silent.send("$Supports NoHello|");
    assert_eq!(silent.closed(), "");
    hub.logs("127.0.0.9 is a trusted proxy and sent no PROXY header");
    let mut liar = Client::connect(&hub, 8);
    liar.send("PROXY TCP4 192.0.2.5 127.0.0.1 5000 411\r\n|");
    assert!(liar.closed().contains("your client speaks something else"));
}

#[test]
fn idle_connections_of_an_address_make_room_for_new_ones() {
    let hub = strict().set("max_logins_from_ip", "3").start();
    let idle = |ip: &str| {
        let mut client = from(&hub, ip);
        client.wait_for("$Lock ");
        client
    };
    let mut first = idle("2001:db8::1");
    let mut others: Vec<Client> = (2..4).map(|at| idle(&format!("2001:db8::{at}"))).collect();
    // Others do not count, nor does who is logged in.
    let mut elsewhere = idle("2001:db8:0:1::1");
    let _user = from(&hub, "2001:db8::4").login("user", None);
    let said = first.closed();
    assert!(said.contains("your client was idle for longest"), "{said}");
    others.push(idle("2001:db8::5"));
    let _another = from(&hub, "2001:db8::6").login("another", None);
    assert!(others.remove(0).closed().contains("your client was idle for longest"));
    for client in others.iter_mut().chain([&mut elsewhere]) {
        client.send("$Supports NoHello|");
        client.wait_for("$Supports");
    }
    let _guests: Vec<Client> =
        (0..10).map(|at| from(&hub, "2001:db8::7").login(&format!("guest{at}"), None)).collect();
}

/// The hub raises its limit of open files; scripts have the old one.
#[test]
fn descriptors_are_many_and_scripts_have_as_many_as_ever() {
    let hub = HubBuilder::new().script("eval.py", EVAL).open_files(100, 1000).start();
    let mut idle: Vec<Client> = (0..300).map(|_| Client::connect(&hub, 1)).collect();
    for client in &mut idle {
        client.wait_for("$Lock ");
    }
    let mut nick = hub.guest("nick");
    let limits = "__import__('resource').getrlimit(__import__('resource').RLIMIT_NOFILE)";
    assert_eq!(eval(&mut nick, limits), "(100, 1000)");
}

/// When there are no descriptors left, idle connections go first, and scripts come back.
#[test]
fn without_descriptors_users_come_in_and_scripts_come_back() {
    let filter = "
import os
def OnParsedMsgChat(nick, message):
    if message == 'die': os.kill(os.getpid(), 9)
    if 'bad' in message: return 0
";
    let mut hub = HubBuilder::new().script("filter.py", filter).open_files(128, 128).start();
    let mut witness = hub.guest("witness");
    let mut idle: Vec<Client> = (0..300).map(|_| Client::connect(&hub, 1)).collect();
    hub.logs("descriptors run short");
    let mut nick = hub.guest("nick");
    nick.chat("die");
    nick.chat("a bad one");
    nick.chat("a good one");
    assert_eq!(witness.wait_for("one"), "<nick> a good one");
    // The first ones are gone, the last ones wait.
    assert!(idle.remove(0).closed().contains("your client was idle for longest"));
    let mut last = idle.pop().unwrap().login("last", None);
    witness.wait_for("$MyINFO $ALL last");
    last.chat("all is well");
    witness.wait_for("<last> all is well");
}
