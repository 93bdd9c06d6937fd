//! A data folder in one file, and back: what a hub keeps survives its disk, a bad upgrade, and a
//! power cut in the middle of a restore.
//!
//! A backup is a tar archive. Its first file says what it is, its last one holds the SHA-256 of
//! everything before, so one that was cut or changed is found out before anything is touched.
//! It is made while the hub runs: SQLite copies the database as of one moment, and a script's
//! store is a journal, of which every beginning is whole.
//!
//! What belongs to a backup is what the data folder holds, without the files that are made again
//! by themselves: virtual environments, Python's caches, what earlier restores put aside.

mod contents;
mod pack;
mod restore;

pub use contents::{BackupError, Contents};
pub use pack::backup;
pub(super) use restore::finish_interrupted;
pub use restore::{Restored, check, restore};
