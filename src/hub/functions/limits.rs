//! How long the texts may be that scripts give to the hub: one table, by the names of the
//! functions' parameters.
//!
//! What a script gives may be stored, shown to everybody or kept for as long as it runs, and a
//! message between processes has up to 64 MiB. What is longer than its row allows makes the call
//! fail, and the log says so.

use plugin_abi::{Call, Value};

use super::super::Hub;

/// A text for users: `message`, `data`. Clients show far less, and four of them are as much as may
/// wait for a client.
pub(in super::super) const TEXT: usize = 1 << 20;

/// A nick: four times as much as users' may have at first.
pub(in super::super) const NICK: usize = 255;

/// A part of a `$MyINFO`.
pub(in super::super) const INFO: usize = 1024;

/// How many bytes may wait for scripts in commands from scripts.
pub(in super::super) const WAITING_COMMANDS: usize = 16 << 20;

/// The names of parameters, and how many bytes each may have.
const LIMITS: &[(&[&str], usize)] = &[
    (&["message", "data"], TEXT),
    (&["nick", "from_nick", "shown_nick", "op"], NICK),
    (&["desc", "tag", "speed", "mail"], INFO),
    // Numbers and periods as text.
    (&["size", "share", "nochat", "nopm", "nosearch", "noctm"], 64),
    (&["ip", "database", "conf", "variable", "name", "version"], 255),
    // As long as the columns of Verlihub's tables, in which they are kept.
    (&["value", "default", "topic"], 65_535),
    (&["reason", "address", "note_op", "note_user"], 4096),
    (&["command"], 65_535),
    (&["password", "fields"], 255),
    // SQLite's own limit holds as well.
    (&["query"], 4 << 20),
];

fn limit(parameter: &str) -> usize {
    let row = LIMITS.iter().find(|(names, _)| names.contains(&parameter));
    // A test sees to it that there is a row for each.
    row.map_or(NICK, |(_, limit)| *limit)
}

impl Hub {
    /// Whether all texts of a call are short enough.
    pub(super) fn is_within_limits(&self, call: Call, args: &[Value<'_>]) -> bool {
        let spec = call.spec();
        for (arg, place) in args.iter().zip(spec.host_order) {
            let length = arg.as_text().map_or(0, <[u8]>::len);
            // Nearly all are shorter than the lowest limit.
            if length <= 64 {
                continue;
            }
            let name = spec.params.get(usize::from(*place)).map_or("", |parameter| parameter.name);
            if length > limit(name) {
                let most = limit(name);
                log::warn!("{}: its {name} has {length} bytes; {most} are allowed", call.name());
                return false;
            }
        }
        true
    }

    /// Whether a text that a script put in the place of a user's is short enough.
    pub(in super::super) fn may_replace(&self, what: &str, text: &[u8], most: usize) -> bool {
        let fits = text.len() <= most;
        if !fits {
            let length = text.len();
            log::warn!("a script's {what} in the place of a user's has {length} bytes; {most} are allowed");
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_abi::call::CALLS;

    #[test]
    fn every_text_of_every_call_has_a_limit() {
        let mut used = std::collections::HashSet::new();
        for spec in CALLS {
            for (format, place) in spec.host_format().bytes().zip(spec.host_order) {
                let name = spec.params[usize::from(*place)].name;
                let rows = LIMITS.iter().filter(|(names, _)| names.contains(&name)).count();
                let wanted = usize::from(format == b's');
                assert!(wanted == 0 || rows == 1, "{}({name}) has {rows} limits", spec.name);
                if wanted == 1 {
                    used.insert(name);
                }
            }
        }
        for name in LIMITS.iter().flat_map(|(names, _)| *names) {
            assert!(used.contains(name), "no call has a text named {name}");
        }
        assert!(LIMITS.iter().all(|(_, limit)| *limit >= 64));
    }
}
