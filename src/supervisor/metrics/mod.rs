//! Figures for Prometheus and those who read its format, and whether the hub is well, over HTTP:
//! docs/metrics.md lists them.
//!
//! A thread of its own answers ([`server`]), from a snapshot, so that there is an answer while the
//! hub hangs. It asks for a new snapshot when it needs one; the hub's thread takes it at its next
//! visit. So the figures cost nothing while nobody looks, and the hub's thread waits for nobody.

mod http;
mod server;
mod text;

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sys::eventfd::EventFd;

use super::forks::Unforked;
use super::hub_figures::HubFigures;
use super::poll::eventfd;
use super::{Host, ScriptStatus, Supervisor};

/// What was known at one moment.
#[derive(Debug)]
struct Snapshot {
    at: SystemTime,
    scripts: Vec<ScriptStatus>,
    hub: Option<HubFigures>,
}

/// What the hub's thread and the other one share.
#[derive(Debug)]
struct Shared {
    /// A snapshot is wanted.
    is_asked: AtomicBool,
    has_ended: AtomicBool,
    /// The descriptor that is listened on, for forked children, which have it too; -1 for none.
    listening: AtomicI32,
    /// Wakes the thread: there is a snapshot, or an end.
    news: EventFd,
    /// Wakes the hub.
    wake: OwnedFd,
    snapshots: Receiver<Snapshot>,
}

/// No descriptor.
const NONE: RawFd = -1;

impl Shared {
    /// Asks the hub for a snapshot.
    fn ask(&self) {
        self.is_asked.store(true, Ordering::Release);
        // It fails when the hub has been woken very often already.
        let _ = nix::unistd::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// An address where somebody may ask. Dropping it ends that.
#[derive(Debug)]
struct Endpoint {
    shared: Arc<Shared>,
    snapshots: Sender<Snapshot>,
    /// As configured, where port 0 is any.
    wanted: SocketAddr,
    /// Where it listens, or will as soon as the address is no longer another program's.
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        // Fails only if the counter is at its limit, and then the thread is awake.
        let _ = self.shared.news.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Endpoint {
    /// `listener` is `None` when the thread is to try again until the address is free.
    fn start(wanted: SocketAddr, listener: Option<TcpListener>, wake: OwnedFd) -> io::Result<Endpoint> {
        let (snapshots, received) = bounded(1);
        let shared = Arc::new(Shared {
            is_asked: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            listening: AtomicI32::new(listener.as_ref().map_or(NONE, AsRawFd::as_raw_fd)),
            news: eventfd()?,
            wake,
            snapshots: received,
        });
        let address = listener.as_ref().map_or(Ok(wanted), TcpListener::local_addr)?;
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("vhpy-metrics".into())
            .spawn(move || server::Server::new(theirs, wanted, listener).run())?;
        Ok(Endpoint { shared, snapshots, wanted, address, thread: Some(thread) })
    }
}

/// The supervisor's part of it.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    open: RefCell<Option<Unforked<Endpoint>>>,
}

impl Metrics {
    /// Ends it. In a forked child, what listens there is the parent's, and is let go of.
    pub(super) fn close(&self) {
        let Some(endpoint) = self.open.take() else { return };
        let listening = endpoint.even_in_a_child().shared.listening.load(Ordering::Relaxed);
        if endpoint.get().is_none() && listening != NONE {
            // SAFETY: in a child the endpoint is not dropped, so this descriptor is closed here and
            // nowhere else; the thread that used it does not exist.
            let _ = unsafe { libc::close(listening) };
        }
    }

    fn is_at(&self, address: Option<SocketAddr>) -> bool {
        let open = self.open.borrow();
        open.as_ref().and_then(Unforked::get).map(|endpoint| endpoint.wanted) == address
    }
}

impl Supervisor {
    /// Where metrics are to be read, if anywhere: what was configured, with the real port; or where
    /// they will be, after [`Supervisor::serve_metrics_when_possible`].
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        let open = self.metrics.open.borrow();
        open.as_ref().and_then(Unforked::get).map(|endpoint| endpoint.address)
    }

    /// Lets others read figures where [`Config::metrics`](super::Config::metrics) says; nothing
    /// happens when that is so already. A host calls it once it has made the supervisor.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn serve_metrics(&self) -> io::Result<()> {
        let wanted = self.config.borrow().metrics;
        if self.metrics.is_at(wanted) {
            return Ok(());
        }
        self.metrics.close();
        let Some(wanted) = wanted else { return Ok(()) };
        self.open_metrics(wanted, Some(listen(wanted)?))
    }

    /// As [`Supervisor::serve_metrics`], for hosts that go on without: an address that cannot be used is
    /// in the log, and tried again until it can.
    pub fn serve_metrics_when_possible(&self) {
        let Err(error) = self.serve_metrics() else { return };
        let Some(wanted) = self.config.borrow().metrics else { return };
        log::error!("nobody can read metrics at {wanted} yet: {error}; it is tried again by itself");
        if let Err(error) = self.open_metrics(wanted, None) {
            log::error!("there are no metrics: {error}");
        }
    }

    fn open_metrics(&self, wanted: SocketAddr, listener: Option<TcpListener>) -> io::Result<()> {
        let endpoint = Endpoint::start(wanted, listener, self.reactor.waker()?)?;
        self.metrics.open.replace(Some(Unforked::new(endpoint)));
        Ok(())
    }

    /// Takes a snapshot if somebody has asked for one.
    pub(super) fn publish_metrics(&self, host: &mut dyn Host) {
        let asked = {
            let open = self.metrics.open.borrow();
            let endpoint = open.as_ref().and_then(Unforked::get);
            endpoint.is_some_and(|endpoint| endpoint.shared.is_asked.swap(false, Ordering::Acquire))
        };
        if !asked {
            return;
        }
        let snapshot = Snapshot { at: SystemTime::now(), scripts: self.scripts(), hub: host.figures(self) };
        let open = self.metrics.open.borrow();
        if let Some(endpoint) = open.as_ref().and_then(Unforked::get) {
            // One that was not looked at yet is as good.
            let _ = endpoint.snapshots.try_send(snapshot);
            let _ = endpoint.shared.news.write(1);
        }
    }
}
