//! Keeps on disk what a script stores, one record for each change.
//!
//! A record is appended with one write, so that what a crash cuts off is the last change at
//! most. A journal that has grown long is written anew beside the old one. Until the new one is
//! safe on the disk and has the old one's name, which a thread of its own waits for, changes go
//! into both.
//!
//! A change that cannot be written, because the disk is full for instance, is the last that is
//! tried: the disk keeps the values of one moment. Everything is then written anew as soon as
//! that works again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::forks::Unforked;
use crate::private_files;

/// How long to wait with the next try after one that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// How much longer than its contents a journal may be, besides four times their length.
const SLACK: u64 = 1 << 20;

/// The journal of one script.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    records: Records,
    /// Whether the records have every change.
    complete: bool,
    successor: Option<Successor>,
    /// Where the successor is written.
    fresh: PathBuf,
    /// After a failure, when to try again.
    retry_at: Option<Instant>,
}

/// A file of whole records.
#[derive(Debug)]
struct Records {
    file: File,
    bytes: u64,
}

impl Records {
    /// Appends a record. When that fails, part of it may be there; it stays the last, and
    /// opening the journal cuts it off.
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.file.write_all(record)?;
        self.bytes += record.len() as u64;
        Ok(())
    }
}

/// The journal that is to replace this one.
#[derive(Debug)]
struct Successor {
    records: Records,
    /// Set by who comes first: the thread, which then gives it the old one's name, or this
    /// one, which then goes on with the old one.
    decided: Arc<AtomicBool>,
    saver: Unforked<JoinHandle<io::Result<()>>>,
}

impl Successor {
    fn begin(fresh: &Path, path: &Path, contents: &[u8]) -> io::Result<Successor> {
        let mut records = Records { file: open(fresh)?, bytes: 0 };
        records.file.set_len(0)?;
        records.append(contents)?;
        let decided = Arc::new(AtomicBool::new(false));
        let (written, first) = (records.file.try_clone()?, decided.clone());
        let (fresh, path) = (fresh.to_path_buf(), path.to_path_buf());
        let save = move || {
            written.sync_data()?;
            if first.swap(true, Ordering::AcqRel) { Ok(()) } else { std::fs::rename(&fresh, &path) }
        };
        let saver = std::thread::Builder::new().name("vhpy-store".into()).spawn(save)?;
        Ok(Successor { records, decided, saver: Unforked::new(saver) })
    }

    fn is_finished(&self) -> bool {
        self.saver.get().is_some_and(JoinHandle::is_finished)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = private_files::options().read(true).append(true).create(true).open(path)?;
    private_files::tighten(&file, path);
    Ok(file)
}

impl Journal {
    /// Opens a journal, or makes an empty one. Hand what is in it to [`Journal::cut_after`] next.
    pub fn open(path: PathBuf) -> io::Result<(Journal, Vec<u8>)> {
        let mut file = open(&path)?;
        let mut contents = Vec::new();
        file.read_to_end(&mut contents)?;
        let records = Records { file, bytes: contents.len() as u64 };
        let fresh = path.with_extension("new");
        Ok((Journal { path, records, complete: true, successor: None, fresh, retry_at: None }, contents))
    }

    /// Cuts off what is no whole record: it would hide what comes after it.
    pub fn cut_after(&mut self, whole: usize) -> io::Result<()> {
        let whole = whole as u64;
        if whole < self.records.bytes {
            let lost = self.records.bytes - whole;
            log::warn!("{}: the last {lost} bytes are no whole change and are cut off", self.path.display());
            self.records.file.set_len(whole)?;
            self.records.bytes = whole;
        }
        Ok(())
    }

    /// Appends a change.
    pub fn append(&mut self, record: &[u8]) {
        if let Some(successor) = self.successor.take_if(|successor| successor.is_finished()) {
            self.succeed(successor);
        }
        if self.complete
            && let Err(error) = self.records.append(record)
        {
            self.complete = false;
            self.failed(&error);
        }
        if let Some(Err(error)) = self.successor.as_mut().map(|successor| successor.records.append(record)) {
            // If it is this one's successor already, it lacks a change now.
            self.complete &= self.dismiss();
            self.failed(&error);
        }
    }

