//! Where the library's log lines go in a host: to the function the host gave, or to standard
//! error. A Rust program that installed a logger of its own keeps it.
//!
//! There is no lock here, of the standard library's standard error neither: threads of the
//! library log at any time, and in a forked child what one of them had locked stays locked.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::log_level;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// A host's log function: its data, a level from 0 (error) to 4 (trace), one line.
pub(crate) type LogFunction = unsafe extern "C" fn(*mut c_void, c_int, *const c_char);

/// Where lines go. One that was used is kept for ever, since a thread may be using it; a host
/// has two or three.
#[derive(Clone, Copy)]
struct Sink {
    function: Option<LogFunction>,
    data: *mut c_void,
    /// The one that was new before.
    older: *const Sink,
}

struct HostLogger;

/// The sink in use; NULL is standard error.
static SINK: AtomicPtr<Sink> = AtomicPtr::new(std::ptr::null_mut());
/// All sinks, the newest first.
static SINKS: AtomicPtr<Sink> = AtomicPtr::new(std::ptr::null_mut());

/// The sink at this address, which one of the two statics has.
fn at(address: *const Sink) -> Option<&'static Sink> {
    // SAFETY: NULL, or from `Box::into_raw` in `set_sink`; never freed and never changed after
    // it was published with release.
    unsafe { address.as_ref() }
}

impl Log for HostLogger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !log_level::admits(record) {
            return;
        }
        let level = record.level();
        let sink = at(SINK.load(Ordering::Acquire));
        match sink.and_then(|sink| Some((sink.function?, sink.data))) {
            Some((function, data)) => {
                let text = record.args().to_string().replace('\0', " ");
                if let Ok(text) = CString::new(text) {
                    // SAFETY: the host gave function and data for this, for any thread, until
                    // it sets another.
                    unsafe { function(data, number(level), text.as_ptr()) };
                }
            }
            None => {
                let line = format!("vhpy: {}: {}\n", level.as_str().to_ascii_lowercase(), record.args());
                // SAFETY: the line is valid for reading. Nothing can be done when standard error
                // is gone.
                unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
            }
        }
    }

    fn flush(&self) {}
}

/// Makes this the program's logger, once, unless it has one.
pub(crate) fn install() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) && log::set_logger(&HostLogger).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Sends the lines elsewhere; `None` is standard error.
pub(crate) fn set_sink(function: Option<LogFunction>, data: *mut c_void) {
    let mut known = std::iter::successors(at(SINKS.load(Ordering::Acquire)), |sink| at(sink.older));
    let known = known.find(|sink| sink.data == data && same(sink.function, function));
    let sink =
        known.map_or_else(|| keep(Sink { function, data, older: std::ptr::null() }), std::ptr::from_ref);
    SINK.store(sink.cast_mut(), Ordering::Release);
}

fn same(one: Option<LogFunction>, other: Option<LogFunction>) -> bool {
    one.map(|function| function as usize) == other.map(|function| function as usize)
}

/// Adds a sink to the list.
fn keep(sink: Sink) -> *const Sink {
    let new = Box::into_raw(Box::new(sink));
    let link = |newest: *mut Sink| {
        // SAFETY: nobody else has the address until it is published, which ends this.
        unsafe { (*new).older = newest };
        Some(new)
    };
    // The closure never gives up, so this does not fail.
    let _ = SINKS.fetch_update(Ordering::AcqRel, Ordering::Acquire, link);
    new
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
