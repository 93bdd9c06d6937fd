//! What scripts cost a hub in C that asks them one after the other, at the pace of real hubs: by
//! the functions `w_*` of a library that it has found by name.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Hook;

use super::functions::FUNCTIONS;
use super::library::{Library, Scripts};
use super::measure::{Rounds, Subject, alone, in_turns};
use super::report::{Figure, Goal, Line, Unit};
use super::rig::{MESSAGE, NICK, Rig, TRIVIAL};
use super::{Context, Error, events, proc};

/// The library of this build, and what it is compared with.
pub(super) struct Libraries {
    ours: Library,
    other: Option<Library>,
}

/// The name of the library, which is beside the program.
const NAME: &str = "libvhpy.so";

impl Libraries {
    /// Opens them: once in a process, because not every library can begin twice.
    pub(super) fn open(beside: Option<&PathBuf>) -> Result<Libraries, Error> {
        let program = std::env::current_exe().map_err(Error::system("this program"))?;
        let places = ["", "../lib", "../lib/vhpy", ".."];
        let beside_us = |place: &&str| program.parent().map(|folder| folder.join(place).join(NAME));
        let found = places.iter().filter_map(beside_us).find(|file| file.is_file());
        let ours = found.ok_or_else(|| Error::Wrong(format!("there is no {NAME} beside this program")))?;
        let other = beside.map(|path| Library::open(path)).transpose()?;
        Ok(Libraries { ours: Library::open(&ours)?, other })
    }

    /// Measures something with the same scripts in both.
    fn measure(
        &self,
        context: &Context,
        paths: &[PathBuf],
        work: impl Fn(&Scripts<'_>, u64) -> Result<Duration, Error>,
    ) -> Result<(Rounds, Option<Rounds>), Error> {
        let (ours, other) = self.load(paths)?;
        let mut ours = |count| work(&ours, count);
        let mut other = other.as_ref().map(|other| |count| work(other, count));
        let mut subjects: Vec<&mut Subject<'_>> = vec![&mut ours];
        if let Some(other) = &mut other {
            subjects.push(other);
        }
        let mut rounds = in_turns(context.plan, &mut subjects)?;
        let second = if rounds.len() > 1 { rounds.pop() } else { None };
        Ok((rounds.pop().unwrap_or_default(), second))
    }

    fn load(&self, paths: &[PathBuf]) -> Result<(Scripts<'_>, Option<Scripts<'_>>), Error> {
        let other = self.other.as_ref().map(|other| other.scripts(paths)).transpose()?;
        Ok((self.ours.scripts(paths)?, other))
    }
}

/// The texts of a chat event.
fn chat() -> Result<[CString; 2], Error> {
    let text = |text| CString::new(text).map_err(|error| Error::Wrong(error.to_string()));
    Ok([text(NICK)?, text(MESSAGE)?])
}

fn ask(scripts: &Scripts<'_>, count: u64, all: usize) -> Result<Duration, Error> {
    let [nick, message] = chat()?;
    let start = Instant::now();
    for _ in 0..count {
        if scripts.event(Hook::OnParsedMsgChat, &nick, &message)? != all {
            return Err(Error::Wrong("a script has not the hook that it defines".into()));
        }
    }
    Ok(start.elapsed())
}

/// One, four and sixteen scripts, events back to back.
pub(super) fn one_by_one(context: &Context) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for (count, goal) in [(1, 900.0), (4, 11e3), (16, 117e3)] {
        let paths = context.scratch.scripts(&format!("asked{count}"), TRIVIAL, count)?;
        let libraries = context.libraries()?;
        let (ours, other) =
            libraries.measure(context, &paths, |scripts, events| ask(scripts, events, count))?;
        let scripts = if count == 1 { "1 script".to_string() } else { format!("{count} scripts") };
        let work = format!("{scripts} asked one after the other in C");
        let figure = Figure::new(format!("asked.{count}"), work, Unit::Nanoseconds, ours);
        lines.push(figure.beside(other).reach(Goal::value(goal)).into());
    }
    Ok(lines)
}

