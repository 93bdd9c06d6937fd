//! A hub that runs, as `vhpy ctl` and `vhpy top` talk to it: where its control socket is, and asking.

use std::io::{BufRead, BufReader, Error, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use vhpy::supervisor::control::{FILE, VERSION, connect_to};

use super::{absolute, default_data};

/// The exit code when there is no hub.
pub(super) const NO_HUB: i64 = 3;
/// How long a hub may take to say what it is; what answers is a thread that does nothing else.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the hub is.
#[derive(Args)]
pub(super) struct Place {
    /// The data folder of the hub [default: vhpy in the XDG state folder; then the sockets of
    /// $XDG_RUNTIME_DIR/vhpy and /run/vhpy].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The hub's control socket.
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "data")]
    socket: Option<PathBuf>,
}

impl Place {
    /// The first hub that listens; when there is none, that is said.
    pub(super) fn connect(&self) -> Result<Option<Hub>, String> {
        for path in self.paths()? {
            match connect_to(&path) {
                Ok(stream) => return Hub::greet(stream, &path).map(Some).map_err(unanswered),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let path = path.display();
                    return Err(format!("{path}: {error}: you are not its user, nor of its group"));
                }
                Err(_) => {}
            }
        }
        eprintln!("vhpy: no hub listens; say where with --data or --socket");
        Ok(None)
    }

    fn paths(&self) -> Result<Vec<PathBuf>, String> {
        let in_folder = |folder: PathBuf| folder.join(FILE);
        Ok(match (&self.socket, &self.data) {
            (Some(socket), _) => vec![socket.clone()],
            (None, Some(data)) => vec![in_folder(absolute(data)?)],
            (None, None) => {
                let runtime =
                    std::env::var_os("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("vhpy"));
                let folders = default_data().into_iter().chain(runtime).chain([PathBuf::from("/run/vhpy")]);
                folders.map(in_folder).collect()
            }
        })
    }
}

fn unanswered(error: Error) -> String {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
            "the hub has ended".into()
        }
        _ => format!("the hub does not answer: {error}"),
    }
}

/// A connection.
pub(super) struct Hub {
    reader: BufReader<UnixStream>,
    path: PathBuf,
    next: u64,
}

impl Hub {
    fn greet(stream: UnixStream, path: &Path) -> std::io::Result<Hub> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut hub = Hub { reader: BufReader::new(stream), path: path.into(), next: 1 };
        let hello = hub.line().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => Error::other("it says nothing: is its process stopped?"),
            _ => error,
        })?;
        if let Some(error) = hello["error"].as_str() {
            return Err(Error::other(error));
        }
        if hello["control"].as_i64() != Some(VERSION) {
            return Err(Error::other(format!("it speaks another version: {hello}")));
        }
        // What is asked of it may take as long as a script loads.
        hub.reader.get_ref().set_read_timeout(None)?;
        Ok(hub)
    }

    /// One more connection to the same hub.
    pub(super) fn another(&self) -> Result<Hub, String> {
        connect_to(&self.path).and_then(|stream| Hub::greet(stream, &self.path)).map_err(unanswered)
    }

    fn line(&mut self) -> std::io::Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// The connection itself, with what has been read ahead of it.
    pub(super) fn into_stream(self) -> BufReader<UnixStream> {
        self.reader
    }

    /// What the hub answers: an object with `answer` and `text`, or with `error`.
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let mut request = request.clone();
        request["id"] = json!(self.next);
        self.next += 1;
        let sent = self.reader.get_mut().write_all(format!("{request}\n").as_bytes());
        sent.and_then(|()| self.line()).map_err(unanswered)
    }
}
