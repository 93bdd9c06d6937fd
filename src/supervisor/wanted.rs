//! What scripts want of the hub: which events their hooks are for, and which commands are theirs.
//!
//! A filter is tested before anybody waits for the script, so an event that does not match costs
//! its script nothing and waits for nobody. What a worker sent is checked, and bounded, when it
//! comes; how fast a script may come with new filters is bounded, too.

use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::command::{self, Command};
use plugin_abi::filter::{Decoder, Filters, MAX_PATTERNS, Passes, Texts};
use plugin_abi::frame::Wants;
use plugin_abi::{Call, Hook, HookSet, Value};

use super::process::Violation;
use super::script::Script;
use super::{Host, Supervisor};
use crate::encoding;

/// How long it takes until a script may come with as many new patterns again.
const PACE: Duration = Duration::from_secs(10);
/// How many new patterns those are. Building one takes some milliseconds at worst.
const MOST_NEW: usize = 2 * MAX_PATTERNS;
/// How many bytes of texts take as long as a pattern.
const LIKE_A_PATTERN: usize = 4096;

/// Why a script cannot have what it wants.
pub(super) enum Unwanted {
    /// It broke the rules.
    Violation(Violation),
    /// The hub lacks something; the text is for operators.
    Lacking(String),
}

impl From<Violation> for Unwanted {
    fn from(violation: Violation) -> Unwanted {
        Unwanted::Violation(violation)
    }
}

/// What is looked up once for an event, whoever is asked.
#[derive(Default)]
pub(super) struct Lookup {
    /// The class of who caused it.
    class: Option<i64>,
    /// The script whose command it is, and the command's name.
    pub command: Option<(Rc<Script>, String)>,
}

fn unexpected(error: impl ToString) -> Unwanted {
    Unwanted::Violation(Violation::Unexpected(error.to_string()))
}

impl Supervisor {
    /// A script says what it wants. True when other hooks than before are among it.
    pub(super) fn heed(&self, script: &Rc<Script>, wants: &Wants<'_>) -> Result<bool, Unwanted> {
        let commands = command::read(&wants.commands).map_err(unexpected)?;
        let mut hooks = wants.hooks;
        let mut filtered = HookSet::EMPTY;
        if !commands.is_empty() {
            hooks.insert(Hook::OnHubCommand);
            filtered.insert(Hook::OnHubCommand);
        }
        let old = script.filters.borrow().clone();
        let filters = if wants.filters == Value::Nil {
            Rc::default()
        } else {
            let built = Filters::read(&wants.filters, self.decoder(&wants.table)?, Some(&old));
            let built = built.map_err(unexpected)?;
            self.keep_pace(script, &built, &old)?;
            Rc::new(built)
        };
        filters.source().iter().for_each(|filter| filtered.insert(filter.hook));
        script.own_hooks.set(wants.hooks);
        script.observers.set(wants.observers);
        script.filtered.set(filtered);
        *script.filters.borrow_mut() = filters;
        if script.commands.replace(commands) != *script.commands.borrow() {
            self.registry.commands_changed();
        }
        Ok(script.hooks.replace(hooks) != hooks)
    }

    /// How the hub's bytes are read for a script that says which character each is, or that they
    /// are UTF-8, or neither.
    fn decoder(&self, table: &Value<'_>) -> Result<Decoder, Unwanted> {
        if !matches!(table, Value::Bool(_)) {
            return Ok(Decoder::table(table).map_err(unexpected)?.unwrap_or_default());
        }
        let name = self.config.borrow().encoding.clone();
        let Some(encoding) = encoding::of_name(&name) else {
            return Err(Unwanted::Lacking(format!(
                "the hub cannot read its encoding {name} to test vh.when(): test in the hook instead"
            )));
        };
        Ok(Decoder::Other(Box::new(move |bytes, out| encoding::decode(encoding, bytes, out))))
    }

    /// A script that comes with new patterns all the time keeps the hub from its work.
    fn keep_pace(&self, script: &Script, new: &Filters, old: &Filters) -> Result<(), Violation> {
        let texts =
            || new.source().iter().flat_map(|filter| &filter.clauses).flat_map(|clause| &clause.tests);
        let bytes: usize = texts().flat_map(|test| &test.texts).map(String::len).sum();
        let cost = 1 + new.new_patterns(Some(old)) + bytes / LIKE_A_PATTERN;
        let now = Instant::now();
        let (since, spent) = match script.filter_pace.get() {
            Some((since, spent)) if now.duration_since(since) < PACE => (since, spent),
            _ => (now, 0),
        };
        script.filter_pace.set(Some((since, spent + cost)));
        if spent > MOST_NEW {
            return Err(Violation::Unexpected(format!(
                "it changes its filters more often than {MOST_NEW} times in {} s",
                PACE.as_secs()
            )));
        }
        Ok(())
    }

