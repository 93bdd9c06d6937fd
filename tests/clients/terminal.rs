//! Programs in terminals that nobody looks at: tmux, and ncdc in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::wait_for;

/// A tmux server of our own; it and what runs in it end with this.
pub struct Tmux {
    socket: PathBuf,
    folder: PathBuf,
}

impl Tmux {
    /// Its socket and everything else is in this folder.
    pub fn start(folder: &Path) -> Tmux {
        Tmux { socket: folder.join("tmux"), folder: folder.to_path_buf() }
    }

    /// Runs a tmux command and gives what it prints.
    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a client with settings of its own.
    pub fn ncdc(&self, nick: &'static str) -> Client<'_> {
        let home = self.folder.join(nick);
        std::fs::create_dir(&home).unwrap();
        let home_is = format!("HOME={}", home.display());
        let home_text = home.display().to_string();
        let program = ["env", &home_is, "LC_ALL=C.UTF-8", "ncdc", "-c", &home_text];
        let session = ["new-session", "-d", "-s", nick, "-x", "160", "-y", "48"];
        self.run(&[&session[..], &program[..]].concat());
        let client = Client { tmux: self, nick, home };
        client.screen_has("main>");
        client
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // Fails if nothing was ever started.
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

/// An ncdc.
pub struct Client<'a> {
    tmux: &'a Tmux,
    /// Its nick, and the name of its session.
    pub nick: &'static str,
    home: PathBuf,
}

impl Client<'_> {
    /// Types a line and the Enter key.
    pub fn type_line(&self, line: &str) {
        self.tmux.run(&["send-keys", "-t", self.nick, "-l", line]);
        self.key("Enter");
    }

    /// Presses a key, by tmux's name for it.
    pub fn key(&self, key: &str) {
        self.tmux.run(&["send-keys", "-t", self.nick, key]);
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.tmux.run(&["capture-pane", "-p", "-t", self.nick])
    }

    /// Waits until the screen shows this.
    pub fn screen_has(&self, text: &str) {
        let what = format!("{text:?} on {}'s screen", self.nick);
        wait_for(&what, || self.screen(), |screen| screen.contains(text));
    }

    /// Whether the screen shows this now or within two seconds. For what will be tried again.
    pub fn screen_shows_soon(&self, text: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if self.screen().contains(text) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// What the client logged of a tab: `main`, `#hub`, `~nick`.
    pub fn log(&self, tab: &str) -> String {
        std::fs::read_to_string(self.home.join(format!("logs/{tab}.log"))).unwrap_or_default()
    }

    /// Waits until a tab's log has this.
    pub fn log_has(&self, tab: &str, text: &str) {
        let what = format!("{text:?} in {}'s log of {tab}", self.nick);
        wait_for(&what, || self.log(tab), |log| log.contains(text));
    }
}
