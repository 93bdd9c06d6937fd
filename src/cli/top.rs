//! `vhpy top`: a live view of a hub that runs, over its control socket. What is known of the hub
//! ([`Model`]) and how it is drawn ([`draw`]) know neither the terminal nor the socket.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};
use serde_json::{Value, json};

use super::running_hub::{Hub, NO_HUB, Place};

pub(super) const HELP: &str = "Keys:\n  \
    up, down   choose a script\n  \
    s          show where all its threads are\n  \
    r          reload it\n  \
    x, then y  unload it\n  \
    q          quit\n\n\
    Exit code: 0 at the end, 1 when the hub ends or this is no terminal, 3 when there is no hub.";

/// How often the hub is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How many lines of the log are kept.
const KEPT: usize = 500;
/// What the keys do.
const KEYS: &str = " ↑↓ choose   s stacks   r reload   x unload   q quit";

#[derive(Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &TopArgs) -> Result<i64, String> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err("top needs a terminal; vhpy ctl stat tells the same once".into());
    }
    let Some(mut hub) = args.place.connect()? else { return Ok(NO_HUB) };
    let mut terminal = ratatui::try_init().map_err(|error| format!("the terminal: {error}"))?;
    let shown = show(&mut hub, |model| {
        terminal.draw(|frame| draw(frame, model)).map(drop).map_err(|error| format!("the terminal: {error}"))
    });
    ratatui::restore();
    shown.map(|()| 0)
}

/// Asks, draws and obeys until somebody quits, or the hub ends.
fn show(hub: &mut Hub, mut draw: impl FnMut(&Model) -> Result<(), String>) -> Result<(), String> {
    let mut model = Model::default();
    let (sender, answers) = channel();
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            next = Instant::now() + PERIOD;
            let list = hub.ask(&json!({"do": "list"}))?;
            let log = hub.ask(&json!({"do": "log", "since": model.since}))?;
            model.update(&list["answer"], &log["answer"], Instant::now());
        }
        model.hear(&answers);
        draw(&model)?;
        let left = next.saturating_duration_since(Instant::now());
        let is_there = event::poll(left.min(PERIOD / 5)).map_err(|error| error.to_string())?;
        if !is_there {
            continue;
        }
        let Event::Key(key) = event::read().map_err(|error| error.to_string())? else { continue };
        match model.press(key) {
            Some(Act::Quit) => return Ok(()),
            Some(Act::Ask(request)) => ask_beside(hub, request, &sender),
            None => {}
        }
    }
}

/// Asks over a connection of its own: a reload may take long, and the view goes on.
fn ask_beside(hub: &Hub, request: Value, answers: &Sender<String>) {
    let answers = answers.clone();
    let connection = hub.another();
    std::thread::spawn(move || {
        let said = match connection.and_then(|mut hub| hub.ask(&request)) {
            Ok(answer) => {
                let said = answer["error"].as_str().or(answer["text"].as_str());
                said.unwrap_or_default().to_string()
            }
            Err(error) => error,
        };
        // Whoever quit does not hear it.
        let _ = answers.send(said);
    });
}

/// What a key asks for.
#[derive(Debug, PartialEq)]
enum Act {
    Quit,
    Ask(Value),
}

/// One script, as it was when the hub was asked last.
#[derive(Clone, Debug, Default, PartialEq)]
struct Script {
    id: i64,
    status: Value,
    /// Events in a second.
    rate: f64,
    /// The part of the time that its hooks took.
    busy: f64,
}

impl Script {
    fn text(&self, key: &str) -> &str {
        self.status[key].as_str().unwrap_or_default()
    }

    fn number(&self, key: &str) -> f64 {
        self.status[key].as_f64().unwrap_or_default()
    }
}