/// Functions of a script, called by a hub in C.
pub(super) fn called(context: &Context) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("called", FUNCTIONS, 1)?;
    let libraries = context.libraries()?;
    let timed = |count: u64, work: &dyn Fn() -> Result<(), Error>| {
        let start = Instant::now();
        for _ in 0..count {
            work()?;
        }
        Ok(start.elapsed())
    };
    let (ours, other) =
        libraries.measure(context, &paths, |scripts, count| timed(count, &|| scripts.add()))?;
    let add = Figure::new("called.add", "add(1, 2) by w_CallFunction", Unit::Nanoseconds, ours);
    let texts = (0..1000).map(|number| CString::new(format!("user{number:04}")));
    let texts: Vec<CString> = texts.collect::<Result<_, _>>().map_err(|e| Error::Wrong(e.to_string()))?;
    let list: Vec<_> = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
    let (ours, others_list) =
        libraries.measure(context, &paths, |scripts, count| timed(count, &|| scripts.echo(&list)))?;
    let work = "a list of 1,000 strings, both ways, by w_CallFunction";
    let echo = Figure::new("called.list1000", work, Unit::Nanoseconds, ours);
    Ok(vec![
        add.beside(other).reach(Goal::value(700.0)).into(),
        echo.beside(others_list).reach(Goal::value(60e3)).into(),
    ])
}

/// An event for all scripts at once, beside a library that is asked script by script.
pub(super) fn fan_out(context: &Context) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for (count, goal) in [(1, 600.0), (4, 3.8e3), (16, 24e3), (32, 50e3)] {
        let paths = context.scratch.scripts(&format!("fan{count}"), TRIVIAL, count)?;
        let (ours, inside) = match &context.beside {
            None => events::chat(context, &paths)?,
            Some(_) => {
                let other = context.libraries()?.other.as_ref();
                let other = other.map(|other| other.scripts(&paths)).transpose()?;
                let mut rig = Rig::with(context, &paths)?;
                let other = other.as_ref().map(|other| |events| ask(other, events, count));
                events::beside(context, &mut |events| rig.events(events), other)?
            }
        };
        let scripts = if count == 1 { "1 script".to_string() } else { format!("{count} scripts") };
        let figure = Figure::new(
            format!("fan.{count}"),
            format!("an event for {scripts} at once"),
            Unit::Nanoseconds,
            ours,
        );
        lines.push(figure.beside(inside).reach(Goal::value(goal)).into());
    }
    Ok(lines)
}

/// A filter that lets the event through. Other libraries have no `vh.when`.
const MATCHING: &str = "\
import vh

when = getattr(vh, 'when', lambda **tests: lambda hook: hook)

@when(contains=['good morning', 'good evening'])
def OnParsedMsgChat(nick, message):
    return 1 if 'good morning' in message or 'good evening' in message else 0
";

/// One that does not.
const KEEPING_BACK: &str = "\
import vh

when = getattr(vh, 'when', lambda **tests: lambda hook: hook)

@when(contains=['casino', 'poker'])
def OnParsedMsgChat(nick, message):
    return 0 if 'casino' in message or 'poker' in message else 1
";

