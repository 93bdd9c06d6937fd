//! `vh.store` of one script: what survives its processes, on disk too when the host gives a
//! folder; changing it is the worker's matter, which sends every change as it happens.
//!
//! On disk it is a journal: one record for each change, appended with one write. Opening it
//! reads the records up to the first that is not whole, so that what a crash cut off is the
//! last change at most, and never half of one. When the journal has grown to several times
//! its contents, it is written anew beside the old one. Until the new one is safe on the disk
//! and has been renamed, which a thread of its own waits for, changes go into both.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use plugin_abi::{FromWorker, Value};

/// How much one script may store, keys and values together, in bytes as they travel.
pub const MAX_STORE: usize = 4 << 20;

/// The contents.
#[derive(Debug, Default)]
pub struct Store {
    entries: BTreeMap<Vec<u8>, (Value<'static>, usize)>,
    bytes: usize,
    journal: Option<Journal>,
}

/// The script wanted to store more than [`MAX_STORE`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("vh.store would hold {0} bytes; at most {MAX_STORE} are allowed")]
pub struct TooBig(pub usize);

#[derive(Debug)]
struct Journal {
    path: PathBuf,
    file: File,
    bytes: usize,
    successor: Option<Successor>,
}

/// The journal that is to replace this one.
#[derive(Debug)]
struct Successor {
    file: File,
    bytes: usize,
    /// Makes it safe, then gives it the name of the old one.
    saver: JoinHandle<io::Result<()>>,
}

impl Journal {
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if let Some(successor) = self.successor.take_if(|successor| successor.saver.is_finished()) {
            self.succeed(successor)?;
        }
        self.file.write_all(record)?;
        self.bytes += record.len();
        if let Some(successor) = &mut self.successor {
            successor.file.write_all(record)?;
            successor.bytes += record.len();
        }
        Ok(())
    }

    /// Puts the successor into the place of the old journal.
    fn succeed(&mut self, Successor { file, bytes, saver }: Successor) -> io::Result<()> {
        saver.join().unwrap_or_else(|_| Err(io::Error::other("a thread has panicked")))?;
        (self.file, self.bytes) = (file, bytes);
        Ok(())
    }

    /// Lets a new journal with these contents replace this one.
    fn renew(&mut self, contents: &[u8]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(contents)?;
        let (written, path) = (file.try_clone()?, self.path.clone());
        let save = move || {
            written.sync_data()?;
            std::fs::rename(&fresh, &path)
        };
        let saver = std::thread::Builder::new().name("vhpy-store".into()).spawn(save)?;
        self.successor = Some(Successor { file, bytes: contents.len(), saver });
        Ok(())
    }
}

impl Drop for Journal {
    /// Another journal may be opened under this name at once.
    fn drop(&mut self) {
        if let Some(successor) = self.successor.take()
            && let Err(error) = self.succeed(successor)
        {
            log::warn!(
                "{}: the shorter form of the journal could not be written: {error}",
                self.path.display()
            );
        }
    }
}

impl Store {
    /// The store of a script: empty, or what was kept on disk if there is a folder.
    pub fn open(folder: Option<&Path>, script: &Path) -> Store {
        let mut store = Store::default();
        let Some(folder) = folder else { return store };
        let path = folder.join(file_name(script));
        if let Err(error) = store.open_journal(folder, path) {
            let path = folder.join(file_name(script));
            log::error!("vh.store of {} is not kept on disk: {}: {error}", script.display(), path.display());
        }
        store
    }

