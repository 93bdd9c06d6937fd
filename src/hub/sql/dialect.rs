//! MySQL's dialect as SQLite takes it.
//!
//! Scripts were written for MySQL. SQLite takes its backticks as they are. Here, its strings
//! (with backslashes, and in double quotes) become SQLite's, and a few of its words too.
//! Text keeps its bytes: a string that is not valid UTF-8 is handed over beside the query.

use super::super::text::Charset;

/// A query as SQLite takes it.
#[derive(Debug, PartialEq)]
pub struct Translated {
    /// With `?` for some strings.
    pub text: String,
    /// Strings that stand where the text has `?`.
    pub strings: Vec<Vec<u8>>,
    /// The first words, in lower case.
    pub words: Vec<String>,
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

/// Translates a query.
pub fn translate(query: &[u8], charset: Charset) -> Translated {
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