/// What is shown.
#[derive(Default)]
struct Model {
    /// The busiest first.
    scripts: Vec<Script>,
    /// The number of the script that is chosen.
    chosen: Option<i64>,
    log: Vec<String>,
    /// Up to where the log was read.
    since: Value,
    unseen: f64,
    at: Option<Instant>,
    /// What the hub answered last, in the place of the hooks and the log.
    said: Option<String>,
    /// Whether it was asked to unload the chosen script, and waits for a yes.
    is_asking: bool,
}

impl Model {
    fn update(&mut self, list: &Value, log: &Value, now: Instant) {
        let passed = self.at.map(|at| (now - at).as_secs_f64()).filter(|passed| *passed > 0.0);
        self.at = Some(now);
        self.unseen = list["unseen_seconds"].as_f64().unwrap_or_default();
        let statuses = list["scripts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut scripts: Vec<Script> = statuses.iter().map(|status| self.script(status, passed)).collect();
        let time = |script: &Script| (script.busy, script.number("seconds"));
        scripts.sort_by(|a, b| time(b).partial_cmp(&time(a)).unwrap_or(std::cmp::Ordering::Equal));
        self.scripts = scripts;
        if self.at_chosen().is_none() {
            self.chosen = self.scripts.first().map(|script| script.id);
            self.is_asking = false;
        }
        let lines = log["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.log.extend(lines.iter().filter_map(|line| line.as_str().map(String::from)));
        self.log.drain(..self.log.len().saturating_sub(KEPT));
        self.since = log["next"].clone();
    }

    /// What a status says, and what has changed in the time that has passed since the one before.
    fn script(&self, status: &Value, passed: Option<f64>) -> Script {
        let id = status["id"].as_i64().unwrap_or(-1);
        let mut script = Script { id, status: status.clone(), ..Script::default() };
        let before = self.scripts.iter().find(|script| script.id == id);
        if let (Some(passed), Some(before)) = (passed, before) {
            let per_second = |key| (script.number(key) - before.number(key)).max(0.0) / passed;
            (script.rate, script.busy) = (per_second("events"), per_second("seconds"));
        }
        script
    }

    fn hear(&mut self, answers: &Receiver<String>) {
        if let Some(said) = answers.try_iter().last() {
            self.said = Some(said);
        }
    }

    fn at_chosen(&self) -> Option<usize> {
        self.scripts.iter().position(|script| Some(script.id) == self.chosen)
    }

    fn press(&mut self, key: KeyEvent) -> Option<Act> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let was_asking = std::mem::take(&mut self.is_asking);
        let chosen = self.at_chosen();
        let name = self.chosen.map(|id| id.to_string());
        let ask = |what: &str| name.as_ref().map(|name| Act::Ask(json!({"do": what, "script": name})));
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Some(Act::Quit),
            KeyCode::Char('y') if was_asking => return ask("unload"),
            KeyCode::Esc if self.said.take().is_some() => {}
            KeyCode::Char('q') | KeyCode::Esc => return Some(Act::Quit),
            KeyCode::Char('s') => return ask("stacks"),
            KeyCode::Char('r') => return ask("reload"),
            KeyCode::Char('x') => self.is_asking = chosen.is_some(),
            KeyCode::Up | KeyCode::Char('k') => self.choose(chosen.map_or(0, |at| at.saturating_sub(1))),
            KeyCode::Down | KeyCode::Char('j') => self.choose(chosen.map_or(0, |at| at + 1)),
            _ => {}
        }
        None
    }

    fn choose(&mut self, at: usize) {
        self.said = None;
        let last = self.scripts.len().saturating_sub(1);
        self.chosen = self.scripts.get(at.min(last)).map(|script| script.id);
    }

    fn head(&self) -> String {
        let rate: f64 = self.scripts.iter().map(|script| script.rate).sum();
        let head = format!(" vhpy top   {} scripts   {rate:.0} events/s", self.scripts.len());
        if self.unseen < 2.0 {
            return head;
        }
        format!("{head}   the hub has not looked for {:.0} s", self.unseen)
    }

