//! A hub as a process of its own, and a small NMDC client: blocking, with generous limits; when
//! something does not come it says what it waited for, and all that came.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

use super::{LIMIT, write_script};

/// A hub that is yet to be started.
pub struct HubBuilder {
    data: tempfile::TempDir,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    scripts: usize,
    open_files: Option<(u32, u32)>,
}

/// A hub that runs until this value is dropped.
pub struct TestHub {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// The password of the account `master`.
    pub password: String,
    /// What it printed at its start.
    pub greeting: String,
    log: Receiver<String>,
    seen: Vec<String>,
    passed: usize,
    /// Its data folder.
    pub data: Option<tempfile::TempDir>,
}

impl HubBuilder {
    /// A hub with a new data folder, no limit on how fast users may write, and no deadline that
    /// a machine which has too much to do could miss.
    pub fn new() -> HubBuilder {
        HubBuilder::in_folder(tempfile::tempdir().unwrap())
    }

    /// A hub with the data folder of another that has ended.
    pub fn in_folder(data: tempfile::TempDir) -> HubBuilder {
        let scripts = std::fs::read_dir(data.path().join("scripts")).map_or(0, Iterator::count);
        HubBuilder { data, args: Vec::new(), environment: Vec::new(), scripts, open_files: None }
            .set("int_flood_chat_period", "0")
            .set("int_flood_to_period", "0")
            .set("int_flood_other_period", "0")
            .set("int_flood_search_period", "0")
            .set("hook_timeout", "60")
            .set("load_timeout", "60")
    }

    /// A script that is loaded at the start; the indentation of its first line is taken away.
    pub fn script(mut self, name: &str, source: &str) -> HubBuilder {
        let folder = self.data.path().join("scripts");
        std::fs::create_dir_all(&folder).unwrap();
        write_script(&folder, name, source);
        self.scripts += 1;
        self
    }

    /// How many scripts there will be, where the folder does not tell yet.
    pub fn scripts(mut self, count: usize) -> HubBuilder {
        self.scripts = count;
        self
    }

    /// A script that is named on the command line.
    pub fn more(mut self, path: &std::path::Path) -> HubBuilder {
        self.scripts += 1;
        self.arg(path.to_str().unwrap())
    }

    /// A configuration variable.
    pub fn set(self, name: &str, value: &str) -> HubBuilder {
        self.arg("--set").arg(&format!("{name}={value}"))
    }

    /// Another argument of the command line.
    pub fn arg(mut self, arg: &str) -> HubBuilder {
        self.args.push(arg.into());
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> HubBuilder {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The data folder.
    pub fn folder(&self) -> PathBuf {
        self.data.path().into()
    }

    /// How many files the hub may have open: as it is started, and as much as it can have.
    pub fn open_files(mut self, soft: u32, hard: u32) -> HubBuilder {
        self.open_files = Some((soft, hard));
        self
    }

    /// The command that starts the hub.
    pub fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_vhpy");
        let mut command = match self.open_files {
            None => Command::new(program),
            Some((soft, hard)) => {
                let mut shell = Command::new("sh");
                let set = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
                shell.args(["-c", &set, program]);
                shell
            }
        };
        command.args(["hub", "--listen", "127.0.0.1:0", "--data"]).arg(self.data.path()).args(&self.args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Without the terminal that the tests may run in, SIGHUP is an operator's word.
        // SAFETY: one system call between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                Ok(())
            });
        }
        command
    }

    /// Starts the hub; all its scripts must load.
    pub fn start(self) -> TestHub {
        let mut command = self.command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                eprintln!("hub: {line}");
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // From here on it is ended with this value, also by an assertion that fails.
        let mut hub = TestHub {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            password: String::new(),
            greeting: String::new(),
            log,
            seen: Vec::new(),
            passed: 0,
            data: None,
        };
        let mut greeting = String::new();
        stdout.read_line(&mut greeting).unwrap();
        let address = greeting.split("listens on ").nth(1).and_then(|rest| rest.split(',').next());
        let address = address.unwrap_or_else(|| panic!("no address in {greeting:?}")).parse().unwrap();
        let fresh = !self.data.path().join("tested").exists();
        std::fs::write(self.data.path().join("tested"), "").unwrap();
        let wanted = match self.scripts {
            0 => "no scripts".to_string(),
            1 => "1 script.".to_string(),
            count => format!("{count} scripts."),
        };
        let mut password = String::new();
        let loaded = greeting.contains(&wanted);
        while fresh && password.is_empty() {
            let mut line = String::new();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "no password in {greeting}");
            if let Some(found) = line.split("password ").nth(1) {
                password = found.trim().into();
            }
            greeting += &line;
        }
        assert!(loaded, "wanted {wanted} in: {greeting}");
        // Whatever it still prints must not stop it.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        (hub.address, hub.password, hub.greeting) = (address, password, greeting);
        hub.data = Some(self.data);
        hub
    }
}

