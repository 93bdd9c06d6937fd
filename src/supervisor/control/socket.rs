//! The file of the control socket: who may connect, what is in its place already, and that it goes
//! with the hub that made it and with no other.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, socket,
};
use nix::unistd::{Group, Pid};

/// How many bytes the kernel takes as the path of a socket.
const LONGEST_PATH: usize = 107;
/// How many clients may wait until they are let in.
const WAITING: i32 = 16;

/// Why there is no control socket. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("process {0} listens there; give each hub a path of its own")]
    Listens(i32),
    #[error("a hub listens there; give each hub a path of its own")]
    IsBusy,
    #[error("this is a file and no socket; remove it, or give another path")]
    IsFile,
    #[error("there is no group {0}: see control_group")]
    NoGroup(String),
    #[error(transparent)]
    System(#[from] io::Error),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> OpenError {
        OpenError::System(errno.into())
    }
}

/// The file, as it was made. Dropping it removes it, unless another hub has put its own there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode));
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A socket that its user alone may connect to, or a group too, in the place of one that was left
/// behind.
pub(super) fn open(path: &Path, group: &str) -> Result<(UnixListener, SocketFile), OpenError> {
    let group = match group {
        "" => None,
        name => Some(Group::from_name(name)?.ok_or_else(|| OpenError::NoGroup(name.into()))?.gid),
    };
    make_room(path)?;
    let socket = new_socket(SockFlag::empty())?;
    // The file gets the rights that the socket has, so it never has others.
    nix::sys::stat::fchmod(&socket, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
    with_address(path, |address| bind(socket.as_raw_fd(), address))?;
    let made = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.into(), device: made.dev(), inode: made.ino() };
    if let Some(group) = group {
        nix::unistd::chown(path, None, Some(group))?;
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    listen(&socket, Backlog::new(WAITING)?)?;
    Ok((socket.into(), file))
}

/// Removes what a hub has left behind that was killed.
fn make_room(path: &Path) -> Result<(), OpenError> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(OpenError::IsFile),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    // It must not wait: a hub that hangs lets nobody in.
    let probe = new_socket(SockFlag::SOCK_NONBLOCK)?;
    match with_address(path, |address| connect(probe.as_raw_fd(), address)) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => return Ok(fs::remove_file(path)?),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Err(OpenError::IsBusy),
        Err(error) => return Err(error.into()),
    }
    // Those who listened may be gone, while a child of theirs has the socket that it inherited.
    let pid = getsockopt(&probe, PeerCredentials)?.pid();
    let is_gone = pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
    if is_gone { Ok(fs::remove_file(path)?) } else { Err(OpenError::Listens(pid)) }
}

/// Connects to the control socket of a hub.
///
/// # Errors
/// `NotFound` and `ConnectionRefused` mean that no hub is there, `PermissionDenied` that this user
/// may not talk to it.
pub fn connect_to(path: &Path) -> io::Result<UnixStream> {
    let socket = new_socket(SockFlag::empty())?;
    with_address(path, |address| connect(socket.as_raw_fd(), address))?;
    Ok(socket.into())
}

fn new_socket(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | flags, None)
}

/// The address of a path, which may be longer than the kernel takes.
fn with_address(path: &Path, then: impl FnOnce(&UnixAddr) -> nix::Result<()>) -> io::Result<()> {
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok(then(&UnixAddr::new(path)?)?);
    }
    let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
    let name = path.file_name().unwrap_or(OsStr::from_bytes(b"."));
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok(then(&UnixAddr::new(&short)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_file_goes_with_its_socket_and_not_with_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let (listener, file) = open(&path, "").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(connect_to(&path).is_ok());
        // Somebody removed it, and another hub has put its own there.
        fs::remove_file(&path).unwrap();
        let (_other, others) = open(&path, "").unwrap();
        drop((listener, file));
        assert!(connect_to(&path).is_ok());
        drop(others);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_there_already_is_replaced_only_if_it_is_a_socket_that_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(open(&path, ""), Err(OpenError::IsFile)));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, _file) = open(&path, "").unwrap();
        let mine = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(open(&path, ""), Err(OpenError::Listens(pid)) if pid == mine));
        // Nobody lets clients in, and no more may wait: that is no reason to wait here.
        let mut waiting = Vec::new();
        let busy = loop {
            match open(&path, "") {
                Err(OpenError::Listens(_)) => {}
                other => break other,
            }
            let probe = new_socket(SockFlag::SOCK_NONBLOCK).unwrap();
            let _ = with_address(&path, |address| connect(probe.as_raw_fd(), address));
            waiting.push(probe);
            assert!(waiting.len() < 1000, "any number may wait");
        };
        assert!(matches!(busy, Err(OpenError::IsBusy)), "{busy:?}");
    }

    /// As a hub that was killed leaves it whose forked child lives.
    #[test]
    fn a_socket_whose_listener_is_gone_is_replaced_although_a_child_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let socket = new_socket(SockFlag::empty()).unwrap();
        with_address(&path, |address| bind(socket.as_raw_fd(), address)).unwrap();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        // SAFETY: the children make system calls without pointers, and end without destructors.
        let listener = unsafe { libc::fork() };
        if listener == 0 {
            // SAFETY: the same.
            unsafe {
                libc::listen(socket.as_raw_fd(), 1);
                if libc::fork() == 0 {
                    libc::close(writer.as_raw_fd());
                    // Until the test ends.
                    libc::read(reader.as_raw_fd(), [0u8; 1].as_mut_ptr().cast(), 1);
                }
                libc::_exit(0)
            }
        }
        drop(socket);
        // SAFETY: waits for a child of its own; no status is asked for.
        assert_eq!(unsafe { libc::waitpid(listener, std::ptr::null_mut(), 0) }, listener);
        assert!(connect_to(&path).is_ok(), "the child listens");
        let (_listener, _file) = open(&path, "").unwrap();
        drop(writer);
    }

    #[test]
    fn a_group_that_there_is_may_connect_and_a_path_may_be_long() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(100)).join("b".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        let path = deep.join("control");
        let own = Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
        let (_listener, file) = open(&path, &own.name).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert!(connect_to(&path).is_ok());
        drop(file);
        let missing = open(&path, "no group has this name").unwrap_err().to_string();
        assert!(missing.contains("control_group"), "{missing}");
        assert!(!path.exists());
    }
}
