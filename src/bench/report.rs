//! Figures as a table and as JSON; where they come from is the benchmarks' matter.

use std::fmt;

use serde_json::json;

use super::machine::Machine;
use super::measure::Rounds;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, shown as what fits.
    Nanoseconds,
    /// Per second.
    PerSecond,
    /// Percent of one core.
    Percent,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::PerSecond => "1/s",
            Unit::Percent => "%",
            Unit::Bytes => "bytes",
            Unit::Count => "count",
        }
    }

    /// Whether a smaller figure is a better one.
    fn less_is_better(self) -> bool {
        self != Unit::PerSecond
    }

    fn show(self, value: f64) -> String {
        match self {
            _ if value.is_nan() => "–".into(),
            Unit::Nanoseconds if value < 1e6 => format!("{} µs", digits(value / 1e3)),
            Unit::Nanoseconds => format!("{} ms", digits(value / 1e6)),
            Unit::PerSecond if value >= 1e6 => format!("{} M/s", digits(value / 1e6)),
            Unit::PerSecond => format!("{} k/s", digits(value / 1e3)),
            Unit::Percent => format!("{} %", digits(value)),
            Unit::Bytes => format!("{} KiB", digits(value / 1024.0)),
            Unit::Count => digits(value),
        }
    }
}

/// Three significant digits, or all before the point.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// What should be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goal {
    /// The worst value that is good enough.
    pub value: Option<f64>,
    /// How many times as fast as in-process it must be.
    pub ratio: Option<f64>,
}

impl Goal {
    /// A value, in the figure's unit.
    pub fn value(value: f64) -> Goal {
        Goal { value: Some(value), ratio: None }
    }

    /// So many times as fast as in-process.
    pub fn ratio(ratio: f64) -> Goal {
        Goal { value: None, ratio: Some(ratio) }
    }
}

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// A short name, such as `hook`.
    pub name: String,
    /// What was done.
    pub work: String,
    /// What the numbers count.
    pub unit: Unit,
    /// With scripts in processes of their own.
    pub ours: Rounds,
    /// With scripts in this process, if that was measured.
    pub baseline: Option<Rounds>,
    /// What should be reached.
    pub goal: Goal,
    /// What else is to be known.
    pub note: String,
}

impl Figure {
    /// A figure without baseline, goal and note.
    pub fn new(name: impl Into<String>, work: impl Into<String>, unit: Unit, ours: Rounds) -> Figure {
        Figure {
            name: name.into(),
            work: work.into(),
            unit,
            ours,
            baseline: None,
            goal: Goal::default(),
            note: String::new(),
        }
    }

    /// The row with its baseline.
    pub fn beside(mut self, baseline: Option<Rounds>) -> Figure {
        self.baseline = baseline;
        self
    }

    /// The row with what should be reached.
    pub fn reach(mut self, goal: Goal) -> Figure {
        self.goal = goal;
        self
    }

    /// The row with a remark.
    pub fn note(mut self, note: impl Into<String>) -> Figure {
        self.note = note.into();
        self
    }

    /// How many times as fast as in-process.
    pub fn ratio(&self) -> Option<f64> {
        let baseline = self.baseline.as_ref()?;
        let ratio =
            if self.unit.less_is_better() { baseline.over(&self.ours) } else { self.ours.over(baseline) };
        Some(ratio.median()).filter(|ratio| ratio.is_finite())
    }

    /// Whether it is as good as it should be; `None` when nothing was asked or it cannot be told.
    pub fn reached(&self) -> Option<bool> {
        let value = self.ours.median();
        let by_value = self
            .goal
            .value
            .map(|goal| if self.unit.less_is_better() { value <= goal } else { value >= goal });
        let by_ratio = self.goal.ratio.and_then(|goal| self.ratio().map(|ratio| ratio >= goal));
        match (by_value, by_ratio) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "work": self.work,
            "unit": self.unit.name(),
            "median": number(self.ours.median()),
            "low": number(self.ours.quantile(0.25)),
            "high": number(self.ours.quantile(0.75)),
            "rounds": self.ours.0,
            "in_process": self.baseline.as_ref().map(|rounds| json!({
                "median": number(rounds.median()),
                "low": number(rounds.quantile(0.25)),
                "high": number(rounds.quantile(0.75)),
                "rounds": rounds.0,
            })),
            "times_as_fast": self.ratio(),
            "goal": self.goal.value,
            "goal_times_as_fast": self.goal.ratio,
            "reached": self.reached(),
            "note": self.note,
        })
    }
}

