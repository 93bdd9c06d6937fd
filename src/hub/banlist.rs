//! The bans in the database: set, found, lifted. When they are asked for is left to `admission`,
//! and who may set them to `moderation`.
//!
//! Bans are read from the database at each login, so that one that a script wrote there by
//! hand holds too, and one whose time is over holds no longer without anybody's doing.

use std::net::IpAddr;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params};

use super::bans::{Ban, BanKind, NewBan, Target, host_part};
use super::database::{Database, Text, column};
use super::networks::Range;
use super::pattern::Pattern;
use super::text::find;

/// An address as the columns of ranges hold it: of IPv4 a number, as in Verlihub; of IPv6, which
/// is larger than any number here, a text that sorts as the address does, after all numbers.
fn address_column(ip: IpAddr) -> Value {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Value::Integer(u32::from(ip).into()),
        IpAddr::V6(ip) => Value::Text(format!("v6:{:032x}", u128::from(ip))),
    }
}

/// Finds the ban that keeps somebody out. It costs as much as there are bans of ranges, hosts and
/// prefixes: once for each login, and for nothing that is done to all who are online.
pub(super) const FIND: &str = "select date_limit, nick_op, reason, ip, nick from banlist where (
    (ip = ?1 and ip != '' and nick != '_shareban_')
    or (nick = ?2 and nick != '' and ip != '_prefixban_'
        and ip not in ('_host1ban_', '_host2ban_', '_host3ban_', '_hostr1ban_'))
    or (nick = '_rangeban_' and ?3 between range_fr and range_to)
    or (nick = '_shareban_' and share_size = ?4)
    or (ip = '_host1ban_' and nick = ?5) or (ip = '_host2ban_' and nick = ?6)
    or (ip = '_host3ban_' and nick = ?7) or (ip = '_hostr1ban_' and nick = ?8)
    or (ip = '_prefixban_' and nick != ''
        and cast(lower(nick) as blob) = substr(cast(lower(?2) as blob), 1, length(cast(nick as blob)))))
    and (date_limit >= ?9 or date_limit is null or date_limit = 0)
    order by (ifnull(date_limit, 0) = 0) desc, date_limit desc limit 1";

/// A ban in a list.
#[derive(Debug, PartialEq)]
pub struct ListedBan {
    /// What it goes by, in words.
    pub kind: &'static str,
    /// Whom it is for.
    pub whom: Vec<u8>,
    /// Until when, by whom, why.
    pub ban: Ban,
}

impl ListedBan {
    /// As the columns have it: one of them may say what the other is.
    fn new(ban: Ban, ip: &[u8], nick: &[u8]) -> ListedBan {
        let is_mark = |text: &[u8]| text.is_empty() || BanKind::ALL.iter().any(|kind| kind.mark() == text);
        let mark = if is_mark(ip) { ip } else { nick };
        let by_mark = BanKind::ALL.iter().find(|kind| kind.mark() == mark && !mark.is_empty());
        let (kind, whom) = match (is_mark(ip), is_mark(nick)) {
            (false, false) => ("user", [nick, b" ", ip].concat()),
            (true, _) => (by_mark.map_or("nick", |kind| kind.word()), nick.to_vec()),
            (_, true) => (by_mark.map_or("address", |kind| kind.word()), ip.to_vec()),
        };
        ListedBan { kind, whom, ban }
    }
}

fn range_columns(range: Range) -> (Value, Value) {
    let (first, last) = range.ends();
    (address_column(first), address_column(last))
}