/// Events that are tested before they are handed over.
pub(super) fn filter(context: &Context) -> Result<Vec<Line>, Error> {
    let load = |name, source| Rig::with(context, &context.scratch.scripts(name, source, 1)?);
    let mut plain = load("unfiltered", TRIVIAL)?;
    let mut matching = load("matching", MATCHING)?;
    let mut subjects: [&mut Subject<'_>; 2] =
        [&mut |count| plain.events(count), &mut |count| matching.events(count)];
    let mut rounds = in_turns(context.plan, &mut subjects)?;
    let (yes, without) = (rounds.pop().unwrap_or_default(), rounds.pop().unwrap_or_default());
    let mut keeping = load("keeping", KEEPING_BACK)?;
    let no = alone(context.plan, &mut |count| keeping.events(count))?;
    drop((plain, matching, keeping));

    let mut lines = Vec::new();
    let goal = Goal::value(without.median() + 30.0);
    let figure = Figure::new("filter.yes", "an event that matches its filter", Unit::Nanoseconds, yes);
    let note = format!("without a filter {:.2} µs, in turns", without.median() / 1e3);
    lines.push(figure.reach(goal).note(note).into());
    let work = "an event that does not: nobody is asked";
    lines.push(Figure::new("filter.no", work, Unit::Nanoseconds, no).reach(Goal::value(50.0)).into());
    for (name, source, work) in [
        ("filter.asked_yes", MATCHING, "a matching filter, asked in C"),
        ("filter.asked_no", KEEPING_BACK, "one that does not match, asked in C"),
    ] {
        let paths = context.scratch.scripts(&name.replace('.', "_"), source, 1)?;
        let (ours, other) =
            context.libraries()?.measure(context, &paths, |scripts, count| ask(scripts, count, 1))?;
        lines.push(Figure::new(name, work, Unit::Nanoseconds, ours).beside(other).into());
    }
    Ok(lines)
}

/// Whether a script has a hook, which hubs in C ask at every event and tick.
pub(super) fn has_hook(context: &Context) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("has_hook", TRIVIAL, 1)?;
    let (ours, other) = context.libraries()?.measure(context, &paths, |scripts, count| {
        let start = Instant::now();
        let mut wrong = 0;
        for _ in 0..count {
            wrong += u64::from(scripts.has_hook(Hook::OnParsedMsgAny));
        }
        let took = start.elapsed();
        if wrong > 0 { Err(Error::Wrong("a script has a hook too many".into())) } else { Ok(took) }
    })?;
    let figure = Figure::new("has_hook", "w_HasHook", Unit::Nanoseconds, ours);
    Ok(vec![figure.beside(other).reach(Goal::value(15.0)).into()])
}

/// One script that is given an event now and then; the hub sleeps in between.
pub(super) fn gaps(context: &Context) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    let paths = context.scratch.scripts("gaps", TRIVIAL, 1)?;
    let (ours, other) = context.libraries()?.load(&paths)?;
    for (name, gap, goal) in [("100us", 100, 6e3), ("1ms", 1000, 10e3), ("5ms", 5000, 12e3)] {
        let gap = Duration::from_micros(gap);
        let mut subjects = vec![(&ours, Rounds::default())];
        subjects.extend(other.as_ref().map(|other| (other, Rounds::default())));
        let mut used = Rounds::default();
        for _ in 0..context.plan.rounds {
            for (at, (scripts, rounds)) in subjects.iter_mut().enumerate() {
                let (event, processor_time) = sparse(scripts, gap, context.plan.round)?;
                rounds.0.push(event);
                if at == 0 {
                    used.0.push(processor_time);
                }
            }
        }
        let mut rounds = subjects.into_iter().map(|(_, rounds)| rounds);
        let ours = rounds.next().unwrap_or_default();
        let work = format!("1 script, an event every {} ms", gap.as_secs_f64() * 1e3);
        let figure = Figure::new(format!("gaps.{name}"), work, Unit::Nanoseconds, ours);
        let note =
            format!("{:.1} µs of processor time an event, the hub's own included", used.median() / 1e3);
        lines.push(figure.beside(rounds.next()).reach(Goal::value(goal)).note(note).into());
    }
    Ok(lines)
}

/// The median time of events with such gaps, for so long, and the processor time per event.
fn sparse(scripts: &Scripts<'_>, gap: Duration, how_long: Duration) -> Result<(f64, f64), Error> {
    let [nick, message] = chat()?;
    let own = std::process::id();
    let used = || -> Result<Duration, Error> {
        let children = proc::children(own).into_iter().map(|child| proc::cpu_time(Some(child)));
        Ok(proc::cpu_time(None)? + children.sum::<Result<Duration, Error>>()?)
    };
    let mut times = Rounds::default();
    let before = used()?;
    // A sleep ends up to this much later than asked for, by default 50 µs.
    // SAFETY: a call without pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    let start = Instant::now();
    while start.elapsed() < how_long || times.0.len() < 5 {
        std::thread::sleep(gap);
        let before = Instant::now();
        scripts.event(Hook::OnParsedMsgChat, &nick, &message)?;
        times.0.push(before.elapsed().as_nanos() as f64);
    }
    // SAFETY: as above; 0 is the default.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 0) };
    let used = used()?.saturating_sub(before);
    Ok((times.median(), used.as_nanos() as f64 / times.0.len() as f64))
}

