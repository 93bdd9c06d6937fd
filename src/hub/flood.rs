//! How much of what users may send within a time; what they send is left to others.

use std::time::Duration;

use super::class::Class;
use super::connection::{COUNTERS, Connection};
use super::{CloseReason, ConnId, Hub};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Main chat, also to one user only.
    Chat,
    /// Private messages.
    Private,
    /// `$MyINFO` and `$ExtJSON`.
    MyInfo,
    /// Searches.
    Search,
    /// Search results.
    Result,
    /// Requests for connections.
    Connect,
    /// All else.
    Other,
}

const _: () = assert!(Kind::Other as usize + 1 == COUNTERS);

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Chat => "chat",
            Kind::Private => "private messages",
            Kind::MyInfo => "user information",
            Kind::Search => "searches",
            Kind::Result => "search results",
            Kind::Connect => "requests for connections",
            Kind::Other => "messages",
        }
    }
}

impl Hub {
    /// Counts a message. True when it is one too many, and not to be acted on; the client may
    /// be gone then.
    #[inline]
    pub(super) fn is_flood(&mut self, id: ConnId, kind: Kind) -> bool {
        let s = &self.settings;
        let (period, limit, action) = match kind {
            Kind::Chat => (s.int_flood_chat_period, s.int_flood_chat_limit, s.proto_flood_chat_action),
            Kind::Private => (s.int_flood_to_period, s.int_flood_to_limit, s.proto_flood_to_action),
            Kind::MyInfo => {
                (s.int_flood_myinfo_period, s.int_flood_myinfo_limit, s.proto_flood_myinfo_action)
            }
            Kind::Search => {
                (s.int_flood_search_period, s.int_flood_search_limit, s.proto_flood_search_action)
            }
            Kind::Result => (s.int_flood_sr_period, s.int_flood_sr_limit, s.proto_flood_sr_action),
            Kind::Connect => (s.int_flood_ctm_period, s.int_flood_ctm_limit, s.proto_flood_ctm_action),
            Kind::Other => (s.int_flood_other_period, s.int_flood_other_limit, s.proto_flood_other_action),
        };
        if period <= 0 || limit <= 0 || action <= 0 {
            return false;
        }
        let now = self.clock.seconds;
        let exempt = s.max_class_proto_flood;
        let class = self.user_of(id).map_or(Class::Guest, |user| user.class);
        let Some(connection) = self.connections.get_mut(id) else { return true };
        let Some(counter) = connection.counters.get_mut(kind as usize) else { return false };
        if class.number() > exempt {
            return false;
        }
        if now - counter.since >= period || now < counter.since {
            (counter.since, counter.count) = (now, 0);
        }
        counter.count += 1;
        if counter.count <= limit {
            return false;
        }
        if counter.count == limit + 1 || action >= 2 {
            self.flooded(id, kind, action);
        }
        true
    }

    fn flooded(&mut self, id: ConnId, kind: Kind, action: i64) {
        let who = self.nick_of(id).unwrap_or_else(|| self.ip_of(id));
        log::info!("{} floods with {}", self.readable(&who), kind.name());
        let text = format!("Your client floods the hub with {}.", kind.name());
        if action < 2 {
            return self.tell(id, &text);
        }
        if action >= 3
            && let Some(ip) = self.connections.get(id).map(|connection| connection.ip)
        {
            self.ban_for_a_while(ip, self.settings.proto_flood_tban_time, "a flood", false);
        }
        self.dismiss(id, CloseReason::Kicked, &text);
    }

    /// Whether a chat message comes too soon after the last.
    pub(super) fn is_hasty(&mut self, id: ConnId) -> bool {
        let least = Duration::from_millis(u64::try_from(self.settings.int_chat_ms).unwrap_or(0));
        if least.is_zero() || self.user_of(id).is_some_and(|user| user.class >= Class::Vip) {
            return false;
        }
        let now = self.clock.instant;
        let last = self
            .connections
            .get_mut(id)
            .and_then(|connection: &mut Connection| connection.last_chat.replace(now));
        let hasty = last.is_some_and(|last| now.saturating_duration_since(last) < least);
        if hasty {
            self.tell(id, &format!("Your message was not sent: wait {} ms between two.", least.as_millis()));
        }
        hasty
    }
}