impl Database {
    /// Sets a ban. A ban of the same key is replaced, unless it holds longer. Gives until when
    /// there is a ban now, 0 for ever; `None` when the target has not what this kind goes by.
    pub fn add_ban(&self, ban: &NewBan<'_>, now: i64) -> rusqlite::Result<Option<i64>> {
        let Some((ip, nick)) = key(ban.kind, ban.target) else { return Ok(None) };
        let target = ban.target;
        let until = if ban.seconds > 0 { now.saturating_add(ban.seconds) } else { 0 };
        let range = target.range.map(range_columns);
        let mut statement = self.connection.prepare_cached(
            "insert into banlist (ip, nick, ban_type, host, range_fr, range_to, date_start, date_limit,
             nick_op, reason, note_op, note_usr, share_size, last_hit)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0)
             on conflict (ip, nick) do update set
             date_limit = case when ?8 = 0 or (date_limit != 0 and date_limit < ?8) then ?8 else date_limit end,
             ban_type = ?3, range_fr = ?5, range_to = ?6, nick_op = ?9, reason = ?10
             returning date_limit",
        )?;
        let values = params![
            Text(&ip),
            Text(&nick),
            ban.kind as i64,
            Text(&target.host),
            range.as_ref().map_or(&Value::Integer(0), |range| &range.0),
            range.as_ref().map_or(&Value::Integer(0), |range| &range.1),
            now,
            until,
            Text(ban.op),
            Text(ban.reason),
            Text(ban.note_op),
            Text(ban.note_usr),
            target.share.unwrap_or(0).to_string(),
        ];
        // Read to its end, or it would not be complete.
        let mut rows = statement.query(values)?;
        let until = rows.next()?.map(|row| row.get::<_, Option<i64>>(0)).transpose()?.flatten();
        while rows.next()?.is_some() {}
        Ok(Some(until.unwrap_or(0)))
    }

    /// The ban that keeps somebody out, the longest one; its last hit is noted, if that can be.
    pub fn find_ban(&self, who: &Target, now: i64) -> rusqlite::Result<Option<Ban>> {
        let ip = who.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let host = |kind| host_part(kind, &who.host).unwrap_or_default();
        let mut statement = self.connection.prepare_cached(FIND)?;
        let found = statement
            .query_row(
                params![
                    ip,
                    Text(&who.nick),
                    who.ip.map(address_column),
                    who.share.filter(|share| *share > 0).map(|share| share.to_string()),
                    Text(&host(BanKind::Host1)),
                    Text(&host(BanKind::Host2)),
                    Text(&host(BanKind::Host3)),
                    Text(&host(BanKind::HostR1)),
                    now,
                ],
                |row| {
                    let until = row.get::<_, Option<i64>>(0)?.filter(|until| *until > 0);
                    let ban = Ban { until, op: column(row, 1)?, reason: column(row, 2)? };
                    Ok((ban, column(row, 3)?, column(row, 4)?))
                },
            )
            .optional()?;
        let Some((ban, ip, nick)) = found else { return Ok(None) };
        let hit = self
            .connection
            .prepare_cached("update banlist set last_hit = ? where ip = ? and nick = ?")
            .and_then(|mut update| update.execute(params![now, Text(&ip), Text(&nick)]));
        if let Err(error) = hit {
            // A full disk lets nobody in who is banned.
            log::error!("noting the hit of a ban: the database says: {error}");
        }
        Ok(Some(ban))
    }

    /// The bans that hold and are meant, the newest first, and whether there are more.
    pub fn list_bans(
        &self,
        pattern: &Pattern,
        now: i64,
        most: usize,
    ) -> rusqlite::Result<(Vec<ListedBan>, bool)> {
        let mut statement = self.connection.prepare_cached(
            "select date_limit, nick_op, reason, ip, nick from banlist
             where date_limit >= ? or date_limit is null or date_limit = 0 order by date_start desc",
        )?;
        let mut rows = statement.query([now])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let until = row.get::<_, Option<i64>>(0)?.filter(|until| *until > 0);
            let ban = Ban { until, op: column(row, 1)?, reason: column(row, 2)? };
            let listed = ListedBan::new(ban, &column(row, 3)?, &column(row, 4)?);
            if !pattern.is_any(&[&listed.whom, &listed.ban.op, &listed.ban.reason]) {
                continue;
            }
            if found.len() == most {
                return Ok((found, true));
            }
            found.push(listed);
        }
        Ok((found, false))
    }

    /// How many bans hold.
    pub fn count_bans(&self, now: i64) -> rusqlite::Result<i64> {
        let mut statement = self.connection.prepare_cached(
            "select count(*) from banlist where date_limit >= ? or date_limit is null or date_limit = 0",
        )?;
        statement.query_row([now], |row| row.get(0))
    }

    /// Whether any ban goes by a host name, so that those must be looked up.
    pub fn has_host_bans(&self, now: i64) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "select exists (select 1 from banlist where ip in ('_host1ban_', '_host2ban_', '_host3ban_',
             '_hostr1ban_') and (date_limit >= ? or date_limit is null or date_limit = 0))",
        )?;
        statement.query_row([now], |row| row.get(0))
    }

    /// Lifts all bans of a nick, an address, a range as it was written, or a host, and keeps
    /// them in `unbanlist`. Gives how many there were.
    pub fn lift_bans(&self, what: &[u8], op: &[u8], reason: &[u8], now: i64) -> rusqlite::Result<usize> {
        let text = std::str::from_utf8(what).unwrap_or_default();
        // An address of IPv6 can be written in many ways.
        let ip = text.parse::<IpAddr>().map(|ip| ip.to_canonical().to_string());
        let what = ip.as_ref().map_or(what, |ip| ip.as_bytes());
        let is_range = find(what, b"-").is_some() || find(what, b"/").is_some();
        let range = Range::parse(text).filter(|_| is_range).map(range_columns);
        let matching = "(ip = ?1 or nick = ?1 or (nick = '_rangeban_' and range_fr = ?2 and range_to = ?3))";
        self.lift(
            matching,
            params![Text(what), range.as_ref().map(|r| &r.0), range.as_ref().map(|r| &r.1)],
            op,
            reason,
            now,
        )
    }

    /// Lifts a nick's or an address's bans that would end by themselves.
    pub fn lift_temporary(&self, nick: &[u8], ip: &[u8], now: i64) -> rusqlite::Result<usize> {
        let matching = "((nick = ?1 and ?1 != '') or (ip = ?2 and ?2 != '')) and date_limit > 0";
        self.lift(matching, params![Text(nick), Text(ip)], b"", b"", now)
    }

    fn lift(
        &self,
        matching: &str,
        params: &[&dyn rusqlite::ToSql],
        op: &[u8],
        reason: &[u8],
        now: i64,
    ) -> rusqlite::Result<usize> {
        const COLUMNS: &str = "ip, nick, ban_type, host, range_fr, range_to, date_start, date_limit, last_hit, \
             nick_op, reason, note_op, note_usr, share_size";
        let more = params.len();
        let copy = format!(
            "replace into unbanlist ({COLUMNS}, date_unban, unban_op, unban_reason)
             select {COLUMNS}, ?{}, ?{}, ?{} from banlist where {matching}",
            more + 1,
            more + 2,
            more + 3
        );
        let (op, reason) = (Text(op), Text(reason));
        let mut all = params.to_vec();
        all.extend_from_slice(&[&now as &dyn rusqlite::ToSql, &op, &reason]);
        let both = self.connection.unchecked_transaction()?;
        both.prepare_cached(&copy)?.execute(all.as_slice())?;
        let lifted =
            both.prepare_cached(&format!("delete from banlist where {matching}"))?.execute(params)?;
        both.commit()?;
        Ok(lifted)
    }
}

