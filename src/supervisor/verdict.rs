//! What scripts' answers to one event come to.

use std::borrow::Cow;

use plugin_abi::hook::Replaces;
use plugin_abi::{Answer, Hook};

/// All scripts' answers to one event, combined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Whether any script blocked the event.
    pub blocked: bool,
    /// What stands in for the original arguments; the last in load order.
    pub replacement: Option<Replacement>,
    /// Protocol data to send to the connection the event came from, each ending with `|`.
    pub send: Vec<Vec<u8>>,
}

/// What stands in for an event's arguments; `None` keeps the original.
#[derive(Clone, Debug, PartialEq)]
pub enum Replacement {
    /// For `OnParsedMsgChat`.
    Chat {
        /// The nick to show.
        nick: Option<Vec<u8>>,
        /// The message to show.
        message: Option<Vec<u8>>,
    },
    /// For `OnParsedMsgMyINFO` and `OnFirstMyINFO`: description, tag, speed, mail, size.
    MyInfo([Option<Vec<u8>>; 5]),
}

impl Verdict {
    /// Adds one script's answer.
    pub(super) fn add(&mut self, hook: Hook, answer: Answer<'static>) {
        let own = |text: Option<Cow<'static, [u8]>>| text.map(Cow::into_owned);
        match (answer, hook.spec().replaces) {
            (Answer::Block, _) => self.blocked |= hook.can_block(),
            (Answer::Send { data, then }, _) => {
                self.blocked |= then == 0 && hook.can_block();
                self.send.push(data.into_owned());
            }
            (Answer::Chat { nick, message }, Replaces::Chat) => {
                self.replacement = Some(Replacement::Chat { nick: own(nick), message: own(message) });
            }
            (Answer::MyInfo(fields), Replaces::MyInfo) => {
                self.replacement = Some(Replacement::MyInfo(fields.map(own)));
            }
            (Answer::GoOn | Answer::Chat { .. } | Answer::MyInfo(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_blocked_is_not_whatever_the_answer() {
        for (hook, is_blocked) in [(Hook::OnParsedMsgChat, true), (Hook::OnUserLogout, false)] {
            for answer in [Answer::Block, Answer::Send { data: b"x|"[..].into(), then: 0 }] {
                let mut verdict = Verdict::default();
                verdict.add(hook, answer.clone());
                assert_eq!(verdict.blocked, is_blocked, "{hook}: {answer:?}");
            }
        }
        let mut verdict = Verdict::default();
        verdict.add(Hook::OnParsedMsgChat, Answer::Send { data: b"x|"[..].into(), then: 1 });
        assert_eq!((verdict.blocked, verdict.send), (false, vec![b"x|".to_vec()]));
    }
}
