//! Calls of MySQL's functions: what each is in SQLite, with what types its arguments go in and
//! its answer comes out. What they do is in [`functions`](super::functions).

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, OrderByExpr, WindowFrameBound, WindowSpec, WindowType,
};

use super::SqlError;
use super::expression::{Binder, unsupported};
use super::operators::{exact, int, modulo, moved, text_kind};
use super::term::{Ex, Literal};
use super::types::Type;

/// A function that needs nothing but conversions.
struct Plain {
    name: &'static str,
    /// One letter for each argument: `t` text, `n` number, `i` whole number, `m` moment as it is,
    /// `e` exact number; after `?` they may be missing; `*` repeats the last.
    arguments: &'static str,
    gives: Type,
    calls: &'static str,
}

const fn plain(name: &'static str, arguments: &'static str, gives: Type, calls: &'static str) -> Plain {
    Plain { name, arguments, gives, calls }
}

use Type::{Bytes, Date, DateTime, Double, Int, Text, Time, UInt};

const PLAIN: &[Plain] = &[
    plain("concat", "t*", Text, "vh_concat"),
    plain("concat_ws", "tt*", Text, "vh_concat_ws"),
    plain("left", "ti", Text, "vh_left"),
    plain("right", "ti", Text, "vh_right"),
    plain("substring", "ti?i", Text, "vh_substr"),
    plain("substr", "ti?i", Text, "vh_substr"),
    plain("mid", "tii", Text, "vh_substr"),
    plain("length", "t", Int, "vh_octets"),
    plain("octet_length", "t", Int, "vh_octets"),
    plain("bit_length", "t", Int, "vh_bits"),
    plain("char_length", "t", Int, "vh_chars"),
    plain("character_length", "t", Int, "vh_chars"),
    plain("lower", "t", Text, "vh_lower"),
    plain("lcase", "t", Text, "vh_lower"),
    plain("upper", "t", Text, "vh_upper"),
    plain("ucase", "t", Text, "vh_upper"),
    plain("replace", "ttt", Text, "vh_replace"),
    plain("reverse", "t", Text, "vh_reverse"),
    plain("repeat", "ti", Text, "vh_repeat"),
    plain("lpad", "ti?t", Text, "vh_lpad"),
    plain("rpad", "ti?t", Text, "vh_rpad"),
    plain("strcmp", "tt", Int, "vh_strcmp"),
    plain("find_in_set", "tt", Int, "vh_find_in_set"),
    plain("elt", "it*", Text, "vh_elt"),
    plain("make_set", "it*", Text, "vh_make_set"),
    plain("unhex", "t", Bytes, "vh_unhex"),
    plain("char", "i*", Bytes, "vh_char"),
    plain("ascii", "t", Int, "vh_ascii"),
    plain("ord", "t", Int, "vh_ord"),
    plain("md5", "t", Text, "vh_md5"),
    plain("sha1", "t", Text, "vh_sha1"),
    plain("sha", "t", Text, "vh_sha1"),
    plain("sha2", "ti", Text, "vh_sha2"),
    plain("crc32", "t", UInt, "vh_crc32"),
    plain("insert", "tiit", Text, "vh_insert"),
    plain("space", "i", Text, "vh_space"),
    plain("quote", "t", Text, "vh_quote"),
    plain("substring_index", "tti", Text, "vh_substring_index"),
    plain("soundex", "t", Text, "vh_soundex"),
    plain("to_base64", "t", Text, "vh_to_base64"),
    plain("from_base64", "t", Bytes, "vh_from_base64"),
    plain("regexp_substr", "tt", Text, "vh_regexp_substr"),
    plain("regexp_instr", "tt", Int, "vh_regexp_instr"),
    plain("regexp_replace", "ttt", Text, "vh_regexp_replace"),
    plain("inet_aton", "t", Int, "vh_inet_aton"),
    plain("inet_ntoa", "i", Text, "vh_inet_ntoa"),
    plain("inet6_aton", "t", Bytes, "vh_inet6_aton"),
    plain("inet6_ntoa", "t", Text, "vh_inet6_ntoa"),
    plain("is_ipv4", "t", Int, "vh_is_ipv4"),
    plain("is_ipv6", "t", Int, "vh_is_ipv6"),
    plain("uuid", "", Text, "vh_uuid"),
    plain("format", "ei", Text, "vh_format"),
    plain("conv", "tii", Text, "vh_conv"),
    plain("sign", "n", Int, "vh_sign"),
    plain("pow", "nn", Double, "vh_pow"),
    plain("power", "nn", Double, "vh_pow"),
    plain("sqrt", "n", Double, "vh_sqrt"),
    plain("exp", "n", Double, "vh_exp"),
    plain("ln", "n", Double, "vh_ln"),
    plain("log2", "n", Double, "vh_log2"),
    plain("log10", "n", Double, "vh_log10"),
    plain("sin", "n", Double, "vh_sin"),
    plain("cos", "n", Double, "vh_cos"),
    plain("tan", "n", Double, "vh_tan"),
    plain("cot", "n", Double, "vh_cot"),
    plain("asin", "n", Double, "vh_asin"),
    plain("acos", "n", Double, "vh_acos"),
    plain("atan2", "nn", Double, "vh_atan2"),
    plain("degrees", "n", Double, "vh_degrees"),
    plain("radians", "n", Double, "vh_radians"),
    plain("bit_count", "i", Int, "vh_bit_count"),
    plain("rand", "?i", Double, "vh_rand"),
    plain("interval", "nn*", Int, "vh_interval"),
    plain("utc_timestamp", "?i", DateTime, "vh_utc"),
    plain("from_unixtime", "n?t", DateTime, "vh_from_unix"),
    plain("date", "m", Date, "vh_date"),
    plain("time", "m", Time, "vh_time"),
    plain("date_format", "mt", Text, "vh_date_format"),
    plain("time_format", "mt", Text, "vh_time_format"),
    plain("datediff", "mm", Int, "vh_datediff"),
    plain("timediff", "mm", Time, "vh_timediff"),
    plain("to_days", "m", Int, "vh_to_days"),
    plain("from_days", "i", Date, "vh_from_days"),
    plain("to_seconds", "m", Int, "vh_to_seconds"),
    plain("year", "m", Int, "vh_year"),
    plain("month", "m", Int, "vh_month"),
    plain("day", "m", Int, "vh_day"),
    plain("dayofmonth", "m", Int, "vh_day"),
    plain("hour", "m", Int, "vh_hour"),
    plain("minute", "m", Int, "vh_minute"),
    plain("second", "m", Int, "vh_second"),
    plain("microsecond", "m", Int, "vh_microsecond"),
    plain("quarter", "m", Int, "vh_quarter"),
    plain("dayofweek", "m", Int, "vh_dayofweek"),
    plain("weekday", "m", Int, "vh_weekday"),
    plain("dayofyear", "m", Int, "vh_dayofyear"),
    plain("dayname", "m", Text, "vh_dayname"),
    plain("monthname", "m", Text, "vh_monthname"),
    plain("week", "m?i", Int, "vh_week"),
    plain("yearweek", "m?i", Int, "vh_yearweek"),
    plain("last_day", "m", Date, "vh_last_day"),
    plain("makedate", "ii", Date, "vh_makedate"),
    plain("maketime", "iii", Time, "vh_maketime"),
    plain("sec_to_time", "n", Time, "vh_sec_to_time"),
    plain("time_to_sec", "m", Int, "vh_time_to_sec"),
    plain("period_add", "ii", Int, "vh_period_add"),
    plain("period_diff", "ii", Int, "vh_period_diff"),
    plain("found_rows", "", Int, "vh_found_rows"),
    plain("row_count", "", Int, "vh_row_count"),
    plain("last_insert_id", "?i", Int, "vh_last_insert_id"),
];

