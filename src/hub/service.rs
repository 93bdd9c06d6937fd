//! What a service manager is told about the hub, by systemd's protocol of `Type=notify`: that it is
//! ready, how many users and scripts there are, that its loop goes round, that it ends.
//!
//! The messages are datagrams of lines `NAME=VALUE`, as sd_notify(3) describes them.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// Numbers that change all the time are told no more often than this.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// A service manager that waits for messages.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    /// How often it wants to hear from the hub.
    beat: Option<Duration>,
    next_beat: Option<Instant>,
    /// The numbers that it knows, and since when.
    told: Option<(Numbers, Instant)>,
    /// When newer ones are told.
    due: Option<Instant>,
}

/// What its status line is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) users: usize,
    pub(super) scripts: usize,
}

impl std::fmt::Display for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let some = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        write!(f, "{}, {}", some(self.users, "user"), some(self.scripts, "script"))
    }
}

impl ServiceManager {
    /// One that listens at `socket`, a path or, with `@` in front, an abstract name, as
    /// `NOTIFY_SOCKET` has it; and that takes the hub for dead when it hears nothing for `watchdog`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn at(socket: &OsStr, watchdog: Option<Duration>) -> io::Result<ServiceManager> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
        };
        let messages = UnixDatagram::unbound()?;
        messages.connect_addr(&address)?;
        // The hub does not wait for its service manager.
        messages.set_nonblocking(true)?;
        // Half the time, as sd_watchdog_enabled(3) recommends.
        let beat = watchdog.map(|limit| limit / 2);
        Ok(ServiceManager { socket: messages, beat, next_beat: None, told: None, due: None })
    }

    fn say(&self, message: &str) -> bool {
        self.socket.send(message.as_bytes()).is_ok()
    }

    /// The hub serves users from now on.
    pub(super) fn ready(&mut self, numbers: Numbers) {
        let now = Instant::now();
        self.say(&format!("READY=1\nSTATUS={numbers}"));
        self.told = Some((numbers, now));
        self.next_beat = self.beat.map(|beat| now + beat);
    }

    /// The loop has gone round.
    pub(super) fn turn(&mut self, numbers: Numbers) {
        let is_news = self.told.is_none_or(|(told, _)| told != numbers);
        if self.next_beat.is_none() && !is_news {
            self.due = None;
            return;
        }
        let now = Instant::now();
        if let (Some(beat), Some(next)) = (self.beat, self.next_beat)
            && next <= now
        {
            self.say("WATCHDOG=1");
            self.next_beat = Some(now + beat);
        }
        self.due = match self.told {
            _ if !is_news => None,
            Some((_, since)) if now < since + STATUS_PAUSE => Some(since + STATUS_PAUSE),
            _ => {
                self.say(&format!("STATUS={numbers}"));
                self.told = Some((numbers, now));
                None
            }
        };
    }

    /// When it has to be told something although nothing happens.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        [self.next_beat, self.due].into_iter().flatten().min()
    }

    /// The hub ends.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1");
    }
}
