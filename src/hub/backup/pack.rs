//! Makes the archive.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::contents::{BackupError, CHECKSUM, Contents, SCRIPTS, TITLE, TITLE_TEXT, hex, is_left_out};
use crate::hub::data_folder;
use crate::private_files;

/// Writes a backup of the data folder to a file, which only its user can read. `scripts` is
/// where the scripts are if not in there. The hub may run. `progress` gets what was written so
/// far, in bytes.
///
/// A backup that was there before is replaced at the end, in one step.
///
/// # Errors
/// See [`BackupError`]. The file is as it was before then.
pub fn backup(
    data: &Path,
    scripts: Option<&Path>,
    file: &Path,
    progress: impl FnMut(u64),
) -> Result<Contents, BackupError> {
    let write = |error| BackupError::Write(file.into(), error);
    if !data.join(data_folder::FILE).is_file() {
        return Err(BackupError::NoHub(data.into()));
    }
    if file.exists() && !is_backup(file) {
        return Err(BackupError::Occupied(file.into()));
    }
    // Beside its place, so that the last step is a rename.
    let part = with_suffix(file, ".part");
    let copy = Leftover(with_suffix(file, ".db.part"));
    let result = copy_database(data, &copy.0).and_then(|()| {
        let out = private_files::options().write(true).create(true).truncate(true).open(&part);
        pack(data, scripts, &copy.0, out.map_err(write)?, progress).map_err(|error| error.named(file))
    });
    let placed = result.and_then(|contents| {
        fs::rename(&part, file).and_then(|()| sync_folder_of(file)).map_err(write)?;
        Ok(contents)
    });
    if placed.is_err() {
        let _ = fs::remove_file(&part);
    }
    placed
}

/// A file that is only needed meanwhile.
struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn is_backup(file: &Path) -> bool {
    let mut start = [0; TITLE.len() + 1];
    File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start.starts_with(TITLE.as_bytes())
        && start[TITLE.len()] == 0
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The database as of one moment, in a new file. Other connections can write meanwhile.
fn copy_database(data: &Path, copy: &Path) -> Result<(), BackupError> {
    let path = data.join(data_folder::FILE);
    let explain = |error| BackupError::Copy(path.clone(), error);
    // Made first, for the rights that it is to have.
    let made = private_files::options().write(true).create(true).truncate(true).open(copy);
    made.map_err(|error| BackupError::Write(copy.into(), error))?;
    let from = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(explain)?;
    from.busy_timeout(std::time::Duration::from_secs(10)).map_err(explain)?;
    let mut to = Connection::open(copy).map_err(explain)?;
    // All pages in one step: the copy is of one moment, and writers wait for nothing.
    let backup = rusqlite::backup::Backup::new(&from, &mut to).map_err(explain)?;
    match backup.step(-1).map_err(explain)? {
        rusqlite::backup::StepResult::Done => {}
        _ => return Err(explain(rusqlite::Error::QueryReturnedNoRows)),
    }
    drop(backup);
    // It is one file then, without a log beside it.
    to.pragma_update(None, "journal_mode", "delete").map_err(explain)
}

/// What went wrong while packing.
enum PackError {
    Read(PathBuf, io::Error),
    Write(io::Error),
}

impl PackError {
    fn named(self, file: &Path) -> BackupError {
        match self {
            PackError::Read(path, error) => BackupError::Read(path, error),
            PackError::Write(error) => BackupError::Write(file.into(), error),
        }
    }
}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> PackError {
        PackError::Write(error)
    }
}

