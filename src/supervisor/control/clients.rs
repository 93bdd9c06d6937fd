//! Lets clients of the control socket in: so many at once, each with a thread that ends when the
//! client goes or the hub ends, and that is waited for.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};

use super::client::{refuse, serve};
use super::{Refused, Shared};
use crate::supervisor::forks::Uninherited;

/// How many clients there may be at once.
pub(super) const MOST: usize = 16;
/// How long to wait when the system has no room for another client.
const SHORT: Duration = Duration::from_millis(100);

/// The thread that lets clients in.
pub(super) struct Clients {
    listener: Arc<Uninherited<UnixListener>>,
    thread: Option<JoinHandle<()>>,
}

/// One client. Its thread ends when the connection does.
struct Client {
    stream: Arc<Uninherited<UnixStream>>,
    thread: JoinHandle<()>,
}

impl Clients {
    pub(super) fn let_in(listener: UnixListener, shared: Arc<Shared>) -> io::Result<Clients> {
        let listener = Arc::new(Uninherited::new(listener));
        let ours = listener.clone();
        let thread = Builder::new().name("vhpy-control".into()).spawn(move || accept(&ours, &shared))?;
        Ok(Clients { listener, thread: Some(thread) })
    }

    /// Ends all connections, and waits for the threads; `shared` has ended already.
    pub(super) fn end(&mut self) {
        // Ends the wait for clients.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut clients: Vec<Client> = Vec::new();
    while !shared.has_ended() {
        match listener.accept() {
            Ok((stream, _)) => {
                let (gone, there) = clients.into_iter().partition(|client| client.thread.is_finished());
                clients = there;
                join(gone);
                if clients.len() >= MOST {
                    refuse(&stream, &Refused::TooManyClients);
                } else if let Ok(client) = begin(stream, shared) {
                    clients.push(client);
                }
            }
            Err(_) if shared.has_ended() => break,
            // The program is short of descriptors, for one.
            Err(_) => std::thread::sleep(SHORT),
        }
    }
    for client in &clients {
        let _ = client.stream.shutdown(std::net::Shutdown::Both);
    }
    join(clients);
}

fn begin(stream: UnixStream, shared: &Arc<Shared>) -> io::Result<Client> {
    let stream = Arc::new(Uninherited::new(stream));
    let (theirs, shared) = (stream.clone(), shared.clone());
    let serve = move || {
        serve(&theirs, &shared);
        // The client notices, although the stream is kept until the next one comes.
        let _ = theirs.shutdown(std::net::Shutdown::Both);
    };
    let thread = Builder::new().name("vhpy-client".into()).spawn(serve)?;
    Ok(Client { stream, thread })
}

fn join(clients: Vec<Client>) {
    for client in clients {
        let _ = client.thread.join();
    }
}
