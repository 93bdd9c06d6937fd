//! How much is logged: the level that operators set, and beside it, for hosts of the old C ABI,
//! a level of its own for what vhpy says itself.
//!
//! The old plugin calls `w_LogLevel(1)` by itself, and means the wrapper's own lines by that;
//! what scripts print must not vanish with them.

use std::sync::atomic::{AtomicUsize, Ordering};

use log::{Level, LevelFilter, Record};

/// The target of the lines that scripts print.
pub const SCRIPT: &str = "script";

/// The levels by number, with what each adds.
pub const LEVELS: [(LevelFilter, &str); 6] = [
    (LevelFilter::Error, "errors"),
    (LevelFilter::Warn, "and warnings"),
    (LevelFilter::Info, "and what scripts print"),
    (LevelFilter::Debug, "and every change of a script's state"),
    (LevelFilter::Trace, "everything"),
    (LevelFilter::Trace, "everything"),
];

const UNSET: usize = usize::MAX;

/// The number for vhpy's own lines and for those of scripts, where they differ.
static OWN: AtomicUsize = AtomicUsize::new(UNSET);
static SCRIPTS: AtomicUsize = AtomicUsize::new(UNSET);

fn clamped(level: i64) -> usize {
    usize::try_from(level).unwrap_or(0).min(LEVELS.len() - 1)
}

/// Sets the log level as the option `log_level` and `!pylog` number it; larger numbers count
/// as 5, smaller ones as 0.
pub fn set(level: i64) {
    OWN.store(UNSET, Ordering::Relaxed);
    SCRIPTS.store(UNSET, Ordering::Relaxed);
    log::set_max_level(LEVELS[clamped(level)].0);
}

/// Sets the level of vhpy's own lines alone, as `w_LogLevel` does; what scripts print stays as
/// it is.
pub(crate) fn set_own(level: i64) {
    let (own, scripts) = (clamped(level), current());
    SCRIPTS.store(scripts, Ordering::Relaxed);
    OWN.store(own, Ordering::Relaxed);
    log::set_max_level(LEVELS[own.max(scripts)].0);
}

/// The log level as [`set`] numbers it.
pub fn current() -> usize {
    match SCRIPTS.load(Ordering::Relaxed) {
        UNSET => LEVELS.iter().position(|(filter, _)| *filter >= log::max_level()).unwrap_or(0),
        level => level,
    }
}

/// Whether a line that passed the crate `log`'s filter is to be logged.
pub(crate) fn admits(record: &Record<'_>) -> bool {
    admits_line(record.target(), record.level(), OWN.load(Ordering::Relaxed), SCRIPTS.load(Ordering::Relaxed))
}

fn admits_line(target: &str, level: Level, own: usize, scripts: usize) -> bool {
    let limit = if target == SCRIPT { scripts } else { own };
    LEVELS.get(limit).is_none_or(|(filter, _)| level <= *filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_has_its_own_level() {
        assert!(admits_line(SCRIPT, Level::Info, 1, 2));
        assert!(!admits_line("vhpy", Level::Info, 1, 2));
        assert!(admits_line("vhpy", Level::Warn, 1, 2));
        assert!(!admits_line(SCRIPT, Level::Info, 5, 1));
        assert!(admits_line("vhpy", Level::Trace, 5, 1));
        assert!(admits_line("vhpy", Level::Trace, UNSET, UNSET));
    }
}
