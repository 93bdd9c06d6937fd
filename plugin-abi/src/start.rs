//! How a worker process begins: its command line and its descriptors; who starts it and
//! when is the supervisor's matter.

/// The descriptor of the shared memory in a new worker.
pub const MEMORY_FD: i32 = 3;
/// The descriptor of the pipe on which the worker sleeps.
pub const WAKE_FD: i32 = 4;
/// The descriptor of the pipe that wakes the hub.
pub const BELL_FD: i32 = 5;

/// The descriptor of a pipe into which nobody writes: it ends with the hub.
pub const LIFE_FD: i32 = 6;

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

/// What the interpreter is told to run: `python3 -c BOOT path/to/libvh_worker.so HUB_PID`.
///
/// It loads the library as the module `vh` under whatever name the file has, without the
/// import system's search, and hands over; `_serve` returns when the script is unloaded. The
/// loader's classes come from where every interpreter already has them: `importlib.machinery`
/// would cost memory in each worker.
pub const BOOT: &str = "\
import sys, _imp
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader
path = sys.argv[1]
vh = _imp.create_dynamic(ModuleSpec('vh', ExtensionFileLoader('vh', path), origin=path))
sys.modules['vh'] = vh
_imp.exec_dynamic(vh)
vh._serve(int(sys.argv[2]))
";
