//! Messages per second of the embedded hub, driven without sockets.

use std::time::Instant;

use crate::hub::{ConnId, Hub, Options};

use super::measure::{Rounds, in_turns};
use super::report::{Figure, Goal, Line, Unit};
use super::{Context, Error};

const USERS: usize = 100;
/// How many messages arrive together, as a busy client's do in one read.
const BATCH: usize = 64;

/// A filter, as hubs have them; it gets the chat only.
const FILTER: &str = "
BANNED = ('advertisement', 'buy now')
def OnParsedMsgChat(nick, message):
    lower = message.lower()
    return not any(word in lower for word in BANNED)
";

/// One chat message, which goes through the filter, and three searches, which do not; all of
/// them are for everybody.
const FOUR: &[u8] = b"<user0> a message of usual length, say of sixty bytes or so|\
    $Search 10.0.0.1:5000 F?T?0?1?some$song|\
    $Search 10.0.0.1:5000 F?T?0?1?another$song|\
    $Search 10.0.0.1:5000 F?T?0?1?a$film|";

/// Messages parsed, filtered by one script on every fourth, and queued to 100 users.
pub fn embedded(context: &Context) -> Result<Vec<Line>, Error> {
    let folder = context.scratch.0.join("embedded-hub");
    std::fs::create_dir_all(&folder).map_err(Error::system("a folder for the embedded hub"))?;
    let mut options = Options::new(folder);
    options.settings = ["int_flood_chat_period", "int_flood_search_period", "max_chat_msg"]
        .map(|name| (name.to_string(), b"0".to_vec()))
        .to_vec();
    let mut hub = Hub::open(options).map_err(|error| Error::Hub(error.to_string()))?;
    for loaded in hub.load_scripts(&context.scratch.scripts("embedded", FILTER, 1)?) {
        loaded?;
    }
    let users: Vec<ConnId> = (0..USERS).map(|at| login(&mut hub, at)).collect();
    let (Some(sender), Some(last)) = (users.first().copied(), users.last().copied()) else {
        return Ok(Vec::new());
    };
    let messages = if context.quick { 100_000 } else { 400_000 };
    let mut rounds = Rounds::default();
    for round in 0..=(if context.quick { 3 } else { 7 }) {
        let before = received(&mut hub, last);
        let start = Instant::now();
        for _ in 0..messages / BATCH {
            hub.begin_turn();
            for _ in 0..BATCH / 4 {
                hub.message(sender, FOUR);
            }
            hub.end_turn();
        }
        let took = start.elapsed().as_secs_f64();
        let expected = (messages / BATCH * BATCH / 4 * FOUR.len()) as u64;
        let got = received(&mut hub, last) - before;
        if got < expected {
            return Err(Error::Hub(format!("a user was sent {got} bytes instead of {expected}")));
        }
        // The first round warms up.
        if round > 0 {
            rounds.0.push((messages / BATCH * BATCH) as f64 / took);
        }
    }
    let work = "embedded hub: messages to 100 users, a filter on every fourth".to_string();
    let figure = Figure::new("embedded".to_string(), work, Unit::PerSecond, rounds);
    Ok(vec![figure.reach(Goal::value(500e3)).into()])
}

const LISTED: usize = 300;

/// Everybody, as one message and one by one.
const ALL_USERS: &str = "
import vh

def together():
    return len(vh.users('nick', 'class', 'ip', 'share', 'mail'))

def one_by_one():
    users = []
    for nick in vh.GetNickList():
        info = vh.GetMyINFO(nick)
        users.append((nick, vh.GetUserClass(nick), vh.GetUserIP(nick), info[5], info[4]))
    return len(users)
";

/// Five fields of 300 users for a script of the embedded hub.
pub fn users(context: &Context) -> Result<Vec<Line>, Error> {
    let folder = context.scratch.0.join("hub-with-users");
    std::fs::create_dir_all(&folder).map_err(Error::system("a folder for the embedded hub"))?;
    let mut hub = Hub::open(Options::new(folder)).map_err(|error| Error::Hub(error.to_string()))?;
    let mut script = None;
    for loaded in hub.load_scripts(&context.scratch.scripts("users", ALL_USERS, 1)?) {
        script = Some(loaded?.id);
    }
    for at in 0..LISTED {
        login(&mut hub, at);
    }
    let Some(script) = script else { return Ok(Vec::new()) };
    let supervisor = hub.supervisor();
    let hub = std::cell::RefCell::new(hub);
    let timed = |function: &'static str| {
        let (supervisor, hub) = (&supervisor, &hub);
        move |count: u64| {
            let start = Instant::now();
            for _ in 0..count {
                let hub = &mut *hub.borrow_mut();
                let listed = supervisor.call_with(hub, script, function, &[], |all| all.as_int())?;
                if listed.is_none_or(|listed| listed < LISTED as i64) {
                    return Err(Error::Hub(format!("{function} saw {listed:?} users")));
                }
            }
            Ok(start.elapsed())
        }
    };
    let mut rounds = in_turns(context.plan, &mut [&mut timed("together"), &mut timed("one_by_one")])?;
    let (one_by_one, together) = (rounds.pop().unwrap_or_default(), rounds.pop().unwrap_or_default());
    let work = format!("{LISTED} users with five fields by vh.users");
    let together = Figure::new("users.together", work, Unit::Nanoseconds, together);
    let work = format!("the same by {} calls", 3 * LISTED + 1);
    let one_by_one = Figure::new("users.one_by_one", work, Unit::Nanoseconds, one_by_one);
    Ok(vec![together.reach(Goal::value(400e3)).into(), one_by_one.into()])
}

fn received(hub: &mut Hub, id: ConnId) -> u64 {
    hub.sink(id).map_or(0, |(bytes, _)| bytes)
}

fn login(hub: &mut Hub, at: usize) -> ConnId {
    let part = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    let address = std::net::SocketAddr::from(([10, 0, part(at / 200), part(at % 200 + 1)], 5000));
    let id = hub.connect_sink(address, false);
    let login = format!(
        "$Supports NoHello NoGetINFO|$Key x|$ValidateNick user{at}|$MyINFO $ALL user{at} d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$$1$|"
    );
    hub.message(id, login.as_bytes());
    hub.end_turn();
    id
}
