//! How the program's log is written to the standard error: for people, as JSON, or for journald.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;

use env_logger::fmt::Formatter;
use log::{Level, Record};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A line with a JSON object: time, level, target, message.
    Json,
}

/// Starts the log.
///
/// # Errors
/// When `RUST_LOG` says nothing that is known.
pub fn start(format: LogFormat) -> Result<(), String> {
    let levels = std::env::var("RUST_LOG").unwrap_or_default();
    check_levels(&levels)?;
    let style = if std::io::stderr().is_terminal() {
        env_logger::WriteStyle::Auto
    } else {
        env_logger::WriteStyle::Never
    };
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(if levels.is_empty() { "info" } else { &levels });
    builder.write_style(style);
    match format {
        LogFormat::Json => {
            builder.format(json);
        }
        LogFormat::Text if is_journal() => {
            builder.format(journal);
        }
        // Who asks for levels of their own wants to know which parts say what.
        LogFormat::Text if !levels.is_empty() => {}
        LogFormat::Text => {
            builder.format(text);
        }
    }
    builder.init();
    Ok(())
}

/// As short as can be: when, how bad, what.
fn text(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let (time, level) = (out.timestamp(), record.level());
    let style = out.default_level_style(level);
    let text = record.args().to_string().replace('\n', "\n    ");
    writeln!(out, "[{time} {style}{level}{style:#}] {text}")
}

fn json(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let line = serde_json::json!({
        "time": out.timestamp_millis().to_string(),
        "level": record.level().as_str(),
        "target": record.target(),
        "message": record.args().to_string(),
    });
    writeln!(out, "{line}")
}

/// Whether the standard error goes to journald, which stamps each line itself: then the variable
/// names that very file (systemd.exec(5)). A hub that was started from a service's shell has the
/// variable, too, but may write elsewhere.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// As journald wants it: the priority in front of each line (sd-daemon(3)), and no time.
fn journal(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let priority = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let text = format!("[{}] {}", record.target(), record.args());
    for line in text.lines() {
        writeln!(out, "<{priority}>{line}")?;
    }
    Ok(())
}

/// What is wrong with a `RUST_LOG`. A word that is no level would be taken for the only part of
/// the program to be logged, and everything else would be silent.
fn check_levels(levels: &str) -> Result<(), String> {
    let (parts, _pattern) = levels.split_once('/').unwrap_or((levels, ""));
    let is_level = |word: &str| word.trim().parse::<log::LevelFilter>().is_ok();
    for part in parts.split(',').filter(|part| !part.trim().is_empty()) {
        let (target, level) = part.split_once('=').unwrap_or(("", part));
        let is_ours = |name: &str| name == "vhpy" || name.starts_with("vhpy::");
        let is_known = is_level(level) || (target.is_empty() && is_ours(level.trim()));
        if !is_known {
            return Err(format!(
                "RUST_LOG={levels}: {part:?} is no level; use error, warn, info, debug, trace or off, for a part of the program such as vhpy::hub=debug"
            ));
        }
    }
    Ok(())
}
