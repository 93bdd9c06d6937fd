//! What users tell of themselves: the first `$MyINFO` completes a login, later ones change what
//! others see; the other steps of a login are in `login`.

use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::admission::Refusal;
use super::bans::Target;
use super::class::Class;
use super::connection::Stage;
use super::flood::Kind;
use super::functions::limits;
use super::protocol::{MyInfo, split_tag};
use super::text::{number, spoken_size};
use super::user::Tag;
use super::{CloseReason, ConnId, Hub};
use crate::supervisor::Replacement;

impl Hub {
    pub(super) fn on_my_info(&mut self, id: ConnId, info: &MyInfo<'_>, message: &[u8]) {
        let Some(stage) = self.stage(id) else { return };
        match stage {
            Stage::Proxy | Stage::Connected | Stage::Key => {
                return self
                    .out_of_order(id, "your client must ask for a nick before it tells about its user");
            }
            Stage::Password => return self.out_of_order(id, "your client must send the password first"),
            Stage::Nick | Stage::LoggedIn => {}
        }
        if self.is_too_long(id, message, self.settings.max_len_myinfo) {
            return;
        }
        let first = stage == Stage::Nick;
        if !first {
            if self.is_flood(id, Kind::MyInfo) {
                return;
            }
            if self.user_of(id).is_some_and(|user| user.sent == message) {
                return;
            }
        }
        let tag = Tag::parse(info.tag);
        let share = number(info.size).and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        if let Err(refusal) = self.may_have(id, info, &tag, share, first) {
            return self.refuse(id, &refusal);
        }
        let Some(info) = self.ask_about_info(id, info, first) else { return };
        let info = info.borrowed();
        let share = number(info.size).and_then(|size| u64::try_from(size).ok()).unwrap_or(share);
        let shown = self.shown_info(&info);
        let Some(user) = self.user_of_mut(id) else { return };
        (user.active, user.sent) = (tag.active, message.to_vec());
        let (is_new, changed) = (!user.is_listed(), user.shown != shown);
        user.shown.clone_from(&shown);
        if let Some(user) = self.connections.get(id).and_then(|connection| connection.user) {
            self.users.set_share(user, share);
        }
        if is_new {
            return self.enter(id);
        }
        if changed {
            self.send_to_all(&[&shown]);
        }
    }

    /// Whether a message's nick is the sender's; if not, the client is gone.
    pub(super) fn is_own_nick(&mut self, id: ConnId, nick: &[u8]) -> bool {
        let Some(own) = self.user_of(id).map(|user| &user.nick) else { return false };
        if **own == *nick {
            return true;
        }
        let text = format!("Your nick is {}, not {}.", self.readable(own), self.readable(nick));
        self.dismiss(id, CloseReason::Syntax, &text);
        false
    }

    /// What a `$MyINFO` must have, or the user is not let in, or out.
    fn may_have(
        &self,
        id: ConnId,
        info: &MyInfo<'_>,
        tag: &Tag,
        share: u64,
        first: bool,
    ) -> Result<(), Refusal> {
        let Some(user) = self.user_of(id) else { return Ok(()) };
        let settings = &self.settings;
        let (class, mib) = (user.class, 1u64 << 20);
        if class < Class::Operator {
            if info.tag.is_empty() && !settings.tag_allow_none {
                return Err(Refusal::new(CloseReason::TagNone, "Your client must show its tag."));
            }
            if settings.tag_max_hubs > 0 && tag.hubs > settings.tag_max_hubs {
                let text = format!("You are in {} hubs; {} are allowed.", tag.hubs, settings.tag_max_hubs);
                return Err(Refusal::new(CloseReason::TagInvalid, text));
            }
        }
        if class <= Class::Operator && class != Class::Pinger {
            let least = match class {
                Class::Registered => settings.min_share_reg,
                Class::Vip => settings.min_share_vip,
                Class::Operator => settings.min_share_ops,
                _ => settings.min_share,
            };
            let least = u64::try_from(least).unwrap_or(0).saturating_mul(mib);
            let most = u64::try_from(settings.max_share).unwrap_or(0).saturating_mul(mib);
            if share < least || (most > 0 && share > most) {
                let (word, limit) = if share < least { ("at least", least) } else { ("at most", most) };
                let text =
                    format!("You share {}; {word} {} is wanted.", spoken_size(share), spoken_size(limit));
                return Err(Refusal::new(CloseReason::ShareLimit, text));
            }
        }
        if first && share > 0 && class.number() < settings.ban_bypass_class {
            self.not_banned(&Target { share: Some(share), ..Target::default() })?;
        }
        Ok(())
    }

    /// Asks the scripts about a `$MyINFO`; `None` when that is its end.
    fn ask_about_info(&mut self, id: ConnId, info: &MyInfo<'_>, first: bool) -> Option<OwnedInfo> {
        let nick = self.nick_of(id)?;
        if !info.tag.is_empty() {
            let args = [Value::text(&*nick), Value::text(info.tag)];
            if self.raise_for(id, Hook::OnValidateTag, &args).blocked {
                self.dismiss(id, CloseReason::TagInvalid, "Your client's tag is not accepted.");
                return None;
            }
        }
        let hook = if first { Hook::OnFirstMyINFO } else { Hook::OnParsedMsgMyINFO };
        let [desc, tag, speed, mail, size] = info.parts();
        let args = [&*nick, desc, tag, speed, mail, size].map(Value::text);
        let verdict = self.raise_for(id, hook, &args);
        if verdict.blocked {
            if first {
                self.close(id, CloseReason::Kicked);
            }
            return None;
        }
        if !self.connections.get(id).is_some_and(super::Connection::is_open) {
            return None;
        }
        let mut parts = info.parts().map(<[u8]>::to_vec);
        if let Some(Replacement::MyInfo(replaced)) = verdict.replacement {
            for (part, replaced) in parts.iter_mut().zip(replaced) {
                if let Some(replaced) = replaced
                    && self.may_replace("part of $MyINFO", &replaced, limits::INFO)
                {
                    *part = super::protocol::field(&replaced).into_owned();
                }
            }
        }
        Some(OwnedInfo { nick, parts })
    }

    /// What others are to see.
    fn shown_info(&self, info: &MyInfo<'_>) -> Vec<u8> {
        let settings = &self.settings;
        let mut shown = *info;
        if let Ok(most) = usize::try_from(settings.show_desc_len) {
            shown.desc = shown.desc.get(..most).unwrap_or(shown.desc);
        }
        if !settings.show_email {
            shown.mail = b"";
        }
        if !settings.show_tags {
            shown.tag = b"";
        }
        shown.message()
    }
}

/// A `$MyINFO` of its own, with what scripts put into it.
struct OwnedInfo {
    nick: Rc<[u8]>,
    parts: [Vec<u8>; 5],
}

impl OwnedInfo {
    fn borrowed(&self) -> MyInfo<'_> {
        let [desc, tag, speed, mail, size] = &self.parts;
        // A script may have moved the tag into the description, or out of it.
        let (desc, tag): (&[u8], &[u8]) = if tag.is_empty() { split_tag(desc) } else { (desc, tag) };
        MyInfo { nick: &self.nick, desc, tag, speed, mail, size }
    }
}
