//! The folder where a hub keeps what it keeps: one hub at a time uses it, and its database is in
//! there. What is in the database is left to `database`.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// The file in the data folder.
pub const FILE: &str = "hub.db";

/// Why the database cannot be used. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The data folder cannot be made or read.
    #[error("cannot use the data folder {0}: {1}; give another with --data")]
    Folder(PathBuf, std::io::Error),
    /// Another hub runs on this folder.
    #[error("another hub uses the data folder {0}; stop it, or give another folder with --data")]
    InUse(PathBuf),
    /// It cannot be written.
    #[error("the database {0} is read-only; make it and its folder writable for this user")]
    ReadOnly(PathBuf),
    /// It is no database, or a broken one.
    #[error(
        "the database {0} is damaged ({1}); nothing was changed: put a backup in its place, or move it away to start anew"
    )]
    Damaged(PathBuf, String),
    /// Anything else.
    #[error("cannot open the database {0}: {1}")]
    Other(PathBuf, rusqlite::Error),
}

/// Makes the data folder if it is missing, and keeps other hubs out of it for as long as the
/// value lives.
pub fn lock(folder: &Path) -> Result<Flock<File>, DatabaseError> {
    let in_folder = |error| DatabaseError::Folder(folder.to_path_buf(), error);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(in_folder)?;
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            DatabaseError::ReadOnly(folder.join(FILE))
        }
        _ => DatabaseError::Folder(folder.to_path_buf(), error),
    })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| DatabaseError::InUse(folder.to_path_buf()))
}
