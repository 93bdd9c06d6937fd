//! What a hub itself counts, for those who look from outside: users, messages, time.

use plugin_abi::figures::Times;

/// How a hub does, as far as it knows that itself. What is empty is not shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubFigures {
    /// How many users are in the list, by what their class is called.
    pub users: Vec<(&'static str, u64)>,
    /// How many bytes they share together.
    pub share: u64,
    /// How many messages of clients the hub has acted on, by what they are.
    pub messages: Vec<(&'static str, u64)>,
    /// How long the turns of its loop took, without the time in which it waited.
    pub turns: Times,
}
