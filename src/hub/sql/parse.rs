//! A query's statement: `sqlparser` does the work; here is what MySQL has beyond it.

use std::any::TypeId;

use sqlparser::ast::{
    AlterTableOperation, CastKind, DataType, DateTimeField, Expr, ExtractSyntax, Ident, Interval, ObjectName,
    Statement as Parsed, UnaryOperator,
};
use sqlparser::dialect::{Dialect, MySqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::SqlError;

/// How deep a query may be nested.
const DEEPEST: usize = 60;

/// A statement.
#[derive(Debug)]
pub enum Statement {
    /// What the parser knows.
    Parsed(Box<Parsed>),
    /// `ALTER TABLE`.
    Alter {
        /// Which table.
        table: ObjectName,
        /// The changes that mean something here.
        changes: Vec<Change>,
    },
    /// `SHOW` and `DESCRIBE`.
    Show(Show),
    /// `DO`: expressions without a result.
    Do(Vec<Expr>),
    /// `RENAME TABLE`: from, to.
    Rename(Vec<(ObjectName, ObjectName)>),
    /// `OPTIMIZE`, `CHECK`, `REPAIR`, `ANALYZE TABLE`: the verb, the tables.
    Maintain(String, Vec<ObjectName>),
    /// What ends a transaction without its writes.
    Rollback,
    /// What has no meaning here: transactions, locks, character sets.
    Nothing,
}

/// One change of a table.
#[derive(Debug)]
pub enum Change {
    /// What the parser knows.
    Parsed(Box<AlterTableOperation>),
    /// `RENAME INDEX`: from, to.
    RenameIndex(Ident, Ident),
}

/// `SHOW` in its forms; the last text is the pattern of a `LIKE`.
#[derive(Debug)]
pub enum Show {
    /// `SHOW [FULL] TABLES`.
    Tables(bool, Option<String>),
    /// `SHOW [FULL] COLUMNS`, `DESCRIBE`.
    Columns(bool, ObjectName, Option<String>),
    /// `SHOW INDEX`.
    Index(ObjectName),
    /// `SHOW CREATE TABLE`.
    CreateTable(ObjectName),
    /// `SHOW TABLE STATUS`.
    TableStatus(Option<String>),
    /// `SHOW DATABASES`.
    Databases(Option<String>),
    /// `SHOW VARIABLES`, `SHOW STATUS`.
    Variables(Option<String>),
    /// `SHOW WARNINGS`, `SHOW ERRORS`.
    Warnings,
}

/// Parses the one statement of a query, and whether it is an `UPDATE IGNORE`; `None` when there
/// is none.
pub fn parse(text: &str) -> Result<Option<(Statement, bool)>, SqlError> {
    let dialect = Mysql(MySqlDialect {});
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize()
        .map_err(|error| SqlError::Syntax(error.to_string()))?
        .into_iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .skip_while(|token| *token == Token::SemiColon)
        .collect::<Vec<Token>>();
    let ignore = tokens.iter().take(3).any(|token| word(token).as_deref() == Some("ignore"));
    measure(&tokens)?;
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEEPEST).with_tokens(prepare(tokens));
    if parser.peek_token_ref().token == Token::EOF {
        return Ok(None);
    }
    let statement = statement(&mut parser)?;
    while parser.consume_token(&Token::SemiColon) {}
    if parser.peek_token_ref().token != Token::EOF {
        let next = parser.peek_token_ref().token.to_string();
        return Err(SqlError::Syntax(format!("the statement should end before {next:?}")));
    }
    Ok(Some((statement, ignore)))
}

fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(Word { value, quote_style: None, .. }) => Some(value.to_ascii_lowercase()),
        _ => None,
    }
}

fn peek(parser: &Parser<'_>, at: usize) -> String {
    word(&parser.peek_nth_token(at).token).unwrap_or_default()
}