    /// Whether it should be written anew, for contents of this length.
    pub fn wants_renewal(&self, contents: usize) -> bool {
        let is_long = || self.records.bytes > 4 * contents as u64 + SLACK;
        self.successor.is_none()
            && (!self.complete || is_long())
            && self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Begins to write it anew.
    pub fn renew(&mut self, contents: &[u8]) {
        match Successor::begin(&self.fresh, &self.path, contents) {
            Ok(successor) => self.successor = Some(successor),
            Err(error) => self.failed(&error),
        }
    }

    /// Whether every change is on disk.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Tries for the last time to write what could not be written.
    pub fn finish(&mut self, contents: &[u8]) {
        if self.successor.is_none() {
            self.renew(contents);
        }
        if let Some(successor) = self.successor.take() {
            self.succeed(successor);
        }
    }

    /// In a forked child: a thread of the parent's cannot be waited for, and what it renames
    /// is the parent's.
    pub fn after_fork(&mut self) {
        if self.successor.take().is_some() {
            self.complete = false;
            self.fresh = self.path.with_extension("forked");
        }
    }

    /// Waits for the successor and takes it.
    fn succeed(&mut self, Successor { records, saver, .. }: Successor) {
        let saved = saver.into_inner().map(JoinHandle::join);
        let saved = saved.unwrap_or_else(|| Ok(Err(io::Error::other("the process was forked"))));
        match saved.unwrap_or_else(|_| Err(io::Error::other("a thread has panicked"))) {
            Ok(()) => {
                self.records = records;
                self.complete = true;
                if self.retry_at.take().is_some() {
                    log::info!("{}: everything is on disk again", self.path.display());
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Lets go of the successor. False when it is too late for that, and it has taken over.
    fn dismiss(&mut self) -> bool {
        let Some(successor) = self.successor.take() else { return true };
        let is_first = !successor.decided.swap(true, Ordering::AcqRel);
        if !is_first {
            self.succeed(successor);
        }
        is_first
    }

    /// Notes a failure; the log has the first of a row.
    fn failed(&mut self, error: &io::Error) {
        if self.retry_at.replace(Instant::now() + RETRY_PAUSE).is_some() {
            return;
        }
        let path = self.path.display();
        let pause = RETRY_PAUSE.as_secs();
        if self.complete {
            log::warn!("{path}: cannot be made shorter: {error}; it is tried again every {pause} s");
        } else {
            log::error!(
                "{path}: {error}: what the script stores is in memory only; it is tried again every {pause} s"
            );
        }
    }
}

impl Drop for Journal {
    /// Another journal may be opened under this name at once.
    fn drop(&mut self) {
        self.dismiss();
    }
}

#[cfg(test)]
impl Journal {
    /// From now on nothing can be written.
    pub fn fill_disk(&mut self) {
        self.records.file = open(Path::new("/dev/full")).expect("a device that is always full");
        self.fresh = PathBuf::from("/dev/full");
    }

    /// A new journal can be written again.
    pub fn free_disk(&mut self) {
        self.fresh = self.path.with_extension("new");
    }

    /// The pause after a failure is over.
    pub fn end_pause(&mut self) {
        self.retry_at = self.retry_at.map(|_| Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(folder: &Path) -> Journal {
        Journal::open(folder.join("a.store")).expect("a journal").0
    }

    fn on_disk(journal: &Journal) -> Vec<u8> {
        std::fs::read(&journal.path).expect("a file")
    }

    /// Appends so much that it wants to be written anew; what is on disk then.
    fn grow(journal: &mut Journal) -> Vec<u8> {
        let chunk = vec![b'x'; 100_000];
        while !journal.wants_renewal(0) {
            journal.append(&chunk);
        }
        on_disk(journal)
    }

    #[test]
    fn one_that_cannot_be_made_shorter_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = journal(folder.path());
        let long = grow(&mut journal);
        journal.fresh = PathBuf::from("/dev/full");
        journal.renew(b"contents");
        assert!(journal.is_complete());
        assert!(!journal.wants_renewal(0), "not at once");
        journal.append(b"change");
        assert_eq!(on_disk(&journal), [&long[..], b"change"].concat());
        journal.free_disk();
        journal.end_pause();
        assert!(journal.wants_renewal(0));
        journal.finish(b"contents");
        assert_eq!(on_disk(&journal), b"contents");
        journal.append(b"change");
        assert_eq!(on_disk(&journal), b"contentschange");
    }

    #[test]
    fn a_successor_that_lacks_a_change_is_not_enough() {
        let folder = tempfile::tempdir().expect("a folder");
        for has_the_name in [false, true] {
            let mut journal = journal(folder.path());
            // It ends when the change is in the old journal, so never before that is written.
            let path = journal.path.clone();
            let saver = std::thread::spawn(move || {
                let start = Instant::now();
                while std::fs::read(&path)? != b"change" {
                    assert!(start.elapsed() < Duration::from_secs(60), "waited 60 s for the change");
                    std::thread::yield_now();
                }
                Ok(())
            });
            let full = Records { file: open(Path::new("/dev/full")).expect("a device"), bytes: 0 };
            let decided = Arc::new(AtomicBool::new(has_the_name));
            journal.successor = Some(Successor { records: full, decided, saver: Unforked::new(saver) });
            journal.append(b"change");
            assert_eq!(journal.is_complete(), !has_the_name);
            assert_eq!(on_disk(&journal), b"change");
            journal.free_disk();
            journal.finish(b"");
        }
    }

    #[test]
    fn a_forked_child_does_not_write_what_its_parent_has_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = journal(folder.path());
        grow(&mut journal);
        journal.renew(b"contents");
        let start = Instant::now();
        while journal.fresh.exists() {
            assert!(start.elapsed().as_secs() < 60, "waited a minute for the new journal's name");
            std::thread::yield_now();
        }
        journal.after_fork();
        journal.append(b"change");
        assert!(journal.wants_renewal(1 << 30));
        journal.finish(b"contentschange");
        assert_eq!(on_disk(&journal), b"contentschange");
    }
}
