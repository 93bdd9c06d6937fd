//! `vh.store` of one script: what survives its processes, on disk too when the host gives a
//! folder; changing it is the worker's matter, which sends every change as it happens, and the
//! disk is that of its [`journal`](super::journal).

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use plugin_abi::{FromWorker, Value};

use super::journal::Journal;

/// How much one script may store, keys and values together, in bytes as they travel.
pub const MAX_STORE: usize = 4 << 20;

/// The values, each with the number of bytes it took in its frame.
type Entries = BTreeMap<Vec<u8>, (Value<'static>, usize)>;

/// The contents.
#[derive(Debug, Default)]
pub struct Store {
    entries: Entries,
    bytes: usize,
    journal: Option<Journal>,
}

/// The script wanted to store more than [`MAX_STORE`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("vh.store would hold {0} bytes; at most {MAX_STORE} are allowed")]
pub struct TooBig(pub usize);

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
        let (mut journal, contents) = Journal::open(path)?;
        journal.cut_after(contents.len() - self.replay(&contents).len())?;
        self.journal = Some(journal);
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
        self.keep(key, value);
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

    fn keep(&mut self, key: &[u8], value: Option<Value<'static>>) {
        let Some(journal) = &mut self.journal else { return };
        journal.append(&record(key, value));
        if journal.wants_renewal(self.bytes) {
            journal.renew(&records(&self.entries));
        }
    }

    /// In a forked child: what belongs to the parent is let go of.
    pub fn after_fork(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.after_fork();
        }
    }

    /// All entries, for a new process.
    pub fn entries(&self) -> Vec<(Value<'static>, Value<'static>)> {
        self.entries.iter().map(|(key, (value, _))| (Value::from(key.clone()), value.clone())).collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.as_mut().filter(|journal| !journal.is_complete()) {
            journal.finish(&records(&self.entries));
        }
    }
}

/// One change: its length, then the frame that tells of it.
fn record(key: &[u8], value: Option<Value<'static>>) -> Vec<u8> {
    let mut frame = Vec::new();
    let written = FromWorker::Store { key: key.into(), value }.write(&mut frame);
    match (written, u32::try_from(frame.len())) {
        (Ok(()), Ok(length)) => [&length.to_le_bytes(), &frame[..]].concat(),
        // It came in such a frame, so it fits into one.
        (written, _) => {
            log::error!("a value of {} bytes cannot be kept on disk: {written:?}", frame.len());
            Vec::new()
        }
    }
}

/// One change for every entry.
fn records(entries: &Entries) -> Vec<u8> {
    entries.iter().flat_map(|(key, (value, _))| record(key, Some(value.clone()))).collect()
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
    use std::fs::File;

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

    const SCRIPT: &str = "/scripts/a.py";

    fn put(store: &mut Store, number: i64) {
        store.set(b"key", Some(number.into()), 8).unwrap();
    }

    /// What another process would read.
    fn kept(folder: &Path) -> Value<'static> {
        let entries = Store::open(Some(folder), Path::new(SCRIPT)).entries();
        let [(_, value)] = &entries[..] else { panic!("one entry: {entries:?}") };
        value.clone()
    }

    /// The disk has 1, the store 2.
    fn with_a_full_disk() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(Some(folder.path()), Path::new(SCRIPT));
        put(&mut store, 1);
        store.journal.as_mut().unwrap().fill_disk();
        put(&mut store, 2);
        (folder, store)
    }

    #[test]
    fn a_full_disk_loses_nothing_once_it_has_room_again() {
        let (folder, mut store) = with_a_full_disk();
        put(&mut store, 3);
        assert_eq!(kept(folder.path()), Value::Int(1));
        store.journal.as_mut().unwrap().free_disk();
        put(&mut store, 4);
        assert_eq!(kept(folder.path()), Value::Int(1), "tried again after a while, not always");
        store.journal.as_mut().unwrap().end_pause();
        let start = std::time::Instant::now();
        let mut number = 5;
        put(&mut store, number);
        while !store.journal.as_ref().unwrap().is_complete() {
            assert!(start.elapsed().as_secs() < 60, "waited a minute for everything to be on disk");
            number += 1;
            put(&mut store, number);
        }
        assert_eq!(kept(folder.path()), Value::Int(number));
    }

    #[test]
    fn what_a_full_disk_refused_is_tried_once_more_at_the_end() {
        let (folder, mut store) = with_a_full_disk();
        store.journal.as_mut().unwrap().free_disk();
        drop(store);
        assert_eq!(kept(folder.path()), Value::Int(2));
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