/// Takes the next words if they are these.
fn take(parser: &mut Parser<'_>, words: &[&str]) -> bool {
    let there = words.iter().enumerate().all(|(at, word)| peek(parser, at) == *word);
    if there {
        words.iter().for_each(|_| drop(parser.next_token()));
    }
    there
}

fn take_any(parser: &mut Parser<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| take(parser, &[word]))
}

/// Leaves the rest of the statement out.
fn skip(parser: &mut Parser<'_>) {
    while !matches!(parser.peek_token_ref().token, Token::EOF | Token::SemiColon) {
        parser.next_token();
    }
}

fn statement(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    match peek(parser, 0).as_str() {
        "begin" | "commit" | "start" | "savepoint" | "release" | "lock" | "unlock" | "flush" | "use" => {
            skip(parser);
            Ok(Statement::Nothing)
        }
        "rollback" => {
            skip(parser);
            Ok(Statement::Rollback)
        }
        "set" => set(parser),
        "show" => show(parser),
        "describe" | "desc" | "explain" => describe(parser),
        "do" => {
            parser.next_token();
            Ok(Statement::Do(parser.parse_comma_separated(Parser::parse_expr)?))
        }
        "optimize" | "check" | "repair" | "analyze" => {
            let verb = peek(parser, 0);
            parser.next_token();
            take_any(parser, &["local", "no_write_to_binlog"]);
            if !take_any(parser, &["table", "tables"]) {
                return parser.expected_ref("TABLE", parser.peek_token_ref());
            }
            let tables = parser.parse_comma_separated(|parser| parser.parse_object_name(false))?;
            skip(parser);
            Ok(Statement::Maintain(verb, tables))
        }
        "rename" => {
            parser.next_token();
            if !take_any(parser, &["table", "tables"]) {
                return parser.expected_ref("TABLE", parser.peek_token_ref());
            }
            Ok(Statement::Rename(parser.parse_comma_separated(|parser| {
                let from = parser.parse_object_name(false)?;
                parser.expect_keyword(Keyword::TO)?;
                Ok((from, parser.parse_object_name(false)?))
            })?))
        }
        "alter" => alter(parser),
        _ => Ok(Statement::Parsed(Box::new(parser.parse_statement()?))),
    }
}

/// How many operators one expression may have: each is a level of the tree that it becomes.
const MOST_OPERATORS: usize = 400;

/// Operators that are words.
const OPERATORS: &[&str] = &[
    "and", "or", "xor", "not", "like", "regexp", "rlike", "between", "is", "in", "div", "mod", "collate",
    "binary",
];

/// Refuses what would become too deep a tree.
fn measure(tokens: &[Token]) -> Result<(), SqlError> {
    let mut counts = vec![0];
    let unions = tokens
        .iter()
        .filter(|token| matches!(word(token).as_deref(), Some("union" | "except" | "intersect")));
    if unions.count() > 100 {
        return Err(SqlError::Syntax("a query may have 100 UNIONs".into()));
    }
    for token in tokens {
        let last = counts.len() - 1;
        match token {
            Token::LParen => counts.push(0),
            Token::RParen if last > 0 => drop(counts.pop()),
            Token::Comma => counts[last] = 0,
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Period => {}
            Token::Word(_) => {
                if word(token).is_some_and(|word| OPERATORS.contains(&word.as_str())) {
                    counts[last] += 1;
                }
            }
            _ => counts[last] += 1,
        }
        if counts.last().is_some_and(|count| *count > MOST_OPERATORS) {
            return Err(SqlError::Syntax(format!("an expression may have {MOST_OPERATORS} operators")));
        }
    }
    Ok(())
}

