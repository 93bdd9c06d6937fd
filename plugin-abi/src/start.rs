//! How a worker process begins: its command line and its descriptors; who starts it and
//! when is the supervisor's matter.

/// The descriptor of the shared memory in a new worker.
pub const MEMORY_FD: i32 = 3;
/// The descriptor of the eventfd on which the worker sleeps.
pub const WAKE_FD: i32 = 4;
/// The descriptor of the eventfd that wakes the hub.
pub const BELL_FD: i32 = 5;

/// The signal at which a worker writes the Python stacks of all its threads to its standard
/// error. A real-time signal, which scripts hardly use.
pub const STACK_SIGNAL: i32 = 50;

/// What the interpreter is told to run: `python3 -c BOOT path/to/libvh_worker.so HUB_PID`.
///
/// It loads the library as the module `vh` under whatever name the file has, without the
/// import system's search, and hands over; `_serve` returns when the script is unloaded.
pub const BOOT: &str = "\
import sys, _imp
from importlib.machinery import ExtensionFileLoader, ModuleSpec
path = sys.argv[1]
vh = _imp.create_dynamic(ModuleSpec('vh', ExtensionFileLoader('vh', path), origin=path))
sys.modules['vh'] = vh
_imp.exec_dynamic(vh)
vh._serve(int(sys.argv[2]))
";
