//! Keeps on disk the version of each script that served last, so that the next start of the hub has it.
//!
//! A thread of its own writes, one file after the other and of each only what is newest; it ends when
//! nothing is left to do. A file is written beside the one before and takes its name when it is whole.
//! One that is damaged, or cannot be read, is as if there were none.
//!
//! Invariant: **what is read is what was kept last**, whether it is on disk yet or not.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::forks::Unforked;
use super::version::Version;
use crate::private_files;

/// How long the hub's end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// The versions of all scripts.
pub(super) struct KeptVersions(RefCell<Unforked<Arc<Shared>>>);

impl Default for KeptVersions {
    fn default() -> KeptVersions {
        KeptVersions(RefCell::new(Unforked::new(Arc::new(Shared::new("version-new")))))
    }
}

/// What the hub's thread and the one that writes share.
struct Shared {
    jobs: Mutex<Jobs>,
    /// Nothing is left to do.
    done: Condvar,
    /// What a file ends in that is not whole yet.
    fresh: &'static str,
}

#[derive(Default)]
struct Jobs {
    /// What is to be in these files; no version is no file. The first is being written.
    wanted: Vec<(PathBuf, Option<Arc<Version>>)>,
    is_running: bool,
}

impl Shared {
    fn new(fresh: &'static str) -> Shared {
        Shared { jobs: Mutex::default(), done: Condvar::new(), fresh }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until nothing is left to do.
    fn work(&self) {
        while let Some((path, version)) = self.next() {
            let done = match &version {
                Some(version) => write(&path, self.fresh, version),
                None => remove(&path),
            };
            if let Err(error) = done {
                log::warn!("{}: the version of a script is not kept there: {error}", path.display());
            }
            self.is_done(&path, version.as_ref());
        }
    }

    fn next(&self) -> Option<(PathBuf, Option<Arc<Version>>)> {
        let mut jobs = self.jobs();
        let next = jobs.wanted.first().cloned();
        if next.is_none() {
            jobs.is_running = false;
            self.done.notify_all();
        }
        next
    }

    /// Unless something else is wanted there meanwhile.
    fn is_done(&self, path: &Path, version: Option<&Arc<Version>>) {
        let is_same = |wanted: Option<&Arc<Version>>| match (wanted, version) {
            (Some(wanted), Some(version)) => Arc::ptr_eq(wanted, version),
            (wanted, version) => wanted.is_none() && version.is_none(),
        };
        self.jobs().wanted.retain(|(known, wanted)| known != path || !is_same(wanted.as_ref()));
    }
}

impl KeptVersions {
    /// From now on this version is in the file, or there is no file.
    pub(super) fn keep(&self, path: &Path, version: Option<Arc<Version>>) {
        let shared = self.0.borrow();
        let Some(shared) = shared.get() else { return };
        let mut jobs = shared.jobs();
        match jobs.wanted.iter_mut().find(|(known, _)| known == path) {
            Some((_, wanted)) => *wanted = version,
            None => jobs.wanted.push((path.to_path_buf(), version)),
        }
        if jobs.is_running {
            return;
        }
        let worker = shared.clone();
        let started = std::thread::Builder::new().name("vhpy-version".into()).spawn(move || worker.work());
        match started {
            Ok(_) => jobs.is_running = true,
            Err(error) => {
                jobs.wanted.clear();
                log::warn!("{}: the version of a script is not kept there: {error}", path.display());
            }
        }
    }

    /// What was kept in this file.
    pub(super) fn read(&self, path: &Path) -> Option<Version> {
        let shared = self.0.borrow();
        if let Some(shared) = shared.get()
            && let Some((_, wanted)) = shared.jobs().wanted.iter().find(|(known, _)| known == path)
        {
            return wanted.as_deref().cloned();
        }
        let why = match read(path) {
            Ok(Some(version)) => return Some(version),
            Ok(None) => "it is damaged".to_string(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        log::warn!("{}: the version of a script that was kept is left out: {why}", path.display());
        None
    }

    /// Waits until everything is on disk, or the disk takes too long.
    pub(super) fn finish(&self) {
        let shared = self.0.borrow();
        let Some(shared) = shared.get() else { return };
        let waited = shared.done.wait_timeout_while(shared.jobs(), PATIENCE, |jobs| jobs.is_running);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            log::error!("versions of scripts are not all on disk after {} s", PATIENCE.as_secs());
        }
    }

    /// In a forked child: what the parent is writing is its affair.
    pub(super) fn after_fork(&self) {
        self.0.replace(Unforked::new(Arc::new(Shared::new("version-forked"))));
    }
}

fn write(path: &Path, fresh: &str, version: &Version) -> io::Result<()> {
    let fresh = path.with_extension(fresh);
    let mut file = private_files::options().write(true).create(true).truncate(true).open(&fresh)?;
    private_files::tighten(&file, &fresh);
    let written = file.write_all(&version.to_bytes()).and_then(|()| file.sync_all());
    let written = written.and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // It holds room on a full disk; the error is told.
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `None` when it is damaged.
fn read(path: &Path) -> io::Result<Option<Version>> {
    if fs::metadata(path)?.len() > Version::MOST_BYTES {
        return Ok(None);
    }
    Ok(Version::from_bytes(&fs::read(path)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::supervisor::version::Sources;

    fn version(text: &str) -> Arc<Version> {
        let mut sources = Sources::default();
        assert!(sources.add(b"a.py", text.as_bytes()));
        Arc::new(Version::new(sources).unwrap())
    }

    #[test]
    fn what_is_read_is_what_was_kept_last() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.version", "b.version"].map(|name| folder.path().join(name));
        let kept = KeptVersions::default();
        let is_kept = |path, text: &str| {
            kept.read(path).is_some_and(|found| found.entries() == version(text).entries())
        };
        for number in 0..100 {
            let text = format!("version = {number}");
            for path in &paths {
                kept.keep(path, Some(version(&text)));
                assert!(is_kept(path, &text), "{number}");
            }
            kept.keep(&paths[1], None);
            assert!(kept.read(&paths[1]).is_none(), "{number}");
        }
        kept.finish();
        assert!(is_kept(&paths[0], "version = 99") && !paths[1].exists());
        assert_eq!(fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half written is left");
    }

    #[test]
    fn what_cannot_be_read_is_as_if_there_were_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.version");
        let kept = KeptVersions::default();
        assert!(kept.read(&path).is_none());
        fs::write(&path, "no version").unwrap();
        assert!(kept.read(&path).is_none());
        fs::File::create(&path).unwrap().set_len(Version::MOST_BYTES + 1).unwrap();
        assert!(kept.read(&path).is_none());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(kept.read(&path).is_none());
        kept.keep(&path, Some(version("x")));
        kept.finish();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what could not be written is gone");
    }
}
