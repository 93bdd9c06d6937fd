//! A hub whose users a program plays, without sockets: what they do is done at once, and what each
//! of them sees can be read; who says what to whom, and how it is shown, is left to others.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use plugin_abi::{Hook, Value};

use super::background::hash_password;
use super::{ConnId, Hub, HubError, Options};
use crate::supervisor::{CallError, LoadError, Loaded};

/// How long the hub may think about a password.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a user's client calls itself.
const TAG: &str = "<try V:1.0,M:A,H:1/0/0,S:5>";

/// A user that is played.
struct Player {
    nick: String,
    connection: ConnId,
    /// What was sent to them and is not a whole message yet.
    rest: Vec<u8>,
}

/// Something that a user sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A line of the main chat, as clients show it.
    Chat(String),
    /// A private message: the nick that it came from, and the line.
    Private(String, String),
    /// Another came or went: `+nick`, `-nick`.
    List(String),
    /// The hub closed the connection.
    Closed,
}

/// Why a user is not there.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The nick is taken.
    #[error("{0} is here already")]
    Here(String),
    /// The hub or a script did not want them.
    #[error("{0} was turned away{1}")]
    TurnedAway(String, String),
    /// No account could be made.
    #[error("{0} cannot be registered: {1}")]
    Account(String, String),
}

/// The hub and its players.
pub struct Stage {
    hub: Hub,
    players: Vec<Player>,
    /// Written to by other threads of the hub.
    woken: Arc<EventFd>,
    addresses: u16,
}

