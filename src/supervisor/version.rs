//! The version of a script that is kept: the source of its file and of the modules that it imported from
//! its folder, as they were loaded.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plugin_abi::frame::MAX_KEPT;
use plugin_abi::{HookSet, Value};

/// The sources of one version, and when it was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// When it was loaded.
    pub loaded_at: SystemTime,
    /// The hooks whose events it was all asked about.
    pub hooks: HookSet,
    sources: Sources,
}

/// What a process says it has loaded. It is believed as far as it is bounded and stays in the script's
/// folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// Files relative to the script's folder, and what was in them.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
    is_too_much: bool,
}

impl Sources {
    /// Adds a file; false when it is none of the script's folder.
    pub fn add(&mut self, file: &[u8], text: &[u8]) -> bool {
        let bytes = self.bytes.saturating_add(file.len() + text.len());
        if file.is_empty() || self.is_too_much || bytes > MAX_KEPT {
            *self = Sources { is_too_much: true, ..Sources::default() };
            return true;
        }
        let is_inside = Path::new(OsStr::from_bytes(file))
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        if !is_inside || file.contains(&0) {
            return false;
        }
        if !self.files.iter().any(|(known, _)| known == file) {
            self.bytes = bytes;
            self.files.push((file.to_vec(), text.to_vec()));
        }
        true
    }

    /// Whether they are more than is kept.
    pub fn is_too_much(&self) -> bool {
        self.is_too_much
    }
}

impl Version {
    /// A version that is loaded now. `None` when there is nothing of it, or too much.
    pub fn new(sources: Sources) -> Option<Version> {
        let is_there = !sources.is_too_much && !sources.files.is_empty();
        is_there.then(|| Version { loaded_at: SystemTime::now(), hooks: HookSet::EMPTY, sources })
    }

    /// Adds a file that was loaded later. False when it is none, or too much: then the version is
    /// of no use.
    pub fn add(&mut self, file: &[u8], text: &[u8]) -> bool {
        self.sources.add(file, text) && !self.sources.is_too_much
    }

    /// As a process is sent it.
    pub fn entries(&self) -> Vec<(Value<'_>, Value<'_>)> {
        let files = self.sources.files.iter();
        files.map(|(file, text)| (Value::text(file), Value::text(text))).collect()
    }
}

/// What a file with a version begins with, so that another form of it can have another name.
const TITLE: &[u8] = b"vhpy version 1\n";
/// How many bytes may say how long a file's name and text are.
const OVERHEAD: u64 = 8;

/// On disk: the title, the checksum (CRC-32) of what follows, when it was loaded in milliseconds since
/// the epoch, the bits of the hooks; then for each file how long its name is and its text, the name, and
/// the text. All numbers are little-endian.
impl Version {
    /// No file is longer than this: every source has one byte at least.
    pub const MOST_BYTES: u64 = 64 + (OVERHEAD + 1) * MAX_KEPT as u64;

    /// What is written into the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let since = self.loaded_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut body = Vec::with_capacity(64 + self.sources.bytes);
        body.extend(u64::try_from(since.as_millis()).unwrap_or(0).to_le_bytes());
        body.extend(self.hooks.bits().to_le_bytes());
        for (file, text) in &self.sources.files {
            for part in [file, text] {
                // They have at most MAX_KEPT bytes together.
                body.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            }
            body.extend(file);
            body.extend(text);
        }
        [TITLE, &crc32fast::hash(&body).to_le_bytes(), &body].concat()
    }

    /// Reads what was written. `None` when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Version> {
        let (checksum, body) = bytes.strip_prefix(TITLE)?.split_first_chunk()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (since, body) = body.split_first_chunk()?;
        let (hooks, mut rest) = body.split_first_chunk()?;
        let mut sources = Sources::default();
        while !rest.is_empty() {
            let (file, text, after) = source_of(rest)?;
            sources.add(file, text).then_some(())?;
            rest = after;
        }
        let mut version = Version::new(sources)?;
        version.loaded_at = UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_le_bytes(*since)))?;
        version.hooks = HookSet::from_bits(u64::from_le_bytes(*hooks));
        Some(version)
    }
}

/// One source: its name, its text, and what follows.
fn source_of(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, bytes) = bytes.split_first_chunk()?;
    let (text, bytes) = bytes.split_first_chunk()?;
    let (file, bytes) = bytes.split_at_checked(usize::try_from(u32::from_le_bytes(*name)).ok()?)?;
    let (text, rest) = bytes.split_at_checked(usize::try_from(u32::from_le_bytes(*text)).ok()?)?;
    Some((file, text, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_written_or_not_at_all() {
        let mut sources = Sources::default();
        assert!(sources.add(b"a.py", b"import b") && sources.add(b"b.py", b""));
        let mut version = Version::new(sources).unwrap();
        version.loaded_at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        version.hooks.insert(plugin_abi::Hook::OnParsedMsgChat);
        let bytes = version.to_bytes();
        assert_eq!(Version::from_bytes(&bytes).as_ref(), Some(&version));
        for at in 0..bytes.len() {
            assert_eq!(Version::from_bytes(&bytes[..at]), None, "cut off at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(Version::from_bytes(&damaged), None, "damaged at {at}");
        }
    }

    #[test]
    fn no_version_on_disk_leaves_its_folder() {
        let outside = Sources { files: vec![(b"../x.py".to_vec(), Vec::new())], ..Sources::default() };
        let version = Version { loaded_at: UNIX_EPOCH, hooks: HookSet::EMPTY, sources: outside };
        assert_eq!(Version::from_bytes(&version.to_bytes()), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_stays_in_the_folder() {
        let mut sources = Sources::default();
        assert!(Version::new(sources.clone()).is_none(), "there is nothing");
        for outside in [&b"/etc/passwd"[..], b"../x.py", b"a/../../x.py", b"a\0.py"] {
            assert!(!sources.add(outside, b"x"), "{}", outside.escape_ascii());
        }
        assert!(sources.add(b"a.py", b"1") && sources.add(b"a.py", b"2") && sources.add(b"b/c.py", b""));
        let version = Version::new(sources.clone()).unwrap();
        let entries = version.entries();
        assert_eq!(entries[0], (Value::text("a.py"), Value::text("1")), "what was loaded first");
        assert_eq!(entries.len(), 2);
        assert!(sources.add(b"big.py", &vec![b'#'; MAX_KEPT]) && sources.is_too_much());
        assert!(Version::new(sources).is_none());
    }
}
