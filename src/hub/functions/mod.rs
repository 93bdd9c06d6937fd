//! What scripts may call: the trait [`Host`], one module for each kind of function.
//!
//! - `limits`: how long the texts may be that scripts give
//! - `talk`: messages to users
//! - `people`: users, what they show, what they may do
//! - `robots`: scripts' own users
//! - `state`: registrations, configuration, the database, the hub itself
//!
//! Chat-like functions cannot send a protocol message that the script did not mean: see
//! `protocol` for how they write `|` and nicks. The raw ones (`SendDataTo…`, `SendTo…`) send
//! what they are given, with a `|` at its end.

pub(super) mod limits;
mod people;
mod robots;
mod state;
mod talk;

use plugin_abi::{Call, Value};

use super::Hub;
use crate::supervisor::{Host, HubFigures, Outcome, ScriptId, Supervisor, Ticket};

/// A call's arguments, whose number and types the supervisor has checked.
#[derive(Clone, Copy)]
struct Args<'a>(&'a [Value<'a>]);

impl<'a> Args<'a> {
    /// A text; `None` for NULL.
    fn text(self, at: usize) -> Option<&'a [u8]> {
        self.0.get(at).and_then(Value::as_text)
    }

    /// A text; empty for NULL.
    fn text_or_empty(self, at: usize) -> &'a [u8] {
        self.text(at).unwrap_or_default()
    }

    /// A text that must not be missing or empty.
    fn some_text(self, at: usize) -> Option<&'a [u8]> {
        self.text(at).filter(|text| !text.is_empty())
    }

    /// A number; 0 for NULL.
    fn int(self, at: usize) -> i64 {
        self.0.get(at).and_then(Value::as_int).unwrap_or(0)
    }
}

/// The answer of a function that did what it was asked for, or did not.
fn done(yes: bool) -> Value<'static> {
    if yes { Value::Int(1) } else { Value::Nil }
}

fn text(text: impl Into<Vec<u8>>) -> Value<'static> {
    Value::from(text.into())
}

impl Host for Hub {
    fn figures(&mut self, _supervisor: &Supervisor) -> Option<HubFigures> {
        Some(self.hub_figures())
    }

    fn finished(&mut self, _: &Supervisor, ticket: Ticket, outcome: Outcome) {
        Hub::finished(self, ticket, outcome);
    }

    fn call(
        &mut self,
        _supervisor: &Supervisor,
        script: ScriptId,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static> {
        log::trace!("script {script} calls {}", call.name());
        if !self.is_within_limits(call, args) {
            return Value::Nil;
        }
        let args = Args(args);
        match call {
            Call::SendToOpChat => self.call_send_to_opchat(args),
            Call::SendToActive => self.call_send_raw(args, Some(true), -1, 10),
            Call::SendToPassive => self.call_send_raw(args, Some(false), -1, 10),
            Call::SendToActiveClass => self.call_send_raw(args, Some(true), args.int(1), args.int(2)),
            Call::SendToPassiveClass => self.call_send_raw(args, Some(false), args.int(1), args.int(2)),
            Call::SendDataToAll => self.call_send_raw(args, None, args.int(1), args.int(2)),
            Call::SendDataToUser => self.call_send_data_to_user(args),
            Call::SendPMToAll => self.call_send_pm_to_all(args),
            Call::mc => self.call_mc(args),
            Call::usermc => self.call_usermc(args),
            Call::classmc => self.call_classmc(args),
            Call::pm => self.call_pm(args),

            Call::CloseConnection => self.call_close_connection(args),
            Call::GetMyINFO => self.call_get_my_info(args),
            Call::SetMyINFO => self.call_set_my_info(args),
            Call::GetUserClass => self.call_get_user_class(args),
            Call::GetUserHost => self.call_get_user_host(args),
            Call::GetUserIP => self.call_get_user_ip(args),
            Call::SetUserIP => self.call_set_user_ip(args),
            Call::SetMyINFOFlag => self.call_my_info_flag(args, true),
            Call::UnsetMyINFOFlag => self.call_my_info_flag(args, false),
            Call::GetUserHubURL => self.call_get_user_hub_url(args),
            Call::GetUserExtJSON => self.call_get_user_ext_json(args),
            Call::GetUserCC => self.call_get_user_cc(args),
            Call::GetIPCC => self.call_country(args, false),
            Call::GetIPCN => self.call_country(args, true),
            Call::GetIPASN => self.call_get_ip_asn(args),
            Call::GetIPCity => self.call_get_ip_city(args),
            Call::GetGeoIP => self.call_get_geo_ip(args),
            Call::UserRestrictions => self.call_user_restrictions(args),
            Call::Ban => self.call_ban(args),
            Call::KickUser => self.call_kick_user(args),
            Call::DelNickTempBan => self.call_del_nick_temp_ban(args),
            Call::DelIPTempBan => self.call_del_ip_temp_ban(args),

            Call::GetNickList => self.call_nicks(|_| true),
            Call::GetOpList => self.op_nicks().into_iter().map(<[u8]>::to_vec).collect(),
            Call::GetBotList => self.call_nicks(super::User::is_bot),
            Call::users => self.call_users(args),
            Call::IsRobotNickBad => Value::Int(self.robot_nick_problem(args.text_or_empty(0)) as i64),
            Call::AddRobot => self.call_add_robot(script, args),
            Call::DelRobot => self.call_del_robot(args),

            Call::AddRegUser => self.call_add_reg_user(args),
            Call::DelRegUser => self.call_del_reg_user(args),
            Call::SetRegClass => self.call_set_reg_class(args),
            Call::ParseCommand => self.call_parse_command(args),
            Call::ScriptCommand => self.call_script_command(script, args),
            Call::SetConfig => self.call_set_config(args),
            Call::GetConfig => self.call_get_config(args),
            Call::SQL => self.call_sql(script, args),
            Call::GetServFreq => Value::Float(self.frequency.mean(self.clock.seconds, self.started)),
            Call::GetUsersCount => Value::Int(i64::try_from(self.users_count()).unwrap_or(i64::MAX)),
            Call::GetTotalShareSize => Value::from(self.users.total_share().to_string()),
            Call::Topic => self.call_topic(args),
            Call::name_and_version => self.call_name_and_version(script, args),
            Call::StopHub => self.call_stop_hub(args),
        }
    }

    fn has_command(&mut self, name: &str) -> bool {
        super::commands::is_own(name)
    }

    fn script_loaded(&mut self, supervisor: &Supervisor, script: ScriptId) {
        self.read_script(supervisor, script);
    }

    fn set_variable(
        &mut self,
        _supervisor: &Supervisor,
        name: &str,
        value: &str,
    ) -> Option<Result<String, String>> {
        self.set_variable_of(name, value)
    }

    fn acted(&mut self, who: &str, what: &str, whom: &str) {
        Hub::acted(self, who.as_bytes(), what, &self.charset.encode(whom), b"");
    }

    fn tell_operators(&mut self, _supervisor: &Supervisor, text: &str) {
        self.report(text);
    }
}
