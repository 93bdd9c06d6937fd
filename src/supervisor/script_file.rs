//! Files of scripts: a file `NAME.py`, or a folder with an `__init__.py`.

use std::path::Path;

/// The name of the script of this file: the file's without `.py`; for a package, its folder's.
pub fn name_of(path: &Path) -> String {
    let name = match path.parent().and_then(Path::file_name) {
        Some(folder) if path.file_name().is_some_and(|name| name == PACKAGE) => Some(folder),
        _ => path.file_stem(),
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// What makes a folder a package.
pub const PACKAGE: &str = "__init__.py";
