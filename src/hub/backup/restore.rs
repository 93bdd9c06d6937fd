//! Puts an archive back, in steps of which each is whole: after a crash at any of them the data
//! folder is what it was, or the next start makes it what the archive holds.
//!
//! | folder in the data folder | means |
//! | --- | --- |
//! | `restore-unpacking` | something was unpacked in part; it is thrown away |
//! | `restore-ready-N` | unpacked and checked: from now on the restore will happen |
//! | `restore-placing-N` | what was there is put aside, and the new is being put in its place |
//! | `before-restore-N` | what was there before; it is the operator's to remove |
//!
//! Each is a rename away from the next. N is the time of the restore, in seconds.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::contents::{
    BEFORE, BackupError, CHECKSUM, Contents, PLACING, READY, TITLE, UNPACKING, hex, is_of_a_restore,
};
use crate::hub::data_folder;

/// The numbers of the folders whose names begin so.
fn numbers(data: &Path, start: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix(start)?.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn numbered(data: &Path, start: &str, number: u64) -> PathBuf {
    data.join(format!("{start}{number}"))
}

/// What a restore has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the backup held.
    pub contents: Contents,
    /// Where what was there before is, if there was anything.
    pub before: Option<PathBuf>,
}

/// Puts a backup in the place of what a data folder holds; the latter is kept in there, in a
/// folder of its own.
///
/// # Errors
/// See [`BackupError`]; the text says what is where then. A hub that runs there is one.
pub fn restore(data: &Path, file: &Path) -> Result<Restored, BackupError> {
    let _lock = data_folder::lock(data)?;
    let mut all = |_: &str| Ok(());
    finish(data, &mut all).map_err(BackupError::Place)?;
    let contents = check(file)?;
    unpack(data, file)?;
    let number = finish(data, &mut all).map_err(BackupError::Place)?;
    let before = number.map(|number| numbered(data, BEFORE, number)).filter(|folder| folder.is_dir());
    Ok(Restored { contents, before })
}

/// Goes on with a restore that was interrupted. The caller holds the folder's lock.
pub(in crate::hub) fn finish_interrupted(data: &Path) -> io::Result<()> {
    if finish(data, &mut |_| Ok(()))?.is_some() {
        log::warn!("{}: a restore that was interrupted has been finished", data.display());
    }
    Ok(())
}

/// Whether a file is a whole backup, by its checksum, and what it holds.
///
/// # Errors
/// It cannot be read, is something else, or was cut or changed.
pub fn check(file: &Path) -> Result<Contents, BackupError> {
    let open = |error| BackupError::Open(file.into(), error);
    let damaged = |reason: &str| BackupError::Damaged(file.into(), reason.into());
    let (end, said) = last_entry(file)?;
    let mut hash = Sha256::new();
    let mut input = io::BufReader::new(File::open(file).map_err(open)?);
    io::copy(&mut (&mut input).take(end), &mut HashOnly(&mut hash)).map_err(open)?;
    let mut words = said.split(' ');
    if words.next() != Some("sha256") || words.next() != Some(&hex(&hash.finalize())) {
        return Err(damaged("its checksum differs"));
    }
    let mut contents = Contents::default();
    for_each(file, |path, entry| {
        let is_ours = path == Path::new(TITLE) || path == Path::new(CHECKSUM);
        if entry.header().entry_type() == EntryType::Regular && !is_ours {
            contents.files += 1;
            contents.bytes += entry.size();
        }
        Ok(())
    })?;
    Ok(contents)
}

struct HashOnly<'a>(&'a mut Sha256);

impl io::Write for HashOnly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the checksum begins, and what it says.
fn last_entry(file: &Path) -> Result<(u64, String), BackupError> {
    let mut found = None;
    let mut is_first = true;
    for_each(file, |path, entry| {
        if std::mem::take(&mut is_first) && path != Path::new(TITLE) {
            return Err(BackupError::NoBackup(file.into()));
        }
        if found.is_some() {
            return Err(BackupError::Damaged(file.into(), "something follows its checksum".into()));
        }
        if path == Path::new(CHECKSUM) {
            let at = entry.raw_header_position();
            let mut text = String::new();
            entry
                .take(1024)
                .read_to_string(&mut text)
                .map_err(|error| BackupError::Damaged(file.into(), error.to_string()))?;
            found = Some((at, text));
        }
        Ok(())
    })?;
    if is_first {
        return Err(BackupError::NoBackup(file.into()));
    }
    found.ok_or_else(|| BackupError::Damaged(file.into(), "its end is missing".into()))
}

