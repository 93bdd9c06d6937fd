//! What a clock on the wall shows, for operators: the standard library knows no time zones.

use std::time::{SystemTime, UNIX_EPOCH};

/// Hour and minute here, `12:03`; with the date before it where that is not today's.
pub fn clock(at: SystemTime) -> String {
    let (then, now) = (broken_down(at), broken_down(SystemTime::now()));
    let time = format!("{:02}:{:02}", then.tm_hour, then.tm_min);
    if (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday) {
        return time;
    }
    format!("{}-{:02}-{:02} {time}", then.tm_year + 1900, then.tm_mon + 1, then.tm_mday)
}

fn broken_down(at: SystemTime) -> libc::tm {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = libc::time_t::try_from(seconds).unwrap_or(0);
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, and zeroes are a valid `tm` should it fail.
    unsafe {
        libc::localtime_r(&seconds, parts.as_mut_ptr());
        parts.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_long_ago_has_its_date() {
        let now = SystemTime::now();
        assert_eq!(clock(now).len(), "12:03".len());
        let then = clock(now - Duration::from_secs(400 * 24 * 3600));
        assert_eq!(then.len(), "2026-11-25 12:03".len(), "{then}");
    }
}
