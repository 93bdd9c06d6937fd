//! The thread that answers: a few connections, each for a few seconds, without waiting for any.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::http::{self, Page, Refusal, Request};
use super::text::{self, Format};
use super::{Shared, Snapshot, listen};

/// How many connections there are at once. When another comes, the oldest goes.
const MOST: usize = 16;
/// How long a connection may take for its request, and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long figures wait for a hub that is busy; then the last ones are given.
const FRESH_WITHIN: Duration = Duration::from_millis(500);
/// Within which time a healthy hub looks: longer than a hook may take.
const HEALTHY_WITHIN: Duration = Duration::from_secs(3);
/// How often a hub is woken for somebody who waits: one that waits for a script has been woken from
/// that, and does not look for what it was.
const WAKE_AGAIN: Duration = Duration::from_millis(50);
/// Figures are good for so long.
const NEW: Duration = Duration::from_millis(200);
/// How long no connection is taken when the system has no room for one.
const PAUSE: Duration = Duration::from_secs(1);
/// How often an address is tried that is not free, at first and at last.
const TRY_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// What a connection is at.
#[derive(Debug)]
enum State {
    Reading(Vec<u8>),
    /// Until the hub has looked, or the time is there.
    Waiting(Request, Instant),
    Writing {
        head: Vec<u8>,
        body: Arc<str>,
        written: usize,
    },
    /// The answer is written; what still comes is read, so that the answer is not lost.
    Draining,
    Done,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    state: State,
    until: Instant,
}

/// A snapshot, and its text in either format once somebody has asked for it.
#[derive(Debug)]
struct Known {
    snapshot: Arc<Snapshot>,
    since: Option<Instant>,
    open_metrics: Option<Arc<str>>,
    prometheus: Option<Arc<str>>,
}

impl Known {
    fn new(snapshot: Snapshot, since: Option<Instant>) -> Known {
        Known { snapshot: Arc::new(snapshot), since, open_metrics: None, prometheus: None }
    }

    fn text(&mut self, format: Format) -> Arc<str> {
        let place = match format {
            Format::OpenMetrics => &mut self.open_metrics,
            Format::Prometheus => &mut self.prometheus,
        };
        let snapshot = &self.snapshot;
        // Writing into a string does not fail.
        place.get_or_insert_with(|| text::write(snapshot, format).unwrap_or_default().into()).clone()
    }
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
    wanted: SocketAddr,
    listener: Option<TcpListener>,
    /// When the listener is looked at again, or made.
    listen_after: Option<Instant>,
    try_again: Duration,
    connections: VecDeque<Connection>,
    known: Known,
    /// Since when the hub has been asked for a snapshot that has not come.
    asked: Option<Instant>,
    /// When it is woken again, if somebody waits.
    wake_after: Instant,
}

impl Server {
    /// Without a listener, the address is another program's still.
    pub(super) fn new(shared: Arc<Shared>, wanted: SocketAddr, listener: Option<TcpListener>) -> Server {
        let listen_after = listener.is_none().then(Instant::now);
        let nothing = Snapshot { at: SystemTime::now(), scripts: Vec::new(), hub: None };
        Server {
            shared,
            wanted,
            listener,
            listen_after,
            try_again: TRY_AGAIN[0],
            connections: VecDeque::new(),
            known: Known::new(nothing, None),
            asked: None,
            wake_after: Instant::now(),
        }
    }

    /// Answers until the end.
    pub(super) fn run(mut self) {
        while !self.shared.has_ended.load(Ordering::Relaxed) {
            if self.listen_after.is_some_and(|after| after <= Instant::now()) {
                self.listen_again();
            }
            let Some(can_accept) = self.wait() else { return };
            self.take_news();
            if can_accept {
                self.accept();
            }
            for at in 0..self.connections.len() {
                self.advance(at);
            }
            self.wake_hub();
            let now = Instant::now();
            self.connections.retain(|one| !matches!(one.state, State::Done) && one.until > now);
        }
    }

    fn somebody_waits(&self) -> bool {
        self.connections.iter().any(|one| matches!(one.state, State::Waiting(..)))
    }

    /// Asks the hub for a snapshot that somebody waits for.
    fn wake_hub(&mut self) {
        let now = Instant::now();
        if self.wake_after <= now && self.somebody_waits() {
            self.shared.ask();
            self.wake_after = now + WAKE_AGAIN;
        }
    }

    fn listen_again(&mut self) {
        self.listen_after = None;
        if self.listener.is_some() {
            return;
        }
        match listen(self.wanted) {
            Ok(listener) => {
                log::info!("metrics can be read at {}", self.wanted);
                self.shared.listening.store(listener.as_raw_fd(), Ordering::Relaxed);
                self.listener = Some(listener);
            }
            Err(_) => {
                self.listen_after = Some(Instant::now() + self.try_again);
                self.try_again = (self.try_again * 2).min(TRY_AGAIN[1]);
            }
        }
    }