/// The primary key of a ban: `ip` and `nick`.
fn key(kind: BanKind, target: &Target) -> Option<(Vec<u8>, Vec<u8>)> {
    let ip = target.ip.map(|ip| ip.to_string().into_bytes());
    let nick = (!target.nick.is_empty()).then(|| target.nick.clone());
    let mark = kind.mark().to_vec();
    Some(match kind {
        BanKind::NickIp => match (ip, nick) {
            (None, None) => return None,
            (ip, nick) => (
                ip.unwrap_or_else(|| BanKind::Nick.mark().to_vec()),
                nick.unwrap_or_else(|| BanKind::Ip.mark().to_vec()),
            ),
        },
        BanKind::Ip => (ip?, mark),
        BanKind::Nick | BanKind::Prefix => (mark, nick?),
        // Each range has a key of its own, unlike in Verlihub, where an address may have one.
        BanKind::Range => {
            let (first, last) = target.range?.ends();
            (format!("{first}-{last}").into_bytes(), mark)
        }
        BanKind::Share => (target.share.filter(|share| *share > 0)?.to_string().into_bytes(), mark),
        BanKind::Host1 | BanKind::Host2 | BanKind::Host3 | BanKind::HostR1 => {
            (mark, host_part(kind, &target.host)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(nick: &str, ip: &str, host: &str, share: u64) -> Target {
        Target { nick: nick.into(), ip: ip.parse().ok(), range: None, host: host.into(), share: Some(share) }
    }

    fn set(database: &Database, kind: BanKind, target: &Target, seconds: i64) -> bool {
        let ban = NewBan { kind, target, op: b"op", reason: b"why", seconds, note_op: b"", note_usr: b"" };
        database.add_ban(&ban, 1000).unwrap().is_some()
    }

    #[test]
    fn each_kind_keeps_out_whom_it_should_and_nobody_else() {
        let bad = || somebody("Bad", "10.1.2.3", "host7.dial.example", 7);
        let cases = [
            (
                BanKind::NickIp,
                bad(),
                vec![somebody("bad", "9.9.9.9", "", 0), somebody("x", "10.1.2.3", "", 0)],
            ),
            (BanKind::Ip, bad(), vec![somebody("x", "10.1.2.3", "", 0)]),
            (BanKind::Nick, bad(), vec![somebody("BAD", "9.9.9.9", "", 0)]),
            (
                BanKind::Range,
                Target::written(BanKind::Range, b"10.1.2.0/24"),
                vec![somebody("x", "10.1.2.77", "", 0)],
            ),
            (BanKind::Host1, bad(), vec![somebody("x", "9.9.9.9", "other.example", 0)]),
            (BanKind::Host2, bad(), vec![somebody("x", "9.9.9.9", "b.dial.example", 0)]),
            (BanKind::Host3, bad(), vec![somebody("x", "9.9.9.9", "c.host7.dial.example", 0)]),
            (BanKind::HostR1, bad(), vec![somebody("x", "9.9.9.9", "host7.other", 0)]),
            (BanKind::Share, bad(), vec![somebody("x", "9.9.9.9", "", 7)]),
            (BanKind::Prefix, bad(), vec![somebody("baddest", "9.9.9.9", "", 0)]),
        ];
        for (kind, target, out) in cases {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(folder.path()).unwrap();
            assert!(set(&database, kind, &target, 60), "{kind:?}");
            let ban = NewBan {
                kind,
                target: &target,
                op: b"",
                reason: b"",
                seconds: 60,
                note_op: b"",
                note_usr: b"",
            };
            for who in out {
                assert!(ban.keeps_out(&who), "{kind:?} {who:?}");
                let ban = database.find_ban(&who, 1030).unwrap();
                assert!(
                    ban.is_some_and(|ban| ban.until == Some(1060) && ban.reason == b"why"),
                    "{kind:?} {who:?}"
                );
                assert_eq!(database.find_ban(&who, 1061).unwrap(), None, "{kind:?} ends");
            }
            for who in [somebody("good", "8.8.8.8", "a.b.other", 0), somebody("", "8.8.4.4", "", 0)] {
                assert_eq!(database.find_ban(&who, 1030).unwrap(), None, "{kind:?} {who:?}");
                assert!(!ban.keeps_out(&who), "{kind:?} {who:?}");
            }
        }
    }

    #[test]
    fn a_new_ban_keeps_out_whom_the_database_says() {
        let text = |of: &'static [&'static str]| proptest::sample::select(of);
        let nicks = || text(&["", "a", "A", "ab", "aB", "b", "abc"]);
        let addresses = || text(&["", "10.0.0.1", "10.0.0.2", "10.0.1.1", "::ffff:10.0.0.1", "2001:db8::1"]);
        let hosts = || text(&["", "x", "x.y", "w.x.y", "W.X.Y", "v.w.x.y"]);
        let ranges = text(&["", "10.0.0.0/24", "10.0.0.1-10.0.0.1", "10.0.0.0-10.0.1.255"]);
        let cases = (
            0..10i64,
            (nicks(), addresses(), hosts(), 0..3u64),
            ranges,
            (nicks(), addresses(), hosts(), 0..3u64),
        );
        let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config {
            cases: 2000,
            failure_persistence: None,
            ..Default::default()
        });
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        runner
            .run(&cases, |(kind, (nick, ip, host, share), within, (nick2, ip2, host2, share2))| {
                database.connection.execute("delete from banlist", []).unwrap();
                let kind = BanKind::from_number(kind).unwrap();
                let mut target = somebody(nick, ip, host, share);
                target.range = Range::parse(within);
                let who = somebody(nick2, ip2, host2, share2);
                let ban = NewBan {
                    kind,
                    target: &target,
                    op: b"",
                    reason: b"",
                    seconds: 0,
                    note_op: b"",
                    note_usr: b"",
                };
                let stored = database.add_ban(&ban, 1000).unwrap().is_some();
                let found = database.find_ban(&who, 1000).unwrap().is_some();
                proptest::prop_assert_eq!(
                    stored && ban.keeps_out(&who),
                    found,
                    "{:?} {:?} {:?}",
                    kind,
                    target,
                    who
                );
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn bans_are_lifted_and_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let bad = somebody("Bad", "10.1.2.3", "", 7);
        set(&database, BanKind::Nick, &bad, 0);
        set(&database, BanKind::Ip, &bad, 60);
        set(&database, BanKind::Range, &Target::written(BanKind::Range, b"10.0.0.0-10.255.255.255"), 0);
        assert_eq!(database.lift_temporary(b"bad", b"", 1).unwrap(), 0, "for ever is not temporary");
        assert_eq!(database.lift_temporary(b"", b"10.1.2.3", 1).unwrap(), 1);
        assert_eq!(database.lift_bans(b"BAD", b"op", b"sorry", 2000).unwrap(), 1);
        assert!(database.find_ban(&bad, 2000).unwrap().is_some(), "the range holds");
        assert_eq!(database.lift_bans(b"10.0.0.0/8", b"op", b"", 2000).unwrap(), 1);
        assert_eq!(database.find_ban(&bad, 2000).unwrap(), None);
        let lifted = "select count(*) from unbanlist where nick = 'bad'";
        assert_eq!(database.connection.query_row(lifted, [], |row| row.get::<_, i64>(0)), Ok(1));
    }

    #[test]
    fn a_ban_for_ever_outlasts_a_shorter_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let bad = somebody("Bad", "10.1.2.3", "", 7);
        set(&database, BanKind::Nick, &bad, 0);
        set(&database, BanKind::Nick, &bad, 60);
        assert_eq!(database.find_ban(&bad, 5000).unwrap().unwrap().until, None);
    }

    #[test]
    fn ranges_of_both_kinds_keep_apart() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        for range in ["2001:db8::/32", "::5-::9", "0.0.0.0/1", "fe80::/10"] {
            assert!(set(&database, BanKind::Range, &Target::written(BanKind::Range, range.as_bytes()), 0));
        }
        let is_out = |ip: &str| database.find_ban(&somebody("x", ip, "", 0), 2000).unwrap().is_some();
        for out in ["2001:db8::", "2001:db8:ffff::1", "::5", "::9", "1.2.3.4", "::ffff:1.2.3.4", "febf::1"] {
            assert!(is_out(out), "{out}");
        }
        for within in ["2001:db7:ffff::1", "2001:db9::", "::4", "::a", "200.2.3.4", "fec0::1"] {
            assert!(!is_out(within), "{within}");
        }
        assert_eq!(database.lift_bans(b"2001:DB8::0/32", b"op", b"", 2000).unwrap(), 1);
        assert!(!is_out("2001:db8::1"));
        let one = Target::written(BanKind::Ip, b"2001:DB8:0::1");
        assert!(set(&database, BanKind::Ip, &one, 0) && is_out("2001:db8::1"));
        assert_eq!(database.lift_bans(b"2001:0db8::1", b"op", b"", 2000).unwrap(), 1);
        assert!(!is_out("2001:db8::1"));
    }
}