impl Binder<'_> {
    /// A call as the query has it.
    pub fn function(&mut self, function: &Function) -> Result<Ex, SqlError> {
        let name = function.name.to_string().trim_matches('`').to_ascii_lowercase();
        let list = match &function.args {
            FunctionArguments::List(list) => Some(list),
            FunctionArguments::None => None,
            FunctionArguments::Subquery(_) => return Err(unsupported(format!("{name}(SELECT …)"))),
        };
        let mut arguments = Vec::new();
        let mut star = false;
        for argument in list.iter().flat_map(|list| &list.args) {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => arguments.push(expr.clone()),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => star = true,
                _ => return Err(unsupported(format!("arguments of {name}()"))),
            }
        }
        let distinct =
            list.is_some_and(|list| list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
        let clauses = list.map_or(&[][..], |list| &list.clauses);
        if let Some(ex) =
            self.gathering(&name, &arguments, star, distinct, clauses, function.over.as_ref())?
        {
            return Ok(ex);
        }
        if star || distinct || function.over.is_some() {
            return Err(unsupported(format!("{name}() with *, DISTINCT or OVER")));
        }
        self.call(&name, &arguments)
    }

    fn bound(&mut self, arguments: &[Expr]) -> Result<Vec<Ex>, SqlError> {
        arguments.iter().map(|each| self.expression(each)).collect()
    }

    /// A call of a function of one row.
    pub fn call(&mut self, name: &str, arguments: &[Expr]) -> Result<Ex, SqlError> {
        if let Some(ex) = self.special(name, arguments)? {
            return Ok(ex);
        }
        let Some(plain) = PLAIN.iter().find(|plain| plain.name == name) else {
            return Err(SqlError::NoFunction(name.into()));
        };
        let arguments = self.bound(arguments)?;
        let needed = plain.arguments.split('?').next().map_or(0, |needed| needed.trim_end_matches('*').len());
        let letters: Vec<char> = plain.arguments.chars().filter(|sign| !matches!(sign, '?' | '*')).collect();
        let repeats = plain.arguments.ends_with('*');
        if arguments.len() < needed || arguments.len() > letters.len() && !repeats {
            return Err(SqlError::Wrong(format!(
                "Incorrect parameter count in the call to native function '{name}'"
            )));
        }
        let converted: Vec<String> = arguments
            .iter()
            .enumerate()
            .map(|(at, ex)| match letters.get(at).or(letters.last()) {
                Some('t') => ex.text(),
                Some('n') => ex.number(),
                Some('i') => int(ex),
                Some('e') => exact(ex),
                _ => ex.sql.clone(),
            })
            .collect();
        let gives = match plain.gives {
            Text if !matches!(name, "md5" | "sha1" | "quote") => text_kind(&arguments),
            gives => gives,
        };
        let gives = if name == "from_unixtime" && arguments.len() > 1 { Text } else { gives };
        Ok(Ex::new(format!("{}({})", plain.calls, converted.join(", ")), gives).like(&arguments))
    }

    /// Functions whose types or arguments need more than a table.
    fn special(&mut self, name: &str, arguments: &[Expr]) -> Result<Option<Ex>, SqlError> {
        if let ("date_add" | "adddate" | "date_sub" | "subdate", [moment, Expr::Interval(interval)]) =
            (name, arguments)
        {
            return self.move_time(moment, interval, name.contains("sub")).map(Some);
        }
        if let ("timestampdiff" | "timestampadd", [Expr::Identifier(unit), one, other]) = (name, arguments) {
            let unit = unit.value.to_ascii_lowercase();
            let (one, other) = (self.expression(one)?, self.expression(other)?);
            return Ok(Some(if name == "timestampadd" {
                moved(&other, &one, &unit.replace("sql_tsi_", ""), false)
            } else {
                Ex::new(format!("vh_timestampdiff('{unit}', {}, {})", one.sql, other.sql), Int)
                    .like([&one, &other])
            }));
        }
        if let ("values" | "value", [Expr::Identifier(column)]) = (name, arguments) {
            let name = self.source.name(&column.value);
            let Some(scope) = self.scopes.last().filter(|scope| scope.values) else {
                return Ok(Some(Ex::new("null", Type::Null)));
            };
            let table = scope.tables.first().and_then(|from| from.table.clone());
            let found = table
                .as_ref()
                .and_then(|table| table.column(&name).map(|column| self.read("excluded", table, column)));
            return found.map(Some).ok_or(SqlError::NoColumn(name));
        }
        if let ("default", [column]) = (name, arguments) {
            return self.default_of(column).map(Some);
        }
        let all = self.bound(arguments)?;
        let kind_of = |all: &[Ex]| all.iter().fold(Type::Null, |kind, ex| kind.or(ex.kind));
        let converted =
            |all: &[Ex], kind: Type| all.iter().map(|ex| ex.converted(kind)).collect::<Vec<_>>().join(", ");
        let ex = match (name, all.as_slice()) {
            ("if", [condition, one, other]) => {
                let kind = one.kind.or(other.kind);
                Ex::new(
                    format!(
                        "iif({}, {}, {})",
                        condition.number(),
                        one.converted(kind),
                        other.converted(kind)
                    ),
                    kind,
                )
            }
            ("ifnull" | "nvl", [_, _]) | ("coalesce", [_, _, ..]) => {
                let kind = kind_of(&all);
                Ex::new(format!("coalesce({})", converted(&all, kind)), kind)
            }
            ("coalesce", [one]) => one.clone(),
            ("nvl2", [condition, one, other]) => {
                let kind = one.kind.or(other.kind);
                Ex::new(
                    format!(
                        "iif({} is not null, {}, {})",
                        condition.sql,
                        one.converted(kind),
                        other.converted(kind)
                    ),
                    kind,
                )
            }
            ("nullif", [one, other]) => {
                Ex::new(format!("iif({}, null, {})", self.compare(one, "=", other)?, one.sql), one.kind)
            }
            ("isnull", [one]) => Ex::truth(format!("({} is null)", one.sql)),
            ("greatest" | "least", [_, _, ..]) => {
                let kind = kind_of(&all);
                if kind.is_number() {
                    Ex::new(format!("vh_{name}({})", converted(&all, kind)), kind)
                } else {
                    let order = if name == "greatest" { "max" } else { "min" };
                    let list = all
                        .iter()
                        .map(|ex| format!("{} collate mysql", ex.converted(kind)))
                        .collect::<Vec<_>>();
                    Ex::new(format!("{order}({})", list.join(", ")), kind)
                }
            }
            ("field", [first, others @ ..]) if !others.is_empty() => {
                let list =
                    |convert: fn(&Ex) -> String| all.iter().map(convert).collect::<Vec<_>>().join(", ");
                if first.kind.is_number() && others.iter().all(|ex| ex.kind.is_number()) {
                    Ex::new(format!("vh_nfield({})", list(Ex::number)), Int)
                } else {
                    Ex::new(format!("vh_field({})", list(Ex::text)), Int)
                }
            }
            ("locate", [what, text, from @ ..]) if from.len() < 2 => locate(what, text, from.first()),
            ("instr", [text, what]) => locate(what, text, None),
            ("ltrim", [text]) => Ex::new(format!("vh_trim({}, 1, ' ')", text.text()), text_kind([text])),
            ("rtrim", [text]) => Ex::new(format!("vh_trim({}, 2, ' ')", text.text()), text_kind([text])),
            ("trim", [text]) => Ex::new(format!("vh_trim({}, 3, ' ')", text.text()), text_kind([text])),
            ("hex", [one]) => Ex::new(
                format!(
                    "vh_hex({})",
                    if one.kind.is_int() {
                        one.sql.clone()
                    } else if one.kind.is_number() {
                        int(one)
                    } else {
                        one.text()
                    }
                ),
                Text,
            ),
            ("bin", [one]) => Ex::new(format!("vh_conv({}, 10, 2)", int(one)), Text),
            ("oct", [one]) => Ex::new(format!("vh_conv({}, 10, 8)", int(one)), Text),
            ("abs", [one]) => match one.kind {
                Int | UInt => Ex::new(format!("vh_abs({})", one.sql), one.kind),
                Type::Decimal(_) => Ex::new(format!("vh_decabs({})", one.sql), one.kind),
                _ => Ex::new(format!("vh_abs(cast({} as real))", one.number()), Double),
            },
            ("floor" | "ceil" | "ceiling", [one]) => {
                let name = if name == "floor" { "floor" } else { "ceil" };
                match one.kind {
                    Int | UInt => one.clone(),
                    Type::Decimal(_) => Ex::new(format!("vh_{name}({})", one.sql), Int),
                    _ => Ex::new(format!("vh_f{name}({})", one.number()), Double),
                }
            }
            ("round" | "truncate", [one]) => rounded(name, one, None),
            ("round" | "truncate", [one, places]) => rounded(name, one, Some(places)),
            ("mod", [one, other]) => modulo(one, other),
            ("log", [one]) => Ex::new(format!("vh_ln({})", one.number()), Double),
            ("log", [base, one]) => Ex::new(format!("vh_logb({}, {})", base.number(), one.number()), Double),
            ("atan", [one]) => Ex::new(format!("vh_atan({})", one.number()), Double),
            ("atan", [one, other]) => {
                Ex::new(format!("vh_atan2({}, {})", one.number(), other.number()), Double)
            }
            ("pi", []) => Ex::new("'3.141593'", Type::Decimal(6)),
            ("now" | "current_timestamp" | "localtime" | "localtimestamp" | "sysdate", []) => {
                Ex::new("vh_now()", DateTime)
            }
            ("now" | "current_timestamp" | "localtime" | "localtimestamp" | "sysdate", [digits]) => {
                Ex::new(format!("vh_now({})", digits.sql), DateTime)
            }
            ("curdate" | "current_date", []) => Ex::new("vh_curdate()", Date),
            ("curtime" | "current_time", []) => Ex::new("vh_curtime()", Time),
            ("utc_date", []) => Ex::new("vh_utc(1)", Date),
            ("utc_time", []) => Ex::new("vh_utc(2)", Time),
            ("unix_timestamp", []) => Ex::new("vh_unix()", Int),
            ("unix_timestamp", [moment]) => Ex::new(format!("vh_unix_of({})", moment.sql), Int),
            ("timestamp", [moment]) => Ex::new(moment.moment(), DateTime),
            ("timestamp", [moment, more]) => {
                Ex::new(format!("vh_addtime({}, {})", moment.moment(), more.sql), DateTime)
            }
            ("adddate" | "subdate" | "date_add" | "date_sub", [moment, days]) => {
                moved(moment, days, "day", name.contains("sub"))
            }
            ("addtime" | "subtime", [moment, more]) => {
                let kind = if moment.kind.is_temporal() { moment.kind } else { Text };
                let sign = if name == "addtime" { 1 } else { -1 };
                Ex::new(format!("vh_addtime({}, {}, {sign})", moment.sql, more.sql), kind)
            }
            ("weekofyear", [moment]) => Ex::new(format!("vh_week({}, 3)", moment.sql), Int),
            ("str_to_date", [text, format]) => {
                let kind = match &format.literal {
                    Some(Literal::Text(format)) => format_kind(format),
                    _ => DateTime,
                };
                Ex::new(format!("vh_str_to_date({}, {})", text.text(), format.text()), kind)
            }
            ("database" | "schema", []) => Ex::new("'verlihub'", Text),
            ("user" | "current_user" | "session_user" | "system_user", []) => {
                Ex::new("'verlihub@localhost'", Text)
            }
            ("version", []) => Ex::new(format!("'{}'", super::variables::VERSION), Text),
            ("connection_id", []) => Ex::new("1", Int),
            // There is one connection: nobody else has a lock.
            ("get_lock", [_, _]) | ("release_lock" | "is_free_lock", [_]) => Ex::new("1", Int),
            ("charset", [_]) => Ex::new("'utf8mb4'", Text),
            ("collation", [one]) => {
                Ex::new(if one.kind == Bytes { "'utf8mb4_bin'" } else { "'utf8mb4_general_ci'" }, Text)
            }
            ("sleep" | "benchmark" | "load_file", _) => {
                return Err(unsupported(format!("{name}(), for which the hub would have to wait,")));
            }
            _ => return Ok(None),
        };
        Ok(Some(ex.like(&all)))
    }

    fn default_of(&mut self, column: &Expr) -> Result<Ex, SqlError> {
        let name = match column {
            Expr::Identifier(name) => self.source.name(&name.value),
            _ => return Err(unsupported("DEFAULT() of something else than a column")),
        };
        let table =
            self.scopes.last().and_then(|scope| scope.tables.first()).and_then(|from| from.table.clone());
        match table.as_ref().and_then(|table| table.column(&name)) {
            Some(column) => Ok(self.default_value(column)),
            None => Err(SqlError::NoColumn(name)),
        }
    }

    /// What stands in a column when nothing is said; NULL when nothing is.
    pub fn default_value(&mut self, column: &super::catalog::Column) -> Ex {
        match &column.default {
            Some(super::catalog::Default::Text(text)) => {
                let bytes = self.source.encode(text);
                self.string(bytes)
            }
            Some(super::catalog::Default::Now) => Ex::new("vh_now()", DateTime),
            None => Ex::new("null", Type::Null),
        }
    }

    /// Functions that gather rows, or look at those around.
    fn gathering(
        &mut self,
        name: &str,
        arguments: &[Expr],
        star: bool,
        distinct: bool,
        clauses: &[FunctionArgumentClause],
        over: Option<&WindowType>,
    ) -> Result<Option<Ex>, SqlError> {
        let known = matches!(
            name,
            "count"
                | "sum"
                | "avg"
                | "min"
                | "max"
                | "group_concat"
                | "std"
                | "stddev"
                | "stddev_pop"
                | "stddev_samp"
                | "variance"
                | "var_pop"
                | "var_samp"
                | "bit_and"
                | "bit_or"
                | "bit_xor"
        );
        let around = over.is_some()
            && matches!(
                name,
                "row_number"
                    | "rank"
                    | "dense_rank"
                    | "percent_rank"
                    | "cume_dist"
                    | "ntile"
                    | "lag"
                    | "lead"
                    | "first_value"
                    | "last_value"
                    | "nth_value"
            );
        if !known && !around {
            return Ok(None);
        }
        let all = self.bound(arguments)?;
        if all.iter().any(|ex| ex.gathers) {
            return Err(SqlError::Wrong("Invalid use of group function".into()));
        }
        let only = if distinct { "distinct " } else { "" };
        let number = |ex: &Ex| if ex.kind == Type::Null { "null".to_string() } else { ex.number() };
        let windowed = over.is_some();
        let mut ex = match (name, all.as_slice()) {
            ("count", []) if star => Ex::new("count(*)", Int),
            ("count", [one]) => Ex::new(format!("count({only}{})", one.group()), Int),
            ("count", many) if distinct => {
                // Rows with a NULL do not count.
                let texts: Vec<String> =
                    many.iter().map(|ex| format!("vh_hex(vh_upper({}))", ex.text())).collect();
                Ex::new(format!("count(distinct vh_concat({}))", texts.join(", ',', ")), Int)
            }
            ("sum", [one]) => match one.kind {
                Int | UInt | Type::Decimal(_) | Type::Null if windowed => {
                    Ex::new(format!("sum({})", number(one)), Type::Decimal(one.kind.scale()))
                }
                Int | UInt | Type::Decimal(_) | Type::Null => {
                    Ex::new(format!("vh_sum({only}{})", exact(one)), Type::Decimal(one.kind.scale()))
                }
                _ => Ex::new(format!("sum({only}{})", number(one)), Double),
            },
            ("avg", [one]) => match one.kind {
                Int | UInt | Type::Decimal(_) | Type::Null if !windowed => Ex::new(
                    format!("vh_avg({only}{})", exact(one)),
                    Type::Decimal(one.kind.scale().saturating_add(4).min(38)),
                ),
                Int | UInt | Type::Decimal(_) | Type::Null => Ex::new(
                    format!("avg({})", number(one)),
                    Type::Decimal(one.kind.scale().saturating_add(4).min(38)),
                ),
                _ => Ex::new(format!("avg({only}{})", number(one)), Double),
            },
            ("min" | "max", [one]) => match one.kind {
                Type::Decimal(scale) => {
                    Ex::new(format!("vh_dec({name}({}), {scale})", one.number()), one.kind)
                }
                _ => Ex::new(format!("{name}({})", one.group()), one.kind),
            },
            ("group_concat", many) if !many.is_empty() => self.group_concat(many, distinct, clauses)?,
            ("std" | "stddev" | "stddev_pop", [one]) => spread("vh_std_pop", only, one),
            ("stddev_samp", [one]) => spread("vh_std_samp", only, one),
            ("variance" | "var_pop", [one]) => spread("vh_var_pop", only, one),
            ("var_samp", [one]) => spread("vh_var_samp", only, one),
            ("bit_and" | "bit_or" | "bit_xor", [one]) => {
                Ex::new(format!("vh_{name}({only}{})", int(one)), UInt)
            }
            ("row_number" | "rank" | "dense_rank", []) => Ex::new(format!("{name}()"), Int),
            ("ntile", [one]) => Ex::new(format!("ntile({})", one.sql), Int),
            ("percent_rank" | "cume_dist", []) => Ex::new(format!("{name}()"), Double),
            ("lag" | "lead" | "first_value" | "last_value" | "nth_value", [one, others @ ..]) => {
                let others: String = others
                    .iter()
                    .map(|ex| {
                        format!(", {}", ex.converted(if ex.kind.is_int() { ex.kind } else { one.kind }))
                    })
                    .collect();
                Ex::new(format!("{name}({}{others})", one.sql), one.kind)
            }
            _ => {
                return Err(SqlError::Wrong(format!(
                    "Incorrect parameter count in the call to native function '{name}'"
                )));
            }
        };
        if let Some(over) = over {
            let calls_sqlite = ["vh_sum", "vh_avg", "vh_std", "vh_var", "vh_bit", "vh_group", "vh_dec"];
            if distinct || calls_sqlite.iter().any(|own| ex.sql.starts_with(own)) {
                return Err(unsupported(format!("{name}() of this kind with OVER")));
            }
            let window = self.window(over)?;
            ex.sql = format!("{} over {window}", ex.sql);
        } else {
            ex.gathers = true;
        }
        Ok(Some(ex))
    }

    fn group_concat(
        &mut self,
        many: &[Ex],
        distinct: bool,
        clauses: &[FunctionArgumentClause],
    ) -> Result<Ex, SqlError> {
        let text = match many {
            [one] => one.text(),
            many => format!("vh_concat({})", many.iter().map(Ex::text).collect::<Vec<_>>().join(", ")),
        };
        let kind = text_kind(many);
        let mut separator = "','".to_string();
        let mut order = Vec::new();
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(by) => {
                    for each in by {
                        order.push(self.order_item(each, many)?);
                    }
                }
                FunctionArgumentClause::Separator(value) => {
                    let bytes = self.source.bytes(&value.value.clone().into_string().unwrap_or_default());
                    separator = self.string(bytes).sql;
                }
                _ => return Err(unsupported("GROUP_CONCAT with LIMIT")),
            }
        }
        let order = if order.is_empty() { String::new() } else { format!(" order by {}", order.join(", ")) };
        let once = match (distinct, kind) {
            (false, _) => 0,
            (true, Text) => 1,
            (true, _) => 2,
        };
        Ok(Ex::new(format!("vh_group_concat({text}, {separator}, {once}{order})"), kind))
    }

    fn order_item(&mut self, each: &OrderByExpr, items: &[Ex]) -> Result<String, SqlError> {
        let ex = match &each.expr {
            Expr::Value(value) => {
                let at = value.value.to_string().parse::<usize>().ok().and_then(|at| at.checked_sub(1));
                match at.and_then(|at| items.get(at)) {
                    Some(item) => item.clone(),
                    None => self.expression(&each.expr)?,
                }
            }
            expr => self.expression(expr)?,
        };
        Ok(format!("{}{}", ex.order(), super::expression::direction(each)))
    }

    fn window(&mut self, over: &WindowType) -> Result<String, SqlError> {
        let WindowType::WindowSpec(WindowSpec { window_name: None, partition_by, order_by, window_frame }) =
            over
        else {
            return Err(unsupported("named windows"));
        };
        let mut parts = Vec::new();
        if !partition_by.is_empty() {
            let by = self.bound(partition_by)?;
            parts.push(format!("partition by {}", by.iter().map(Ex::group).collect::<Vec<_>>().join(", ")));
        }
        if !order_by.is_empty() {
            let by = order_by.iter().map(|each| self.order_item(each, &[])).collect::<Result<Vec<_>, _>>()?;
            parts.push(format!("order by {}", by.join(", ")));
        }
        if let Some(frame) = window_frame {
            let simple = |bound: &WindowFrameBound| match bound {
                WindowFrameBound::CurrentRow => Some("current row".to_string()),
                WindowFrameBound::Preceding(None) => Some("unbounded preceding".into()),
                WindowFrameBound::Following(None) => Some("unbounded following".into()),
                WindowFrameBound::Preceding(Some(expr)) => {
                    expr.to_string().parse::<u32>().ok().map(|rows| format!("{rows} preceding"))
                }
                WindowFrameBound::Following(Some(expr)) => {
                    expr.to_string().parse::<u32>().ok().map(|rows| format!("{rows} following"))
                }
            };
            let start = simple(&frame.start_bound).ok_or_else(|| unsupported("this frame of a window"))?;
            let units = frame.units.to_string().to_ascii_lowercase();
            parts.push(match &frame.end_bound {
                Some(end) => {
                    let end = simple(end).ok_or_else(|| unsupported("this frame of a window"))?;
                    format!("{units} between {start} and {end}")
                }
                None => format!("{units} {start}"),
            });
        }
        Ok(format!("({})", parts.join(" ")))
    }
}