    fn foot(&self) -> String {
        match self.at_chosen().and_then(|at| self.scripts.get(at)).filter(|_| self.is_asking) {
            Some(script) => format!(" Unload {}? y does, any other key does not", script.text("name")),
            None if self.said.is_some() => format!("{KEYS}   esc back"),
            None => KEYS.into(),
        }
    }
}

fn draw(frame: &mut Frame<'_>, model: &Model) {
    let height = u16::try_from(model.scripts.len()).unwrap_or(u16::MAX).saturating_add(3);
    let most = frame.area().height / 2;
    let [head, scripts, below, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(height.min(most)),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(model.head()).style(bar), head);
    draw_scripts(frame, model, scripts);
    match &model.said {
        Some(said) => {
            let said: Vec<String> = said.lines().map(String::from).collect();
            draw_lines(frame, below, " The hub says ", &said, false);
        }
        None => {
            let [hooks, log] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(below);
            draw_hooks(frame, model, hooks);
            draw_lines(frame, log, " Log ", &model.log, true);
        }
    }
    frame.render_widget(Paragraph::new(model.foot()).style(bar), foot);
}

/// The first lines that fit, or the last.
fn draw_lines(frame: &mut Frame<'_>, area: Rect, title: &'static str, lines: &[String], at_the_end: bool) {
    let block = Block::bordered().title(title);
    let room = usize::from(block.inner(area).height);
    let from = if at_the_end { lines.len().saturating_sub(room) } else { 0 };
    // A script may print what steers terminals.
    let shown = |line: &String| Line::from(line.chars().filter(|c| !c.is_control()).collect::<String>());
    let text: Vec<Line<'_>> = lines.iter().skip(from).take(room).map(shown).collect();
    frame.render_widget(Paragraph::new(text).block(block), area);
}

fn heading(names: &[&'static str]) -> Row<'static> {
    Row::new(names.iter().copied().map(Cell::from).collect::<Vec<_>>())
        .style(Style::new().add_modifier(Modifier::BOLD))
}

fn draw_scripts(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let rows = model.scripts.iter().map(|script| {
        let slowest = match script.text("longest_in") {
            "" => String::new(),
            hook => format!("{} {hook}", time(script.number("longest_seconds"))),
        };
        Row::new([
            script.text("name").to_string(),
            script.text("state").to_string(),
            format!("{:.1} %", script.busy * 100.0),
            format!("{:.0}", script.rate),
            script.number("raised").to_string(),
            script.number("restarts").to_string(),
            format!("{:.1} MiB", script.number("memory_bytes") / f64::from(1 << 20)),
            slowest,
        ])
    });
    let names = ["script", "state", "time", "events/s", "raised", "restarts", "memory", "slowest"];
    let widths = [20, 9, 8, 9, 7, 9, 11].map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    let table = Table::new(rows, widths)
        .header(heading(&names))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered().title(" Scripts "));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(model.at_chosen()));
}

fn draw_hooks(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let chosen = model.at_chosen().and_then(|at| model.scripts.get(at));
    let hooks = chosen.and_then(|script| script.status["hooks"].as_array());
    let rows = hooks.map(Vec::as_slice).unwrap_or_default().iter().map(|hook| {
        let number = |key: &str| hook[key].as_f64().unwrap_or_default();
        let mean = if number("events") > 0.0 { number("seconds") / number("events") } else { 0.0 };
        Row::new([
            hook["hook"].as_str().unwrap_or_default().to_string(),
            number("events").to_string(),
            time(mean),
            time(number("longest_seconds")),
            number("blocked").to_string(),
            number("raised").to_string(),
            number("late").to_string(),
        ])
    });
    let names = ["hook", "events", "each", "slowest", "blocked", "raised", "late"];
    let name = chosen.map_or("no script", |script| script.text("name"));
    let table = Table::new(rows, [28, 10, 10, 10, 9, 9, 6].map(Constraint::Length))
        .header(heading(&names))
        .block(Block::bordered().title(format!(" Hooks of {name} ")));
    frame.render_widget(table, area);
}

