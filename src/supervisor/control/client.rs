//! One client of the control socket: its requests are read line by line, and each is answered before
//! the next is read. What is longer than a request may be, or not read, ends the connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use plugin_abi::Value;

use super::act::{ACTS, ActSpec};
use super::look::LOOKS;
use super::request::{field, text};
use super::terminal::relay;
use super::{Act, Answer, Refused, Shared, VERSION, lock};
use crate::json;
use crate::supervisor::figures::map;

/// The longest request in bytes, with the end of its line.
pub(super) const LONGEST: usize = 1 << 20;
/// How long a client may take to read an answer.
const SLOW: Duration = Duration::from_secs(10);
/// How long the hub may take until it looks at a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the hub is woken until it looks.
const RING: Duration = Duration::from_millis(100);

/// Answers requests until the client goes, or the connection is shut down.
pub(super) fn serve(stream: &UnixStream, shared: &Shared) {
    let hello = map([("vhpy", env!("CARGO_PKG_VERSION").into()), ("control", Value::Int(VERSION))]);
    if send(stream, &hello).is_err() {
        return;
    }
    let user = getsockopt(stream, PeerCredentials).map_or(u32::MAX, |peer| peer.uid());
    let mut reader = BufReader::new(stream);
    loop {
        let request = match next_line(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) => return refuse(stream, &Refused::TooLong),
            Err(_) => return,
        };
        let (id, mut answer) = answer(&request, user, shared);
        let terminal = answer.as_mut().ok().and_then(|done| done.terminal.take());
        if shared.has_ended() || say(stream, id, answer).is_err() {
            return;
        }
        if let Some(terminal) = terminal {
            return relay(stream, &mut reader, terminal, shared);
        }
    }
}

/// The next line without its end; `None` when it is too long. An error when there is none.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() + 1 == LONGEST => Ok(None),
        // Half a line is no request.
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Says why the connection ends.
pub(super) fn refuse(stream: &UnixStream, why: &Refused) {
    // It ends in any case.
    let _ = send(stream, &map([("id", Value::Nil), ("error", why.to_string().into())]));
}

fn say(stream: &UnixStream, id: Value<'static>, answer: Answer) -> io::Result<()> {
    let line = match answer {
        Ok(done) => map([("id", id), ("answer", done.answer), ("text", done.text.into())]),
        Err(refused) => map([("id", id), ("error", refused.to_string().into())]),
    };
    send(stream, &line)
}

/// Sends a line, to a client that takes all of it in time.
fn send(mut stream: &UnixStream, line: &Value<'_>) -> io::Result<()> {
    let mut text = Vec::new();
    json::write(&mut text, line);
    text.push(b'\n');
    let deadline = Instant::now() + SLOW;
    let mut left = text.as_slice();
    while !left.is_empty() {
        // Zero would be no limit.
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(time))?;
        match stream.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => left = &left[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn answer(line: &[u8], user: u32, shared: &Shared) -> (Value<'static>, Answer) {
    let request = match json::read(line, None) {
        Ok(request) => request,
        Err(error) => return (Value::Nil, Err(Refused::NotJson(error.to_string()))),
    };
    let id = field(&request, "id").map_or(Value::Nil, |id| id.clone().into_owned());
    let Some(name) = text(&request, "do") else { return (id, Err(Refused::NoRequest)) };
    let answer = if let Some(look) = LOOKS.iter().find(|look| look.name == name) {
        (look.run)(shared, &request)
    } else if let Some(what) = ACTS.iter().find(|act| act.name == name) {
        ask_hub(shared, what, user, request)
    } else {
        Err(Refused::UnknownRequest { name })
    };
    (id, answer)
}

/// Hands a request over and waits until the hub has acted on it, and what it began for it is done.
fn ask_hub(shared: &Shared, what: &'static ActSpec, user: u32, request: Value<'static>) -> Answer {
    let (reply, replied) = crossbeam_channel::bounded(1);
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    {
        let mut queue = lock(&shared.queue);
        if queue.is_closed {
            return Err(Refused::Ended);
        }
        queue.acts.push_back(Act { number, what, request, user, reply });
    }
    let start = Instant::now();
    loop {
        shared.wake_hub();
        match replied.recv_timeout(RING) {
            Ok(answer) => return answer,
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return Err(Refused::Ended),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
        }
        if shared.has_ended() {
            return Err(Refused::Ended);
        }
        if start.elapsed() < PATIENCE {
            continue;
        }
        let mut queue = lock(&shared.queue);
        // What the hub has begun it will end.
        if let Some(at) = queue.acts.iter().position(|act| act.number == number) {
            queue.acts.remove(at);
            return Err(Refused::Unseen(shared.unseen()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8]) -> Result<Option<Vec<u8>>, io::ErrorKind> {
        next_line(&mut BufReader::new(text)).map_err(|error| error.kind())
    }

    proptest::proptest! {
        /// Whatever a client sends, it is answered, with the number that it gave.
        #[test]
        fn any_line_is_answered(
            line in r#"\PC{0,60}|\{"id": ?[0-9]{1,3}, ?"do": ?("[a-z]{0,6}"|[0-9\[{]{0,3})(, ?"(script|args|since|path)": ?("\PC{0,5}"|[0-9]{1,20}|\[[0-9,\[\]]{0,5}\]|\{"0": ?-?[0-9]{1,20}\})){0,3}\}"#,
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
            name in proptest::sample::select(crate::supervisor::control::names()),
        ) {
            let shared = ended();
            let (_, answer) = super::answer(&bytes, 0, &shared);
            proptest::prop_assert!(answer.is_err());
            let (id, answer) = super::answer(line.as_bytes(), 0, &shared);
            if let Ok(read) = json::read(line.as_bytes(), None) {
                proptest::prop_assert_eq!(id, field(&read, "id").cloned().unwrap_or(Value::Nil).into_owned());
            } else {
                proptest::prop_assert!(answer.is_err());
            }
            let line = format!("{{\"id\": 7, \"do\": \"{name}\"}}");
            let (id, answer) = super::answer(line.as_bytes(), 0, &shared);
            proptest::prop_assert_eq!(id, Value::Int(7));
            if let Err(refused) = answer {
                proptest::prop_assert!(!refused.to_string().is_empty());
            }
        }
    }

    /// Of a hub that has ended, so that nothing is waited for.
    fn ended() -> Shared {
        let shared = Shared::new(nix::unistd::pipe().unwrap().1);
        shared.end();
        shared
    }

    #[test]
    fn a_line_is_whole_or_too_long_or_none() {
        assert_eq!(line(b"one\ntwo\n"), Ok(Some(b"one".to_vec())));
        assert_eq!(line(b"\n"), Ok(Some(Vec::new())));
        assert_eq!(line(b""), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(line(b"half"), Err(io::ErrorKind::UnexpectedEof));
        let longest = [vec![b' '; LONGEST - 1], b"\n".to_vec()].concat();
        assert_eq!(line(&longest).unwrap().unwrap().len(), LONGEST - 1);
        assert_eq!(line(&vec![b' '; LONGEST]), Ok(None));
        assert_eq!(line(&vec![b' '; LONGEST + 1]), Ok(None));
    }
}