fn locate(what: &Ex, text: &Ex, from: Option<&Ex>) -> Ex {
    let name = if text_kind([what, text]) == Bytes { "vh_locate_bytes" } else { "vh_locate" };
    let from = from.map_or(String::new(), |from| format!(", {}", int(from)));
    Ex::new(format!("{name}({}, {}{from})", what.text(), text.text()), Int)
}

fn rounded(name: &str, one: &Ex, places: Option<&Ex>) -> Ex {
    let trunc = name == "truncate";
    let known = match places {
        None => Some(0),
        Some(Ex { literal: Some(Literal::Int(places)), .. }) => Some(*places),
        Some(_) => None,
    };
    let written = places.map_or("0".into(), int);
    match one.kind {
        Int | UInt | Type::Null if known.is_some_and(|places| places >= 0) => one.clone(),
        Int | UInt | Type::Null => {
            let call = if trunc { "vh_dectrunc" } else { "vh_decround" };
            Ex::new(format!("{call}({}, {written})", one.sql), Int)
        }
        Type::Decimal(scale) => {
            let call = if trunc { "vh_dectrunc" } else { "vh_decround" };
            let digits = known.map_or(scale, |places| u8::try_from(places.clamp(0, 38)).unwrap_or(0));
            let digits = if trunc || known.is_none() { digits.min(scale) } else { digits };
            let kind = Type::Decimal(digits);
            Ex::new(format!("{call}(vh_dec({}, {scale}), {written}, {digits})", one.sql), kind)
        }
        _ => Ex::new(
            format!("{}({}, {written})", if trunc { "vh_ftrunc" } else { "vh_fround" }, one.number()),
            Double,
        ),
    }
}

/// A measure of how far numbers are apart: of whole and decimal ones it is shown with four more
/// digits.
fn spread(name: &str, only: &str, one: &Ex) -> Ex {
    let kind = match one.kind {
        Int | UInt | Type::Decimal(_) => Type::Decimal(one.kind.scale().saturating_add(4).min(38)),
        _ => Double,
    };
    Ex::new(format!("{name}({only}{})", one.number()), kind)
}

/// What `STR_TO_DATE` gives for a form.
fn format_kind(format: &[u8]) -> Type {
    let has = |letters: &[u8]| format.windows(2).any(|pair| pair[0] == b'%' && letters.contains(&pair[1]));
    match (has(b"YymcMbdeDj"), has(b"HkhIlisSfpTr")) {
        (true, true) => DateTime,
        (false, true) => Time,
        _ => Date,
    }
}
