//! Descriptors to wait for, and waiting for one.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use plugin_abi::refusal;

/// A counter to wait for.
pub(super) fn eventfd() -> io::Result<EventFd> {
    EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|number| refusal::named("eventfd2", number))
}

/// What waits for several descriptors.
pub(super) fn epoll() -> io::Result<Epoll> {
    Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|number| refusal::named("epoll_create1", number))
}

/// Waits until a descriptor is readable. Signals that the hub handles, such as SIGCHLD, do not
/// end the wait.
pub(super) fn is_readable_within(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        let left = deadline.saturating_duration_since(Instant::now());
        match nix::poll::poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Err(nix::errno::Errno::EINTR) => continue,
            result => return matches!(result, Ok(1..)),
        }
    }
}