/// Has one of the hooks that messages lead to.
const PASSWORDS: &str = "def OnParsedMsgMyPass(nick, password):\n    return 1\n";

/// What a client sends, again and again. The first has a hook.
const MESSAGES: [&str; 4] = [
    "$MyPass a password",
    "$MyINFO $ALL alice from the north<++ V:1.2,M:A,H:1/0/0,S:5>$ $100\x01$alice@example.org$123456789012$",
    "<alice> good morning, has anybody seen the new release?",
    "$Search Hub:alice F?T?0?1?some$song",
];

/// How messages of NMDC begin. A message is compared with one after the other.
const BEGINNINGS: [&str; 24] = [
    "$GetINFO ",
    "$SR ",
    "$Search ",
    "$MultiSearch ",
    "$ConnectToMe ",
    "$RevConnectToMe ",
    "$MyINFO ",
    "$Key ",
    "$Supports ",
    "$ValidateNick ",
    "$MyPass ",
    "$Version ",
    "$GetNickList",
    "$BotINFO ",
    "$To: ",
    "$MCTo: ",
    "$Kick ",
    "$OpForceMove ",
    "$Quit ",
    "$MyHubURL ",
    "$ExtJSON ",
    "$UserIP ",
    "$SetTopic ",
    "<",
];

/// A message taken apart, as hubs in C++ keep it.
struct Message {
    kind: Option<usize>,
    text: CString,
    parts: Vec<String>,
}

/// One object per message, its parts copied.
fn parse(raw: &str) -> Result<Box<Message>, Error> {
    let kind = BEGINNINGS.iter().position(|beginning| raw.starts_with(beginning));
    let text = CString::new(raw).map_err(|error| Error::Wrong(error.to_string()))?;
    let parts = raw.split(['$', ' ']).filter(|part| !part.is_empty()).map(String::from).collect();
    Ok(Box::new(Message { kind, text, parts }))
}

/// A hub's reader: each message is taken apart, shown to scripts as any message, and given to
/// those that want its kind.
fn read(scripts: &Scripts<'_>, count: u64, nick: &CStr) -> Result<Duration, Error> {
    let mut answered = 0;
    let mut parts = 0;
    let start = Instant::now();
    for (_, raw) in (0..count).zip(MESSAGES.iter().cycle()) {
        let message = parse(raw)?;
        parts += message.parts.len();
        answered += scripts.event(Hook::OnParsedMsgAny, nick, &message.text)?;
        if message.kind.and_then(|kind| BEGINNINGS.get(kind)) == Some(&"$MyPass ") {
            answered += scripts.event(Hook::OnParsedMsgMyPass, nick, &message.text)?;
        }
    }
    let took = start.elapsed();
    let expected = usize::try_from(count).unwrap_or_default().div_ceil(MESSAGES.len());
    if answered == expected && parts > 0 {
        Ok(took)
    } else {
        Err(Error::Wrong(format!("{answered} hooks were called instead of {expected}")))
    }
}

/// A million messages of which a quarter has a hook, as the old plugin was tested with.
pub(super) fn messages(context: &Context) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("messages", PASSWORDS, 1)?;
    let (ours, other) = context.libraries()?.load(&paths)?;
    let [nick, _] = chat()?;
    let (count, rounds) = if context.quick { (100_000, 5) } else { (1_000_000, 7) };
    let mut per_second = vec![(&ours, Rounds::default())];
    per_second.extend(other.as_ref().map(|other| (other, Rounds::default())));
    for _ in 0..rounds {
        for (scripts, rounds) in &mut per_second {
            rounds.0.push(count as f64 / read(scripts, count, &nick)?.as_secs_f64());
        }
    }
    let mut rounds = per_second.into_iter().map(|(_, rounds)| rounds);
    let work = format!("{count} messages read, {} hooks, in C", count / MESSAGES.len() as u64);
    let figure = Figure::new("messages", work, Unit::PerSecond, rounds.next().unwrap_or_default());
    Ok(vec![figure.beside(rounds.next()).reach(Goal::ratio(0.83)).into()])
}
