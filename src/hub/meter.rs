//! What the hub counts of itself, for those who read metrics; nothing is counted while nobody can.

use std::collections::BTreeMap;
use std::time::Instant;

use plugin_abi::figures::Times;

use super::protocol::Message;
use super::{Class, Hub};
use crate::supervisor::HubFigures;

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Meter {
    messages: BTreeMap<&'static str, u64>,
    turns: Times,
    turn_began: Option<Instant>,
}

impl Meter {
    /// The hub begins a turn.
    pub(super) fn turn_begins(&mut self) {
        self.turn_began = Some(Instant::now());
    }

    /// It has ended it.
    pub(super) fn turn_ends(&mut self) {
        let Some(began) = self.turn_began.take() else { return };
        self.turns.took(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }

    /// The hub acts on a message.
    pub(super) fn acts_on(&mut self, message: &Message<'_>) {
        *self.messages.entry(kind(message)).or_default() += 1;
    }
}

/// What a message is called in metrics.
fn kind(message: &Message<'_>) -> &'static str {
    match message {
        Message::Empty => "keep_alive",
        Message::Chat { .. } => "chat",
        Message::To { .. } => "private",
        Message::McTo { .. } => "mcto",
        Message::Search { .. } | Message::SearchTth { .. } => "search",
        Message::SearchResult { .. } => "result",
        Message::ConnectToMe { .. } => "connect",
        Message::RevConnectToMe { .. } => "reverse_connect",
        Message::MyInfo(_) => "myinfo",
        Message::ExtJson { .. } => "extjson",
        Message::Supports(_)
        | Message::Key(_)
        | Message::ValidateNick(_)
        | Message::MyPass(_)
        | Message::Version(_)
        | Message::MyHubUrl(_)
        | Message::BotInfo(_) => "login",
        Message::GetNickList | Message::GetInfo { .. } | Message::UserIp(_) => "list",
        Message::Kick(_) | Message::Close(_) | Message::OpForceMove { .. } => "operator",
        Message::GetTopic | Message::SetTopic(_) => "topic",
        Message::Quit => "quit",
        Message::MyNick(_) | Message::Lock(_) => "client_to_client",
        Message::Unknown => "unknown",
        Message::Malformed => "malformed",
    }
}

/// What a class is called in metrics.
fn class_label(class: Class) -> &'static str {
    match class {
        Class::Registered => "registered",
        Class::Vip => "vip",
        other => other.name(),
    }
}

impl Hub {
    /// What it counts now.
    pub(super) fn hub_figures(&self) -> HubFigures {
        let in_class = |class: Class| {
            let those = self.users.listed().filter(|(_, user)| !user.is_bot() && user.class == class);
            u64::try_from(those.count()).unwrap_or(u64::MAX)
        };
        let meter = self.meter.as_deref();
        HubFigures {
            users: Class::ALL.map(|class| (class_label(class), in_class(class))).to_vec(),
            share: self.users.total_share(),
            messages: meter
                .map(|meter| meter.messages.iter().map(|(kind, count)| (*kind, *count)).collect())
                .unwrap_or_default(),
            turns: meter.map(|meter| meter.turns).unwrap_or_default(),
        }
    }
}
