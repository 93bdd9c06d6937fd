//! How a worker process begins: its command line and its descriptors.

/// The descriptor of the shared memory in a new worker.
pub const MEMORY_FD: i32 = 3;
/// The descriptor of the pipe on which the worker sleeps.
pub const WAKE_FD: i32 = 4;
/// The descriptor of the pipe that wakes the hub.
pub const DOORBELL_FD: i32 = 5;

/// The descriptor of a pipe into which nobody writes: it ends with the hub.
pub const LIFE_FD: i32 = 6;

/// The descriptor of the worker library as it was when the hub started: what lies at its path now may
/// be another version's. [`BOOT`] closes it, unless it is what gets loaded.
pub const LIBRARY_FD: i32 = 7;

/// [`PROTOCOL`](crate::frame::PROTOCOL), as a macro because constants cannot be put together otherwise.
macro_rules! protocol {
    () => {
        7
    };
}
pub(crate) use protocol;

/// Which build this is, as people read it. A hub and a worker fit when both say the same.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), ", protocol ", protocol!());

/// What stands before [`BUILD`] in the worker library.
pub const MARK: &[u8] = b"\0vhpy-worker-build ";

/// What the worker library contains, so that a hub can tell without loading it which build it is.
pub const MARKED_BUILD: &str =
    concat!("\0vhpy-worker-build ", env!("CARGO_PKG_VERSION"), ", protocol ", protocol!(), "\0");

/// The realtime signal that makes a worker write the Python stacks of all its threads to its
/// standard error. It is handled in C at once, whatever Python code runs.
pub const STACK_SIGNAL: i32 = 40;

/// Exit code of a worker that found its link to the hub broken.
pub const LINK_BROKEN: i32 = 70;
/// Exit code of a worker whose script ran into its limit of memory.
pub const OVER_MEMORY: i32 = 81;
/// Exit code of a worker whose script ran into its limit of open files.
pub const OVER_FILES: i32 = 82;
/// Exit code of a worker whose script ran into its limit of processes and threads.
pub const OVER_PROCESSES: i32 = 83;

/// Exit code of an interpreter that cannot run scripts; what it is stands in the last line of its
/// standard error.
pub const WRONG_PYTHON: i32 = 84;

/// [`FIND`], as a macro because constants cannot be put together otherwise.
macro_rules! find {
    () => {
        "\
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader
class FindVh:
    def __init__(self, library): self.library = library
    def find_spec(self, name, path=None, target=None):
        if name == 'vh':
            return ModuleSpec('vh', ExtensionFileLoader('vh', self.library), origin=self.library)
if not any(type(finder).__name__ == 'FindVh' for finder in sys.meta_path):
    sys.meta_path.insert(0, FindVh(library))
"
    };
}

/// Python code that makes `import vh` find the library at `library`, under whatever name the file
/// has, before the folders of `sys.path` are searched; also what reloads and describes the module.
/// The loader's classes come from where every interpreter already has them: `importlib.machinery`
/// would cost memory in each worker.
pub const FIND: &str = find!();

/// What the interpreter is told to run: `python3 -c BOOT path/to/libvh_worker.so HUB_PID`.
///
/// An interpreter that cannot run scripts says what it is; this much has to be understood by
/// Python 2. Otherwise it hands over to the library, which is taken from [`LIBRARY_FD`] when
/// another file lies at its path by now, or none; `_serve` returns when the script is unloaded.
pub const BOOT: &str = concat!(
    "\
import sys
cpython = getattr(getattr(sys, 'implementation', None), 'name', 'cpython')
threads = 't' in getattr(sys, 'abiflags', '')
if sys.version_info < (3, 10) or cpython != 'cpython' or threads:
    kind = 'a free-threaded Python' if threads else 'Python' if cpython == 'cpython' else cpython
    sys.stderr.write(kind + ' ' + '.'.join(map(str, sys.version_info[:3])) + '\\n')
    sys.stderr.flush()
    import os
    os._exit(84)
library = sys.argv[1]
import posix
try:
    held = posix.fstat(7)
    try:
        found = posix.stat(library)
    except OSError:
        found = None
    if found and (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
        posix.close(7)
    else:
        posix.set_inheritable(7, False)
        library = '/proc/%d/fd/7' % posix.getpid()
except OSError:
    pass
",
    find!(),
    "import vh
vh._serve(int(sys.argv[2]))
"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_is_found_by_its_mark() {
        let marked = MARKED_BUILD.as_bytes();
        assert_eq!(marked.strip_prefix(MARK), Some([BUILD.as_bytes(), b"\0"].concat().as_slice()));
        assert!(BOOT.contains(&format!("posix.fstat({LIBRARY_FD})")));
    }

    #[test]
    fn the_code_of_a_wrong_python_is_the_one_that_is_looked_for() {
        assert!(BOOT.contains(&format!("os._exit({WRONG_PYTHON})\n")));
    }
}
