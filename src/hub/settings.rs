//! The configuration variables: names, types, defaults, meanings, in one table; keeping them
//! is left to `database`, and what changing one leads to, to `functions`.
//!
//! Names are Verlihub's, so that scripts and operators find what they know. A variable is here
//! only if it does something. The options about scripts are the supervisor's
//! ([`crate::supervisor::option`]), and variables too.

use crate::supervisor::Config;
use crate::supervisor::option::{OptionError, OptionSpec, of_operators_for_scripts};

use super::networks::Addresses;

/// What values a variable takes; the number is `vh.eIT_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `0` or `1`.
    Bool = 1,
    /// A whole number.
    Int = 3,
    /// Text in the hub's encoding.
    Text = 12,
    /// A number with a fraction.
    Real = 13,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What it means, for operators.
    pub meaning: &'static str,
}

/// Why a variable was not set.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// There is none of this name.
    #[error("there is no such variable; !getconfig lists all")]
    Unknown,
    /// The text is no value of this kind.
    #[error("give a {0}")]
    WrongKind(&'static str),
    /// The text is no value of an option about scripts.
    #[error("give {0}")]
    Option(String),
}

/// A Rust type that holds the values of one [`Kind`].
trait Value: Sized {
    const KIND: Kind;
    const EXPECTED: &'static str;
    fn read(text: &[u8]) -> Option<Self>;
    fn write(&self) -> Vec<u8>;
}

impl Value for Vec<u8> {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "text";
    fn read(text: &[u8]) -> Option<Vec<u8>> {
        Some(text.to_vec())
    }
    fn write(&self) -> Vec<u8> {
        self.clone()
    }
}

impl Value for Addresses {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "list of addresses and ranges, such as 127.0.0.1 10.0.0.0/8 2001:db8::/32";
    fn read(text: &[u8]) -> Option<Addresses> {
        Addresses::parse(std::str::from_utf8(text).ok()?)
    }
    fn write(&self) -> Vec<u8> {
        self.text().into()
    }
}

