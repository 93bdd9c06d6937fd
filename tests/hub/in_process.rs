//! A hub without sockets: driven by hand, as benchmarks do it.
#![cfg(feature = "cli")]

use std::time::Instant;

use vhpy::hub::{ConnId, Hub, Options};

fn hub(data: &std::path::Path) -> Hub {
    let mut options = Options::new(data);
    options.settings = [("int_flood_chat_period", "0"), ("max_chat_msg", "0")]
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .to_vec();
    Hub::open(options).unwrap()
}

fn login(hub: &mut Hub, at: usize, keep: bool) -> ConnId {
    let id = hub.connect_sink(format!("10.0.{}.{}:5000", at / 250, at % 250 + 1).parse().unwrap(), keep);
    let login = format!(
        "$Supports NoHello NoGetINFO|$Key x|$ValidateNick user{at}|$MyINFO $ALL user{at} d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$$1$|"
    );
    hub.message(id, login.as_bytes());
    hub.end_turn();
    id
}

#[test]
fn messages_in_pieces_reach_all_in_order() {
    let data = tempfile::tempdir().unwrap();
    let mut hub = hub(data.path());
    let users: Vec<ConnId> = (0..3).map(|at| login(&mut hub, at, true)).collect();
    users.iter().for_each(|id| drop(hub.sink(*id)));
    for piece in [&b"<user0> o"[..], b"ne|<us", b"er0> two|", b"<user0> three|<user0>"] {
        hub.message(users[0], piece);
    }
    hub.message(users[1], b"$To: user2 From: user1 $<user1> private|");
    hub.message(users[0], b" four|");
    hub.begin_turn();
    hub.end_turn();
    let public = "<user0> one|<user0> two|<user0> three|";
    let heard = |hub: &mut Hub, at: usize| String::from_utf8(hub.sink(users[at]).unwrap().1).unwrap();
    assert_eq!(heard(&mut hub, 1), format!("{public}<user0> four|"));
    assert_eq!(heard(&mut hub, 2), format!("{public}$To: user2 From: user1 $<user1> private|<user0> four|"));
}

/// Prints how many chat messages per second are parsed and queued to a hundred users:
/// `cargo test --release --test hub in_process -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    const MESSAGES: usize = 2_000_000;
    let data = tempfile::tempdir().unwrap();
    let mut hub = hub(data.path());
    let users: Vec<ConnId> = (0..100).map(|at| login(&mut hub, at, false)).collect();
    let message = b"<user0> a message of usual length, say of sixty bytes or so|";
    let before = hub.sink(users[99]).unwrap().0;
    let start = Instant::now();
    for at in 0..MESSAGES {
        hub.message(users[0], message);
        if at % 64 == 63 {
            hub.begin_turn();
            hub.end_turn();
        }
    }
    hub.end_turn();
    let took = start.elapsed().as_secs_f64();
    assert_eq!(hub.sink(users[99]).unwrap().0 - before, (MESSAGES * message.len()) as u64);
    println!("{:.0} messages/s to 100 users", MESSAGES as f64 / took);
}
