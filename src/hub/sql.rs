//! Queries of scripts on the hub's database, in the dialect that they were written for; what
//! is in the tables is left to `database` and `bans`.
//!
//! Scripts were written for MySQL. SQLite takes its backticks as they are. Here, its strings
//! (with backslashes, and in double quotes) become SQLite's, and a few of its words too.
//! Text keeps its bytes: a string that is not valid UTF-8 is handed over beside the query.
//!
//! Each query stands for itself: `begin`, `commit` and the like do nothing, since a script that
//! died within a transaction would take the hub's own writes with it.

use std::time::{Duration, Instant};

use rusqlite::params_from_iter;

use super::database::{Database, Text, bytes_of};
use super::text::Charset;

/// How long one query may take.
const LONGEST: Duration = Duration::from_secs(2);

/// How many rows a query gives when it asks for none.
const DEFAULT_ROWS: usize = 100;

/// How many bytes all rows together may have.
const MOST_BYTES: usize = 32 << 20;

/// The rows of a result; NULL is `None`.
pub type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// Why a query gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// SQLite's own reason.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Not for scripts.
    #[error("`{0}` is not for scripts: it would change how the hub itself keeps its data")]
    NotForScripts(String),
    /// The rows are too many.
    #[error("the rows have more than {} MiB; select fewer, or fewer columns", MOST_BYTES >> 20)]
    TooMuch,
}

impl Database {
    /// Runs a query and gives at most so many rows. `charset` is what its text is in.
    pub fn query(&mut self, query: &[u8], limit: i64, charset: Charset) -> Result<Rows, SqlError> {
        let translated = translate(query, charset);
        let first = translated.words.first().map(String::as_str).unwrap_or_default();
        match first {
            "" | "begin" | "commit" | "rollback" | "savepoint" | "release" | "start" | "set" | "lock"
            | "unlock" => {
                return Ok(Rows::new());
            }
            "attach" | "detach" | "pragma" | "vacuum" => {
                return Err(SqlError::NotForScripts(first.into()));
            }
            _ => {}
        }
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(DEFAULT_ROWS);
        let end = Instant::now() + LONGEST;
        self.connection.progress_handler(10_000, Some(move || Instant::now() > end))?;
        let rows = self.rows(&translated, limit);
        self.connection.progress_handler(0, None::<fn() -> bool>)?;
        rows
    }

    fn rows(&self, query: &Translated, limit: usize) -> Result<Rows, SqlError> {
        let mut statement = self.connection.prepare_cached(&query.text)?;
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(query.strings.iter().map(|text| Text(text))))?;
        let mut rows = Rows::new();
        let mut bytes = 0;
        // Also a statement without a result is stepped through here.
        while let Some(row) = found.next()? {
            if rows.len() < limit {
                let mut values = Vec::with_capacity(columns);
                for at in 0..columns {
                    let value = bytes_of(row.get_ref(at)?);
                    bytes += value.as_ref().map_or(0, Vec::len) + 32;
                    values.push(value);
                }
                rows.push(values);
            } else {
                break;
            }
            if bytes > MOST_BYTES {
                return Err(SqlError::TooMuch);
            }
        }
        Ok(rows)
    }
}

/// A query as SQLite takes it.
#[derive(Debug, PartialEq)]
struct Translated {
    text: String,
    /// Strings that stand where the text has `?`.
    strings: Vec<Vec<u8>>,
    /// The first words, in lower case.
    words: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Token {
    /// Blanks and comments.
    Space,
    /// A name, a keyword or a number.
    Word(String),
    /// A string without its quotes, its escapes resolved.
    String(Vec<u8>),
    /// A name in backticks, with them.
    Name(String),
    /// Anything else.
    Sign(char),
}

fn translate(query: &[u8], charset: Charset) -> Translated {
    let mut tokens = tokens(query, charset);
    replace_words(&mut tokens);
    let mut text = String::with_capacity(query.len() + 16);
    let mut strings = Vec::new();
    for token in &tokens {
        match token {
            Token::Space => text.push(' '),
            Token::Word(word) | Token::Name(word) => text.push_str(word),
            Token::Sign(sign) => text.push(*sign),
            Token::String(string) => match std::str::from_utf8(string) {
                Ok(string) if !string.contains('\0') => {
                    text.push('\'');
                    text.push_str(&string.replace('\'', "''"));
                    text.push('\'');
                }
                _ => {
                    text.push('?');
                    strings.push(string.clone());
                }
            },
        }
    }
    let words = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Word(word) => Some(word.to_ascii_lowercase()),
            _ => None,
        })
        .take(2)
        .collect();
    Translated { text, strings, words }
}

