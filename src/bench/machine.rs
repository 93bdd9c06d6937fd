//! What the figures were measured on.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::baseline::Baseline;

/// A machine at one moment.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The processor's model, as the kernel names it.
    pub cpu: String,
    /// How many processors this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The version of the interpreter that ran the scripts.
    pub python: String,
    /// The version of the interpreter inside this process, if there was one.
    pub baseline: Option<String>,
    /// Year-month-day, hour:minute, UTC.
    pub date: String,
    /// Processes that wanted to run in the minute before; above 0.3, the machine was not idle.
    pub load: f64,
}

impl Machine {
    /// Looks at this machine; `python` ran the scripts. What cannot be learned stays empty.
    pub fn look(python: &Path) -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Machine {
            cpu: model.map(|(_, model)| model.trim().to_string()).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            python: version(python),
            baseline: Baseline::executable().map(|python| version(Path::new(python))),
            date: date(since_epoch.as_secs()),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// The machine for programs to read.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "kernel": self.kernel,
            "python": self.python,
            "in_process_python": self.baseline,
            "date": self.date,
            "load": self.load,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} cores, Linux {}", self.cpu, self.cores, self.kernel)?;
        write!(f, "{}, ", self.python)?;
        match &self.baseline {
            Some(version) => write!(f, "in-process {version}, ")?,
            None => write!(f, "no in-process figures (built without the feature `baseline`), ")?,
        }
        write!(f, "{} UTC, load {}", self.date, self.load)
    }
}

fn version(python: &Path) -> String {
    let question = "import platform; print(platform.python_version(), platform.python_compiler())";
    let output = Command::new(python).args(["-c", question]).output();
    let told = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    format!("Python {}", told.unwrap_or_default())
}

/// The date of a moment, by the proleptic Gregorian calendar.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut left = days;
    let mut year = 1970;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02}", left + 1, rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_767_225_599), "2025-12-31 23:59");
    }
}