fn for_each(
    file: &Path,
    mut each: impl FnMut(&Path, &mut tar::Entry<'_, io::BufReader<File>>) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let input = File::open(file).map_err(|error| BackupError::Open(file.into(), error))?;
    let mut archive = Archive::new(io::BufReader::new(input));
    let mut is_ours = false;
    let damaged = |is_ours: bool, error: io::Error| match is_ours {
        true => BackupError::Damaged(file.into(), error.to_string()),
        false => BackupError::NoBackup(file.into()),
    };
    for entry in archive.entries().map_err(|error| damaged(is_ours, error))? {
        let mut entry = entry.map_err(|error| damaged(is_ours, error))?;
        let path = entry.path().map_err(|error| damaged(is_ours, error))?.into_owned();
        is_ours |= path == Path::new(TITLE);
        each(&path, &mut entry)?;
    }
    Ok(())
}

/// Unpacks into a folder of its own, checks it, and commits to it.
fn unpack(data: &Path, file: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::Unpack(data.into(), error);
    let folder = data.join(UNPACKING);
    remove(&folder).map_err(failed)?;
    DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    let unpacked = unpack_into(&folder, file).and_then(|()| {
        check_database(&folder, file)?;
        commit(data, &folder).map_err(failed)
    });
    if unpacked.is_err() {
        let _ = remove(&folder);
    }
    unpacked
}

fn commit(data: &Path, unpacked: &Path) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let after = numbers(data, BEFORE)?.into_iter().max().map_or(0, |number| number + 1);
    sync(data)?;
    fs::rename(unpacked, numbered(data, READY, now.max(after)))?;
    sync(data)
}

fn unpack_into(folder: &Path, file: &Path) -> Result<(), BackupError> {
    for_each(file, |path, entry| {
        if path == Path::new(TITLE) || path == Path::new(CHECKSUM) {
            return Ok(());
        }
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let kind = entry.header().entry_type();
        let is_known = matches!(kind, EntryType::Regular | EntryType::Directory | EntryType::Symlink);
        let is_allowed = path.components().next().is_some_and(|part| match part.as_os_str().to_str() {
            Some(name) => name != "lock" && !is_of_a_restore(name),
            None => true,
        });
        if !is_plain || !is_known || !is_allowed {
            return Err(BackupError::Damaged(file.into(), format!("it holds {}", path.display())));
        }
        // Nothing is written through a link that came out of the archive.
        match entry.unpack_in(folder) {
            Ok(true) => Ok(()),
            Ok(false) => Err(BackupError::Damaged(file.into(), format!("it holds {}", path.display()))),
            Err(error) => Err(BackupError::Unpack(folder.into(), error)),
        }
    })
}

fn check_database(folder: &Path, file: &Path) -> Result<(), BackupError> {
    let path = folder.join(data_folder::FILE);
    if path.is_symlink() {
        return Err(BackupError::Damaged(file.into(), "its database is a link".into()));
    }
    let damaged = |reason: String| BackupError::Damaged(file.into(), reason);
    let check = || -> rusqlite::Result<String> {
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.query_row("pragma integrity_check(1)", [], |row| row.get(0))
    };
    match check() {
        Ok(said) if said == "ok" => Ok(()),
        Ok(said) => Err(damaged(format!("its database is: {said}"))),
        Err(error) => Err(damaged(format!("its database cannot be opened: {error}"))),
    }
}