    fn open_journal(&mut self, folder: &Path, path: PathBuf) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.len() - self.replay(&bytes).len();
        // What a crash left at the end would hide what comes after it.
        if whole < bytes.len() {
            file.set_len(whole as u64)?;
        }
        self.journal = Some(Journal { path, file, bytes: whole, successor: None });
        Ok(())
    }

    /// Does again what the records say, and gives back what is no whole record.
    fn replay<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some((record, rest)) = rest.split_at_checked(length) else { break };
            let Ok(FromWorker::Store { key, value }) = FromWorker::read(record) else { break };
            // What was stored once fits.
            let _ = self.apply(&key, value.map(Value::into_owned), record.len());
            bytes = rest;
        }
        bytes
    }

    /// Sets a key whose value took so many bytes in its frame, or removes it.
    pub fn set(&mut self, key: &[u8], value: Option<Value<'static>>, bytes: usize) -> Result<(), TooBig> {
        if self.journal.is_none() {
            return self.apply(key, value, bytes);
        }
        self.apply(key, value.clone(), bytes)?;
        if let Err(error) = self.keep(key, value) {
            log::error!("vh.store is not kept on disk any more: {error}");
            self.journal = None;
        }
        Ok(())
    }

    fn apply(&mut self, key: &[u8], value: Option<Value<'static>>, bytes: usize) -> Result<(), TooBig> {
        let old = self.entries.get(key).map_or(0, |(_, bytes)| *bytes);
        let Some(value) = value else {
            self.entries.remove(key);
            self.bytes -= old;
            return Ok(());
        };
        let total = self.bytes - old + bytes;
        if total > MAX_STORE {
            return Err(TooBig(total));
        }
        self.bytes = total;
        self.entries.insert(key.to_vec(), (value, bytes));
        Ok(())
    }

    fn keep(&mut self, key: &[u8], value: Option<Value<'static>>) -> io::Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.append(&record(key, value)?)?;
        if journal.successor.is_none() && journal.bytes > 4 * self.bytes + (1 << 20) {
            let mut contents = Vec::new();
            for (key, (value, _)) in &self.entries {
                contents.extend(record(key, Some(value.clone()))?);
            }
            journal.renew(&contents)?;
        }
        Ok(())
    }

    /// In a forked child: a thread of the parent's cannot be waited for.
    pub fn after_fork(&mut self) {
        if let Some(successor) = self.journal.as_mut().and_then(|journal| journal.successor.take()) {
            std::mem::forget(successor.saver);
        }
    }

    /// All entries, for a new process.
    pub fn entries(&self) -> Vec<(Value<'static>, Value<'static>)> {
        self.entries.iter().map(|(key, (value, _))| (Value::from(key.clone()), value.clone())).collect()
    }
}

/// One change: its length, then the frame that tells of it.
fn record(key: &[u8], value: Option<Value<'static>>) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    FromWorker::Store { key: key.into(), value }.write(&mut frame).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    let mut record = length.to_le_bytes().to_vec();
    record.extend(frame);
    Ok(record)
}

/// A name that belongs to this script alone: its own, and a hash of where it lies.
fn file_name(script: &Path) -> String {
    // FNV-1a: unlike the standard library's hashes, the same for ever.
    let hash = script.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let stem = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    format!("{stem}-{hash:016x}.store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_what_is_there() {
        let mut store = Store::default();
        store.set(b"a", Some(1i64.into()), MAX_STORE).unwrap();
        assert_eq!(store.set(b"b", Some(1i64.into()), 1), Err(TooBig(MAX_STORE + 1)));
        store.set(b"a", Some(2i64.into()), 10).unwrap();
        store.set(b"b", Some(1i64.into()), MAX_STORE - 10).unwrap();
        store.set(b"b", None, 0).unwrap();
        assert_eq!(store.entries(), [("a".to_string().into(), 2i64.into())]);
    }

    #[test]
    fn a_journal_that_was_cut_off_loses_the_last_change_only() {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new("/scripts/a.py");
        let open = || Store::open(Some(folder.path()), script);
        let mut store = open();
        for number in 0..100i64 {
            store.set(format!("key {}", number % 10).as_bytes(), Some(number.into()), 8).unwrap();
        }
        let all = store.entries();
        drop(store);
        assert_eq!(open().entries(), all);

        let file = folder.path().join(file_name(script));
        let mut store = open();
        store.set(b"last", Some("x".repeat(100).into()), 8).unwrap();
        drop(store);
        let length = std::fs::metadata(&file).unwrap().len();
        File::options().write(true).open(&file).unwrap().set_len(length - 1).unwrap();
        assert_eq!(open().entries(), all);
    }

    #[test]
    fn a_journal_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new("/a.py");
        let mut store = Store::open(Some(folder.path()), script);
        let file = folder.path().join(file_name(script));
        let length = || std::fs::metadata(&file).unwrap().len();
        let start = std::time::Instant::now();
        for times in 0..3 {
            let mut longest = 0;
            let mut number = 0;
            while length() >= longest {
                longest = length();
                number += 1;
                store.set(b"key", Some(format!("{number}{}", "x".repeat(2000)).into()), 2000).unwrap();
                assert!(
                    start.elapsed().as_secs() < 60,
                    "waited a minute for the journal to shrink again: {times}"
                );
            }
        }
        store.set(b"key", Some(1i64.into()), 2000).unwrap();
        drop(store);
        let entries = Store::open(Some(folder.path()), script).entries();
        assert_eq!(entries, [("key".to_string().into(), 1i64.into())]);
    }
}