    /// What is to be known of an event before scripts are chosen.
    #[inline]
    pub(super) fn look_up(&self, host: &mut dyn Host, hook: Hook, args: &[Value<'_>]) -> Lookup {
        if hook == Hook::OnHubCommand { self.look_up_command(host, args) } else { Lookup::default() }
    }

    /// The first script in load order that has the command, unless the hub has it itself or the
    /// user's class is too low.
    #[cold]
    fn look_up_command(&self, host: &mut dyn Host, args: &[Value<'_>]) -> Lookup {
        let text = args.get(1).and_then(Value::as_text).unwrap_or_default();
        let word = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let class = args.get(2).and_then(Value::as_int).unwrap_or(-1);
        let found = self.registry.list().iter().find_map(|script| {
            let commands = script.commands.borrow();
            let found = commands.iter().find(|command| command.name.as_bytes().eq_ignore_ascii_case(word));
            found.map(|command| (script.clone(), command.name.clone(), command.min_class))
        });
        let found = found.filter(|(_, name, least)| class >= *least && !host.has_command(name));
        Lookup { class: None, command: found.map(|(script, name, _)| (script, name)) }
    }

    /// Whether the event is for this script.
    #[inline]
    pub(super) fn is_for(
        &self,
        host: &mut dyn Host,
        script: &Rc<Script>,
        hook: Hook,
        args: &[Value<'_>],
        lookup: &mut Lookup,
    ) -> bool {
        !script.filtered.get().contains(hook) || self.passes(host, script, hook, args, lookup)
    }

    fn passes(
        &self,
        host: &mut dyn Host,
        script: &Rc<Script>,
        hook: Hook,
        args: &[Value<'_>],
        lookup: &mut Lookup,
    ) -> bool {
        if let Some((owner, _)) = &lookup.command
            && Rc::ptr_eq(owner, script)
        {
            return true;
        }
        if !script.own_hooks.get().contains(hook) {
            return false;
        }
        let (passes, actor) = {
            let filters = script.filters.borrow();
            let Some(filter) = filters.of(hook) else { return true };
            let test = |decoded: &mut String| filter.test(&mut Texts::new(args, filters.decoder(), decoded));
            (self.buffers.with_decoded(test), filter.actor())
        };
        match passes {
            Passes::Yes => true,
            Passes::No => false,
            Passes::FromClass(least) => {
                let class = lookup.class.unwrap_or_else(|| self.class_of(host, script, args.get(actor)));
                lookup.class = Some(class);
                class >= least
            }
        }
    }

    fn class_of(&self, host: &mut dyn Host, script: &Rc<Script>, nick: Option<&Value<'_>>) -> i64 {
        const OFFLINE: i64 = -2;
        let Some(nick @ Value::Text(_)) = nick else { return OFFLINE };
        let args = std::slice::from_ref(nick);
        let class = self.ask_host(host, script, Call::GetUserClass, args);
        class.as_int().unwrap_or(OFFLINE)
    }

    /// What an operator should know of a script's commands: which are not called, and why.
    pub(super) fn command_warnings(&self, host: &mut dyn Host, script: &Rc<Script>) -> Vec<String> {
        let commands = script.commands.borrow().clone();
        let mut warnings = Vec::new();
        for Command { name, .. } in commands {
            if host.has_command(&name) {
                warnings.push(format!("the hub has a command {name} of its own: the script's is not called"));
                continue;
            }
            let scripts = self.registry.list();
            let has = |other: &&Rc<Script>| other.commands.borrow().iter().any(|each| each.name == name);
            let mut with = scripts.iter().filter(has);
            let (first, second) = (with.next(), with.next());
            if let (Some(first), Some(second)) = (first, second) {
                let other = if Rc::ptr_eq(first, script) { second } else { first };
                warnings.push(format!(
                    "the script {} has a command {name}, too: that of {} is called, which was loaded first",
                    other.name, first.name
                ));
            }
        }
        warnings
    }

    /// Another number whenever [`Supervisor::commands`] may give something else than before. Costs nothing.
    pub fn commands_version(&self) -> u64 {
        self.registry.commands_version()
    }

    /// The commands of scripts that users of a class may give, each once, in load order.
    pub fn commands(&self, host: &mut dyn Host, class: i64) -> Vec<Command> {
        let mut found: Vec<Command> = Vec::new();
        let scripts = self.registry.snapshot();
        for command in scripts.iter().flat_map(|script| script.commands.borrow().clone()) {
            if !found.iter().any(|known| known.name == command.name) {
                found.push(command);
            }
        }
        found.retain(|command| command.min_class <= class && !host.has_command(&command.name));
        found
    }

    /// The script wants nothing until it has said what.
    pub(super) fn forget_wants(&self, script: &Script) {
        script.hooks.set(HookSet::EMPTY);
        script.own_hooks.set(HookSet::EMPTY);
        script.filtered.set(HookSet::EMPTY);
        script.filters.borrow_mut().clone_from(&Rc::default());
        if !script.commands.take().is_empty() {
            self.registry.commands_changed();
        }
    }
}
