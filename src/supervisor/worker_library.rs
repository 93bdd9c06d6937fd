//! `libvh_worker.so`, which every script's interpreter loads: where it is, and whether it is of the
//! hub's own build.
//!
//! A hub keeps the file open that it began with and gives it to every process: while the package is
//! upgraded, another version lies at its path, or nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_abi::start::{BUILD, MARK};

use super::interpreter::{NotFound, this_code};

/// Its file name.
const NAME: &str = "libvh_worker.so";

/// Why there is no worker library to begin with.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It is not where it is expected.
    #[error(
        "libvh_worker.so is not at {0}: install vhpy's package or wheel, or build it with `make`, or let VHPY_WORKER point to it"
    )]
    Missing(PathBuf),
    /// Where to look for it is unknown.
    #[error(transparent)]
    Nowhere(#[from] NotFound),
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// It is of another version.
    #[error(
        "{path} is of vhpy {theirs}, but this hub of {BUILD}: install both from one package or one build, and see that VHPY_WORKER does not point to an old one"
    )]
    OtherBuild {
        /// Where it is.
        path: PathBuf,
        /// What it says that it is.
        theirs: String,
    },
}

/// The worker library that a hub began with.
#[derive(Debug)]
pub struct WorkerLibrary {
    path: PathBuf,
    file: Arc<File>,
}

impl WorkerLibrary {
    /// Opens it: as configured, where `VHPY_WORKER` points, or beside this code.
    pub fn open(configured: Option<&Path>) -> Result<WorkerLibrary, WorkerError> {
        let path = locate(configured)?;
        let unreadable = |error| WorkerError::Unreadable(path.clone(), error);
        let file = File::open(&path).map_err(unreadable)?;
        let theirs = build_of(&file).map_err(unreadable)?;
        if theirs.as_deref() != Some(BUILD) {
            let theirs = theirs.unwrap_or_else(|| "an unknown version".into());
            return Err(WorkerError::OtherBuild { path, theirs });
        }
        Ok(WorkerLibrary { path, file: Arc::new(file) })
    }

    /// One that nobody can load.
    #[cfg(test)]
    pub fn of_tests() -> WorkerLibrary {
        let path = PathBuf::from("/dev/null");
        let file = Arc::new(File::open(&path).unwrap());
        WorkerLibrary { path, file }
    }

    /// Where it was.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, whatever lies at its path now.
    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }
}

/// Where the worker library is, if there is one.
fn locate(configured: Option<&Path>) -> Result<PathBuf, WorkerError> {
    let path = match (configured, std::env::var_os("VHPY_WORKER")) {
        (Some(path), _) => path.to_path_buf(),
        (None, Some(path)) if !path.is_empty() => PathBuf::from(path),
        _ => beside_this_code()?,
    };
    // As people would write it, without the `..` by which it was found.
    match std::fs::canonicalize(&path) {
        Ok(path) if path.is_file() => Ok(path),
        _ => Err(WorkerError::Missing(std::path::absolute(&path).unwrap_or(path))),
    }
}

/// Beside this code, one folder up (for tests), or where packages put it.
fn beside_this_code() -> Result<PathBuf, NotFound> {
    let file = this_code()?;
    let folder = file.parent().ok_or(NotFound::Nowhere)?;
    let candidates = ["", "../lib", "../lib/vhpy", ".."].map(|place| folder.join(place).join(NAME));
    let first = candidates[0].clone();
    Ok(candidates.into_iter().find(|file| file.is_file()).unwrap_or(first))
}

/// How much of the file is looked through at a time.
const CHUNK: usize = 64 << 10;

/// The longest text that is taken for a build.
const LONGEST: usize = 64;

/// What the library says that it is; `None` if it does not say.
fn build_of(file: &File) -> io::Result<Option<String>> {
    let mut window = vec![0; MARK.len() + LONGEST + CHUNK];
    let mut offset = 0;
    loop {
        let length = read_at(file, &mut window, offset)?;
        let seen = window.get(..length).unwrap_or_default();
        let is_last = length < window.len();
        match memchr::memmem::find(seen, MARK) {
            // What stands after it is all there.
            Some(at) if is_last || at < CHUNK => {
                let after = seen.get(at + MARK.len()..).unwrap_or_default();
                let text: Vec<u8> =
                    after.iter().copied().take(LONGEST).take_while(|byte| *byte != 0).collect();
                return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
            }
            _ if is_last => return Ok(None),
            _ => offset += CHUNK as u64,
        }
    }
}

/// Fills the buffer from there on, as far as the file goes.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The build and the place of the worker library that a hub of this program would begin with, or what
/// is wrong with it.
pub fn describe() -> String {
    match WorkerLibrary::open(None) {
        Ok(library) => format!("{BUILD}, {}", library.path.display()),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Wherever it stands, also across what is read at a time.
    #[test]
    fn the_build_is_found_anywhere_in_the_file() {
        for before in [0, 1, CHUNK - 30, CHUNK - 1, CHUNK, CHUNK + 70, 3 * CHUNK - 5] {
            for after in [0, 1, 2 * CHUNK] {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&vec![b'x'; before]).unwrap();
                file.write_all(&[MARK, b"1.2.3, protocol 4\0"].concat()).unwrap();
                file.write_all(&vec![b'y'; after]).unwrap();
                let found = build_of(&file).unwrap();
                assert_eq!(found.as_deref(), Some("1.2.3, protocol 4"), "{before} bytes, {after} bytes");
            }
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![0; 2 * CHUNK]).unwrap();
        assert_eq!(build_of(&file).unwrap(), None);
    }
}
