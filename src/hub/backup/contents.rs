//! What belongs to a backup and what does not, what its own files are called, and what can go
//! wrong.

use std::io;
use std::path::{Path, PathBuf};

use crate::hub::data_folder::DatabaseError;

/// The first file of an archive.
pub const TITLE: &str = "vhpy-backup";
/// What is in there.
pub const TITLE_TEXT: &str = "A backup of vhpy's data folder, format 1; vhpy restore puts it back.\n";
/// The last file of an archive.
pub const CHECKSUM: &str = "vhpy-backup.sha256";
/// The folder of the scripts, in an archive and in a data folder.
pub const SCRIPTS: &str = "scripts";

// The folders of a restore: see `restore`.
pub const UNPACKING: &str = "restore-unpacking";
pub const READY: &str = "restore-ready-";
pub const PLACING: &str = "restore-placing-";
pub const BEFORE: &str = "before-restore-";

/// Whether a name in the data folder is one of those above.
pub fn is_of_a_restore(name: &str) -> bool {
    name == UNPACKING || [READY, PLACING, BEFORE].iter().any(|start| name.starts_with(start))
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many files, folders not counted.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// Why there is no backup, or why it was not restored. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing to back up.
    #[error("there is no hub's database in {0}; name the hub's data folder with --data")]
    NoHub(PathBuf),
    /// SQLite cannot copy the database.
    #[error("the database {0} cannot be copied: {1}")]
    Copy(PathBuf, rusqlite::Error),
    /// A file of the data folder.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// The archive cannot be written.
    #[error("cannot write the backup {0}: {1}")]
    Write(PathBuf, io::Error),
    /// There is something else at its place.
    #[error("{0} is there and is no backup of vhpy's; it is left alone: give another name")]
    Occupied(PathBuf),
    /// The archive cannot be opened.
    #[error("cannot read the backup {0}: {1}")]
    Open(PathBuf, io::Error),
    /// It is something else.
    #[error("{0} is no backup of vhpy's")]
    NoBackup(PathBuf),
    /// It was cut or changed.
    #[error("the backup {0} is damaged: {1}; nothing was changed, use an older one")]
    Damaged(PathBuf, String),
    /// It cannot be put where it belongs.
    #[error("cannot write to the data folder {0}: {1}; what was there before is still there")]
    Unpack(PathBuf, io::Error),
    /// The last step did not succeed; the next start goes on with it.
    #[error(
        "the backup was unpacked, but not put into place: {0}; mend that, and the next start of the hub or the next vhpy restore goes on"
    )]
    Place(io::Error),
    /// A hub runs there, or the folder cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Whether something in a data folder belongs to no backup: it is made again by itself, or is
/// the work of a restore.
pub fn is_left_out(relative: &Path) -> bool {
    let name = relative.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_at_top = relative.components().count() == 1;
    let made_again = ["__pycache__", ".venv", ".mypy_cache", ".pytest_cache"].contains(&name);
    let of_the_top = name == "lock" || name.starts_with("hub.db") || is_of_a_restore(name);
    made_again || (is_at_top && of_the_top)
}

/// As programs show digests.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
