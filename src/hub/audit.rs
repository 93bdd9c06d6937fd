//! What operators did: who, what, to whom, when; in the database, so that it outlives the hub, and
//! bounded. It never holds a password.

use rusqlite::params;

use super::Hub;
use super::database::{Database, Text, column};
use super::pattern::Pattern;

/// How many acts are kept; older ones go.
const MOST: i64 = 10_000;

/// What somebody did.
#[derive(Debug, PartialEq)]
pub struct Act {
    /// When, in seconds since the epoch.
    pub time: i64,
    /// Who.
    pub op: Vec<u8>,
    /// What: the name of a command.
    pub what: Vec<u8>,
    /// To whom or to what.
    pub whom: Vec<u8>,
    /// What else there is to say, such as the reason.
    pub detail: Vec<u8>,
}

impl Hub {
    /// Notes what somebody did; if that cannot be stored, the log says so.
    pub(super) fn acted(&self, op: &[u8], what: &str, whom: &[u8], detail: &[u8]) {
        let act = Act {
            time: self.clock.seconds,
            op: op.to_vec(),
            what: what.into(),
            whom: whom.to_vec(),
            detail: detail.to_vec(),
        };
        self.noted("noting what an operator did", self.database.add_act(&act));
    }
}

impl Database {
    /// Notes an act, and forgets the oldest ones that are too many.
    pub fn add_act(&self, act: &Act) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("insert into vhpy_audit (time, op, what, whom, detail) values (?, ?, ?, ?, ?)")?
            .execute(params![act.time, Text(&act.op), Text(&act.what), Text(&act.whom), Text(&act.detail)])?;
        let newest = self.connection.last_insert_rowid();
        self.connection
            .prepare_cached("delete from vhpy_audit where number <= ?")?
            .execute([newest - MOST])?;
        Ok(())
    }

    /// The newest acts that are meant, the newest first, and whether there are more.
    pub fn acts(&self, pattern: &Pattern, most: usize) -> rusqlite::Result<(Vec<Act>, bool)> {
        let mut statement = self
            .connection
            .prepare_cached("select time, op, what, whom, detail from vhpy_audit order by number desc")?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let act = Act {
                time: row.get(0)?,
                op: column(row, 1)?,
                what: column(row, 2)?,
                whom: column(row, 3)?,
                detail: column(row, 4)?,
            };
            if !pattern.is_any(&[&act.op, &act.what, &act.whom, &act.detail]) {
                continue;
            }
            if found.len() == most {
                return Ok((found, true));
            }
            found.push(act);
        }
        Ok((found, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(time: i64, whom: &str) -> Act {
        Act { time, op: "op".into(), what: "kick".into(), whom: whom.into(), detail: b"\xff".to_vec() }
    }

    #[test]
    fn the_newest_acts_come_first_and_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let all = Pattern::new(b"").unwrap();
        for time in 0..MOST + 5 {
            database.add_act(&act(time, if time % 2 == 0 { "alice" } else { "bob" })).unwrap();
        }
        let (found, more) = database.acts(&all, usize::MAX).unwrap();
        assert_eq!((found.len(), more), (usize::try_from(MOST).unwrap(), false));
        assert_eq!((found[0].time, found[found.len() - 1].time), (MOST + 4, 5));
        let (found, more) = database.acts(&Pattern::new(b"alice").unwrap(), 2).unwrap();
        assert_eq!((found, more), (vec![act(MOST + 4, "alice"), act(MOST + 2, "alice")], true));
    }
}
