//! Says which system call it was that the system does not allow, and what to do about it: an error
//! number alone says neither.

use std::io;

use nix::errno::Errno;

/// The system lets nobody use what there is no other way for.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// A filter forbids the call, as those of older container runtimes do.
    #[error(
        "the system call {0} is forbidden: allow it in the container's filter (its seccomp profile), \
         or use a newer container runtime"
    )]
    Forbidden(&'static str),
    /// The kernel, or what stands in for it, has no such call.
    #[error("the system has no call {0}: a newer kernel is needed, or one that is built with it")]
    Unknown(&'static str),
}

/// What a failed call's error number means for an operator; numbers other than those of a refusal
/// speak for themselves.
pub fn named(call: &'static str, number: Errno) -> io::Error {
    match number {
        Errno::EPERM => io::Error::new(io::ErrorKind::PermissionDenied, Refusal::Forbidden(call)),
        Errno::ENOSYS => io::Error::new(io::ErrorKind::Unsupported, Refusal::Unknown(call)),
        other => other.into(),
    }
}
