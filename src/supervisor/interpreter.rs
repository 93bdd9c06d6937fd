//! Which Python runs a script, and where this code lies; starting it is left to
//! [`process`](super::process).

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::poll::is_readable_within;

/// Why no interpreter was found.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// There is no `python3` on the PATH.
    #[error("no {0} on the PATH: install Python 3.10 or later, or name an interpreter")]
    Python(String),
    /// A launcher script, such as a version manager's, did not tell which interpreter it starts.
    #[error("{launcher} did not say which Python it starts: {reason}")]
    Launcher {
        /// The launcher.
        launcher: PathBuf,
        /// What it said instead.
        reason: String,
    },
    /// The place of the running program or library is unknown.
    #[error("cannot tell where vhpy itself lies: let VHPY_WORKER point to libvh_worker.so")]
    Nowhere,
}

/// Finds interpreters and remembers those that a launcher script stands for.
#[derive(Debug, Default)]
pub struct Interpreters {
    launched: RefCell<HashMap<PathBuf, PathBuf>>,
}

impl Interpreters {
    /// The interpreter for a script: the `.venv` beside it, then the one beside its folder,
    /// then the configured one, then that of the environment this program was installed into,
    /// then `python3` on the PATH.
    pub fn for_script(&self, script: &Path, configured: Option<&Path>) -> Result<PathBuf, NotFound> {
        let folder = script.parent().unwrap_or(Path::new("."));
        let beside = [Some(folder), folder.parent()];
        for folder in beside.into_iter().flatten() {
            let python = folder.join(".venv/bin/python");
            if python.is_file() {
                return Ok(python);
            }
        }
        let python = match configured {
            Some(path) if path.components().count() > 1 => path.to_path_buf(),
            Some(name) => on_path(name.as_os_str())?,
            None => match this_code().ok().and_then(|file| python_of_environment(&file)) {
                Some(python) => python,
                None => on_path(OsStr::new("python3"))?,
            },
        };
        if is_script(&python) { self.behind(&python) } else { Ok(python) }
    }

    /// What a launcher script starts. Asked once: such scripts can take longer than Python.
    fn behind(&self, launcher: &Path) -> Result<PathBuf, NotFound> {
        if let Some(known) = self.launched.borrow().get(launcher) {
            return Ok(known.clone());
        }
        let failed = |reason: String| NotFound::Launcher { launcher: launcher.to_path_buf(), reason };
        let said = ask(launcher).map_err(|error| failed(error.to_string()))?;
        let python = PathBuf::from(OsStr::from_bytes(&said));
        if !python.is_file() {
            return Err(failed(format!("it said {:?}", String::from_utf8_lossy(&said))));
        }
        self.launched.borrow_mut().insert(launcher.to_path_buf(), python.clone());
        Ok(python)
    }
}

/// The Python that would run a script, whose path is absolute; `configured` is the hub's.
///
/// # Errors
/// When there is none.
pub fn interpreter_of(script: &Path, configured: Option<&Path>) -> Result<PathBuf, NotFound> {
    Interpreters::default().for_script(script, configured)
}

/// How long a launcher may take.
const LAUNCH: Duration = Duration::from_secs(15);

/// What a launcher prints when its Python is asked where it is. Its exit status is not looked
/// at: a hub that waits for or ignores its children would have taken it.
fn ask(launcher: &Path) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new(launcher)
        .args(["-c", "import sys; sys.stdout.write(sys.executable)"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let deadline = Instant::now() + LAUNCH;
    let mut said = vec![0; 4096];
    let mut length = 0;
    let mut result = Ok(());
    if let Some(mut stdout) = child.stdout.take() {
        while length < said.len() {
            if !is_readable_within(stdout.as_fd(), deadline.saturating_duration_since(Instant::now())) {
                result = Err(std::io::ErrorKind::TimedOut.into());
                break;
            }
            match stdout.read(said.get_mut(length..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    said.truncate(length);
    result.map(|()| said)
}

/// The interpreter of the environment that a program in `bin` or a library in `lib` lies in:
/// the packages installed beside vhpy are there for scripts.
fn python_of_environment(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    let bin = match folder.file_name()?.as_bytes() {
        b"bin" => folder.to_path_buf(),
        b"lib" => folder.parent()?.join("bin"),
        _ => return None,
    };
    Some(bin.join("python3")).filter(|python| python.is_file())
}

fn on_path(name: &OsStr) -> Result<PathBuf, NotFound> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file() && nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok())
        .ok_or_else(|| NotFound::Python(name.to_string_lossy().into_owned()))
}

/// Whether a file starts with `#!`.
fn is_script(file: &Path) -> bool {
    let mut start = [0; 2];
    std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"#!"
}

/// The file that holds this function: the program `vhpy`, a test, or `libvhpy.so` inside
/// somebody else's program.
pub(super) fn this_code() -> Result<PathBuf, NotFound> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let here = this_code as *const libc::c_void;
    // SAFETY: `here` is an address in this object and `info` is valid for writing; dladdr
    // fills it when it returns non-zero, and its file name then lives as long as the object.
    let name = unsafe {
        if libc::dladdr(here, info.as_mut_ptr()) == 0 {
            return Err(NotFound::Nowhere);
        }
        let info = info.assume_init();
        if info.dli_fname.is_null() {
            return Err(NotFound::Nowhere);
        }
        CStr::from_ptr(info.dli_fname).to_bytes().to_vec()
    };
    let named = PathBuf::from(OsStr::from_bytes(&name));
    // A program's name here is how it was called; the kernel knows where it is.
    named.canonicalize().or_else(|_| std::env::current_exe()).map_err(|_| NotFound::Nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn touch(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_venv_beside_the_script_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inner) = (folder.path(), folder.path().join("inner"));
        let script = inner.join("a.py");
        let found =
            |configured: Option<&Path>| Interpreters::default().for_script(&script, configured).unwrap();

        let configured = outer.join("python");
        touch(&configured, "ELF");
        assert_eq!(found(Some(&configured)), configured);
        let beside_folder = outer.join(".venv/bin/python");
        touch(&beside_folder, "");
        assert_eq!(found(Some(&configured)), beside_folder);
        let beside_script = inner.join(".venv/bin/python");
        touch(&beside_script, "");
        assert_eq!(found(Some(&configured)), beside_script);
    }

    #[test]
    fn a_program_of_an_environment_has_its_python() {
        let folder = tempfile::tempdir().unwrap();
        let environment = folder.path();
        let (program, library) = (environment.join("bin/vhpy"), environment.join("lib/libvhpy.so"));
        assert_eq!(python_of_environment(&program), None);
        let python = environment.join("bin/python3");
        touch(&python, "ELF");
        assert_eq!(python_of_environment(&program), Some(python.clone()));
        assert_eq!(python_of_environment(&library), Some(python.clone()));
        assert_eq!(python_of_environment(&environment.join("target/vhpy")), None);
    }

    #[test]
    fn a_launcher_is_asked_once() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        touch(&real, "ELF");
        let launcher = folder.path().join("launcher");
        let asked = folder.path().join("asked");
        touch(
            &launcher,
            &format!("#!/bin/sh\necho x >> {}\nprintf %s {}\n", asked.display(), real.display()),
        );
        let interpreters = Interpreters::default();
        for _ in 0..3 {
            let found = interpreters.for_script(Path::new("/nowhere/a.py"), Some(&launcher)).unwrap();
            assert_eq!(found, real);
        }
        assert_eq!(std::fs::read_to_string(asked).unwrap(), "x\n");
    }
}
