//! Commands that tell what there is: `who`, `reglist`, `banlist`, `hubinfo`, `history`, `audit`.
//!
//! A list has a line for each entry, not columns, since most clients' fonts are proportional; and
//! it has an end, since it is one message.

use super::caller::{Answer, Caller, Misused};
use crate::hub::banlist::ListedBan;
use crate::hub::class::Class;
use crate::hub::pattern::Pattern;
use crate::hub::text::{number, spoken_period, spoken_size, spoken_time};
use crate::hub::user::User;
use crate::hub::{Hub, VERSION};

/// How many entries a list has.
const MOST: usize = 100;

fn pattern(args: &[u8]) -> Result<Pattern, Misused> {
    Pattern::new(args.trim_ascii()).ok_or(Misused)
}

/// A list as it is shown: how many there are of what, the lines, and whether these are not all.
fn shown(hub: &Hub, what: &str, lines: &[String], more: bool) -> Answer {
    let mut text = match (lines.len(), more) {
        (0, _) => format!("No {what}."),
        (count, false) => format!("{what}: {count}", what = capital(what)),
        (count, true) => {
            format!("{what}: the first {count}; give a pattern to see others", what = capital(what))
        }
    };
    for line in lines {
        text.push('\n');
        // A reason of several lines must not look like several entries.
        text.extend(line.chars().map(|sign| if sign.is_control() { ' ' } else { sign }));
    }
    Ok(hub.charset.encode(&text))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `, because: …`, or nothing.
fn because(hub: &Hub, reason: &[u8]) -> String {
    if reason.is_empty() { String::new() } else { format!(", because: {}", hub.readable(reason)) }
}

pub fn who(hub: &mut Hub, _caller: &Caller, args: &[u8]) -> Answer {
    let pattern = pattern(args)?;
    let mut found: Vec<(&User, String)> = Vec::new();
    for (_, user) in hub.users.listed() {
        let Some(id) = user.connection() else { continue };
        let ip = hub.ip_of(id);
        if pattern.is_any(&[&user.nick, &ip]) {
            found.push((user, hub.readable(&ip)));
        }
    }
    found.sort_by(|(a, _), (b, _)| b.class.cmp(&a.class).then_with(|| a.nick.cmp(&b.nick)));
    let lines: Vec<String> = found
        .iter()
        .take(MOST)
        .map(|(user, ip)| {
            let (nick, class, share) =
                (hub.readable(&user.nick), user.class.name(), spoken_size(user.share()));
            format!("{nick}: {class} from {ip}, shares {share}, here since {}", spoken_time(user.login_time))
        })
        .collect();
    shown(hub, "users", &lines, found.len() > MOST)
}

pub fn reglist(hub: &mut Hub, _caller: &Caller, args: &[u8]) -> Answer {
    let listed = hub.database.list_accounts(&pattern(args)?, MOST);
    let Some((accounts, more)) = hub.stored("reading the accounts", listed) else {
        return Ok(b"The accounts could not be read; see the log.".to_vec());
    };
    let lines: Vec<String> = accounts
        .iter()
        .map(|account| {
            let class = Class::from_number(account.class)
                .map_or_else(|| format!("class {}", account.class), |class| class.name().to_string());
            let disabled = if account.enabled { "" } else { ", disabled" };
            let by = match account.op.as_slice() {
                b"" => String::new(),
                op => format!(", registered by {}", hub.readable(op)),
            };
            let last = match account.last_login {
                0 => ", never logged in".into(),
                last => format!(", last here {}", spoken_time(last)),
            };
            format!("{}: {class}{disabled}{by}{last}", hub.readable(&account.nick))
        })
        .collect();
    shown(hub, "accounts", &lines, more)
}

pub fn banlist(hub: &mut Hub, _caller: &Caller, args: &[u8]) -> Answer {
    let listed = hub.database.list_bans(&pattern(args)?, hub.clock.seconds, MOST);
    let Some((bans, more)) = hub.stored("reading the bans", listed) else {
        return Ok(b"The bans could not be read; see the log.".to_vec());
    };
    let lines: Vec<String> = bans.iter().map(|ban| ban_line(hub, ban)).collect();
    shown(hub, "bans", &lines, more)
}

fn ban_line(hub: &Hub, listed: &ListedBan) -> String {
    let ban = &listed.ban;
    let left = match ban.until {
        None => "for ever".into(),
        Some(until) => format!("for {} more", spoken_period(hub.left_of_ban(until))),
    };
    let by = if ban.op.is_empty() { String::new() } else { format!(", by {}", hub.readable(&ban.op)) };
    format!("{} {}: {left}{by}{}", listed.kind, hub.readable(&listed.whom), because(hub, &ban.reason))
}

pub fn hub_info(hub: &mut Hub, caller: &Caller, _args: &[u8]) -> Answer {
    let now = hub.clock.seconds;
    let scripts = hub.supervisor().scripts();
    let ready = scripts.iter().filter(|script| script.state == "ready").count();
    let accounts = hub.stored("counting the accounts", hub.database.accounts()).unwrap_or(0);
    let bans = hub.stored("counting the bans", hub.database.count_bans(now)).unwrap_or(0);
    let mut lines = vec![
        format!("vhpy {VERSION}, up for {}", spoken_period(now - hub.started)),
        format!(
            "{} users of {} at most, who share {}",
            hub.users_count(),
            hub.settings.max_users,
            spoken_size(hub.users.total_share())
        ),
        format!("{accounts} accounts, {bans} bans"),
        format!("{} scripts, {ready} of them ready", scripts.len()),
    ];
    if caller.class >= Class::Admin {
        lines.push(format!("data folder {}", hub.options.data.display()));
        lines.push(format!("scripts folder {}", hub.scripts_folder().display()));
    }
    Ok(hub.charset.encode(&format!("This hub:\n{}", lines.join("\n"))))
}

pub fn history(hub: &mut Hub, _caller: &Caller, args: &[u8]) -> Answer {
    if hub.settings.chat_history <= 0 {
        return Ok(b"No chat is kept: the variable chat_history says how many lines are.".to_vec());
    }
    let count = match args.trim_ascii() {
        b"" => usize::MAX,
        text => number(text).and_then(|count| usize::try_from(count).ok()).ok_or(Misused)?,
    };
    let lines = hub.last_chat(count);
    Ok(if lines.is_empty() {
        b"Nothing was said yet.".to_vec()
    } else {
        [b"Chat:", lines.as_slice()].concat()
    })
}

pub fn audit(hub: &mut Hub, _caller: &Caller, args: &[u8]) -> Answer {
    let listed = hub.database.acts(&pattern(args)?, MOST);
    let Some((acts, more)) = hub.stored("reading what operators did", listed) else {
        return Ok(b"It could not be read; see the log.".to_vec());
    };
    let lines: Vec<String> = acts
        .iter()
        .map(|act| {
            let [op, what, whom, detail] =
                [&act.op, &act.what, &act.whom, &act.detail].map(|text| hub.readable(text));
            let (whom, detail) = (spaced(&whom), spaced(&detail));
            format!("{} {op}: {what}{whom}{detail}", spoken_time(act.time))
        })
        .collect();
    shown(hub, "acts of operators", &lines, more)
}

fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {text}") }
}
