//! The options before the host sets any: where the hub is, and what the environment says.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use encoding_rs::Encoding;

use crate::supervisor::{Config, Identity, option};

/// What holds when the host has set nothing.
pub(crate) fn defaults() -> Config {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let identity = Identity {
        basedir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        starttime: i64::try_from(now.as_secs()).unwrap_or_default(),
        ..Config::default().identity
    };
    let mut config = Config { identity, ..Config::default() };
    from_environment(&mut config);
    config
}

/// The encoding of a Python name; `None` is UTF-8, also for names nobody knows, whose
/// escapes in JSON then stay UTF-8.
pub(crate) fn encoding_of(name: &str) -> Option<&'static Encoding> {
    crate::encoding::of_name(name).filter(|&encoding| encoding != encoding_rs::UTF_8)
}

/// Options for hubs that know nothing of them.
fn from_environment(config: &mut Config) {
    for option in &option::OPTIONS {
        if let Some(value) = std::env::var_os(format!("VHPY_{}", option.name.to_ascii_uppercase()))
            && let Err(error) = option.set(config, value.as_bytes())
        {
            log::error!("environment: {error}");
        }
    }
}