impl TestHub {
    /// A hub with one script.
    pub fn with_script(source: &str) -> TestHub {
        HubBuilder::new().script("script.py", source).start()
    }

    /// Waits for a line of its log after the last one that was waited for in this way.
    pub fn logs_next(&mut self, what: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let new = self.seen.iter().skip(self.passed).position(|line| line.contains(what));
            if let Some(at) = new {
                self.passed += at + 1;
                return self.seen[self.passed - 1].clone();
            }
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(_) => {
                    let passed = self.seen.iter().skip(self.passed).cloned().collect::<Vec<_>>().join("\n");
                    panic!("waited for {what:?} next in the log; there was\n{passed}")
                }
            }
        }
    }

    /// Whether a line is in its log as far as it was waited for.
    pub fn has_logged(&self, what: &str) -> bool {
        self.seen.iter().any(|line| line.contains(what))
    }

    /// In how many lines of its log that is, as far as it was waited for.
    pub fn count_logged(&self, what: &str) -> usize {
        self.seen.iter().filter(|line| line.contains(what)).count()
    }

    /// Its process.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id() as i32)
    }

    /// The most memory that its process has had, in MiB.
    pub fn most_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    }

    /// Waits for a line of its log.
    pub fn logs(&mut self, what: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(line) = self.seen.iter().find(|line| line.contains(what)) {
                return line.clone();
            }
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("waited for {what:?} in the log; there was\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Waits until it has ended, and gives its exit code and its data folder.
    pub fn ended(mut self) -> (i32, tempfile::TempDir) {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code().unwrap_or(-1), self.data.take().unwrap());
            }
            assert!(Instant::now() < end, "waited for the hub to end");
            std::thread::yield_now();
        }
    }

    /// Ends it in order.
    pub fn stop(self) -> tempfile::TempDir {
        nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        let (code, data) = self.ended();
        assert_eq!(code, 0);
        data
    }

    /// Kills it.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.data.take().unwrap()
    }

    /// A guest who is logged in.
    pub fn guest(&self, nick: &str) -> Client {
        Client::connect(self, 1).login(nick, None)
    }

    /// The master, logged in.
    pub fn master(&self) -> Client {
        Client::connect(self, 250).login("master", Some(&self.password))
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client.
pub struct Client {
    stream: TcpStream,
    /// Its nick, once it has one.
    pub nick: String,
    input: Vec<u8>,
    waiting: Vec<Vec<u8>>,
    transcript: Vec<String>,
    fences: u32,
    /// What it tells the hub of its extensions.
    pub supports: String,
    /// The `$MyINFO` after the nick.
    pub info: String,
}

impl Client {
    /// A connection from 127.0.0.HOST.
    pub fn connect(hub: &TestHub, host: u8) -> Client {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        use std::os::fd::AsRawFd;
        let from = Ipv4Addr::new(127, 0, 0, host).octets();
        bind(fd.as_raw_fd(), &SockaddrIn::new(from[0], from[1], from[2], from[3], 0)).unwrap();
        connect(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, hub.address.port())).unwrap();
        Client::on(TcpStream::from(fd))
    }

    /// A connection that is there already.
    pub fn on(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream,
            nick: String::new(),
            input: Vec::new(),
            waiting: Vec::new(),
            transcript: Vec::new(),
            fences: 0,
            supports: "NoHello NoGetINFO UserIP2 HubTopic BotList TTHS MCTo ExtJSON2 HubURL".into(),
            info: "desc<test V:1,M:A,H:1/0/0,S:1>$ $50\x01$mail@x$100$".into(),
        }
    }

    /// Logs in, and waits until that is done.
    pub fn login(mut self, nick: &str, password: Option<&str>) -> Client {
        self.wait_for("$Lock ");
        let supports = self.supports.clone();
        self.send(&format!("$Supports {supports}|$Key x|$ValidateNick {nick}|"));
        if let Some(password) = password {
            self.wait_for("$GetPass");
            self.send(&format!("$MyPass {password}|"));
        }
        self.wait_for(&format!("$Hello {nick}"));
        self.nick = nick.into();
        let info = self.info.clone();
        self.send(&format!("$Version 1,0091|$GetNickList|$MyINFO $ALL {nick} {info}|"));
        self.wait_for(&format!("$MyINFO $ALL {nick} "));
        self.wait_for("$OpList ");
        self
    }

    /// Sends text as it is.
    pub fn send(&mut self, data: &str) {
        self.send_bytes(data.as_bytes());
    }

    /// Sends bytes as they are. An error is left to the next wait.
    pub fn send_bytes(&mut self, data: &[u8]) {
        self.transcript.push(format!("> {}", data.escape_ascii()));
        let _ = self.stream.write_all(data);
    }

    /// Writes in the main chat.
    pub fn chat(&mut self, text: &str) {
        let nick = self.nick.clone();
        self.send(&format!("<{nick}> {text}|"));
    }

    /// Writes a private message.
    pub fn private(&mut self, to: &str, text: &str) {
        let nick = self.nick.clone();
        self.send(&format!("$To: {to} From: {nick} $<{nick}> {text}|"));
    }

    /// The next message that holds this, without its `|`; those before it are passed over.
    pub fn wait_for(&mut self, what: &str) -> String {
        String::from_utf8_lossy(&self.wait_for_bytes(what.as_bytes())).into_owned()
    }

    /// The same with bytes.
    pub fn wait_for_bytes(&mut self, what: &[u8]) -> Vec<u8> {
        loop {
            if let Some(message) = self.next() {
                if message.windows(what.len()).any(|window| window == what) {
                    return message;
                }
            } else {
                panic!(
                    "{} waited for {:?}, but the hub closed the connection; there was\n{}",
                    self.nick,
                    what.escape_ascii().to_string(),
                    self.transcript.join("\n")
                );
            }
        }
    }

    /// The next message; `None` when the hub has closed the connection.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        while self.waiting.is_empty() {
            let mut buffer = [0; 65536];
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                // A machine that is paused and goes on interrupts what waits with a limit.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    panic!("{} waited in vain: {error}; there was\n{}", self.nick, self.transcript.join("\n"))
                }
            };
            self.input.extend_from_slice(&buffer[..count]);
            let mut rest = &self.input[..];
            while let Some(at) = rest.iter().position(|byte| *byte == b'|') {
                self.transcript.push(format!("< {}", rest[..at].escape_ascii()));
                self.waiting.push(rest[..at].to_vec());
                rest = &rest[at + 1..];
            }
            self.input = rest.to_vec();
        }
        Some(self.waiting.remove(0))
    }

    /// The next so many bytes, which are whole messages, as they came; they are not in the
    /// transcript.
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .waiting
            .drain(..)
            .flat_map(|mut message| {
                message.push(b'|');
                message
            })
            .collect();
        bytes.append(&mut self.input);
        assert!(
            bytes.len() <= count,
            "{} got more than it should: {}",
            self.nick,
            bytes[count..].escape_ascii()
        );
        let had = bytes.len();
        bytes.resize(count, 0);
        if let Err(error) = self.stream.read_exact(&mut bytes[had..]) {
            panic!("{} waited for {count} bytes: {error}", self.nick);
        }
        bytes
    }

    /// All messages until the hub has answered to something that is sent now: what is not
    /// among them was not sent to this client.
    pub fn so_far(&mut self) -> Vec<String> {
        self.fences += 1;
        let nobody = format!("no-such-user-{}", self.fences);
        let nick = self.nick.clone();
        self.send(&format!("$GetINFO {nobody} {nick}|"));
        let end = format!("$Quit {nobody}");
        let mut messages = Vec::new();
        loop {
            let message = self.next().unwrap_or_else(|| {
                panic!("{nick}: the hub closed the connection; there was\n{}", self.transcript.join("\n"))
            });
            let message = String::from_utf8_lossy(&message).into_owned();
            if message == end {
                return messages;
            }
            messages.push(message);
        }
    }

    /// Waits until the hub closes the connection; gives what came before.
    pub fn closed(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(message) = self.next() {
            all.push(String::from_utf8_lossy(&message).into_owned());
        }
        all.join("|")
    }
}