/// At most four digits, and a unit.
fn time(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.0} µs", seconds * 1e6),
        1e-3..1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn script(id: i64, name: &str, events: u64, seconds: f64) -> Value {
        let hook = json!({"hook": "OnTimer", "events": events, "seconds": seconds, "longest_seconds": 0.02});
        json!({
            "id": id, "name": name, "state": "ready", "events": events, "seconds": seconds,
            "longest_in": "OnTimer", "longest_seconds": 0.02, "memory_bytes": 13 << 20, "hooks": [hook],
        })
    }

    /// After two looks, a second apart.
    fn model() -> Model {
        let mut model = Model::default();
        let now = Instant::now();
        for (events, seconds, at) in [(10, 0.0, now), (110, 0.25, now + PERIOD)] {
            let scripts = [script(0, "idle", 5, 3.0), script(1, "busy", events, seconds)];
            let list = json!({"unseen_seconds": 0.1, "scripts": scripts});
            let log = json!({"lines": [format!("busy: line {events}\u{1b}[2J")], "next": {"1": events}});
            model.update(&list, &log, at);
        }
        model
    }

    fn screen(model: &Model) -> String {
        let mut terminal = Terminal::new(TestBackend::new(110, 24)).unwrap();
        terminal.draw(|frame| draw(frame, model)).unwrap();
        terminal.backend().to_string()
    }

    fn press(model: &mut Model, key: KeyCode) -> Option<Act> {
        model.press(KeyEvent::new(key, KeyModifiers::NONE))
    }

    #[test]
    fn the_busiest_script_comes_first_and_what_it_printed_steers_no_terminal() {
        let model = model();
        let screen = screen(&model);
        let at = |what: &str| screen.find(what).unwrap_or_else(|| panic!("no {what}:\n{screen}"));
        assert!(at("busy ") < at("idle "), "{screen}");
        for what in ["2 scripts   100 events/s", "25.0 %", "20 ms OnTimer", "Hooks of ", "line 110[2J", KEYS]
        {
            at(what);
        }
        assert!(!screen.contains("not looked"), "{screen}");
        assert_eq!(model.since, json!({"1": 110}));
    }

    #[test]
    fn a_hub_that_hangs_is_said_to_be_so() {
        let mut model = model();
        model.update(
            &json!({"unseen_seconds": 12.4, "scripts": []}),
            &json!({}),
            Instant::now() + PERIOD * 2,
        );
        let screen = screen(&model);
        assert!(
            screen.contains("0 scripts") && screen.contains("the hub has not looked for 12 s"),
            "{screen}"
        );
        assert_eq!(press(&mut model, KeyCode::Char('r')), None);
    }

    #[test]
    fn keys_act_on_the_chosen_script_and_unloading_asks_first() {
        let mut model = model();
        model.chosen = Some(1);
        let ask = |what: &str, script: &str| Some(Act::Ask(json!({"do": what, "script": script})));
        assert_eq!(press(&mut model, KeyCode::Char('s')), ask("stacks", "1"));
        press(&mut model, KeyCode::Down);
        press(&mut model, KeyCode::Down);
        assert_eq!(press(&mut model, KeyCode::Char('r')), ask("reload", "0"));
        assert_eq!(press(&mut model, KeyCode::Char('x')), None);
        assert!(screen(&model).contains("Unload idle?"));
        assert_eq!(press(&mut model, KeyCode::Char('n')), None);
        assert_eq!(press(&mut model, KeyCode::Char('y')), None, "it was not asked any more");
        press(&mut model, KeyCode::Char('x'));
        assert_eq!(press(&mut model, KeyCode::Char('y')), ask("unload", "0"));
        model.said = Some("Script idle is unloaded\nand more".into());
        assert!(screen(&model).contains("Script idle is unloaded"));
        assert_eq!(press(&mut model, KeyCode::Esc), None, "it only goes back");
        assert_eq!(press(&mut model, KeyCode::Esc), Some(Act::Quit));
    }
}
