//! A snapshot as text, in OpenMetrics or in Prometheus' older format.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use plugin_abi::figures::{BOUNDS, Times};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Snapshot;
use crate::supervisor::ScriptStatus;

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    /// As Prometheus had it before: what `promtool check metrics` reads.
    Prometheus,
}

impl Format {
    /// What it is called in HTTP.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The snapshot as text.
pub(super) fn write(snapshot: &Arc<Snapshot>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::clone(snapshot)));
    let mut text = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut text, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

fn nanoseconds(count: u64) -> f64 {
    Duration::from_nanos(count).as_secs_f64()
}

fn histogram(mut metric: MetricEncoder<'_>, times: &Times) -> fmt::Result {
    let bounds = BOUNDS.iter().map(|bound| nanoseconds(*bound)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
    metric.encode_histogram::<NoLabelSet>(nanoseconds(times.total), times.count(), &buckets, None)
}

fn counter(mut metric: MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}

/// One figure of a script.
struct OfScripts {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
    write: fn(&ScriptStatus, MetricEncoder<'_>) -> fmt::Result,
    /// Whether it is known of a script.
    has: fn(&ScriptStatus) -> bool,
}

const OF_SCRIPTS: [OfScripts; 6] = [
    OfScripts {
        name: "vhpy_script_up",
        help: "Whether a script is ready for events",
        unit: None,
        kind: MetricType::Gauge,
        write: |script, mut metric| metric.encode_gauge(&i64::from(script.state == "ready")),
        has: |_| true,
    },
    OfScripts {
        name: "vhpy_script_restarts",
        help: "How often a script was started again",
        unit: None,
        kind: MetricType::Counter,
        write: |script, metric| counter(metric, script.restarts),
        has: |_| true,
    },
    OfScripts {
        name: "vhpy_script_exceptions",
        help: "How many calls of a script's hooks have raised",
        unit: None,
        kind: MetricType::Counter,
        write: |script, metric| counter(metric, script.figures.raised()),
        has: |_| true,
    },
    OfScripts {
        name: "vhpy_script_late",
        help: "How many hooks and functions of a script came back too late",
        unit: None,
        kind: MetricType::Counter,
        write: |script, metric| counter(metric, script.figures.late),
        has: |_| true,
    },
    OfScripts {
        name: "vhpy_script_cpu",
        help: "Processor time of a script's processes",
        unit: Some(Unit::Seconds),
        kind: MetricType::Counter,
        write: |script, mut metric| {
            let time = script.figures.processor.unwrap_or_default().as_secs_f64();
            metric.encode_counter::<NoLabelSet, f64, f64>(&time, None)
        },
        has: |script| script.figures.processor.is_some(),
    },
    OfScripts {
        name: "vhpy_script_memory",
        help: "Resident memory of a script's process",
        unit: Some(Unit::Bytes),
        kind: MetricType::Gauge,
        write: |script, mut metric| metric.encode_gauge(&script.memory.unwrap_or_default()),
        has: |script| script.memory.is_some(),
    },
];

impl Snapshot {
    /// What scripts are called: their names, and their numbers where two have the same.
    fn names(&self) -> Vec<String> {
        let named = |name: &str| self.scripts.iter().filter(|script| script.name == name).count();
        let name = |script: &ScriptStatus| match named(&script.name) {
            1 => script.name.clone(),
            _ => format!("{} ({})", script.name, script.id),
        };
        self.scripts.iter().map(name).collect()
    }

    fn hub(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(hub) = &self.hub else { return Ok(()) };
        let mut users =
            encoder.encode_descriptor("vhpy_users", "How many users are online", None, MetricType::Gauge)?;
        for (class, count) in &hub.users {
            users.encode_family(&[("class", *class)])?.encode_gauge(count)?;
        }
        let (help, unit) = ("What users share together", Some(&Unit::Bytes));
        encoder
            .encode_descriptor("vhpy_share", help, unit, MetricType::Gauge)?
            .encode_gauge(&(hub.share as f64))?;
        let help = "How many messages of clients the hub has acted on";
        let mut messages = encoder.encode_descriptor("vhpy_messages", help, None, MetricType::Counter)?;
        for (kind, count) in &hub.messages {
            counter(messages.encode_family(&[("kind", *kind)])?, *count)?;
        }
        let (help, unit) = ("How long turns of the hub's loop took", Some(&Unit::Seconds));
        let turn = encoder.encode_descriptor("vhpy_turn", help, unit, MetricType::Histogram)?;
        histogram(turn, &hub.turns)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let taken = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (help, unit) = ("When these figures were taken, since 1970", Some(&Unit::Seconds));
        encoder
            .encode_descriptor("vhpy_snapshot_timestamp", help, unit, MetricType::Gauge)?
            .encode_gauge(&taken)?;
        let names = self.names();
        for figure in &OF_SCRIPTS {
            let unit = figure.unit.as_ref();
            let mut family = encoder.encode_descriptor(figure.name, figure.help, unit, figure.kind)?;
            for (script, name) in self.scripts.iter().zip(&names).filter(|(script, _)| (figure.has)(script)) {
                (figure.write)(script, family.encode_family(&[("script", name.as_str())])?)?;
            }
        }
        let (help, unit) = ("How long calls of hooks took", Some(&Unit::Seconds));
        let mut hooks = encoder.encode_descriptor("vhpy_hook", help, unit, MetricType::Histogram)?;
        for (script, name) in self.scripts.iter().zip(&names) {
            for hook in &script.figures.hooks {
                let labels = [("script", name.as_str()), ("hook", hook.hook.name())];
                histogram(hooks.encode_family(&labels)?, &hook.times)?;
            }
        }
        self.hub(&mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::SystemTime;

    use plugin_abi::Hook;

    use super::*;
    use crate::supervisor::ScriptId;
    use crate::supervisor::figures::{HookFigures, ScriptFigures};
    use crate::supervisor::hub_figures::HubFigures;

    fn script(id: i32, name: &str) -> ScriptStatus {
        let mut times = Times::default();
        times.took(2_000);
        times.took(2_000);
        times.took(5_000_000_000);
        times.raised = 1;
        let hook = HookFigures { hook: Hook::OnTimer, events: 3, blocked: 0, late: 1, times };
        ScriptStatus {
            id: ScriptId(id),
            name: name.into(),
            path: PathBuf::new(),
            state: "ready",
            pid: None,
            uptime: None,
            restarts: 2,
            events: 3,
            memory: None,
            figures: ScriptFigures {
                hooks: vec![hook],
                calls: 0,
                late: 4,
                processor: Some(Duration::from_millis(1500)),
            },
            title: None,
        }
    }

    fn snapshot(scripts: Vec<ScriptStatus>) -> Arc<Snapshot> {
        let hub = HubFigures {
            users: vec![("guest", 3)],
            share: 1 << 40,
            messages: vec![("chat", 7)],
            turns: Times::default(),
        };
        Arc::new(Snapshot { at: SystemTime::now(), scripts, hub: Some(hub) })
    }

    #[test]
    fn every_figure_is_there() {
        let text = write(&snapshot(vec![script(0, "quiz")]), Format::OpenMetrics).unwrap();
        for line in [
            "# TYPE vhpy_hook_seconds histogram",
            "# UNIT vhpy_hook_seconds seconds",
            r#"vhpy_hook_seconds_sum{script="quiz",hook="OnTimer"} 5.000004"#,
            r#"vhpy_hook_seconds_count{script="quiz",hook="OnTimer"} 3"#,
            r#"vhpy_hook_seconds_bucket{le="0.000003",script="quiz",hook="OnTimer"} 2"#,
            r#"vhpy_hook_seconds_bucket{le="1.0",script="quiz",hook="OnTimer"} 2"#,
            r#"vhpy_hook_seconds_bucket{le="+Inf",script="quiz",hook="OnTimer"} 3"#,
            r#"vhpy_script_up{script="quiz"} 1"#,
            r#"vhpy_script_restarts_total{script="quiz"} 2"#,
            r#"vhpy_script_exceptions_total{script="quiz"} 1"#,
            r#"vhpy_script_late_total{script="quiz"} 4"#,
            r#"vhpy_script_cpu_seconds_total{script="quiz"} 1.5"#,
            r#"vhpy_users{class="guest"} 3"#,
            "vhpy_share_bytes 1099511627776.0",
            r#"vhpy_messages_total{kind="chat"} 7"#,
            "vhpy_turn_seconds_count 0",
        ] {
            assert!(text.lines().any(|there| there == line), "no line {line} in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(!text.contains("memory_bytes{"), "what is not known is left out");
    }

    #[test]
    fn names_cannot_break_lines_and_no_two_are_alike() {
        let hostile = "a\"} 1\nvhpy_users{class=\"\\";
        let text = write(&snapshot(vec![script(0, hostile)]), Format::Prometheus).unwrap();
        let up = text.lines().filter(|line| line.starts_with("vhpy_script_up")).collect::<Vec<_>>();
        assert_eq!(up, [r#"vhpy_script_up{script="a\"} 1\nvhpy_users{class=\"\\"} 1"#]);
        let text = write(&snapshot(vec![script(0, "quiz"), script(3, "quiz")]), Format::Prometheus).unwrap();
        for line in [r#"vhpy_script_up{script="quiz (0)"} 1"#, r#"vhpy_script_up{script="quiz (3)"} 1"#] {
            assert!(text.lines().any(|there| there == line), "no line {line} in:\n{text}");
        }
    }
}