/// MySQL's words for what SQLite can do too.
fn replace_words(tokens: &mut Vec<Token>) {
    let mut words = tokens.iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.to_ascii_lowercase()),
        _ => None,
    });
    match (words.next().as_deref(), words.next().as_deref()) {
        (Some("create"), Some("table")) => create_table(tokens),
        (Some("show"), Some("tables")) => {
            *tokens = self::tokens(
                b"select name from sqlite_master where type = 'table' order by name",
                Charset::UTF_8,
            );
        }
        (Some("truncate"), _) => {
            for token in tokens.iter_mut() {
                match token {
                    Token::Word(word) if word.eq_ignore_ascii_case("truncate") => {
                        *word = "delete from".into()
                    }
                    Token::Word(word) if word.eq_ignore_ascii_case("table") => word.clear(),
                    _ => {}
                }
            }
        }
        (Some("insert" | "update"), Some("ignore")) => {
            if let Some(Token::Word(word)) = tokens
                .iter_mut()
                .find(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("ignore")))
            {
                *word = "or ignore".into();
            }
        }
        _ => {}
    }
    for at in 0..tokens.len() {
        let Some(Token::Word(word)) = tokens.get(at) else { continue };
        let empty_call = matches!(tokens.get(at + 1..at + 3), Some([Token::Sign('('), Token::Sign(')')]));
        if word.eq_ignore_ascii_case("unix_timestamp") && empty_call {
            tokens.splice(at..at + 3, self::tokens(b"cast(strftime('%s') as integer)", Charset::UTF_8));
        } else if word.eq_ignore_ascii_case("now") && empty_call {
            tokens.splice(at..at + 3, self::tokens(b"datetime()", Charset::UTF_8));
        }
    }
}

/// Leaves out what follows the columns (`engine = …`) and writes `auto_increment` as SQLite does.
fn create_table(tokens: &mut Vec<Token>) {
    if let Some(end) = tokens.iter().rposition(|token| *token == Token::Sign(')')) {
        tokens.truncate(end + 1);
    }
    let mut counted = false;
    for token in tokens.iter_mut() {
        if let Token::Word(word) = token {
            if word.eq_ignore_ascii_case("auto_increment") {
                // An `integer primary key` counts by itself.
                word.clear();
                counted = true;
            } else if word.eq_ignore_ascii_case("unsigned") {
                word.clear();
            }
        }
    }
    if counted {
        // SQLite counts only columns of exactly this type.
        for at in 0..tokens.len() {
            let is_int = matches!(tokens.get(at), Some(Token::Word(word))
                if ["int", "bigint", "mediumint", "smallint", "tinyint"].iter().any(|int| word.eq_ignore_ascii_case(int)));
            if is_int {
                let mut end = at + 1;
                if tokens.get(end) == Some(&Token::Sign('(')) {
                    end = tokens
                        .iter()
                        .skip(end)
                        .position(|token| *token == Token::Sign(')'))
                        .map_or(end, |more| end + more + 1);
                }
                tokens.splice(at..end, [Token::Word("integer".into())]);
            }
        }
    }
}

fn tokens(query: &[u8], charset: Charset) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query;
    while let Some((&first, after)) = rest.split_first() {
        let (token, left) = match first {
            b'\'' | b'"' => string(first, after, charset.has_pairs()),
            b'`' => {
                let end = after.iter().position(|byte| *byte == b'`').unwrap_or(after.len());
                let name = String::from_utf8_lossy(&after[..end]);
                (Token::Name(format!("`{name}`")), after.get(end + 1..).unwrap_or_default())
            }
            b'-' if after.first() == Some(&b'-') => (Token::Space, after_line(after)),
            b'#' => (Token::Space, after_line(after)),
            byte if byte.is_ascii_whitespace() => (Token::Space, after.trim_ascii_start()),
            byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..);
                let end = rest.iter().position(|byte| !is_word(byte)).unwrap_or(rest.len());
                let (word, left) = rest.split_at(end);
                (Token::Word(String::from_utf8_lossy(word).into_owned()), left)
            }
            // A second statement would be run by nobody: SQLite takes one at a time.
            byte => (Token::Sign(byte as char), after),
        };
        tokens.push(token);
        rest = left;
    }
    while matches!(tokens.last(), Some(Token::Space | Token::Sign(';'))) {
        tokens.pop();
    }
    tokens
}

fn after_line(text: &[u8]) -> &[u8] {
    text.iter().position(|byte| *byte == b'\n').and_then(|at| text.get(at..)).unwrap_or_default()
}

