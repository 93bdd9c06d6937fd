//! Functions of many rows: what SQLite's own do not do.

use std::collections::HashSet;

use bigdecimal::{BigDecimal, RoundingMode};
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;

use super::{decimal, number};
use crate::hub::sql::collate;
use crate::hub::sql::session::{Datum, Env};

/// How many bytes all groups of one query may gather at a time.
const MOST_GATHERED: usize = 8 << 20;

/// `GROUP_CONCAT`'s default length; what is more is cut off.
const LONGEST_GROUP: usize = 1 << 20;

fn fault(why: impl Into<String>) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(why.into().into())
}

/// Makes them known to a connection.
pub fn register(connection: &Connection, env: &Env) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let aggregate = |name: &'static str| (name, -1, flags);
    let (name, count, _) = aggregate("vh_group_concat");
    connection.create_aggregate_function(name, count, flags, GroupConcat(env.clone()))?;
    connection.create_aggregate_function("vh_sum", 1, flags, Sum)?;
    connection.create_aggregate_function("vh_avg", 1, flags, Average)?;
    for (name, sample, root) in [
        ("vh_var_pop", false, false),
        ("vh_var_samp", true, false),
        ("vh_std_pop", false, true),
        ("vh_std_samp", true, true),
    ] {
        connection.create_aggregate_function(name, 1, flags, Variance { sample, root })?;
    }
    for (name, start, step) in [
        ("vh_bit_and", -1, (|all, one| all & one) as fn(i64, i64) -> i64),
        ("vh_bit_or", 0, |all, one| all | one),
        ("vh_bit_xor", 0, |all, one| all ^ one),
    ] {
        connection.create_aggregate_function(name, 1, flags, Bits { start, step })?;
    }
    Ok(())
}

/// Text, separator, whether each text counts once.
struct GroupConcat(Env);

/// What a group has gathered.
#[derive(Default)]
struct Gathered {
    all: Vec<u8>,
    started: bool,
    /// The weights of what is there, where each text counts once.
    seen: HashSet<Vec<u32>>,
    /// Bytes that were counted.
    bytes: usize,
}

impl Aggregate<Gathered, Datum> for GroupConcat {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Gathered> {
        Ok(Gathered::default())
    }

    fn step(&self, context: &mut Context<'_>, group: &mut Gathered) -> rusqlite::Result<()> {
        let Datum::Text(text) = Datum::of(context.get_raw(0)) else { return Ok(()) };
        let before = group.bytes;
        let once = match context.get_raw(2) {
            ValueRef::Integer(once) => once,
            _ => 0,
        };
        if once > 0 {
            let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            let key: Vec<u32> = if once == 1 {
                collate::weights(text.get(..end).unwrap_or_default(), self.0.charset).collect()
            } else {
                text.iter().map(|byte| u32::from(*byte)).collect()
            };
            group.bytes += key.len() * 4 + 64;
            if !group.seen.insert(key) {
                group.bytes = before;
                return Ok(());
            }
        }
        if group.started
            && let ValueRef::Text(between) = context.get_raw(1)
        {
            group.all.extend_from_slice(between);
        }
        group.started = true;
        group.bytes += text.len() + 1;
        group.all.extend_from_slice(&text);
        group.all.truncate(LONGEST_GROUP);
        let mut running = self.0.running();
        running.gathered += group.bytes - before;
        if running.gathered > MOST_GATHERED {
            return Err(fault("GROUP_CONCAT gathers too much"));
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, group: Option<Gathered>) -> rusqlite::Result<Datum> {
        let Some(group) = group.filter(|group| group.started) else { return Ok(Datum::Null) };
        let mut running = self.0.running();
        running.gathered = running.gathered.saturating_sub(group.bytes);
        Ok(Datum::Text(group.all))
    }
}

/// The exact sum of whole and decimal numbers.
struct Sum;

impl Aggregate<Option<BigDecimal>, Datum> for Sum {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<BigDecimal>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Option<BigDecimal>) -> rusqlite::Result<()> {
        if let Some(number) = decimal::of(context.get_raw(0)) {
            *sum = Some(match sum.take() {
                Some(sum) => sum + number,
                None => number,
            });
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Option<BigDecimal>>) -> rusqlite::Result<Datum> {
        match sum.flatten() {
            Some(sum) => decimal::result(&sum).map(|text| Datum::Text(text.into_bytes())).map_err(fault),
            None => Ok(Datum::Null),
        }
    }
}

/// The mean of whole and decimal numbers.
struct Average;

impl Aggregate<Option<(BigDecimal, i64)>, Datum> for Average {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<(BigDecimal, i64)>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, state: &mut Option<(BigDecimal, i64)>) -> rusqlite::Result<()> {
        if let Some(number) = decimal::of(context.get_raw(0)) {
            let (sum, count) = state.take().unwrap_or_default();
            *state = Some((sum + number, count + 1));
        }
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        state: Option<Option<(BigDecimal, i64)>>,
    ) -> rusqlite::Result<Datum> {
        let Some((sum, count)) = state.flatten() else { return Ok(Datum::Null) };
        let mean = decimal::divided(&sum, &count.into())
            .unwrap_or_default()
            .with_scale_round(30, RoundingMode::HalfUp);
        Ok(Datum::Text(decimal::written(&mean).into_bytes()))
    }
}

/// Variance and its root (Welford).
struct Variance {
    sample: bool,
    root: bool,
}

impl Aggregate<(f64, f64, f64), Datum> for Variance {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<(f64, f64, f64)> {
        Ok((0.0, 0.0, 0.0))
    }

    fn step(
        &self,
        context: &mut Context<'_>,
        (count, mean, squares): &mut (f64, f64, f64),
    ) -> rusqlite::Result<()> {
        let number = match context.get_raw(0) {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(number) => number as f64,
            ValueRef::Real(number) => number,
            ValueRef::Text(text) | ValueRef::Blob(text) => number::leading(text),
        };
        *count += 1.0;
        let delta = number - *mean;
        *mean += delta / *count;
        *squares += delta * (number - *mean);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<(f64, f64, f64)>) -> rusqlite::Result<Datum> {
        let (count, _, squares) = state.unwrap_or_default();
        let by = if self.sample { count - 1.0 } else { count };
        if by <= 0.0 {
            return Ok(Datum::Null);
        }
        let variance = squares / by;
        Ok(Datum::Real(if self.root { variance.sqrt() } else { variance }))
    }
}

struct Bits {
    start: i64,
    step: fn(i64, i64) -> i64,
}

impl Aggregate<i64, Datum> for Bits {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<i64> {
        Ok(self.start)
    }

    fn step(&self, context: &mut Context<'_>, all: &mut i64) -> rusqlite::Result<()> {
        match context.get_raw(0) {
            ValueRef::Null => {}
            ValueRef::Integer(number) => *all = (self.step)(*all, number),
            ValueRef::Real(number) => *all = (self.step)(*all, number.round() as i64),
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                *all = (self.step)(*all, number::leading(text).round() as i64)
            }
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, all: Option<i64>) -> rusqlite::Result<Datum> {
        Ok(Datum::Int(all.unwrap_or(self.start)))
    }
}