/// Changes what the parser does not know into what it does.
fn prepare(mut tokens: Vec<Token>) -> Vec<Token> {
    let first = tokens.first().and_then(word).unwrap_or_default();
    let is = |token: Option<&Token>, name: &str| token.and_then(word).as_deref() == Some(name);
    let mut depth = 0;
    let mut in_front = matches!(first.as_str(), "update" | "delete" | "insert" | "replace" | "create");
    let mut at = 1;
    while at < tokens.len() {
        let (token, next) = (tokens.get(at), tokens.get(at + 1));
        let name = token.and_then(word).unwrap_or_default();
        match token {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => depth -= 1,
            _ => {}
        }
        let dropped = match (token, name.as_str()) {
            // The tables of an UPDATE.
            (Some(Token::Comma), _) if first == "update" && in_front && depth == 0 => {
                tokens.splice(at..=at, ["CROSS", "JOIN"].map(Token::make_keyword));
                0
            }
            (_, "lock") if depth == 0 && is(next, "in") => tokens.len() - at,
            (_, "low_priority" | "quick" | "high_priority" | "delayed") if in_front && at < 4 => 1,
            (_, "ignore") if in_front && first == "delete" && at < 5 => 1,
            (_, "ignore") if in_front && first == "update" && at < 3 => 1,
            // A key all the same.
            (_, "fulltext" | "spatial") if matches!(first.as_str(), "create" | "alter") => {
                if is(next, "key") || is(next, "index") {
                    1
                } else {
                    tokens.splice(at..=at, [Token::make_keyword("INDEX")]);
                    0
                }
            }
            (_, "with") if first == "create" && is(next, "parser") => 3,
            (_, "binary") if first == "create" && depth > 0 && ends_type(tokens.get(at - 1)) => 1,
            // DELETE t.* FROM
            (Some(Token::Period), _) if first == "delete" && in_front && next == Some(&Token::Mul) => 2,
            (_, "set" | "where" | "values" | "select") => {
                in_front = false;
                0
            }
            _ => 0,
        };
        if dropped > 0 {
            tokens.drain(at..(at + dropped).min(tokens.len()));
        } else {
            at += 1;
        }
    }
    tokens
}

/// Whether `BINARY` after this is a column's, and no type or name.
fn ends_type(before: Option<&Token>) -> bool {
    matches!(before, Some(Token::RParen)) || before.and_then(word).is_some_and(|word| word.ends_with("text"))
}

fn set(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    let next = peek(parser, 1);
    if matches!(next.as_str(), "names" | "character" | "charset" | "transaction" | "password")
        || matches!(next.as_str(), "session" | "global" | "local") && peek(parser, 2) == "transaction"
    {
        skip(parser);
        return Ok(Statement::Nothing);
    }
    parser.next_token();
    let mut assigned = Vec::new();
    let assignments = parser.parse_comma_separated(|parser| {
        take_any(parser, &["session", "global", "local"]);
        parser.parse_expr()
    })?;
    for assignment in assignments {
        let Expr::BinaryOp { left, op, right } = assignment else {
            return Err(ParserError::ParserError("SET needs NAME = VALUE".into()));
        };
        // Other variables than the script's own have no meaning here.
        if matches!(&*left, Expr::Identifier(name) if is_user_variable(name)) {
            let op = match op {
                sqlparser::ast::BinaryOperator::Eq => sqlparser::ast::BinaryOperator::Assignment,
                other => other,
            };
            assigned.push(Expr::BinaryOp { left, op, right });
        }
    }
    Ok(if assigned.is_empty() { Statement::Nothing } else { Statement::Do(assigned) })
}

/// Whether a name is a script's own variable, such as `@count`.
pub fn is_user_variable(name: &Ident) -> bool {
    name.quote_style.is_none() && name.value.starts_with('@') && !name.value.starts_with("@@")
}

fn pattern(parser: &mut Parser<'_>) -> Result<Option<String>, ParserError> {
    if take(parser, &["like"]) { parser.parse_literal_string().map(Some) } else { Ok(None) }
}

fn from(parser: &mut Parser<'_>) -> Result<Option<ObjectName>, ParserError> {
    if take_any(parser, &["from", "in"]) { parser.parse_object_name(false).map(Some) } else { Ok(None) }
}

