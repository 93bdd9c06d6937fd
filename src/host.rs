//! What a hub offers to its scripts; how scripts reach it is the supervisor's matter.

use plugin_abi::{Call, Value};

use crate::supervisor::Supervisor;

/// Names one loaded script. Numbers are small and reused only after an unload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScriptId(pub i32);

impl std::fmt::Display for ScriptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A hub, as its scripts see it.
///
/// All methods run on the thread that is inside one of the supervisor's methods, and may
/// call the supervisor again: to raise an event that the call causes, for one. While they do,
/// the supervisor holds no lock and no borrow.
pub trait Host {
    /// Does what a script asks for.
    ///
    /// `args` are in the host's order and of the types that
    /// [`CallSpec::host_format`](plugin_abi::CallSpec::host_format) says: [`Value::Text`] or
    /// [`Value::Nil`] for `s`, [`Value::Int`] for `l`; their number is always right.
    ///
    /// The answer:
    ///
    /// | [`Gives`](plugin_abi::call::Gives) | value |
    /// | --- | --- |
    /// | `Bool`, `Int` | `Int` or `Bool` |
    /// | `Float` | `Float` |
    /// | `Text`, `OptionalText` | `Text` |
    /// | `MyInfo` | `List` of six `Text`s |
    /// | `Geo` | `Map` with `Text` keys |
    /// | `Nicks` | `List` of `Text`s, or the raw protocol string |
    /// | `Rows` | `List`: `Int` 0 or 1, then a `List` of rows, each a `List` of `Text`s or `Nil`s |
    /// | `Restrictions` | `Int`, bits 1 chat, 2 pm, 4 search, 8 ctm |
    /// | `Pair` | `List` of two `Text`s |
    /// | `Users` | as `Rows`: for everybody in the user list a row with a `Text` or `Int` for each of the [fields](plugin_abi::call::USER_FIELDS) whose names, with a blank between them, are the argument; `Nil` for what is missing |
    ///
    /// [`Value::Nil`] means that the call failed; the script sees `False` or `None`.
    fn call(
        &mut self,
        supervisor: &Supervisor,
        script: ScriptId,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static>;

    /// Whether the hub has a command of this name itself, which then is no script's to answer. The
    /// name is in lower case.
    fn has_command(&mut self, _name: &str) -> bool {
        false
    }

    /// Tells the operators something about the scripts: a crash, a restart. The text is UTF-8.
    ///
    /// By default, it is written in the operator chat through [`Host::call`].
    fn tell_operators(&mut self, supervisor: &Supervisor, text: &str) {
        let args = [Value::from(text), Value::Nil];
        self.call(supervisor, ScriptId(-1), Call::SendToOpChat, &args);
    }
}