impl Stage {
    /// A hub with these options in which nobody is, and where time stands still: see
    /// [`Stage::tick`].
    ///
    /// # Errors
    /// See [`HubError`]; also when the kernel has no descriptor left.
    pub fn open(mut options: Options) -> Result<Stage, HubError> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let woken = EventFd::from_flags(flags).map_err(|error| HubError::Scripts(error.into()))?;
        let woken = Arc::new(woken);
        let wake = Arc::clone(&woken);
        options.wake = Arc::new(move || {
            // It fails only when it is set already.
            let _ = wake.write(1);
        });
        let mut hub = Hub::open(options)?;
        hub.is_tested = true;
        Ok(Stage { hub, players: Vec::new(), woken, addresses: 0 })
    }

    /// The hub.
    pub fn hub(&mut self) -> &mut Hub {
        &mut self.hub
    }

    /// Loads a script.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&mut self, path: &Path) -> Result<Loaded, LoadError> {
        let scripts = self.hub.supervisor();
        scripts.load(&mut self.hub, path)
    }

    /// Who is there, in the order in which they came.
    pub fn nicks(&self) -> Vec<&str> {
        self.players.iter().map(|player| player.nick.as_str()).collect()
    }

    /// Lets a user log in; from class 1 on they are registered first.
    ///
    /// # Errors
    /// When they are turned away.
    pub fn join(&mut self, nick: &str, class: i64) -> Result<(), JoinError> {
        if self.player(nick).is_some() {
            return Err(JoinError::Here(nick.into()));
        }
        if class > 0 {
            self.register(nick, class).map_err(|why| JoinError::Account(nick.into(), why))?;
        }
        self.addresses += 1;
        let [high, low] = self.addresses.to_be_bytes();
        let connection = self.hub.connect_sink(SocketAddr::from(([10, 0, high, low], 5000)), true);
        self.players.push(Player { nick: nick.into(), connection, rest: Vec::new() });
        let bytes = self.hub.charset.encode(nick);
        let show = |text: &str| [text.as_bytes()].concat();
        let mut login = show("$Supports NoHello NoGetINFO|$Key x|$ValidateNick ");
        login.extend_from_slice(&bytes);
        login.push(b'|');
        if class > 0 {
            login.extend_from_slice(b"$MyPass secret|");
        }
        login.extend_from_slice(b"$Version 1,0091|$GetNickList|$MyINFO $ALL ");
        login.extend_from_slice(&bytes);
        login.extend_from_slice(format!(" {TAG}$ $100\x01$$0$|").as_bytes());
        self.send(nick, &login);
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.hub.online(&bytes).is_none() {
            if self
                .player(nick)
                .is_none_or(|player| self.hub.connections.get(player.connection).is_none_or(|c| !c.is_open()))
            {
                let said: Vec<String> = self.seen_by(nick).into_iter().filter_map(spoken).collect();
                self.players.retain(|player| player.nick != nick);
                let said = if said.is_empty() { String::new() } else { format!(": {}", said.join(" ")) };
                return Err(JoinError::TurnedAway(nick.into(), said));
            }
            if std::time::Instant::now() > deadline {
                return Err(JoinError::TurnedAway(nick.into(), ": the hub took too long".into()));
            }
            self.wait(None, Some(Duration::from_secs(1)));
            self.turn();
        }
        Ok(())
    }

    fn register(&self, nick: &str, class: i64) -> Result<(), String> {
        let nick = self.hub.charset.encode(nick);
        let hash = hash_password(b"secret").ok_or("the password cannot be hashed")?;
        let database = &self.hub.database;
        let added = database.add_account(&nick, class, &hash, false, b"", self.hub.clock.seconds);
        let changed = match added {
            Ok(false) => database
                .set_account_class(&nick, class)
                .and_then(|_| database.set_account_password(&nick, &hash)),
            added => added,
        };
        changed.map(|_| ()).map_err(|error| error.to_string())
    }

    fn player(&self, nick: &str) -> Option<&Player> {
        self.players.iter().find(|player| player.nick.eq_ignore_ascii_case(nick))
    }

    /// What a user's client sends, in the hub's encoding. False when there is no such user.
    fn send(&mut self, nick: &str, bytes: &[u8]) -> bool {
        let Some(connection) = self.player(nick).map(|player| player.connection) else { return false };
        self.hub.begin_turn();
        self.hub.message(connection, bytes);
        self.hub.end_turn();
        self.settle();
        true
    }

    /// A user writes in the main chat. False when there is no such user.
    pub fn say(&mut self, nick: &str, text: &str) -> bool {
        let line = format!("<{nick}> {}|", escaped(text));
        let bytes = self.hub.charset.encode(&line);
        self.send(nick, &bytes)
    }

    /// A user writes to another, or to a bot. False when there is no such user.
    pub fn whisper(&mut self, nick: &str, to: &str, text: &str) -> bool {
        let line = format!("$To: {to} From: {nick} $<{nick}> {}|", escaped(text));
        let bytes = self.hub.charset.encode(&line);
        self.send(nick, &bytes)
    }

    /// A user searches. False when there is no such user.
    pub fn search(&mut self, nick: &str, what: &str) -> bool {
        let line = format!("$Search Hub:{nick} F?T?0?1?{}|", escaped(what).replace(' ', "$"));
        let bytes = self.hub.charset.encode(&line);
        self.send(nick, &bytes)
    }

    /// A user leaves. False when there is no such user.
    pub fn quit(&mut self, nick: &str) -> bool {
        let is_here = self.send(nick, b"$Quit|");
        self.players.retain(|player| !player.nick.eq_ignore_ascii_case(nick));
        is_here
    }

    /// Puts the clock forward by a second and lets `OnTimer` come.
    pub fn tick(&mut self) {
        self.hub.put_clock_forward(Duration::from_secs(1));
        self.hub.tick();
        self.settle();
    }

    /// Calls a function of a script.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(
        &mut self,
        script: &str,
        function: &str,
        args: &[Value<'_>],
    ) -> Result<Value<'static>, CallError> {
        let scripts = self.hub.supervisor();
        let id = scripts.find(script).unwrap_or(crate::supervisor::ScriptId(-1));
        let result = scripts.call(&mut self.hub, id, function, args);
        self.settle();
        result
    }

    /// The hooks that a script defines.
    pub fn hooks(&self, script: &str) -> Vec<Hook> {
        let scripts = &self.hub.scripts;
        let Some(id) = scripts.find(script) else { return Vec::new() };
        let hooks = plugin_abi::HOOKS.iter().map(|spec| spec.hook);
        hooks.filter(|hook| scripts.has_hook(id, *hook)).collect()
    }

    /// Returns when all scripts have dealt with what they were told, observers too, and what they
    /// printed has been logged.
    pub fn settle(&mut self) {
        // Twice: what one script does may be an event for another.
        for _ in 0..2 {
            let scripts = self.hub.supervisor();
            for status in scripts.scripts() {
                // The function without a name does nothing; who cannot do that is not waited for.
                let _ = scripts.call(&mut self.hub, status.id, "", &[]);
            }
            self.turn();
            // Whoever has given a command about scripts wants to see what it comes to.
            while !self.hub.askers.is_empty() {
                self.wait(None, None);
                self.turn();
            }
        }
        self.hub.supervisor().catch_up_with_output();
    }

    /// Does what is to be done now.
    pub fn turn(&mut self) {
        // It fails only when nobody has written.
        let _ = self.woken.read();
        self.hub.begin_turn();
        let scripts = self.hub.supervisor();
        scripts.serve(&mut self.hub);
        self.hub.end_turn();
    }

    /// Waits until the hub has something to do, or `other` is readable. Gives whether it is that.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> bool {
        // SAFETY: the supervisor, which is borrowed with the hub, keeps the descriptor open.
        let scripts = unsafe { BorrowedFd::borrow_raw(self.hub.scripts.poll_fd()) };
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![readable(scripts), readable(self.woken.as_fd())];
        fds.extend(other.map(readable));
        let limit = limit.and_then(|limit| PollTimeout::try_from(limit).ok()).unwrap_or(PollTimeout::NONE);
        // An interruption is as if something had happened.
        let _ = poll(&mut fds, limit);
        fds.get(2).is_some_and(|fd| fd.any().unwrap_or(false))
    }

    /// What a user has seen since the last time.
    pub fn seen_by(&mut self, nick: &str) -> Vec<Sight> {
        let Some(at) = self.players.iter().position(|player| player.nick.eq_ignore_ascii_case(nick)) else {
            return Vec::new();
        };
        let connection = self.players[at].connection;
        let new = self.hub.sink(connection).map(|(_, bytes)| bytes).unwrap_or_default();
        let is_open = self.hub.connections.get(connection).is_some_and(|connection| connection.is_open());
        let player = &mut self.players[at];
        player.rest.extend_from_slice(&new);
        let mut sights = Vec::new();
        while let Some(end) = player.rest.iter().position(|byte| *byte == b'|') {
            let message: Vec<u8> = player.rest.drain(..=end).collect();
            let message = message.strip_suffix(b"|").unwrap_or_default();
            sights.extend(sight(&self.hub.charset.decode(message)));
        }
        if !is_open {
            sights.push(Sight::Closed);
            self.players.remove(at);
        }
        sights
    }

    /// Ends the scripts in order.
    pub fn close(mut self) {
        self.hub.shut_down();
        self.hub.supervisor().catch_up_with_output();
    }
}

fn spoken(sight: Sight) -> Option<String> {
    match sight {
        Sight::Chat(line) => Some(line),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "&#124;")
}

fn unescaped(text: &str) -> String {
    text.replace("&#36;", "$").replace("&#124;", "|").replace("&amp;", "&")
}

/// What a message of the protocol is to the eye.
fn sight(message: &str) -> Option<Sight> {
    if let Some(private) = message.strip_prefix("$To: ") {
        let (_, rest) = private.split_once(" From: ")?;
        let (from, line) = rest.split_once(" $")?;
        return Some(Sight::Private(from.into(), unescaped(line)));
    }
    if let Some(nick) = message.strip_prefix("$Quit ") {
        return Some(Sight::List(format!("-{nick}")));
    }
    let is_talk = !message.is_empty() && !message.starts_with('$');
    is_talk.then(|| Sight::Chat(unescaped(message)))
}