fn needed<T>(parser: &Parser<'_>, there: Option<T>) -> Result<T, ParserError> {
    there.map_or_else(|| parser.expected_ref("FROM", parser.peek_token_ref()), Ok)
}

fn show(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.next_token();
    let full = take(parser, &["full"]);
    take_any(parser, &["global", "session", "local", "extended"]);
    let show = if take(parser, &["tables"]) {
        from(parser)?;
        Show::Tables(full, pattern(parser)?)
    } else if take_any(parser, &["columns", "fields"]) {
        let table = from(parser)?;
        let table = needed(parser, table)?;
        from(parser)?;
        Show::Columns(full, table, pattern(parser)?)
    } else if take_any(parser, &["index", "indexes", "keys"]) {
        let table = from(parser)?;
        let table = needed(parser, table)?;
        from(parser)?;
        Show::Index(table)
    } else if take(parser, &["create", "table"]) {
        Show::CreateTable(parser.parse_object_name(false)?)
    } else if take(parser, &["table", "status"]) {
        from(parser)?;
        Show::TableStatus(pattern(parser)?)
    } else if take_any(parser, &["databases", "schemas"]) {
        Show::Databases(pattern(parser)?)
    } else if take_any(parser, &["variables", "status"]) {
        Show::Variables(pattern(parser)?)
    } else if take_any(parser, &["warnings", "errors"]) {
        Show::Warnings
    } else {
        let what = parser.peek_token_ref().token.to_string().to_ascii_uppercase();
        return Err(ParserError::ParserError(format!("SHOW {what} is not supported")));
    };
    if take(parser, &["where"]) {
        return Err(ParserError::ParserError("SHOW … WHERE is not supported; use LIKE".into()));
    }
    Ok(Statement::Show(show))
}

fn describe(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    let verb = peek(parser, 0).to_ascii_uppercase();
    parser.next_token();
    if matches!(
        peek(parser, 0).as_str(),
        "select" | "insert" | "update" | "delete" | "replace" | "extended" | "partitions" | "format"
    ) {
        return Err(ParserError::ParserError(format!("{verb} of a query is not supported")));
    }
    let table = parser.parse_object_name(false)?;
    let column = match parser.peek_token_ref().token.clone() {
        Token::Word(column) => Some(column.value),
        Token::SingleQuotedString(column) => Some(column),
        _ => None,
    };
    if column.is_some() {
        parser.next_token();
    }
    Ok(Statement::Show(Show::Columns(false, table, column)))
}

