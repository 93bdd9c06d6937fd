//! A stranger's kit: what anybody who can reach the hub's port may try, from floods of passwords
//! to random nonsense without end; whoever belongs there gets in, and nothing breaks.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use crate::support::LIMIT;
use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::{EVAL, eval};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};

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
    let mut hub =
        HubBuilder::new().script("filter.py", filter).set("restart_wait", "60").open_files(128, 128).start();
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

/// Small, fast, repeatable (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }
}

/// What a stranger sends: messages of the protocol with `@` for a nick and `#` for a number, in
/// no order, and what is none.
const PIECES: &[&str] = &[
    "$Supports NoHello NoGetINFO UserIP2 TTHS MCTo ExtJSON2 HubURL BotINFO NickRule|",
    "$Key x|",
    "$ValidateNick @|",
    "$MyPass #|",
    "$Version 1,0091|",
    "$GetNickList|",
    "$MyINFO $ALL @ d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$m$#$|",
    "$MyINFO $ALL @ $$$$$$$|",
    "<@> words #|",
    "<@> !regnew @ #|",
    "<@> +passwd #|",
    "<@> is kicking @ because: _ban_#|",
    "$To: @ From: @ $<@> psst|",
    "$MCTo: @ $@ psst|",
    "$Search #.#.#.#:# F?T?0?1?word|",
    "$Search Hub:@ T?F?#?9?TTH:#|",
    "$SA # #.#.#.#:#|",
    "$SP # @|",
    "$SR @ a\\b\x05# #/#\x05TTH:# (x:#)\x05@|",
    "$ConnectToMe @ #.#.#.#:#NS @|",
    "$RevConnectToMe @ @|",
    "$GetINFO @ @|",
    "$UserIP @$$@$$|",
    "$Kick @|",
    "$Close @|",
    "$OpForceMove $Who:@$Where:#$Msg:#|",
    "$BotINFO #|",
    "$MyHubURL #|",
    "$ExtJSON @ {\"a\": #}|",
    "$GetTopic|",
    "$SetTopic #|",
    "$MyNick @|$Lock x Ref=#|",
    "$Quit|",
    "PROXY TCP4 #.#.#.# 127.0.0.1 # #\r\n",
    "\r\n\r\n\0\r\nQUIT\n",
    "GET / HTTP/1.1\r\n\r\n",
    "|",
    "||||||||",
    "$",
    "<",
    "\0",
    "$MyINFO $ALL ",
    "$SR \x05\x05|",
    "$To:  From:  $<> |",
];

/// What one connection sends.
fn hostile_bytes(random: &mut Random) -> Vec<u8> {
    let nicks = ["witness", "master", "vhpy", "OpChat", "nobody", "a", "x\u{200b}", ""];
    let mut bytes = Vec::new();
    // Half of them are on a proper way in, as far as they go.
    if random.below(2) == 0 {
        let own = format!("guest{}", random.below(50));
        let way = [
            "$Supports NoHello NoGetINFO|",
            "$Key x|",
            "$ValidateNick @|",
            "$MyINFO $ALL @ d<t V:1,M:A>$ $5\x01$$1$|",
        ];
        for piece in way.iter().take(1 + random.below(way.len())) {
            bytes.extend(piece.replace('@', &own).bytes());
        }
    }
    for _ in 0..random.below(12) {
        match random.below(12) {
            0 => bytes.extend((0..random.below(600)).map(|_| random.below(256) as u8)),
            1 => {
                let length = random.of(&[100, 1000, 9000, 30_000]);
                bytes.extend(std::iter::repeat_n(random.below(256) as u8, length));
            }
            _ => {
                for letter in random.of(PIECES).chars() {
                    match letter {
                        '@' if random.below(3) == 0 => {
                            bytes.extend(format!("guest{}", random.below(50)).bytes())
                        }
                        '@' => bytes.extend(random.of(&nicks).bytes()),
                        '#' => bytes.extend(
                            random.of(&["0", "1", "-1", "255", "99999999999999999999", "a b", ""]).bytes(),
                        ),
                        other => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
                    }
                }
            }
        }
    }
    bytes
}

