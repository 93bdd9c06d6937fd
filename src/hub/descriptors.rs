//! How many descriptors the hub's process may have, and how many of them are not for clients;
//! which connections go when they run short is left to `turn`.

use std::os::fd::RawFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many are kept for scripts, the database and whatever else the hub opens: a script takes
/// some ten.
const KEPT: u64 = 256;

/// More than any hub needs. Some systems have a billion, and some programs look at each.
const MOST_DESCRIPTORS: u64 = 1 << 20;

/// Raises the limit of open files to what the system allows. Gives the limit of before, which
/// programs that the hub starts should have: some count on descriptors below 1,024.
///
/// # Errors
/// When the system refuses; then the limit is as it was.
pub fn raise_limit() -> std::io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(MOST_DESCRIPTORS).max(soft), hard)?;
    }
    Ok(soft)
}

/// From which descriptor on they are kept. As the kernel gives the lowest that is free, a
/// client's that is as high tells that all below are taken.
pub(super) fn first_kept() -> RawFd {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    RawFd::try_from(soft - KEPT.min(soft / 4)).unwrap_or(RawFd::MAX)
}
