//! Where the library's log lines go in a host: to the function the host gave, or to standard
//! error. A Rust program that installed a logger of its own keeps it.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Write;
use std::sync::{Once, PoisonError, RwLock};

use crate::log_level;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// A host's log function: its data, a level from 0 (error) to 4 (trace), one line.
pub(crate) type LogFunction = unsafe extern "C" fn(*mut c_void, c_int, *const c_char);

#[derive(Clone, Copy)]
struct Sink {
    function: Option<LogFunction>,
    data: *mut c_void,
}

// SAFETY: the data is never followed here, only handed to the host's function, of which the
// header says that any thread may call it.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

struct HostLogger;

static SINK: RwLock<Sink> = RwLock::new(Sink { function: None, data: std::ptr::null_mut() });

impl Log for HostLogger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !log_level::admits(record) {
            return;
        }
        let level = record.level();
        let sink = *SINK.read().unwrap_or_else(PoisonError::into_inner);
        match sink.function {
            Some(function) => {
                let text = record.args().to_string().replace('\0', " ");
                if let Ok(text) = CString::new(text) {
                    // SAFETY: the host gave function and data for this, for any thread, until
                    // it sets another.
                    unsafe { function(sink.data, number(level), text.as_ptr()) };
                }
            }
            None => {
                let line = format!("vhpy: {}: {}\n", level.as_str().to_ascii_lowercase(), record.args());
                // Nothing can be done when standard error is gone.
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
        }
    }

    fn flush(&self) {}
}

/// Makes this the program's logger, once, unless it has one.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if log::set_logger(&HostLogger).is_ok() {
            log::set_max_level(LevelFilter::Info);
        }
    });
}

/// Sends the lines elsewhere; `None` is standard error.
pub(crate) fn set_sink(function: Option<LogFunction>, data: *mut c_void) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Sink { function, data };
}

/// The level of a line, as the host's log function gets it.
fn number(level: Level) -> c_int {
    match level {
        Level::Error => 0,
        Level::Warn => 1,
        Level::Info => 2,
        Level::Debug => 3,
        Level::Trace => 4,
    }
}
