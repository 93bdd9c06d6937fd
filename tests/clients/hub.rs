//! The embedded hub as its users start it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::wait_for;

/// `vhpy hub` on a free port, with a copy of the example scripts.
pub struct Hub {
    child: Child,
    /// Where everything of it is; `scripts` in it has the scripts.
    pub folder: PathBuf,
    /// ADDRESS:PORT.
    pub address: String,
    /// `nmdcs://`, with the keyprint of its certificate.
    pub tls: String,
    /// Of the account `master`.
    pub password: String,
}

impl Hub {
    /// Starts it and waits until it listens.
    pub fn start(folder: &Path) -> Hub {
        let scripts = folder.join("scripts");
        std::fs::create_dir_all(&scripts).unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scripts");
        for entry in std::fs::read_dir(examples).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "py") {
                std::fs::copy(&path, scripts.join(path.file_name().unwrap())).unwrap();
            }
        }
        let log = std::fs::File::create(folder.join("hub.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_vhpy"))
            .args(["hub", "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .arg("--scripts")
            .arg(&scripts)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut hub = Hub {
            child,
            folder: folder.to_path_buf(),
            address: String::new(),
            tls: String::new(),
            password: String::new(),
        };
        let said = wait_for(
            "the hub's address and first password",
            || hub.log(),
            |log| log.contains("listens on ") && log.contains("password "),
        );
        let after = |what: &str| {
            let rest = said.split(what).nth(1).unwrap();
            rest.split([' ', ',', '\n']).next().unwrap().trim_end_matches('.').to_string()
        };
        hub.address = after("listens on ");
        hub.tls = format!("nmdcs://{}", after("nmdcs://"));
        hub.password = after("password ");
        assert!(said.contains("with 5 scripts"), "{said}");
        hub
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("hub.log")).unwrap_or_default()
    }

    /// Ends it as a service manager would.
    pub fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = wait_for("the hub's end", || self.child.try_wait().unwrap(), Option::is_some);
        assert_eq!(status.and_then(|status| status.code()), Some(0));
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the hub's log:\n{}", self.log());
        }
    }
}
