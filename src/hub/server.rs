//! The loop around a hub: one thread on epoll, with the clients' sockets, the scripts'
//! descriptor, signals, other threads' results and timers; what a turn does is the hub's
//! matter.
//!
//! An idle hub makes no wake-ups: the loop waits without a limit unless a timer is set.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use nix::sys::socket::{setsockopt, sockopt};

use super::connection::Link;
use super::descriptors::first_kept;
use super::service::{Numbers, ServiceManager};
use super::test_control::TestControl;
use super::tls::Acceptor;
use super::{ConnId, Hub, HubError, Options};
use crate::supervisor::console::script_files;
use crate::supervisor::{LoadError, Loaded};

const SCRIPTS: Token = Token(usize::MAX - 2);
const SIGNALS: Token = Token(usize::MAX - 3);
const WAKER: Token = Token(usize::MAX - 4);
const TEST_CONTROL: Token = Token(usize::MAX - 5);
/// The first listener's; the next ones have those below.
const LISTENERS: usize = usize::MAX - 6;
/// On how many addresses a hub can listen.
const MOST_LISTENERS: usize = 64;

/// How many connections are taken in a turn, so that those that are there have theirs.
const ACCEPT_PER_TURN: usize = 256;

/// How many are taken in a turn when descriptors run short; fewer than are kept.
const ACCEPT_WHEN_SHORT: usize = 16;

/// How long no connection is taken after there were no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Why the loop cannot start or go on. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Somebody else listens there.
    #[error("{0} is in use; stop the program that listens there, or give another address with --listen")]
    InUse(String),
    /// The address is none of this machine's, or may not be listened on.
    #[error("cannot listen on {0}: {1}; give another address with --listen")]
    Listen(String, std::io::Error),
    /// The port is one of those below 1,024.
    #[error(
        "cannot listen on {0}: a port below 1024 takes the right CAP_NET_BIND_SERVICE (AmbientCapabilities= of systemd, or setcap cap_net_bind_service+ep on the program); or give a higher one, and let a firewall redirect the port to it"
    )]
    Privileged(String),
    /// There are very many.
    #[error("a hub listens on {MOST_LISTENERS} addresses at most")]
    TooMany,
    /// The kernel.
    #[error("the hub's loop cannot run: {0}")]
    Loop(#[from] std::io::Error),
}

/// A hub that listens.
pub struct Server {
    hub: Hub,
    poll: Poll,
    listeners: Vec<Listener>,
    /// For those who connect with TLS.
    acceptor: Option<Acceptor>,
    /// Connections that may have more to read.
    unread: Vec<ConnId>,
    /// When connections are taken again.
    accept_after: Option<Instant>,
    /// Until when none is taken because scripts load.
    held_until: Option<Instant>,
    /// From which descriptor on they are not for clients.
    first_kept: RawFd,
    /// When it was last said that descriptors run short.
    short_since: Option<Instant>,
    signals: Option<Signals>,
    test_control: Option<TestControl>,
    service: Option<ServiceManager>,
}

/// An address where clients connect.
struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    has_tls: bool,
}

/// Signals as readable descriptors.
struct Signals {
    stop: UnixStream,
    reload: UnixStream,
}

fn listen_on(listen: &str) -> Result<TcpListener, ServerError> {
    let is_low =
        || listen.rsplit(':').next().and_then(|port| port.parse().ok()).is_some_and(|port: u16| port < 1024);
    let cannot = |error: std::io::Error| match error.kind() {
        ErrorKind::AddrInUse => ServerError::InUse(listen.into()),
        ErrorKind::PermissionDenied if is_low() => ServerError::Privileged(listen.into()),
        _ => ServerError::Listen(listen.into(), error),
    };
    let found = listen.to_socket_addrs().map_err(cannot)?.next();
    let address = found.ok_or_else(|| cannot(ErrorKind::AddrNotAvailable.into()))?;
    let listener = TcpListener::bind(address).map_err(cannot)?;
    // Whoever does not fit into the queue tries again a second later; after a hub's restart all
    // its users come at once.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN)
        .map_err(|error| cannot(error.into()))?;
    Ok(listener)
}

