//! Calls of scripts: checked by the table, and answered by the host at once.

use std::rc::Rc;

use plugin_abi::call::Order;
use plugin_abi::frame::Failure;
use plugin_abi::hook::ArgKind;
use plugin_abi::{Call, Value};

use super::process::{Phase, Process, Violation};
use super::script::Script;
use super::{Host, MAX_NESTING, Supervisor};

/// How many robots one script may have; the hub must remember them.
const MAX_ROBOTS: usize = 1000;

impl Supervisor {
    pub(super) fn serve_call(
        &self,
        host: &mut dyn Host,
        script: &Rc<Script>,
        process: &Rc<Process>,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static> {
        let Some(level) = self.enter() else {
            log::error!("script {}: {} fails: nested deeper than {MAX_NESTING}", script.name, call.name());
            return Value::Nil;
        };
        let swapped;
        let args = if call.spec().order == Order::OnlineDecides && process.phase.get() != Phase::Unloaded {
            swapped = self.by_who_is_online(host, script, call, args);
            swapped.as_deref().unwrap_or(args)
        } else {
            args
        };
        let fitted = match call.spec().fit(args) {
            Ok(fitted) => fitted,
            Err(unfit) => {
                log::warn!("script {}: {} fails: {unfit}", script.name, call.name());
                return Value::Nil;
            }
        };
        let args = fitted.as_deref().unwrap_or(args);
        if call == Call::AddRobot && script.robots.borrow().len() >= MAX_ROBOTS {
            log::warn!("script {}: AddRobot fails: it has {MAX_ROBOTS} robots already", script.name);
            return Value::Int(0);
        }
        self.take_out_robots(host, script);
        let value = self.ask_host(host, script, call, args);
        drop(level);
        if call == Call::name_and_version {
            return title(script, args, value);
        }
        if matches!(call, Call::AddRobot | Call::DelRobot) && value.as_int().is_some_and(|done| done != 0) {
            remember_robot(script, call, args);
            if !script.runs_in(process) {
                // It died meanwhile, or was ended.
                self.agenda.abandon_robots(script);
            }
        }
        value
    }

    pub(super) fn serve_dynamic(
        &self,
        host: &mut dyn Host,
        script: &Rc<Script>,
        name: &str,
        args: &[Value<'_>],
    ) -> Result<Value<'static>, (Failure, String)> {
        let function = self.functions.get(script.id, name);
        let Some(function) = function else {
            return Err((Failure::Missing, format!("the hub has no function '{name}' for this script")));
        };
        let Some(_level) = self.enter() else {
            return Err((Failure::Failed, format!("calls are nested deeper than {MAX_NESTING}")));
        };
        self.take_out_robots(host, script);
        let answer = self.on_the_hosts_time(Some(script), || function(host, self, args));
        self.record_dynamic(script, name, args, answer.as_ref().ok());
        answer.map_err(|reason| (Failure::Failed, reason))
    }

    /// `usermc` and `pm` are called as (message, nick, …) and as (nick, message), and `pm` as
    /// (from, to, message) too. `Some` when the arguments are to be reordered.
    fn by_who_is_online<'a>(
        &self,
        host: &mut dyn Host,
        script: &Script,
        call: Call,
        args: &[Value<'a>],
    ) -> Option<Vec<Value<'a>>> {
        let mut is_online = |at: usize| {
            let Some(nick @ Value::Text(_)) = args.get(at) else { return false };
            let class = self.ask_host(host, script, Call::GetUserClass, std::slice::from_ref(nick));
            class.as_int().is_some_and(|class| class != -2)
        };
        if is_online(1) {
            // (message, nick) – or (from, to, message), where the third is no nick but the
            // first is the sender's.
            let three = call == Call::pm && matches!(args.get(2), Some(Value::Text(_)));
            // What has a blank is no nick, but may well be a message.
            let has_blank =
                |at: usize| args.get(at).and_then(Value::as_text).is_some_and(|text| text.contains(&b' '));
            let told_by_blanks = has_blank(2) && !has_blank(0);
            if three && !is_online(2) && (told_by_blanks || is_online(0)) {
                return Some(reorder(args, &[2, 1, 0]));
            }
            return None;
        }
        is_online(0).then(|| reorder(args, &[1, 0]))
    }
}

/// The arguments with the first ones in another order.
fn reorder<'a>(args: &[Value<'a>], order: &[usize]) -> Vec<Value<'a>> {
    (0..args.len())
        .map(|at| args.get(order.get(at).copied().unwrap_or(at)).cloned().unwrap_or_default())
        .collect()
}

/// A script that names itself is known by that name; hosts that keep no names leave it to us.
fn title(script: &Script, args: &[Value<'_>], value: Value<'static>) -> Value<'static> {
    if let [Value::Text(name), version] = args {
        let version = version.as_text().unwrap_or_default().to_vec();
        *script.title.borrow_mut() = Some((name.to_vec(), version));
    }
    if value != Value::Nil {
        return value;
    }
    let (name, version) = match &*script.title.borrow() {
        Some((name, version)) => (name.clone(), version.clone()),
        None => (script.name.clone().into_bytes(), Vec::new()),
    };
    [name, version].into_iter().collect()
}

fn remember_robot(script: &Script, call: Call, args: &[Value<'_>]) {
    let Some(nick) = args.first().and_then(Value::as_text) else { return };
    let mut robots = script.robots.borrow_mut();
    robots.retain(|known| known != nick);
    if call == Call::AddRobot {
        robots.push(nick.to_vec());
    }
}

/// Whether the arguments are those that the host was promised.
pub(super) fn check(call: Call, args: &[Value<'_>]) -> Result<(), Violation> {
    let spec = call.spec();
    let fits = args.len() == spec.host_order.len()
        && spec.host_order.iter().zip(args).all(|(&at, value)| {
            let kind = spec.params.get(usize::from(at)).map(|param| param.kind.host());
            match kind {
                Some(ArgKind::Text) => matches!(value, Value::Text(_) | Value::Nil),
                Some(ArgKind::Int) => matches!(value, Value::Int(_)),
                Some(ArgKind::Float) => matches!(value, Value::Float(_)),
                None => false,
            }
        });
    if fits { Ok(()) } else { Err(Violation::Unexpected(format!("wrong arguments for {}", spec.name))) }
}
