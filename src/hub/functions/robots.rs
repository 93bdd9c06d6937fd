//! Scripts' own users, and the lists of nicks.

use plugin_abi::Value;

use super::super::Hub;
use super::super::class::Class;
use super::super::protocol::{MyInfo, field, nick_is_clean, split_tag};
use super::super::text::number;
use super::super::user::{Behind, User};
use super::{Args, done};
use crate::supervisor::ScriptId;

/// Why a nick cannot be a robot's; the number is `vh.eBOT_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum RobotNick {
    Fine = 0,
    Exists = 1,
    WithoutNick = 2,
    BadChars = 3,
    ReservedNick = 4,
}

impl Hub {
    pub(super) fn call_nicks(&self, wanted: impl Fn(&User) -> bool) -> Value<'static> {
        self.nicks(wanted).into_iter().map(<[u8]>::to_vec).collect()
    }

    pub(super) fn robot_nick_problem(&self, nick: &[u8]) -> RobotNick {
        let reserved = [&self.settings.hub_security, &self.settings.opchat_name];
        if nick.is_empty() {
            RobotNick::WithoutNick
        } else if !nick_is_clean(nick) {
            RobotNick::BadChars
        } else if reserved.iter().any(|reserved| reserved.eq_ignore_ascii_case(nick)) {
            RobotNick::ReservedNick
        } else if self.online(nick).is_some() {
            RobotNick::Exists
        } else {
            RobotNick::Fine
        }
    }

    pub(super) fn call_add_robot(&mut self, script: ScriptId, args: Args<'_>) -> Value<'static> {
        let nick = args.text_or_empty(0);
        if self.robot_nick_problem(nick) != RobotNick::Fine {
            return Value::Nil;
        }
        let class = Class::from_number(args.int(1)).unwrap_or(Class::Guest).max(Class::Guest);
        let description = field(args.text_or_empty(2));
        let (desc, tag) = split_tag(&description);
        let mut speed = field(args.text_or_empty(3)).into_owned();
        // The last byte tells the status; a script that does not know that gets the usual one.
        if speed.last().is_none_or(|last| *last >= b' ') {
            speed.push(1);
        }
        let mail = field(args.text_or_empty(4));
        let share = number(args.text_or_empty(5)).unwrap_or(0).max(0).to_string();
        let info = MyInfo { nick, desc, tag, speed: &speed, mail: &mail, size: share.as_bytes() };
        done(self.add_bot(Behind::Robot(script), class, &info))
    }

    pub(super) fn call_del_robot(&mut self, args: Args<'_>) -> Value<'static> {
        let found = self.online(args.text_or_empty(0));
        let robot = found
            .filter(|id| self.users.get(*id).is_some_and(|user| matches!(user.behind, Behind::Robot(_))));
        if let Some(id) = robot {
            self.remove_bot(id);
        }
        done(robot.is_some())
    }
}