/// A connection from a random address, or none when the kernel has no port for it now.
fn hostile_connection(to: SocketAddr, random: &mut Random) -> Option<TcpStream> {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let from = Ipv4Addr::new(127, 0, random.below(4) as u8, 2 + random.below(230) as u8).octets();
    bind(fd.as_raw_fd(), &SockaddrIn::new(from[0], from[1], from[2], from[3], 0)).ok()?;
    connect(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, to.port())).ok()?;
    Some(TcpStream::from(fd))
}

/// So many connections, one after the other; some stay for a while. Tells of every hundredth.
fn storm(to: SocketAddr, connections: usize, seed: u64, told: &Sender<()>) {
    let mut random = Random(seed);
    let mut staying: Vec<TcpStream> = Vec::new();
    let mut made = 0;
    let end = Instant::now() + LIMIT * 10;
    while made < connections {
        assert!(Instant::now() < end, "only {made} of {connections} connections could be made");
        let Some(mut stream) = hostile_connection(to, &mut random) else { continue };
        made += 1;
        if made.is_multiple_of(100) {
            told.send(()).unwrap();
        }
        // Whoever is closed in the middle of it, or does not read, may not send it all.
        stream.set_nonblocking(true).unwrap();
        let bytes = hostile_bytes(&mut random);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((1 + random.below(bytes.len())).min(rest.len()));
            match stream.write(piece) {
                Ok(_) => rest = later,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        match random.below(8) {
            0..=2 => staying.push(stream),
            3 => {
                let reset = libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&stream, sockopt::Linger, &reset).unwrap();
            }
            4 => {
                let _ = stream.read(&mut [0; 4096]);
            }
            5 => drop(stream.shutdown(std::net::Shutdown::Write)),
            _ => {}
        }
        if staying.len() > 40 {
            drop(staying.swap_remove(random.below(40)));
        }
    }
}

/// Random strangers, while two users talk to each other; what is left of it in the end.
fn hostile_connections(connections: usize) {
    const THREADS: usize = 4;
    let script = "
@vh.observer
def OnNewConn(ip): pass
@vh.observer
def OnParsedMsgAnyEx(ip, data): pass
@vh.observer
def OnParsedMsgAny(nick, data): pass
@vh.observer
def OnCloseConnEx(ip, reason, nick): pass
def OnUserLogin(nick): return 1
def OnUserLogout(nick): pass
";
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("{connections} connections, CHAOS_SEED={seed}");
    let mut hub = HubBuilder::new().script("script.py", script).set("wrongpassword_report", "0").start();
    let mut master = hub.master();
    let mut witness = hub.guest("witness");
    let status = |what: &str| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    };
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", hub.pid())).unwrap().count();
    let (before, memory) = (descriptors(), status("VmRSS:"));
    let address = hub.address;
    let began = Instant::now();
    let (told, hundreds) = channel();
    let threads: Vec<_> = (0..THREADS)
        .map(|at| {
            let seed = seed.wrapping_mul(THREADS as u64).wrapping_add(at as u64);
            let told = told.clone();
            std::thread::spawn(move || storm(address, connections / THREADS, seed, &told))
        })
        .collect();
    drop(told);
    let mut said = 0;
    while hundreds.recv().is_ok() {
        said += 1;
        master.chat(&format!("sentence {said}"));
        master.wait_for(&format!("<master> sentence {said}"));
        witness.wait_for(&format!("<master> sentence {said}"));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{connections} connections in {:?}, {said} sentences between them", began.elapsed());
    let end = Instant::now() + LIMIT;
    while descriptors() > before {
        assert!(Instant::now() < end, "{before} descriptors have become {}", descriptors());
        // It lets go of the last ones in turns of its own.
        master.so_far();
    }
    let now = status("VmRSS:");
    println!("memory {memory} kB, then {now} kB");
    assert!(now < memory + (64 << 10), "memory: {memory} kB have become {now} kB");
    let late = hub.guest("late");
    witness.wait_for("$MyINFO $ALL late ");
    drop(late);
    let data = {
        master.chat("!stop");
        hub.logs("master stops the hub");
        assert!(!hub.has_logged("panicked"));
        hub.ended()
    };
    assert_eq!(data.0, 0);
}

#[test]
fn random_strangers_break_nothing() {
    let count = std::env::var("CHAOS_STRANGERS").ok().and_then(|count| count.parse().ok());
    hostile_connections(count.unwrap_or(3000));
}

#[test]
#[ignore = "takes a minute: `make chaos`"]
fn random_strangers_in_full() {
    hostile_connections(200_000);
}