/// A string in MySQL's form; the text begins after the quote. With `pairs`, a byte that is no
/// ASCII begins a character of two, whose second may look like a backslash.
fn string(quote: u8, text: &[u8], pairs: bool) -> (Token, &[u8]) {
    let mut out = Vec::new();
    let mut bytes = text.iter().enumerate().peekable();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            0x81..=0xfe if pairs => {
                out.push(byte);
                out.extend(bytes.next_if(|(_, second)| **second >= 0x40).map(|(_, second)| *second));
            }
            b'\\' => {
                if let Some((_, &escaped)) = bytes.next() {
                    match escaped {
                        b'n' => out.push(b'\n'),
                        b'r' => out.push(b'\r'),
                        b't' => out.push(b'\t'),
                        b'0' => out.push(0),
                        b'Z' => out.push(26),
                        // So that `\%` and `\_` stay what they are in patterns.
                        b'%' | b'_' => out.extend_from_slice(&[b'\\', escaped]),
                        escaped => out.push(escaped),
                    }
                }
            }
            byte if byte == quote => {
                if bytes.peek().is_some_and(|(_, next)| **next == quote) {
                    bytes.next();
                    out.push(quote);
                } else {
                    return (Token::String(out), text.get(at + 1..).unwrap_or_default());
                }
            }
            byte => out.push(byte),
        }
    }
    (Token::String(out), b"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        (folder, database)
    }

    fn text(value: &str) -> Option<Vec<u8>> {
        Some(value.into())
    }

    #[test]
    fn queries_of_mysql_scripts_run() {
        let (_folder, mut database) = database();
        for query in [
            "CREATE TABLE IF NOT EXISTS `pi_test` (`id` bigint(20) unsigned not null auto_increment primary key, \
             `nick` varchar(128) not null default '', `points` int(11)) engine = myisam default character set utf8",
            "insert into `pi_test` (`nick`, `points`) values ('it\\'s', 1), (\"say \\\"hi\\\"\", 2)",
            "insert ignore into pi_test (id, nick) values (1, 'again')",
            "begin",
            "update `pi_test` set `points` = unix_timestamp() where `nick` = 'it''s'; ",
        ] {
            assert_eq!(database.query(query.as_bytes(), 0, Charset::UTF_8).unwrap(), Rows::new(), "{query}");
        }
        let rows = database
            .query(b"select `id`, nick, points > 1600000000 from `pi_test` order by id", 0, Charset::UTF_8)
            .unwrap();
        assert_eq!(rows, [[text("1"), text("it's"), text("1")], [text("2"), text("say \"hi\""), text("0")],]);
        assert_eq!(database.query(b"select id from pi_test", 1, Charset::UTF_8).unwrap().len(), 1);
        assert_eq!(database.query(b"select null", 1, Charset::UTF_8).unwrap(), [[None]]);
        assert!(database.query(b"show tables", 0, Charset::UTF_8).unwrap().contains(&vec![text("reglist")]));
        database.query(b"truncate table `pi_test`", 0, Charset::UTF_8).unwrap();
        assert_eq!(database.query(b"select * from pi_test", 0, Charset::UTF_8).unwrap(), Rows::new());
    }

    #[test]
    fn bytes_of_any_encoding_survive() {
        let (_folder, mut database) = database();
        database.query(b"create table pi_x (t text)", 0, Charset::UTF_8).unwrap();
        database.query(b"insert into pi_x values ('\xff\\'\xfe')", 0, Charset::UTF_8).unwrap();
        assert_eq!(
            database.query(b"select t from pi_x where t = '\xff\\'\xfe'", 0, Charset::UTF_8).unwrap(),
            [[Some(b"\xff'\xfe".to_vec())]]
        );
    }

    #[test]
    fn a_character_of_two_bytes_can_end_in_a_backslash() {
        let (_folder, mut database) = database();
        let gbk = Charset::named("gbk").unwrap();
        let rows = database.query(b"select '\x81\x5c', 'it\\'s'", 9, gbk).unwrap();
        assert_eq!(rows, [[Some(b"\x81\x5c".to_vec()), text("it's")]]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let (_folder, mut database) = database();
        for query in [
            "select",
            "selec 1",
            "select * from nowhere",
            "attach database 'x' as y",
            "select 1; select 2",
            "select 'open",
        ] {
            if let Ok(rows) = database.query(query.as_bytes(), 0, Charset::UTF_8) {
                assert_eq!(query, "select 'open", "{rows:?}");
            }
        }
    }

    #[test]
    fn an_endless_query_ends() {
        let (_folder, mut database) = database();
        let endless =
            b"with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
        assert!(database.query(endless, 0, Charset::UTF_8).is_err());
        assert_eq!(database.query(b"select 1", 0, Charset::UTF_8).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(query in proptest::collection::vec(any::<u8>(), 0..200)) {
            translate(&query, Charset::UTF_8);
        }

        #[test]
        fn near_queries_are_taken(query in "[a-z'\"`\\\\();#-]{0,60}") {
            translate(query.as_bytes(), Charset::UTF_8);
            translate(format!("create table {query}").as_bytes(), Charset::UTF_8);
        }
    }
}