    /// Sleeps until there is something to do. Whether there may be connections to take; `None` when
    /// the system does not let it wait.
    fn wait(&self) -> Option<bool> {
        let listener = self.listener.as_ref().filter(|_| self.listen_after.is_none());
        let mut fds = vec![PollFd::new(self.shared.news.as_fd(), PollFlags::POLLIN)];
        fds.extend(listener.map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.connections.iter().filter_map(Connection::wants));
        let wake_after = self.somebody_waits().then_some(self.wake_after);
        let next =
            self.connections.iter().map(Connection::next).chain(self.listen_after).chain(wake_after).min();
        let timeout = next.map_or(PollTimeout::NONE, |next| {
            let left = next.saturating_duration_since(Instant::now());
            // Rounded up, so that the time is there when it ends.
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        match nix::poll::poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Some(listener.is_some()),
            Err(error) => {
                log::error!("nobody can read metrics any more: poll: {error}");
                None
            }
        }
    }

    /// What the hub has sent.
    fn take_news(&mut self) {
        // Only to make it unreadable.
        let _ = self.shared.news.read();
        while let Ok(snapshot) = self.shared.snapshots.try_recv() {
            self.known = Known::new(snapshot, Some(Instant::now()));
            self.asked = None;
        }
    }

    fn accept(&mut self) {
        for _ in 0..MOST {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_err() {
                        continue;
                    }
                    if self.connections.len() == MOST {
                        self.connections.pop_front();
                    }
                    let until = Instant::now() + PATIENCE;
                    let state = State::Reading(Vec::new());
                    self.connections.push_back(Connection { stream, state, until });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.listen_after = Some(Instant::now() + PAUSE);
                    return;
                }
            }
        }
    }

    /// Does what can be done for a connection without waiting.
    fn advance(&mut self, at: usize) {
        if let Some(connection) = self.connections.get_mut(at) {
            match connection.read() {
                Some(Ok(request)) => self.begin(at, request),
                Some(Err(refusal)) => connection.refuse(refusal),
                None => {}
            }
        }
        if let Some(State::Waiting(request, until)) = self.connections.get(at).map(|one| &one.state) {
            let (request, is_due) = (*request, *until <= Instant::now());
            if is_due || self.asked.is_none() {
                self.answer(at, request);
            }
        }
        if let Some(connection) = self.connections.get_mut(at) {
            connection.write();
        }
    }

    /// A request waits for the hub, if what is known is not new.
    fn begin(&mut self, at: usize, request: Request) {
        let now = Instant::now();
        let is_new = self.known.since.is_some_and(|since| now.duration_since(since) < NEW);
        if !is_new && self.asked.is_none() {
            self.asked = Some(now);
            self.wake_after = now;
        }
        let patience = match request.page {
            Page::Metrics(_) => FRESH_WITHIN,
            Page::Health => HEALTHY_WITHIN,
        };
        // For a hub that has not looked for long, nobody waits long.
        let until = self.asked.map_or(now, |asked| (asked + patience).max(now + FRESH_WITHIN));
        if let Some(connection) = self.connections.get_mut(at) {
            connection.state = State::Waiting(request, until);
        }
    }

    fn answer(&mut self, at: usize, request: Request) {
        let unseen = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        let plain = Format::Prometheus.content_type();
        let (status, name, content_type, body) = match request.page {
            Page::Metrics(format) => (200, "OK", format.content_type(), self.known.text(format)),
            Page::Health if unseen >= HEALTHY_WITHIN => {
                let body = format!("the hub has not looked for {} s\n", unseen.as_secs());
                (503, "Service Unavailable", plain, body.into())
            }
            Page::Health => (200, "OK", plain, "ok\n".into()),
        };
        if let Some(connection) = self.connections.get_mut(at) {
            let head = http::head(status, name, content_type, body.len());
            let body = if request.is_head { "".into() } else { body };
            connection.state = State::Writing { head, body, written: 0 };
        }
    }
}

impl Drop for Connection {
    /// A forked child of the hub may have the descriptor, too: closing it would not end the connection.
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Connection {
    /// What is waited for.
    fn wants(&self) -> Option<PollFd<'_>> {
        let on = |flags| Some(PollFd::new(self.fd(), flags));
        match self.state {
            State::Reading(_) | State::Draining => on(PollFlags::POLLIN),
            State::Writing { .. } => on(PollFlags::POLLOUT),
            State::Waiting(..) | State::Done => None,
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// When there is something to do, whatever happens.
    fn next(&self) -> Instant {
        match self.state {
            State::Waiting(_, until) => until.min(self.until),
            _ => self.until,
        }
    }

    /// What has come: a request that is whole now.
    fn read(&mut self) -> Option<Result<Request, Refusal>> {
        let mut buffer = [0; http::LONGEST];
        while matches!(self.state, State::Reading(_) | State::Draining) {
            match (self.stream.read(&mut buffer), &mut self.state) {
                (Ok(0), state) => *state = State::Done,
                (Ok(count), State::Reading(input)) => {
                    input.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if let Some(read) = http::read(input) {
                        return Some(read);
                    }
                }
                // One look at what nobody asked for, so that the others have theirs.
                (Ok(_), _) => return None,
                (Err(error), _) if error.kind() == ErrorKind::Interrupted => {}
                (Err(error), _) if error.kind() == ErrorKind::WouldBlock => return None,
                (Err(_), state) => *state = State::Done,
            }
        }
        None
    }

    fn refuse(&mut self, (status, name, why): Refusal) {
        let body: Arc<str> = format!("{why}\n").into();
        let head = http::head(status, name, Format::Prometheus.content_type(), body.len());
        self.state = State::Writing { head, body, written: 0 };
    }

    fn write(&mut self) {
        while let State::Writing { head, body, written } = &mut self.state {
            let rest = match head.get(*written..).filter(|rest| !rest.is_empty()) {
                Some(rest) => rest,
                None => body.as_bytes().get(*written - head.len()..).unwrap_or_default(),
            };
            if rest.is_empty() {
                let ended = self.stream.shutdown(Shutdown::Write);
                self.state = if ended.is_ok() { State::Draining } else { State::Done };
                return;
            }
            match self.stream.write(rest) {
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.state = State::Done,
            }
        }
    }
}