fn alter(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.next_token();
    take_any(parser, &["online", "ignore"]);
    take(parser, &["ignore"]);
    if !take(parser, &["table"]) {
        let what = parser.peek_token_ref().token.to_string().to_ascii_uppercase();
        return Err(ParserError::ParserError(format!("ALTER {what} is not supported")));
    }
    take(parser, &["if", "exists"]);
    let table = parser.parse_object_name(false)?;
    let mut changes = Vec::new();
    loop {
        if is_without_meaning(parser) {
            // Up to the next change.
            let mut depth = 0;
            while !matches!(parser.peek_token_ref().token, Token::EOF | Token::SemiColon)
                && (depth > 0 || parser.peek_token_ref().token != Token::Comma)
            {
                match parser.next_token().token {
                    Token::LParen => depth += 1,
                    Token::RParen => depth -= 1,
                    _ => {}
                }
            }
        } else if take(parser, &["drop", "key"]) {
            let name = parser.parse_identifier()?;
            changes.push(Change::Parsed(Box::new(AlterTableOperation::DropIndex { name })));
        } else if take(parser, &["rename", "index"]) || take(parser, &["rename", "key"]) {
            let from = parser.parse_identifier()?;
            parser.expect_keyword(Keyword::TO)?;
            changes.push(Change::RenameIndex(from, parser.parse_identifier()?));
        } else if peek(parser, 0) == "add" && add_in_parentheses(parser) {
            loop {
                changes.push(Change::Parsed(Box::new(AlterTableOperation::AddColumn {
                    column_keyword: true,
                    if_not_exists: false,
                    column_def: parser.parse_column_def()?,
                    column_position: None,
                })));
                if !parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            parser.expect_token(&Token::RParen)?;
        } else {
            changes.push(Change::Parsed(Box::new(parser.parse_alter_table_operation()?)));
        }
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    Ok(Statement::Alter { table, changes })
}

/// `ADD [COLUMN] (`: the words are taken if that is what follows.
fn add_in_parentheses(parser: &mut Parser<'_>) -> bool {
    let column = usize::from(peek(parser, 1) == "column");
    if parser.peek_nth_token(1 + column).token != Token::LParen {
        return false;
    }
    for _ in 0..2 + column {
        parser.next_token();
    }
    true
}

/// Whether a change of a table says something that makes no difference here.
fn is_without_meaning(parser: &Parser<'_>) -> bool {
    match peek(parser, 0).as_str() {
        "engine" | "comment" | "charset" | "collate" | "row_format" | "checksum" | "max_rows"
        | "min_rows" | "avg_row_length" | "delay_key_write" | "pack_keys" | "algorithm" | "lock"
        | "force" | "disable" | "enable" => true,
        "default" => matches!(peek(parser, 1).as_str(), "character" | "charset" | "collate"),
        "character" | "convert" | "order" => true,
        _ => false,
    }
}

/// MySQL's dialect, with what the crate's does not know.
#[derive(Debug)]
struct Mysql(MySqlDialect);

/// Dialect's methods that answer as the crate's do.
macro_rules! as_the_crate_says {
    ($($method:ident)*) => { $( fn $method(&self) -> bool { self.0.$method() } )* };
}

impl Dialect for Mysql {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    as_the_crate_says! {
        supports_string_literal_backslash_escape supports_string_literal_concatenation
        ignores_wildcard_escapes supports_numeric_prefix supports_literal_prefix_in_qualified_name
        supports_bitwise_shift_operators supports_singular_value_keyword supports_multiline_comment_hints
        supports_limit_comma supports_create_table_select supports_insert_set supports_user_host_grantee
        supports_table_hints requires_single_line_comment_whitespace supports_hash_comment
        supports_match_against supports_select_modifiers supports_set_names
        supports_comma_separated_set_assignments supports_alter_column_position supports_update_order_by
        supports_data_type_signed_suffix supports_data_type_zerofill_suffix supports_cross_join_constraint
        supports_double_ampersand_operator supports_table_partitions
        supports_constraint_keyword_without_name supports_key_column_option
        supports_group_by_with_modifier supports_left_associative_joins_without_parens
    }

    fn supports_string_literal_table_alias(&self, explicit: bool) -> bool {
        self.0.supports_string_literal_table_alias(explicit)
    }

    fn is_identifier_start(&self, sign: char) -> bool {
        self.0.is_identifier_start(sign)
    }

    fn is_identifier_part(&self, sign: char) -> bool {
        self.0.is_identifier_part(sign)
    }

    fn is_delimited_identifier_start(&self, sign: char) -> bool {
        self.0.is_delimited_identifier_start(sign)
    }

    fn is_table_factor_alias(&self, explicit: bool, word: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.0.is_table_factor_alias(explicit, word, parser)
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if parser.peek_token_ref().token == Token::ExclamationMark {
            parser.next_token();
            let operand = parser.parse_subexpr(UNARY);
            return Some(
                operand.map(|expr| Expr::UnaryOp { op: UnaryOperator::BangNot, expr: Box::new(expr) }),
            );
        }
        match peek(parser, 0).as_str() {
            "binary" if starts_operand(&parser.peek_nth_token(1).token) => {
                parser.next_token();
                Some(parser.parse_subexpr(UNARY).map(|expr| Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(expr),
                    data_type: DataType::Binary(None),
                    format: None,
                }))
            }
            "interval" if parser.peek_nth_token(1).token != Token::Period => {
                parser.next_token();
                Some(interval(parser))
            }
            "extract" if parser.peek_nth_token(1).token == Token::LParen => {
                parser.next_token();
                parser.next_token();
                Some(extract(parser))
            }
            _ => None,
        }
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if peek(parser, 0) == "mod" {
            parser.next_token();
            return Some(parser.parse_subexpr(precedence).map(|right| Expr::BinaryOp {
                left: Box::new(left.clone()),
                op: sqlparser::ast::BinaryOperator::Modulo,
                right: Box::new(right),
            }));
        }
        self.0.parse_infix(parser, left, precedence)
    }

    /// MySQL's order differs from that of the crate here; see
    /// <https://mariadb.com/kb/en/operator-precedence/>.
    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let precedence = match &parser.peek_token_ref().token {
            Token::Caret => 45,
            Token::ShiftLeft | Token::ShiftRight => 27,
            Token::StringConcat => self.0.prec_value(Precedence::Or),
            Token::Assignment => 2,
            token => match word(token).as_deref() {
                Some("mod") => self.0.prec_value(Precedence::MulDivModOp),
                Some("xor") => 7,
                _ => return self.0.get_next_precedence(parser),
            },
        };
        Some(Ok(precedence))
    }
}

