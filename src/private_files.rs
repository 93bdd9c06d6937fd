//! Files that only the hub's user may read, whatever the folder they are in lets others do:
//! they hold passwords' hashes, addresses, and what scripts remember.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// What others than the owner may do.
const OTHERS: u32 = 0o077;

/// For opening such a file: one that is made is its user's alone.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Takes from others what an earlier version, or somebody by hand, let them do with a file.
pub(crate) fn tighten(file: &File, path: &Path) {
    let Ok(metadata) = file.metadata() else { return };
    let mode = metadata.permissions().mode();
    if metadata.is_file()
        && mode & OTHERS != 0
        && let Err(error) = file.set_permissions(Permissions::from_mode(mode & 0o7777 & !OTHERS))
    {
        log::warn!("others can read {}, and that cannot be changed: {error}", path.display());
    }
}
