//! EiskaltDC++ without its windows, driven by JSON-RPC.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::hub::Hub;
use crate::support::skip::has;
use crate::{free_port, tell_version, wait_for};

/// A daemon with settings of its own.
struct Daemon {
    child: Child,
    port: u16,
    hub: String,
}

impl Daemon {
    /// Starts it under a nick and lets it enter the hub.
    fn enter(folder: &Path, nick: &str, hub: &str) -> Daemon {
        let home = folder.join(nick);
        std::fs::create_dir(&home).unwrap();
        let port = free_port();
        let child = Command::new("eiskaltdcpp-daemon")
            .args(["-D", "-L", "127.0.0.1", "-P", &port.to_string(), "-c"])
            .arg(&home)
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Daemon { child, port, hub: hub.into() };
        wait_for("the daemon's answer", || daemon.ask("show.version", "").is_ok(), |ok| *ok);
        daemon.tell("settings.getset", &format!(r#""key":"Nick","value":"{nick}""#));
        daemon.tell("hub.add", &format!(r#""huburl":"{}","enc":"UTF-8""#, daemon.hub));
        daemon.hears(&format!("<Greeter> Hello {nick}, welcome to vhpy hub!"));
        daemon
    }

    /// One call; the answer is JSON.
    fn ask(&self, method: &str, params: &str) -> std::io::Result<String> {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let length = body.len();
        write!(stream, "POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn tell(&self, method: &str, params: &str) {
        let answer = self.ask(method, params).unwrap();
        assert!(answer.contains("result") && !answer.contains("error"), "{method}: {answer}");
    }

    fn says(&self, message: &str) {
        self.tell("hub.say", &format!(r#""huburl":"{}","message":"{message}""#, self.hub));
    }

    /// Waits until this was in the chat. Each line is given out once.
    fn hears(&self, text: &str) -> String {
        let params = format!(r#""huburl":"{}","separator":";""#, self.hub);
        let mut heard = String::new();
        let listen = || {
            heard += &self.ask("hub.getchat", &params).unwrap_or_default();
            heard.clone()
        };
        wait_for(&format!("{text:?} in the chat"), listen, |heard| heard.contains(text))
    }

    fn sees(&self, nick: &str) {
        let params = format!(r#""huburl":"{}","separator":";""#, self.hub);
        let users = || self.ask("hub.getusers", &params).unwrap_or_default();
        wait_for(&format!("{nick} in the list"), users, |users| users.contains(&format!("{nick};")));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn eiskaltdcpp_chats_and_is_filtered() {
    if !has(&["eiskaltdcpp-daemon"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let url = format!("dchub://{}", hub.address);
    they_chat_and_are_filtered(folder.path(), [&url, &url]);
    hub.stop();
}

#[test]
fn eiskaltdcpp_comes_with_tls() {
    if !has(&["eiskaltdcpp-daemon"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    they_chat_and_are_filtered(folder.path(), [&hub.tls, &format!("dchub://{}", hub.address)]);
    hub.stop();
}

fn they_chat_and_are_filtered(folder: &Path, urls: [&str; 2]) {
    tell_version("eiskaltdcpp-daemon");
    let carol = Daemon::enter(folder, "carol", urls[0]);
    let dave = Daemon::enter(folder, "dave", urls[1]);
    carol.sees("dave");
    dave.sees("carol");

    carol.says("good evening");
    dave.hears("<carol> good evening");
    carol.says("have you been to the casino?");
    carol.hears("'casino' is not welcome here");
    carol.says("to the opera?");
    let heard = dave.hears("<carol> to the opera?");
    assert!(!heard.contains("casino"), "{heard}");
}
