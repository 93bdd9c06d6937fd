//! The version of a script that is kept: the source of its file and of the modules that it imported from
//! its folder, as they were loaded.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::time::SystemTime;

use plugin_abi::Value;
use plugin_abi::frame::MAX_KEPT;

/// The sources of one version, and when it was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// When it was loaded.
    pub loaded_at: SystemTime,
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
        is_there.then(|| Version { loaded_at: SystemTime::now(), sources })
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

#[cfg(test)]
mod tests {
    use super::*;

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
