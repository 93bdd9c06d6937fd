//! A hub of its own, as small as can be: users in a list, chat on standard input and output,
//! and scripts that greet, filter and answer commands as they do on a real hub.
//!
//! ```text
//! $ make && cargo run --release --example tiny_hub examples/scripts/filter.py
//! alice hello
//! <alice> hello
//! alice come to my casino
//! (to alice) <Tiny> Your message was not sent: 'casino' is not welcome here.
//! ```
//!
//! Each line is a nick and what it says; whoever speaks for the first time is logged in, and
//! `op` is an operator. A real hub has sockets where this has lines. What it shows is the whole
//! of the contract:
//!
//! 1. implement [`Host`]: what scripts may ask of you;
//! 2. call [`Supervisor::event`] when something happens, and heed the [`Verdict`];
//! 3. call [`Supervisor::serve`] when [`Supervisor::poll_fd`] is readable;
//! 4. call [`Supervisor::shutdown`] at the end.

use std::error::Error;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vhpy::supervisor::{Config, Identity, Replacement, Supervisor, Verdict};
use vhpy::{Call, Hook, Host, ScriptId, Value};

const BOT: &str = "Tiny";

/// The hub's state. Scripts never see it, only what [`Host::call`] answers.
struct TinyHub {
    /// Who is here, and since scripts may add robots, who of them is one.
    users: Vec<(String, Kind)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    User,
    Robot,
}

impl Host for TinyHub {
    /// Every function of `vh` arrives here. Those that this hub does not have answer `Nil`,
    /// which a script sees as `False` or `None`.
    fn call(&mut self, _: &Supervisor, _: ScriptId, call: Call, args: &[Value<'_>]) -> Value<'static> {
        // Text is bytes in the hub's encoding; this hub's is UTF-8.
        let text = |at: usize| args.get(at).and_then(Value::as_text).map(String::from_utf8_lossy);
        let from = |at: usize| text(at).unwrap_or(BOT.into());
        let Some(first) = text(0) else { return self.ask(call) };
        match call {
            Call::mc => println!("<{}> {first}", from(1)),
            Call::usermc => println!("(to {}) <{}> {first}", from(1), from(2)),
            Call::pm => println!("({} to {}) {first}", from(2), from(1)),
            Call::SendToOpChat => println!("(operators) <{}> {first}", from(1)),
            Call::GetUserClass => return self.class(&first).into(),
            Call::GetConfig if text(1).as_deref() == Some("hub_name") => return "the tiny hub".into(),
            Call::IsRobotNickBad => return i64::from(self.find(&first).is_some()).into(),
            Call::AddRobot if self.find(&first).is_none() => self.users.push((first.into(), Kind::Robot)),
            Call::DelRobot => self.users.retain(|user| *user != (first.to_string(), Kind::Robot)),
            _ => return Value::Nil,
        }
        true.into()
    }
}

impl TinyHub {
    /// The functions without arguments.
    fn ask(&self, call: Call) -> Value<'static> {
        match call {
            Call::GetNickList => self.users.iter().map(|(nick, _)| nick.clone()).collect(),
            Call::GetUsersCount => {
                (self.users.iter().filter(|(_, kind)| *kind == Kind::User).count() as i64).into()
            }
            _ => Value::Nil,
        }
    }

    fn find(&self, nick: &str) -> Option<&(String, Kind)> {
        self.users.iter().find(|(known, _)| known == nick)
    }

    /// As in all hubs of this kind: 0 guest, 3 operator; -2 is nobody.
    fn class(&self, nick: &str) -> i64 {
        match self.find(nick) {
            None => -2,
            Some((nick, kind)) => {
                if nick == "op" || *kind == Kind::Robot {
                    3
                } else {
                    0
                }
            }
        }
    }

    /// One line of input: a login if need be, then a command or a chat message.
    fn line(&mut self, scripts: &Supervisor, line: &str) {
        let Some((nick, message)) = line.split_once(' ') else { return };
        if self.find(nick).is_none() {
            self.users.push((nick.into(), Kind::User));
            scripts.event(self, Hook::OnUserLogin, &[nick.into()]);
        }
        if let Some(command) = message.strip_prefix('+') {
            let (class, in_pm) = (self.class(nick).into(), 0i64.into());
            let args = [nick.into(), command.into(), class, in_pm, "+".into()];
            if !scripts.event(self, Hook::OnHubCommand, &args).blocked {
                println!("(to {nick}) <{BOT}> There is no command +{command}");
            }
            return;
        }
        // All scripts are asked at the same time; the verdict is what they say together.
        let verdict = scripts.event(self, Hook::OnParsedMsgChat, &[nick.into(), message.into()]);
        match verdict {
            Verdict { blocked: true, .. } => {}
            Verdict { replacement: Some(Replacement::Chat { nick: other, message: new }), .. } => {
                let shown = |text: Option<Vec<u8>>, original: &str| {
                    text.map_or(original.to_string(), |text| String::from_utf8_lossy(&text).into_owned())
                };
                println!("<{}> {}", shown(other, nick), shown(new, message));
            }
            _ => println!("<{nick}> {message}"),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let identity = Identity { botname: BOT.into(), ..Identity::default() };
    let scripts = Supervisor::new(Config { identity, ..Config::default() })?;
    let mut hub = TinyHub { users: vec![(BOT.into(), Kind::Robot)] };

    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    for result in scripts.load_all(&mut hub, &paths) {
        match result {
            Ok(loaded) => eprintln!("{} is loaded", loaded.name),
            // The text says what is wrong and where; the hub goes on without the script.
            Err(error) => eprintln!("not loaded: {error}"),
        }
    }

    let stdin = std::io::stdin();
    let mut pending = Vec::new();
    loop {
        // SAFETY: the supervisor lives until the end of this function, and keeps this
        // descriptor open as long as nobody calls `after_fork`.
        let wake = unsafe { BorrowedFd::borrow_raw(scripts.poll_fd()) };
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN), PollFd::new(wake, PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE)?;
        let [input, woken] = fds.map(|fd| fd.any().unwrap_or(false));
        // Scripts' own threads have called, a script has died, or one is to be restarted.
        if woken {
            scripts.serve(&mut hub);
        }
        if input {
            // Everything that is there: `poll` knows nothing of what a buffer still holds.
            let mut stdin = stdin.lock();
            let bytes = stdin.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            pending.extend_from_slice(bytes);
            let count = bytes.len();
            stdin.consume(count);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                hub.line(&scripts, String::from_utf8_lossy(&line).trim_end());
            }
        }
    }
    // Scripts run their `UnLoad()`, and no process is left behind.
    scripts.shutdown(&mut hub);
    Ok(())
}