impl Server {
    /// Opens the hub, then listens; no script is loaded yet. `listen` is `host:port`, with port
    /// 0 for any: see [`Server::local_addr`].
    ///
    /// # Errors
    /// When the state cannot be used, or the address; see [`ServerError`].
    pub fn bind(listen: &str, options: Options) -> Result<Server, ServerError> {
        // Whether it is free is known before anything is made in the data folder.
        let socket = listen_on(listen)?;
        let mut server = Server::open(options)?;
        server.add(socket, false)?;
        Ok(server)
    }

    /// Opens the hub, which listens nowhere yet; no script is loaded either.
    ///
    /// # Errors
    /// When the state cannot be used; see [`ServerError`].
    pub fn open(options: Options) -> Result<Server, ServerError> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut options = options;
        options.wake = Arc::new(move || {
            // It fails only when the loop has ended.
            let _ = waker.wake();
        });
        let hub = Hub::open(options)?;
        let scripts = hub.supervisor().poll_fd();
        poll.registry().register(&mut SourceFd(&scripts), SCRIPTS, Interest::READABLE)?;
        Ok(Server {
            hub,
            poll,
            listeners: Vec::new(),
            acceptor: None,
            unread: Vec::new(),
            accept_after: None,
            held_until: None,
            first_kept: first_kept(),
            short_since: None,
            signals: None,
            test_control: None,
            service: None,
        })
    }

    /// Listens on one more address, and gives it; port 0 is any.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn listen(&mut self, address: &str) -> Result<SocketAddr, ServerError> {
        self.add(listen_on(address)?, false)
    }

    /// Listens on one more address for clients with TLS, and gives it. The certificate is read
    /// again at SIGHUP.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn listen_tls(&mut self, address: &str, acceptor: Acceptor) -> Result<SocketAddr, ServerError> {
        self.acceptor = Some(acceptor);
        self.add(listen_on(address)?, true)
    }

    fn add(&mut self, mut socket: TcpListener, has_tls: bool) -> Result<SocketAddr, ServerError> {
        if self.listeners.len() == MOST_LISTENERS {
            return Err(ServerError::TooMany);
        }
        let token = Token(LISTENERS - self.listeners.len());
        self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
        let address = socket.local_addr()?;
        self.listeners.push(Listener { socket, address, has_tls });
        Ok(address)
    }

    /// Where the hub listens: the first address, or one that nobody can reach if there is none.
    pub fn local_addr(&self) -> SocketAddr {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        self.listeners.first().map_or(nowhere, |listener| listener.address)
    }

    /// All addresses where it listens, as clients write them.
    pub fn urls(&self) -> Vec<String> {
        let keyprint = self.acceptor.as_ref().map_or("", Acceptor::keyprint);
        let url = |listener: &Listener| match listener.has_tls {
            true => format!("nmdcs://{}/?kp={keyprint}", listener.address),
            false => format!("dchub://{}", listener.address),
        };
        self.listeners.iter().map(url).collect()
    }

    /// The hub.
    pub fn hub(&mut self) -> &mut Hub {
        &mut self.hub
    }

    /// Ends in order on SIGTERM and SIGINT, and on SIGHUP where that means that the terminal is gone;
    /// reads the configuration again on SIGHUP where there is no terminal; and outlives SIGXFSZ: a limit on the size of files is then as a full disk. For a program of its own: it
    /// changes what these signals do to the whole process.
    ///
    /// # Errors
    /// When the handlers cannot be set.
    pub fn handle_signals(&mut self) -> std::io::Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
        let (stop, on_stop) = UnixStream::pair()?;
        let (reload, on_reload) = UnixStream::pair()?;
        for stream in [&stop, &reload] {
            stream.set_nonblocking(true)?;
            self.poll.registry().register(&mut SourceFd(&stream.as_raw_fd()), SIGNALS, Interest::READABLE)?;
        }
        let owned = |stream: &UnixStream| stream.as_fd().try_clone_to_owned();
        let register = |signal, end: OwnedFd| signal_hook::low_level::pipe::register(signal, end);
        register(SIGTERM, owned(&on_stop)?)?;
        register(SIGINT, owned(&on_stop)?)?;
        register(SIGHUP, owned(if has_terminal() { &on_stop } else { &on_reload })?)?;
        // The write gives an error; there is nothing more to do about it.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        self.signals = Some(Signals { stop, reload });
        Ok(())
    }

    /// Lets a test kit steer the hub over this socket. To be called before scripts are loaded.
    ///
    /// # Errors
    /// When the kernel refuses to wait for it.
    pub fn steer_by(&mut self, stream: UnixStream) -> std::io::Result<()> {
        let control = TestControl::new(stream)?;
        self.poll.registry().register(&mut SourceFd(&control.fd()), TEST_CONTROL, Interest::READABLE)?;
        self.hub.is_tested = true;
        self.test_control = Some(control);
        Ok(())
    }

    /// Tells the test kit, if there is one, that the hub is ready.
    pub fn say_ready(&mut self, loaded: &[(PathBuf, Result<Loaded, LoadError>)]) {
        let address = self.local_addr();
        if let Some(control) = &mut self.test_control {
            control.say_ready(address, loaded);
        }
    }

    /// Tells a service manager when the hub is ready, and from then on how it is doing.
    pub fn report_to(&mut self, service: ServiceManager) {
        self.service = Some(service);
    }

    fn numbers(&self) -> Numbers {
        Numbers { users: self.hub.users_count(), scripts: self.hub.supervisor().count() }
    }

    /// The scripts of the scripts folder, in the order of their names, and then these.
    pub fn scripts_to_load(&self, more: &[PathBuf]) -> Vec<PathBuf> {
        let folder = self.hub.scripts_folder();
        let mut paths = match script_files(&folder) {
            Ok(paths) => paths,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                log::error!("cannot read the scripts folder {}: {error}", folder.display());
                Vec::new()
            }
        };
        paths.extend_from_slice(more);
        paths
    }

    /// Loads [those scripts](Server::scripts_to_load).
    /// All start at the same time, and the hub works meanwhile. Whoever connects waits until they have
    /// loaded, so that no filter is missed, but not for one that takes longer than a hook may.
    pub fn load_scripts(&mut self, more: &[PathBuf]) -> Vec<(PathBuf, Result<Loaded, LoadError>)> {
        let paths = self.scripts_to_load(more);
        let supervisor = self.hub.supervisor();
        let begun: Vec<_> = paths.iter().map(|path| supervisor.begin_load(path)).collect();
        self.hub.first_scripts.extend(begun.iter().flatten().map(|ticket| (*ticket, None)));
        self.held_until = Some(Instant::now() + supervisor.config().hook_timeout);
        if let Err(error) = self.serve_while_scripts_load() {
            log::error!("the hub's loop: {error}");
        }
        self.held_until = None;
        self.accept_after = Some(Instant::now());
        let mut results = std::mem::take(&mut self.hub.first_scripts);
        // What is not finished when the hub is stopped will not be.
        let mut result = |ticket| results.remove(&ticket).flatten().unwrap_or(Err(LoadError::Ending));
        let results = begun.into_iter().map(|ticket| ticket.and_then(&mut result)).collect::<Vec<_>>();
        paths.into_iter().zip(results).collect()
    }

    fn serve_while_scripts_load(&mut self) -> Result<(), ServerError> {
        let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 64 << 10]);
        self.watch_scripts()?;
        while self.hub.stop_code().is_none() && self.hub.first_scripts.values().any(Option::is_none) {
            self.turn(&mut events, &mut buffer)?;
        }
        Ok(())
    }

    /// Runs until a signal, an operator or a script stops the hub. Gives the exit code.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn run(&mut self) -> Result<i64, ServerError> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 64 << 10];
        let numbers = self.numbers();
        self.service.iter_mut().for_each(|service| service.ready(numbers));
        while self.hub.stop_code().is_none() {
            self.turn(&mut events, &mut buffer)?;
        }
        self.service.iter().for_each(ServiceManager::stopping);
        let code = self.hub.shut_down();
        self.linger(&mut events, &mut buffer)?;
        Ok(code)
    }

    fn turn(&mut self, events: &mut Events, buffer: &mut [u8]) -> Result<(), ServerError> {
        let limit = self.limit();
        match self.poll.poll(events, limit) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        self.hub.begin_turn();
        let mut accept = self.accept_after.is_some_and(|after| after <= Instant::now());
        let mut scripts = false;
        let mut signals = false;
        let mut control = false;
        let mut readable = std::mem::take(&mut self.unread);
        for event in events.iter() {
            match event.token() {
                SCRIPTS => scripts = true,
                SIGNALS => signals = true,
                TEST_CONTROL => control = true,
                WAKER => {}
                Token(number) if number > LISTENERS - MOST_LISTENERS => accept = true,
                Token(slot) => {
                    let Some(id) = self.hub.connections.id_at(slot) else { continue };
                    if event.is_writable() {
                        self.hub.can_write(id);
                    }
                    if event.is_read_closed() {
                        self.hub.has_hung_up(id);
                    }
                    if (event.is_readable() || event.is_read_closed() || event.is_error())
                        && !readable.contains(&id)
                    {
                        readable.push(id);
                    }
                }
            }
        }
        if scripts {
            let supervisor = self.hub.supervisor();
            supervisor.serve(&mut self.hub);
            self.watch_scripts()?;
        }
        for id in readable {
            if self.hub.read_from(id, buffer) {
                self.unread.push(id);
            }
        }
        match self.held_until.filter(|until| *until > Instant::now()) {
            Some(until) if accept => self.accept_after = Some(until),
            None if accept => self.accept(),
            _ => {}
        }
        if signals {
            self.take_signals();
        }
        if let Some(test_control) = self.test_control.as_mut().filter(|_| control) {
            test_control.read(&mut self.hub);
        }
        self.hub.end_turn();
        if let Some(test_control) = &mut self.test_control {
            test_control.finish_turn(&self.hub);
        }
        if self.service.is_some() {
            let numbers = self.numbers();
            self.service.iter_mut().for_each(|service| service.turn(numbers));
        }
        Ok(())
    }

    /// mio reports a descriptor when it becomes readable, and not that it still is: registering
    /// it again asks for it, so that nothing that the supervisor left is forgotten.
    fn watch_scripts(&mut self) -> std::io::Result<()> {
        let scripts = self.hub.supervisor().poll_fd();
        self.poll.registry().reregister(&mut SourceFd(&scripts), SCRIPTS, Interest::READABLE)
    }

    /// How long the loop may wait.
    fn limit(&mut self) -> Option<Duration> {
        if self.unread.iter().any(|id| !self.hub.is_paused(*id)) {
            return Some(Duration::ZERO);
        }
        let service = self.service.as_ref().and_then(ServiceManager::next_turn);
        let next = [self.hub.next_turn(), self.accept_after, service].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self) {
        self.accept_after = None;
        for at in 0..self.listeners.len() {
            self.accept_from(at);
        }
    }

    fn accept_from(&mut self, at: usize) {
        let mut short = 0;
        for _ in 0..ACCEPT_PER_TURN {
            let Some(listener) = self.listeners.get(at) else { return };
            match listener.socket.accept() {
                Ok((stream, peer)) if stream.as_raw_fd() < self.first_kept => self.take(at, stream, peer),
                Ok((stream, peer)) => {
                    self.take_when_short(at, stream, peer);
                    short += 1;
                    // What goes for them goes at the end of the turn.
                    if short >= ACCEPT_WHEN_SHORT {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.say_short(&error.to_string());
                    let made_room = self.hub.make_room(None);
                    let pause = if made_room { Duration::ZERO } else { ACCEPT_PAUSE };
                    self.accept_after = Some(Instant::now() + pause);
                    return;
                }
            }
        }
        // There may be more, and nothing would tell.
        self.accept_after = Some(Instant::now());
    }

    /// Takes a connection although only such descriptors are left as the hub needs itself: for
    /// one that is idle on its way in, or not at all.
    fn take_when_short(&mut self, at: usize, stream: mio::net::TcpStream, peer: SocketAddr) {
        self.say_short("what is left is kept for scripts and files");
        if self.hub.make_room(None) {
            self.take(at, stream, peer);
        } else if self.listeners.get(at).is_some_and(|listener| !listener.has_tls) {
            // If it does not fit, the end of the connection says it too.
            let _ = (&stream).write(b"$HubIsFull|");
        }
    }

    fn say_short(&mut self, why: &str) {
        let now = Instant::now();
        if self.short_since.is_none_or(|since| now.duration_since(since) > Duration::from_secs(60)) {
            self.short_since = Some(now);
            log::error!(
                "descriptors run short ({why}): idle connections go first, then none is taken; raise the hard limit of open files (ulimit -Hn, LimitNOFILE= of systemd)"
            );
        }
    }

    fn take(&mut self, at: usize, stream: mio::net::TcpStream, peer: SocketAddr) {
        // Without these a hub works too.
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
        let _ = setsockopt(&stream, sockopt::TcpKeepIdle, &300);
        let Some(listener) = self.listeners.get(at) else { return };
        let link = match &self.acceptor {
            Some(acceptor) if listener.has_tls => match acceptor.accept(stream) {
                Ok(stream) => Link::Tls(Box::new(stream)),
                Err(error) => return log::error!("cannot begin TLS with {peer}: {error}"),
            },
            _ => Link::Tcp(stream),
        };
        let id = self.hub.connect(link, peer, listener.address.port());
        let link = self.hub.connections.get_mut(id).map(|connection| &mut connection.link);
        let Some(socket) = link.and_then(Link::socket) else { return };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(socket, Token(id.slot()), interest) {
            log::error!("cannot wait for a connection: {error}");
            self.hub.connections.remove(id);
        }
    }

    fn take_signals(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        let mut byte = [0; 64];
        let mut came = |stream: &mut UnixStream| stream.read(&mut byte).is_ok_and(|count| count > 0);
        let (reload, stop) = (came(&mut signals.reload), came(&mut signals.stop));
        if reload {
            self.hub.reload();
            self.reload_certificate();
        }
        if stop {
            log::info!("a signal ends the hub");
            self.hub.stop.get_or_insert(0);
        }
    }

    fn reload_certificate(&mut self) {
        let Some(acceptor) = &mut self.acceptor else { return };
        match acceptor.reload() {
            Ok(()) => log::info!("the certificate was read again; keyprint {}", acceptor.keyprint()),
            Err(error) => log::error!("the certificate stays as it is: {error}"),
        }
    }

    /// Gives clients a moment to take what still waits for them.
    fn linger(&mut self, events: &mut Events, buffer: &mut [u8]) -> Result<(), ServerError> {
        let end = Instant::now() + Duration::from_secs(1);
        while self.hub.has_unsent() && Instant::now() < end {
            self.turn(events, buffer)?;
        }
        Ok(())
    }
}

/// Whether this process belongs to a terminal, whose end the kernel tells it by SIGHUP.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}