/// How tightly `!` and `BINARY` bind.
const UNARY: u8 = 48;

/// Whether an operand can begin so, after `BINARY`, which may be a name too.
fn starts_operand(token: &Token) -> bool {
    match token {
        Token::LParen | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::Number(..) => {
            true
        }
        Token::Word(Word { keyword, quote_style, .. }) => {
            quote_style.is_some()
                || !matches!(
                    keyword,
                    Keyword::FROM
                        | Keyword::AS
                        | Keyword::LIKE
                        | Keyword::IN
                        | Keyword::IS
                        | Keyword::NOT
                        | Keyword::AND
                        | Keyword::OR
                        | Keyword::WHERE
                        | Keyword::ORDER
                        | Keyword::GROUP
                )
        }
        _ => false,
    }
}

const UNITS: &[&str] = &[
    "microsecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "second_microsecond",
    "minute_microsecond",
    "minute_second",
    "hour_microsecond",
    "hour_second",
    "hour_minute",
    "day_microsecond",
    "day_second",
    "day_minute",
    "day_hour",
    "year_month",
];

fn unit(parser: &mut Parser<'_>) -> Result<DateTimeField, ParserError> {
    if UNITS.contains(&peek(parser, 0).as_str()) {
        Ok(DateTimeField::Custom(parser.parse_identifier()?))
    } else {
        parser.expected_ref("a unit of time", parser.peek_token_ref())
    }
}

/// What follows `INTERVAL`: a period, or the arguments of the function.
fn interval(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let value = parser.parse_expr()?;
    if let Expr::Tuple(arguments) = value {
        return Ok(function("interval", arguments));
    }
    Ok(Expr::Interval(Interval {
        value: Box::new(value),
        leading_field: Some(unit(parser)?),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    }))
}

fn extract(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let field = unit(parser)?;
    parser.expect_keyword(Keyword::FROM)?;
    let expr = Box::new(parser.parse_expr()?);
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Extract { field, syntax: ExtractSyntax::From, expr })
}

/// A call of a function.
fn function(name: &str, arguments: Vec<Expr>) -> Expr {
    use sqlparser::ast::{Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments};
    let args = arguments.into_iter().map(|each| FunctionArg::Unnamed(FunctionArgExpr::Expr(each))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        within_group: Vec::new(),
        filter: None,
        null_treatment: None,
        over: None,
    })
}
