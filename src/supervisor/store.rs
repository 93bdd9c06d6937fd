//! `vh.store` of one script: what survives its processes, on disk too when the host gives a
//! folder; the worker sends every change as it happens, and the
//! [`journal`](super::journal) writes it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use plugin_abi::frame::MAX_STORE;
use plugin_abi::{FromWorker, Value};

use super::journal::Journal;

/// The values, each with the number of bytes it took in its frame.
type Entries = BTreeMap<Vec<u8>, (Value<'static>, usize)>;

/// What keys had before they were changed; nothing if they were not there.
type Before = BTreeMap<Vec<u8>, Option<(Value<'static>, usize)>>;

/// The contents.
#[derive(Debug, Default)]
pub struct Store {
    entries: Entries,
    bytes: usize,
    journal: Option<Journal>,
    /// What the keys had before that were changed since [`Store::note_changes`].
    before: Option<Before>,
}

/// The script wanted to store more than [`MAX_STORE`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("vh.store would hold {0} bytes; at most {MAX_STORE} are allowed")]
pub struct TooBig(pub usize);

impl Store {
    /// The store of a script: empty, or what was kept on disk if there is a folder. Scripts
    /// below the hub's scripts folder keep their stores when it moves.
    pub fn open(folder: Option<&Path>, script: &Path, scripts_dir: Option<&Path>) -> Store {
        let mut store = Store::default();
        let Some(folder) = folder else { return store };
        let path = folder.join(file_name(script, scripts_dir));
        if !path.exists() {
            find_predecessor(folder, script, &path);
        }
        let shown = path.display().to_string();
        if let Err(error) = store.open_journal(folder, path) {
            log::error!("vh.store of {} is not kept on disk: {shown}: {error}", script.display());
        }
        store
    }

    fn open_journal(&mut self, folder: &Path, path: PathBuf) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
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
        if let Some(before) = &mut self.before
            && !before.contains_key(key)
        {
            before.insert(key.to_vec(), self.entries.get(key).cloned());
        }
        if self.journal.is_none() {
            return self.apply(key, value, bytes);
        }
        self.apply(key, value.clone(), bytes)?;
        self.keep(key, value);
        Ok(())
    }

    /// What is changed from now on can be undone.
    pub fn note_changes(&mut self) {
        self.undo();
        self.before = Some(Before::new());
    }

    /// What was changed stays so.
    pub fn keep_changes(&mut self) {
        self.before = None;
    }

    /// Undoes what was changed since [`Store::note_changes`].
    pub fn undo(&mut self) {
        let before = self.before.take().unwrap_or_default();
        // What was added makes room for what was there.
        let (restored, added): (Vec<_>, Vec<_>) = before.into_iter().partition(|(_, old)| old.is_some());
        for key in added.iter().map(|(key, _)| key).chain(restored.iter().map(|(key, _)| key)) {
            // Removing never fails.
            let _ = self.set(key, None, 0);
        }
        for (key, old) in restored {
            let (value, bytes) = old.unwrap_or_default();
            if let Err(error) = self.set(&key, Some(value), bytes) {
                log::error!("vh.store: a change of a script that could not be loaded is not undone: {error}");
            }
        }
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

/// A name that belongs to this script alone: its own, and a hash of where it lies; below the
/// scripts folder, of where it lies in there.
fn file_name(script: &Path, scripts_dir: Option<&Path>) -> String {
    // Scripts have canonical paths.
    let scripts_dir = scripts_dir.and_then(|folder| folder.canonicalize().ok());
    let inside = scripts_dir.and_then(|folder| script.strip_prefix(folder).ok());
    // FNV-1a: unlike the standard library's hashes, the same for ever.
    let place = inside.unwrap_or(script).as_os_str().as_bytes();
    let hash = place.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}-{hash:016x}.{EXTENSION}", super::script_file::name_of(script))
}

const EXTENSION: &str = "store";

/// Where the version of a script is kept: beside its store.
pub fn version_file(folder: &Path, script: &Path, scripts_dir: Option<&Path>) -> PathBuf {
    folder.join(file_name(script, scripts_dir)).with_extension("version")
}

/// Looks for what a script may have stored under another name: takes over the file that had
/// the name of its whole path, as all had until 0.1.0, and names others in the log, which may
/// be its own from when it lay elsewhere, or another script's.
fn find_predecessor(folder: &Path, script: &Path, path: &Path) {
    let old = folder.join(file_name(script, None));
    if old != path && old.exists() {
        match std::fs::rename(&old, path) {
            Ok(()) => log::info!("{} is {} from now on", old.display(), path.display()),
            Err(error) => log::error!("{} is not taken over: {error}", old.display()),
        }
        return;
    }
    for other in namesakes(folder, &super::script_file::name_of(script)) {
        log::warn!(
            "vh.store of {} begins empty, and {} is of a script of the same name that lies or lay elsewhere: \
             if it was this one, unload it, rename the file to {}, and load it again",
            script.display(),
            other.display(),
            path.display()
        );
    }
}

/// The stores of scripts of this name, wherever they lie.
fn namesakes(folder: &Path, name: &str) -> Vec<PathBuf> {
    let is_namesake = |file: &Path| {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.rsplit_once('-'));
        file.extension().is_some_and(|extension| extension == EXTENSION)
            && stem.is_some_and(|(found, hash)| {
                found == name && hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
            })
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|file| is_namesake(file)).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_a_load_that_failed_has_changed_is_undone() {
        let mut store = Store::default();
        store.set(b"kept", Some(1i64.into()), MAX_STORE - 10).unwrap();
        store.set(b"removed", Some(2i64.into()), 10).unwrap();
        let before = store.entries();
        store.note_changes();
        store.set(b"removed", None, 0).unwrap();
        store.set(b"added", Some(3i64.into()), 10).unwrap();
        store.set(b"kept", Some(4i64.into()), 5).unwrap();
        store.set(b"kept", Some(5i64.into()), 6).unwrap();
        store.undo();
        assert_eq!((store.entries(), store.bytes), (before, MAX_STORE));
        store.note_changes();
        store.set(b"kept", None, 0).unwrap();
        store.keep_changes();
        store.undo();
        assert_eq!(store.entries(), [("removed".to_string().into(), 2i64.into())]);
    }

    #[test]
    fn the_size_is_that_of_what_is_there() {
        let mut store = Store::default();
        store.set(b"a", Some(1i64.into()), MAX_STORE).unwrap();
        assert_eq!(store.set(b"b", Some(1i64.into()), 1), Err(TooBig(MAX_STORE + 1)));
        store.set(b"a", Some(2i64.into()), 10).unwrap();
        store.set(b"b", Some(1i64.into()), MAX_STORE - 10).unwrap();
        store.set(b"b", None, 0).unwrap();
        assert_eq!(store.bytes, 10);
        assert_eq!(store.entries(), [("a".to_string().into(), 2i64.into())]);
    }

    #[test]
    fn a_journal_that_was_cut_off_loses_the_last_change_only() {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new("/scripts/a.py");
        let open = || Store::open(Some(folder.path()), script, None);
        let mut store = open();
        for number in 0..100i64 {
            store.set(format!("key {}", number % 10).as_bytes(), Some(number.into()), 8).unwrap();
        }
        let all = store.entries();
        drop(store);
        assert_eq!(open().entries(), all);

        let file = folder.path().join(file_name(script, None));
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
        let entries = Store::open(Some(folder), Path::new(SCRIPT), None).entries();
        let [(_, value)] = &entries[..] else { panic!("one entry: {entries:?}") };
        value.clone()
    }

    /// The disk has 1, the store 2.
    fn with_a_full_disk() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(Some(folder.path()), Path::new(SCRIPT), None);
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
        let mut store = Store::open(Some(folder.path()), script, None);
        let file = folder.path().join(file_name(script, None));
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
        let entries = Store::open(Some(folder.path()), script, None).entries();
        assert_eq!(entries, [("key".to_string().into(), 1i64.into())]);
    }

    /// Folders as an embedded hub has them, in a data folder; a script in the scripts folder.
    fn data_folder() -> (tempfile::TempDir, PathBuf) {
        let data = tempfile::tempdir().unwrap();
        let script = data.path().join("hub/scripts/games/quiz.py");
        std::fs::create_dir_all(script.parent().unwrap()).unwrap();
        File::create(&script).unwrap();
        (data, script)
    }

    fn in_data(data: &Path, script: &str) -> Store {
        let data = data.canonicalize().unwrap();
        Store::open(Some(&data.join("store")), &data.join(script), Some(&data.join("scripts")))
    }

    #[test]
    fn a_store_is_found_again_when_the_data_folder_moves() {
        let (folder, _) = data_folder();
        let (old, new) = (folder.path().join("hub"), folder.path().join("moved"));
        put(&mut in_data(&old, "scripts/games/quiz.py"), 1);
        std::fs::rename(old, &new).unwrap();
        std::os::unix::fs::symlink(&new, folder.path().join("link")).unwrap();
        for data in [new, folder.path().join("link")] {
            assert_eq!(in_data(&data, "scripts/games/quiz.py").entries().len(), 1);
            assert_eq!(in_data(&data, "scripts/quiz.py").entries(), [], "another place, another script");
        }
    }

    #[test]
    fn a_store_that_is_named_by_the_whole_path_is_taken_over() {
        let (folder, script) = data_folder();
        let data = folder.path().canonicalize().unwrap().join("hub");
        let script = script.canonicalize().unwrap();
        put(&mut Store::open(Some(&data.join("store")), &script, None), 1);
        for _ in 0..2 {
            let entries = in_data(&data, "scripts/games/quiz.py").entries();
            assert_eq!(entries, [("key".to_string().into(), 1i64.into())]);
        }
        assert_eq!(namesakes(&data.join("store"), "quiz").len(), 1);
    }

    #[test]
    fn stores_of_the_same_name_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let hash = "0123456789abcdef";
        let others = [format!("quiz-{hash}.new"), format!("a-quiz-{hash}.store"), "quiz-x.store".into()];
        for name in others.iter().chain([&format!("quiz-{hash}.store")]) {
            File::create(folder.path().join(name)).unwrap();
        }
        assert_eq!(namesakes(folder.path(), "quiz"), [folder.path().join(format!("quiz-{hash}.store"))]);
        assert!(namesakes(Path::new("/nowhere"), "quiz").is_empty());
    }
}