/// Puts what is ready into its place. Where it was interrupted, it goes on. `step` is asked
/// before each step, and may refuse. Gives the number of the restore that came to its end.
fn finish(data: &Path, step: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<Option<u64>> {
    if let Some(number) = numbers(data, READY)?.into_iter().max() {
        put_aside(data, &numbered(data, BEFORE, number), step)?;
        step("begin to place")?;
        sync(data)?;
        fs::rename(numbered(data, READY, number), numbered(data, PLACING, number))?;
        sync(data)?;
    }
    let Some(number) = numbers(data, PLACING)?.into_iter().max() else { return Ok(None) };
    let placing = numbered(data, PLACING, number);
    for entry in fs::read_dir(&placing)? {
        let entry = entry?;
        step("place")?;
        fs::rename(entry.path(), data.join(entry.file_name()))?;
    }
    step("end")?;
    sync(data)?;
    fs::remove_dir(&placing)?;
    Ok(Some(number))
}

/// Moves what belongs to the hub out of the way. The database's log goes before the database:
/// one without the other would be read wrongly.
fn put_aside(data: &Path, before: &Path, step: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        let is_kept = name.to_str().is_some_and(|name| name == "lock" || is_of_a_restore(name));
        if !is_kept {
            names.push(name);
        }
    }
    names.sort();
    names.reverse();
    if names.is_empty() {
        return Ok(());
    }
    step("make a folder")?;
    DirBuilder::new().recursive(true).mode(0o700).create(before)?;
    for name in names {
        step("put aside")?;
        fs::rename(data.join(&name), before.join(&name))?;
    }
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Everything that was written there is on the disk.
fn sync(data: &Path) -> io::Result<()> {
    let folder = File::open(data)?;
    nix::unistd::syncfs(&folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::backup::backup;
    use crate::hub::database::Database;

    /// A data folder with an account of this nick, a store and a script.
    fn hub(nick: &[u8]) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        fill(data.path(), nick);
        data
    }

    fn fill(data: &Path, nick: &[u8]) {
        let database = Database::open(data).unwrap();
        database.add_account(nick, 1, "", true, b"op", 7).unwrap();
        drop(database);
        for folder in ["store", "scripts/lib/__pycache__"] {
            fs::create_dir_all(data.join(folder)).unwrap();
        }
        fs::write(data.join("store/quiz-1.store"), nick).unwrap();
        fs::write(data.join("scripts/lib/__pycache__/quiz.pyc"), nick).unwrap();
        fs::write(data.join("scripts/lib/quiz.py"), [b"# ", nick].concat()).unwrap();
        std::os::unix::fs::symlink("lib/quiz.py", data.join("scripts/link.py")).unwrap();
    }

    /// Whose everything is; panics when it is one's in part.
    fn whose(data: &Path) -> Option<Vec<u8>> {
        finish_interrupted(data).unwrap();
        let nick = fs::read(data.join("store/quiz-1.store")).ok()?;
        let database = Database::open(data).unwrap();
        assert!(database.account(&nick).unwrap().is_some(), "the database is another's than the store");
        assert_eq!(database.accounts().unwrap(), 1);
        assert_eq!(fs::read(data.join("scripts/link.py")).unwrap(), [b"# ", &nick[..]].concat());
        Some(nick)
    }

    fn packed(data: &Path) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.tar");
        backup(data, None, &file, |_| ()).unwrap();
        (folder, file)
    }

    #[test]
    fn a_backup_brings_back_what_was_there() {
        let old = hub(b"anna");
        let (_folder, file) = packed(old.path());
        let new = tempfile::tempdir().unwrap();
        let restored = restore(new.path(), &file).unwrap();
        assert_eq!((restored.contents.files, restored.before), (3, None));
        assert_eq!(whose(new.path()).unwrap(), b"anna");
        assert!(!new.path().join("scripts/lib/__pycache__").exists());
    }

    #[test]
    fn what_was_there_before_is_kept() {
        let (old, new) = (hub(b"anna"), hub(b"bert"));
        let (_folder, file) = packed(old.path());
        let before = restore(new.path(), &file).unwrap().before.unwrap();
        assert_eq!(whose(new.path()).unwrap(), b"anna");
        assert_eq!(fs::read(before.join("store/quiz-1.store")).unwrap(), b"bert");
        // And what is kept goes into no later backup.
        let (_folder, file) = packed(new.path());
        assert_eq!(check(&file).unwrap().files, 3);
    }

    #[test]
    fn a_restore_that_is_interrupted_anywhere_is_whole() {
        let (mut refused_all, mut at) = (false, 0);
        while !refused_all {
            let (old, new) = (hub(b"anna"), hub(b"bert"));
            let (_folder, file) = packed(old.path());
            unpack(new.path(), &file).unwrap();
            let mut steps = 0;
            let result = finish(new.path(), &mut |step| {
                steps += 1;
                match steps > at {
                    true => Err(io::Error::other(step.to_string())),
                    false => Ok(()),
                }
            });
            refused_all = result.is_ok();
            assert_eq!(whose(new.path()).unwrap(), b"anna", "interrupted after {at} steps: {result:?}");
            let left =
                numbers(new.path(), READY).unwrap().len() + numbers(new.path(), PLACING).unwrap().len();
            assert_eq!(left, 0);
            at += 1;
        }
        assert!(at > 8, "{at}");
    }

    #[test]
    fn a_backup_in_its_own_folder_holds_no_backup() {
        let data = hub(b"anna");
        let inside = |name: &str| data.path().join("scripts").join(name);
        for _ in 0..3 {
            backup(data.path(), None, &inside("hub.tar"), |_| ()).unwrap();
            backup(data.path(), None, &data.path().join("hub.tar"), |_| ()).unwrap();
            assert_eq!(check(&inside("hub.tar")).unwrap().files, 3);
            assert_eq!(check(&data.path().join("hub.tar")).unwrap().files, 3);
        }
    }

    #[test]
    fn scripts_behind_a_link_are_in_it() {
        let (data, elsewhere) = (hub(b"anna"), tempfile::tempdir().unwrap());
        fs::rename(data.path().join("scripts"), elsewhere.path().join("mine")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("mine"), data.path().join("scripts")).unwrap();
        let (_folder, file) = packed(data.path());
        let new = tempfile::tempdir().unwrap();
        restore(new.path(), &file).unwrap();
        assert!(!new.path().join("scripts").is_symlink());
        assert_eq!(whose(new.path()).unwrap(), b"anna");
    }

    #[test]
    fn what_was_unpacked_in_part_changes_nothing() {
        let (old, new) = (hub(b"anna"), hub(b"bert"));
        let (_folder, file) = packed(old.path());
        fs::create_dir(new.path().join(UNPACKING)).unwrap();
        unpack_into(&new.path().join(UNPACKING), &file).unwrap();
        assert_eq!(whose(new.path()).unwrap(), b"bert");
        restore(new.path(), &file).unwrap();
        assert_eq!(whose(new.path()).unwrap(), b"anna");
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let (old, new) = (hub(b"anna"), hub(b"bert"));
        let (folder, file) = packed(old.path());
        let whole = fs::read(&file).unwrap();
        let other = folder.path().join("other.tar");
        // The end of a tar archive is zeros that mean nothing.
        let meant = whole.iter().rposition(|byte| *byte != 0).unwrap();
        for at in (0..=meant).step_by(97) {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            fs::write(&other, changed).unwrap();
            restore(new.path(), &other).expect_err(&format!("byte {at} is another one"));
        }
        for length in (0..meant).step_by(997) {
            fs::write(&other, &whole[..length]).unwrap();
            restore(new.path(), &other).expect_err(&format!("cut after {length} bytes"));
        }
        assert_eq!(whose(new.path()).unwrap(), b"bert");
    }

    #[test]
    fn a_folder_in_use_and_a_file_of_another_kind_are_refused() {
        let (old, new) = (hub(b"anna"), hub(b"bert"));
        let (folder, file) = packed(old.path());
        let running = Database::open(new.path()).unwrap();
        let error = restore(new.path(), &file).unwrap_err();
        assert!(matches!(error, BackupError::Database(data_folder::DatabaseError::InUse(_))), "{error}");
        // But a backup can be made.
        assert_eq!(backup(new.path(), None, &file, |_| ()).unwrap().files, 3);
        drop(running);
        let letter = folder.path().join("letter.txt");
        fs::write(&letter, "Dear Anna").unwrap();
        assert!(matches!(backup(new.path(), None, &letter, |_| ()), Err(BackupError::Occupied(_))));
        assert!(matches!(restore(new.path(), &letter), Err(BackupError::NoBackup(_))));
        assert_eq!(fs::read(&letter).unwrap(), b"Dear Anna");
        assert!(matches!(backup(folder.path(), None, &file, |_| ()), Err(BackupError::NoHub(_))));
    }

    #[test]
    fn nothing_of_an_archive_lands_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let data = hub(b"bert");
        for name in ["../escaped", "/tmp/escaped", "lock", "restore-ready-1/x", "before-restore-1/x"] {
            let file = folder.path().join("evil.tar");
            let mut tar = tar::Builder::new(fs::File::create(&file).unwrap());
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, &b"x"[..]).unwrap();
            tar.finish().unwrap();
            let unpacked = folder.path().join("unpacked");
            remove(&unpacked).unwrap();
            fs::create_dir(&unpacked).unwrap();
            unpack_into(&unpacked, &file).expect_err(name);
            assert_eq!(fs::read_dir(&unpacked).unwrap().count(), 0, "{name}");
        }
        assert_eq!(whose(data.path()).unwrap(), b"bert");
    }
}