impl Value for i64 {
    const KIND: Kind = Kind::Int;
    const EXPECTED: &'static str = "whole number";
    fn read(text: &[u8]) -> Option<i64> {
        super::text::number(text)
    }
    fn write(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl Value for f64 {
    const KIND: Kind = Kind::Real;
    const EXPECTED: &'static str = "number";
    fn read(text: &[u8]) -> Option<f64> {
        let number: f64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
        number.is_finite().then_some(number)
    }
    fn write(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Bool;
    const EXPECTED: &'static str = "0 or 1";
    fn read(text: &[u8]) -> Option<bool> {
        match text.trim_ascii().to_ascii_lowercase().as_slice() {
            b"0" | b"false" | b"no" | b"off" | b"" => Some(false),
            b"1" | b"true" | b"yes" | b"on" => Some(true),
            _ => super::text::number(text).map(|number| number != 0),
        }
    }
    fn write(&self) -> Vec<u8> {
        vec![if *self { b'1' } else { b'0' }]
    }
}

macro_rules! settings {
    ($( $name:ident : $type:ty = $default:expr, $meaning:literal; )*) => {
        /// The values that hold now.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $( #[doc = $meaning] pub $name: $type, )*
            /// The options about scripts; what else is in here has no meaning.
            pub scripts: Config,
        }

        /// The hub's own variables; [`settings`] has all.
        static SETTINGS: &[Setting] = &[ $( Setting {
            name: stringify!($name),
            kind: <$type as Value>::KIND,
            meaning: $meaning,
        }, )* ];

        impl Default for Settings {
            fn default() -> Settings {
                Settings { $( $name: $default.into(), )* scripts: Config::default() }
            }
        }

        impl Settings {
            /// The value of a variable, as text.
            pub fn get(&self, name: &str) -> Option<Vec<u8>> {
                match name {
                    $( stringify!($name) => Some(self.$name.write()), )*
                    _ => script_option(name).map(|option| option.get(&self.scripts)),
                }
            }

            /// Changes a variable.
            pub fn set(&mut self, name: &str, text: &[u8]) -> Result<(), SettingError> {
                let name = canonical(name);
                if name.starts_with("timeout_") && super::text::number(text).is_some_and(|seconds| seconds < 1) {
                    return Err(SettingError::WrongKind("whole number of seconds, at least 1"));
                }
                match name {
                    $( stringify!($name) => {
                        self.$name = <$type as Value>::read(text)
                            .ok_or(SettingError::WrongKind(<$type as Value>::EXPECTED))?;
                    } )*
                    _ => return set_script_option(&mut self.scripts, name, text),
                }
                Ok(())
            }
        }
    };
}

settings! {
    hub_name: Vec<u8> = *b"vhpy hub", "The hub's name.";
    hub_desc: Vec<u8> = *b"", "A description, for hub lists.";
    hub_topic: Vec<u8> = *b"", "The topic, shown after the name.";
    hub_category: Vec<u8> = *b"", "The category, for hub lists.";
    hub_owner: Vec<u8> = *b"", "Who runs the hub, for hub lists.";
    hub_host: Vec<u8> = *b"", "The hub's address as others know it.";
    hub_icon_url: Vec<u8> = *b"", "An icon, for hub lists.";
    hub_logo_url: Vec<u8> = *b"", "A logo, for hub lists.";
    hub_failover_hosts: Vec<u8> = *b"", "Addresses that clients try when the hub is gone.";
    hub_encoding: Vec<u8> = *b"utf-8", "The encoding of all text; it takes effect when the hub starts.";
    hub_security: Vec<u8> = *b"vhpy", "The nick of the hub's bot.";
    hub_security_desc: Vec<u8> = *b"Hub security", "The description of the hub's bot.";
    opchat_name: Vec<u8> = *b"OpChat", "The nick of the operators' chat; empty for none.";
    opchat_desc: Vec<u8> = *b"Operator chat", "The description of the operators' chat.";
    opchat_class: i64 = 3, "From which class on users take part in the operators' chat.";
    oplist_class: i64 = 3, "From which class on users are shown as operators.";
    max_users: i64 = 6000, "How many users may be online; operators come in all the same.";
    max_users_from_ip: i64 = 0, "How many users may come from one address; 0 is any number.";
    max_logins_from_ip: i64 = 32, "How many connections from one address (IPv6: one /64) may be on their way in; the longest idle one goes for a new one; 0 is any number.";
    limit_exempt: Addresses = "127.0.0.1 ::1", "Addresses and ranges that limits per address are not for: those of many users, such as a TLS proxy without the PROXY protocol.";
    trusted_proxies: Addresses = "", "Addresses and ranges of proxies that tell by the PROXY protocol (1 or 2) for whom they connect; they must.";
    hubfull_message: Vec<u8> = *b"", "What is said besides when the hub is full.";
    min_share: i64 = 0, "What a guest must share, in MiB.";
    min_share_reg: i64 = 0, "What a registered user must share, in MiB.";
    min_share_vip: i64 = 0, "What a VIP must share, in MiB.";
    min_share_ops: i64 = 0, "What an operator must share, in MiB.";
    max_share: i64 = 0, "What anybody may share at most, in MiB; 0 is any size.";
    min_class_use_hub: i64 = 0, "From which class on users may search and download.";
    min_class_register: i64 = 4, "From which class on operators may register users.";
    min_class_redir: i64 = 4, "From which class on operators may redirect users.";
    topic_mod_class: i64 = 4, "From which class on operators may change the topic.";
    plugin_mod_class: i64 = 4, "From which class on operators may use the !py… commands.";
    user_ip_class: i64 = 3, "From which class on operators see users' addresses.";
    mainchat_class: i64 = 0, "From which class on users may write in the main chat.";
    private_class: i64 = 0, "From which class on users may write private messages.";
    classdif_kick: i64 = 0, "How much higher than a user's an operator's class must be to kick them.";
    classdif_reg: i64 = 2, "How much higher an operator's class must be than the class they give.";
    classdif_pm: i64 = 10, "How much higher another's class may be for a private message to them.";
    classdif_download: i64 = 10, "How much higher another's class may be for a download from them.";
    ban_bypass_class: i64 = 10, "From which class on bans are not looked at.";
    send_user_ip: bool = true, "Whether operators are sent users' addresses.";
    send_user_info: bool = false, "Whether users are told about themselves at login.";
    max_nick: i64 = 64, "How long a nick may be, in bytes.";
    min_nick: i64 = 1, "How long a nick must be, in bytes.";
    nick_chars: Vec<u8> = *b"", "The bytes that a nick may hold; empty is all.";
    nick_prefix: Vec<u8> = *b"", "What guests' nicks must begin with.";
    max_chat_msg: i64 = 256, "How long a chat message may be, in bytes.";
    max_chat_lines: i64 = 5, "How many lines a chat message may have.";
    chat_history: i64 = 0, "How many lines of the main chat are kept in memory and shown to those who come; 0 is none.";
    max_pm_msg: i64 = 1024, "How long a private message may be, in bytes.";
    max_mcto_msg: i64 = 1024, "How long a main chat message to one user may be, in bytes.";
    max_len_myinfo: i64 = 512, "How long a $MyINFO may be, in bytes.";
    max_len_supports: i64 = 512, "How long a $Supports may be, in bytes.";
    max_len_search: i64 = 256, "How long a search may be, in bytes.";
    max_len_extjson: i64 = 1024, "How long an $ExtJSON may be, in bytes.";
    max_len_myhuburl: i64 = 128, "How long a $MyHubURL may be, in bytes.";
    min_search_chars: i64 = 3, "How long a searched word must be, in bytes.";
    max_passive_sr: i64 = 25, "How many results one search of a passive user gets; 0 is any number.";
    adv_max_message_size: i64 = 10_240, "How long any message may be, in bytes; a client that sends more is dropped.";
    adv_max_outbuf_size: i64 = 4_194_304, "How many bytes may wait for a slow client before it is dropped.";
    adv_max_outbuf_total: i64 = 268_435_456, "How many bytes the hub may keep for all clients together; those who let the most wait are dropped first, operators last.";
    int_chat_ms: i64 = 0, "How many milliseconds must pass between two chat messages of a guest or registered user.";
    max_class_proto_flood: i64 = 2, "Up to which class users are held to the limits of int_flood_….";
    max_flood_counter_pm: i64 = 10, "How often a user may send the same private message in a row.";
    proto_flood_tban_time: i64 = 1800, "For how long a flood bans, in seconds, if its action is 3.";
    int_flood_chat_period: i64 = 10, "Within how many seconds chat messages are counted; 0 is not at all.";
    int_flood_chat_limit: i64 = 60, "How many chat messages within that time are a flood.";
    proto_flood_chat_action: i64 = 2, "What a flood of chat leads to: 0 nothing, 1 the message is dropped, 2 a disconnect, 3 a ban.";
    int_flood_to_period: i64 = 10, "Within how many seconds private messages are counted.";
    int_flood_to_limit: i64 = 60, "How many private messages within that time are a flood.";
    proto_flood_to_action: i64 = 2, "What a flood of private messages leads to.";
    int_flood_myinfo_period: i64 = 60, "Within how many seconds $MyINFO is counted.";
    int_flood_myinfo_limit: i64 = 60, "How many $MyINFO within that time are a flood.";
    proto_flood_myinfo_action: i64 = 2, "What a flood of $MyINFO leads to.";
    int_flood_search_period: i64 = 60, "Within how many seconds searches are counted.";
    int_flood_search_limit: i64 = 60, "How many searches within that time are a flood.";
    proto_flood_search_action: i64 = 2, "What a flood of searches leads to.";
    int_flood_sr_period: i64 = 30, "Within how many seconds search results are counted.";
    int_flood_sr_limit: i64 = 1000, "How many search results within that time are a flood.";
    proto_flood_sr_action: i64 = 2, "What a flood of search results leads to.";
    int_flood_ctm_period: i64 = 10, "Within how many seconds requests for connections are counted.";
    int_flood_ctm_limit: i64 = 300, "How many requests for connections within that time are a flood.";
    proto_flood_ctm_action: i64 = 2, "What a flood of requests for connections leads to.";
    int_flood_other_period: i64 = 10, "Within how many seconds all other messages are counted.";
    int_flood_other_limit: i64 = 300, "How many other messages within that time are a flood.";
    proto_flood_other_action: i64 = 2, "What a flood of other messages leads to.";
    timeout_key: i64 = 30, "How many seconds a client has to send its $Key.";
    timeout_nick: i64 = 30, "How many seconds it has then to ask for a nick.";
    timeout_login: i64 = 60, "How many seconds it has then to log in.";
    drop_invalid_key: bool = false, "Whether a client with a wrong $Key is dropped.";
    detect_ctmtohub: bool = true, "Whether clients that were sent here by an attacker are turned away as such.";
    disable_extjson: bool = false, "Whether $ExtJSON is not passed on.";
    show_desc_len: i64 = -1, "How many bytes of a description are shown; -1 is all.";
    show_email: bool = true, "Whether e-mail addresses are shown.";
    show_tags: bool = true, "Whether clients' tags are shown.";
    tag_allow_none: bool = true, "Whether a client without a tag may log in.";
    tag_max_hubs: i64 = 0, "In how many hubs a user may be; 0 is any number.";
    always_ask_password: bool = false, "Whether guests are asked for a password too.";
    password_min_len: i64 = 6, "How long a password must be, in bytes.";
    pwd_tmpban: i64 = 600, "For how many seconds pwd_tries wrong passwords ban the address (IPv6: the /64), but for users who have come from there before; 0 is not at all.";
    pwd_tries: i64 = 5, "How many wrong passwords from one address within an hour lead to pwd_tmpban; each one makes the next wait longer.";
    wrongpassword_report: bool = true, "Whether operators are told of wrong passwords.";
    tban_kick: i64 = 300, "For how many seconds a kick bans.";
    tban_max: i64 = 2_592_000, "For how many seconds a kick with _ban_… in its reason bans at most.";
    hide_all_kicks: bool = true, "Whether kicks are not shown in the main chat.";
    ban_extra_message: Vec<u8> = *b"", "What is said besides to the banned.";
    check_scripts: bool = true, "Whether operators are told what `vhpy check` finds in a script that is loaded.";
    dns_lookup: bool = false, "Whether the host names of all users are looked up.";
    cmd_start_op: Vec<u8> = *b"!+", "With which characters operators' commands begin.";
    cmd_start_user: Vec<u8> = *b"+!", "With which characters users' commands begin.";
    unknown_cmd_chat: bool = false, "Whether an unknown command is sent to the chat.";
    msg_welcome_guest: Vec<u8> = *b"", "What a guest is told at login; `%[nick]` is their nick.";
    msg_welcome_reg: Vec<u8> = *b"", "What a registered user is told at login.";
    msg_welcome_vip: Vec<u8> = *b"", "What a VIP is told at login.";
    msg_welcome_op: Vec<u8> = *b"", "What an operator is told at login.";
    msg_welcome_cheef: Vec<u8> = *b"", "What a chief is told at login.";
    msg_welcome_admin: Vec<u8> = *b"", "What an admin is told at login.";
    msg_welcome_master: Vec<u8> = *b"", "What a master is told at login.";
    mmdb_names_lang: Vec<u8> = *b"en", "In which language places are named.";
}

/// The variable that a name means; a few go by more than one.
pub fn canonical(name: &str) -> &str {
    match name {
        "max_message_size" => "adv_max_message_size",
        "max_users_total" => "max_users",
        "max_outbuf_size" => "adv_max_outbuf_size",
        name => name,
    }
}

/// All variables: the hub's own, then the options about scripts.
pub fn settings() -> impl Iterator<Item = Setting> {
    SETTINGS.iter().copied().chain(of_operators_for_scripts().map(|option| Setting {
        name: option.name,
        kind: kind(option),
        meaning: option.meaning,
    }))
}

fn kind(option: &OptionSpec) -> Kind {
    match option.value {
        "0|1" => Kind::Bool,
        "SECONDS" => Kind::Real,
        "NUMBER" => Kind::Int,
        // A limit in MiB can be empty, for none.
        _ => Kind::Text,
    }
}

fn script_option(name: &str) -> Option<&'static OptionSpec> {
    of_operators_for_scripts().find(|option| option.name == name)
}

fn set_script_option(scripts: &mut Config, name: &str, text: &[u8]) -> Result<(), SettingError> {
    let option = script_option(name).ok_or(SettingError::Unknown)?;
    option.set(scripts, text).map_err(|error| match error {
        OptionError::Value { wanted, .. } => SettingError::Option(wanted),
        other => SettingError::Option(other.to_string()),
    })
}

impl Settings {
    /// Hands the options about scripts over.
    pub fn configure_scripts(&self, config: &mut Config) {
        for option in of_operators_for_scripts() {
            // A value that was good here is good there.
            let _ = option.set(config, &option.get(&self.scripts));
        }
    }
}

/// The row of a variable.
pub fn setting(name: &str) -> Option<Setting> {
    settings().find(|setting| setting.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_reads_what_it_writes() {
        let mut settings = Settings::default();
        for setting in super::settings() {
            let value = settings.get(setting.name).unwrap();
            settings.set(setting.name, &value).unwrap();
            assert_eq!(settings.get(setting.name).unwrap(), value, "{}", setting.name);
        }
    }

    #[test]
    fn wrong_values_are_refused_and_change_nothing() {
        let mut settings = Settings::default();
        assert_eq!(settings.set("max_users", b"many"), Err(SettingError::WrongKind("whole number")));
        assert_eq!(settings.max_users, 6000);
        assert_eq!(settings.set("max_userz", b"1"), Err(SettingError::Unknown));
        assert_eq!(
            settings.set("hook_timeout", b"nan"),
            Err(SettingError::Option("a number of seconds from 0.001 to 86400".into()))
        );
        assert!(settings.set("timeout_key", b"-1").is_err() && settings.set("timeout_login", b"0").is_err());
        settings.set("show_email", b"off").unwrap();
        assert_eq!(settings.get("show_email").unwrap(), b"0");
    }
}