/// JSON has no NaN.
fn number(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// One line of the table.
#[derive(Clone, Debug)]
pub enum Line {
    /// A figure.
    Measured(Figure),
    /// None, and why.
    Skipped {
        /// The benchmark.
        name: String,
        /// Why.
        why: String,
    },
}

impl From<Figure> for Line {
    fn from(figure: Figure) -> Line {
        Line::Measured(figure)
    }
}

/// Everything that was measured in one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// Whether the rounds were few and short.
    pub quick: bool,
    /// The figures.
    pub lines: Vec<Line>,
}

impl Report {
    /// The report as JSON text.
    pub fn json(&self) -> String {
        let mut figures = Vec::new();
        let mut skipped = Vec::new();
        for line in &self.lines {
            match line {
                Line::Measured(figure) => figures.push(figure.json()),
                Line::Skipped { name, why } => skipped.push(json!({ "name": name, "why": why })),
            }
        }
        let whole = json!({
            "vhpy": env!("CARGO_PKG_VERSION"),
            "machine": self.machine.json(),
            "quick": self.quick,
            "figures": figures,
            "skipped": skipped,
        });
        format!("{whole:#}\n")
    }

    fn rows(&self) -> Vec<[String; 7]> {
        let mut rows =
            vec![["name", "work", "vhpy", "in-process", "× as fast", "goal", ""].map(String::from)];
        for line in &self.lines {
            rows.push(match line {
                Line::Measured(figure) => row(figure),
                Line::Skipped { name, why } => {
                    let mut row: [String; 7] = Default::default();
                    row[0].clone_from(name);
                    row[1] = format!("(skipped: {why})");
                    row
                }
            });
        }
        rows
    }
}

fn row(figure: &Figure) -> [String; 7] {
    let show = |value| figure.unit.show(value);
    let sign = if figure.unit.less_is_better() { "≤" } else { "≥" };
    let goals = [
        figure.goal.value.map(|value| format!("{sign} {}", show(value))),
        figure.goal.ratio.map(|ratio| format!("≥ {ratio}×")),
    ];
    [
        figure.name.clone(),
        figure.work.clone(),
        show(figure.ours.median()),
        figure.baseline.as_ref().map(|rounds| show(rounds.median())).unwrap_or_default(),
        figure.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        goals.into_iter().flatten().collect::<Vec<_>>().join(", "),
        match figure.reached() {
            Some(true) => "reached".into(),
            Some(false) => "NOT REACHED".into(),
            None => String::new(),
        },
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        if self.quick {
            writeln!(f, "Quick: few and short rounds, for a look only.")?;
        }
        writeln!(f)?;
        let rows = self.rows();
        let mut widths = [0; 7];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                // A long remark about a skipped one does not widen its column.
                if !cell.starts_with('(') {
                    *width = cell.chars().count().max(*width);
                }
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width.saturating_sub(cell.chars().count()));
                let right = (2..=4).contains(&column);
                line += &if right { format!("{space}{cell}  ") } else { format!("{cell}{space}  ") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        for line in &self.lines {
            if let Line::Measured(figure) = line
                && !figure.note.is_empty()
            {
                writeln!(f, "{}: {}", figure.name, figure.note)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(unit: Unit, ours: f64, baseline: f64, goal: Goal) -> Figure {
        Figure::new("x", "", unit, Rounds(vec![ours])).beside(Some(Rounds(vec![baseline]))).reach(goal)
    }

    #[test]
    fn less_time_and_more_events_are_both_faster() {
        assert_eq!(figure(Unit::Nanoseconds, 50.0, 100.0, Goal::default()).ratio(), Some(2.0));
        assert_eq!(figure(Unit::PerSecond, 50.0, 100.0, Goal::default()).ratio(), Some(0.5));
    }

    #[test]
    fn a_goal_of_two_parts_needs_both() {
        let goal = Goal { value: Some(600.0), ratio: Some(1.0) };
        assert_eq!(figure(Unit::Nanoseconds, 500.0, 550.0, goal).reached(), Some(true));
        assert_eq!(figure(Unit::Nanoseconds, 500.0, 450.0, goal).reached(), Some(false));
        assert_eq!(figure(Unit::Nanoseconds, 610.0, 900.0, goal).reached(), Some(false));
        assert_eq!(figure(Unit::Nanoseconds, 610.0, 900.0, Goal::default()).reached(), None);
    }

    #[test]
    fn figures_show_three_digits() {
        assert_eq!(Unit::Nanoseconds.show(423.4), "0.423 µs");
        assert_eq!(Unit::Nanoseconds.show(14_300_000.0), "14.3 ms");
        assert_eq!(Unit::PerSecond.show(1_534_000.0), "1.53 M/s");
        assert_eq!(Unit::Count.show(0.0), "0");
    }
}