fn pack(
    data: &Path,
    scripts: Option<&Path>,
    database: &Path,
    out: File,
    progress: impl FnMut(u64),
) -> Result<Contents, PackError> {
    let own = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let mut archive = Archive {
        own: [out.metadata().map(own)?, fs::metadata(database).map(own)?],
        tar: Builder::new(Hashed { to: io::BufWriter::new(out), hash: Sha256::new(), written: 0 }),
        contents: Contents::default(),
        progress,
    };
    archive.text(TITLE, TITLE_TEXT)?;
    archive.file(database, Path::new(data_folder::FILE))?;
    // Operators who keep their scripts elsewhere may have put a link there.
    let link = data.join(SCRIPTS);
    let scripts = scripts.or_else(|| (link.is_symlink() && link.is_dir()).then_some(link.as_path()));
    archive.folder(data, Path::new(""), &|relative| {
        is_left_out(relative) || (scripts.is_some() && relative == Path::new(SCRIPTS))
    })?;
    if let Some(scripts) = scripts {
        archive.folder(scripts, Path::new(SCRIPTS), &is_left_out)?;
    }
    archive.finish()
}

/// Passes on what is written, and knows its digest.
struct Hashed<W> {
    to: W,
    hash: Sha256,
    written: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

struct Archive<P> {
    /// The files that it is written to and from: device and number of each.
    own: [(u64, u64); 2],
    tar: Builder<Hashed<io::BufWriter<File>>>,
    contents: Contents,
    progress: P,
}

impl<P: FnMut(u64)> Archive<P> {
    fn text(&mut self, name: &str, text: &str) -> Result<(), PackError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
        Ok(self.tar.append_data(&mut header, name, text.as_bytes())?)
    }

    /// One file, as long as it is when it is opened: who appends to it meanwhile is not waited for.
    fn file(&mut self, path: &Path, name: &Path) -> Result<(), PackError> {
        let read = |error| PackError::Read(path.into(), error);
        let file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        let mut header = Header::new_gnu();
        header.set_metadata(&metadata);
        // Whose it is decides who restores it.
        header.set_uid(0);
        header.set_gid(0);
        let size = metadata.len();
        header.set_size(size);
        // Cut meanwhile: the rest is zeros, which no journal takes for a record.
        let contents = io::BufReader::new(file).chain(io::repeat(0)).take(size);
        self.tar.append_data(&mut header, name, contents)?;
        self.contents.files += 1;
        self.contents.bytes += size;
        (self.progress)(self.tar.get_ref().written);
        Ok(())
    }

    /// What a folder holds, sorted by name, under this name in the archive.
    fn folder(
        &mut self,
        folder: &Path,
        name: &Path,
        is_left_out: &dyn Fn(&Path) -> bool,
    ) -> Result<(), PackError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| PackError::Read(folder.into(), error))? {
            entries.push(entry.map_err(|error| PackError::Read(folder.into(), error))?.path());
        }
        entries.sort();
        if !name.as_os_str().is_empty() {
            self.tar.append_dir(name, folder)?;
        }
        for path in entries {
            let Some(last) = path.file_name() else { continue };
            let name = name.join(last);
            if is_left_out(&name) {
                continue;
            }
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                // Gone since the folder was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(PackError::Read(path, error)),
            };
            if metadata.is_dir() {
                self.folder(&path, &name, is_left_out)?;
            } else if metadata.is_symlink() {
                self.link(&path, &name, &metadata)?;
            } else if metadata.is_file() && !self.is_of_a_backup(&path, &metadata) {
                match self.file(&path, &name) {
                    Err(PackError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
                    result => result?,
                }
            }
        }
        Ok(())
    }

    /// A backup can be written into the folder that it is of. It does not hold itself, nor those
    /// before it: each would be twice as large as the last.
    fn is_of_a_backup(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        self.own.contains(&(metadata.dev(), metadata.ino())) || is_backup(path)
    }

    fn link(&mut self, path: &Path, name: &Path, metadata: &fs::Metadata) -> Result<(), PackError> {
        let target = fs::read_link(path).map_err(|error| PackError::Read(path.into(), error))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
        Ok(self.tar.append_link(&mut header, name, target)?)
    }

    fn finish(mut self) -> Result<Contents, PackError> {
        let written = self.tar.get_ref();
        let digest = hex(&written.hash.clone().finalize());
        let line = format!("sha256 {digest} of the {} bytes before this file\n", written.written);
        self.text(CHECKSUM, &line)?;
        let mut written = self.tar.into_inner()?;
        written.flush()?;
        written.to.get_ref().sync_all()?;
        Ok(self.contents)
    }
}
