//! Statements and their answers, as a MariaDB server gave them.

use super::super::database::Database;
use super::*;

/// A database of its own.
struct Opened {
    sql: Sql,
    _database: Database,
    _folder: tempfile::TempDir,
}

const SCRIPT: ScriptId = ScriptId(0);

fn opened(charset: Charset) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path()).unwrap();
    let sql = Sql::open(folder.path(), charset).unwrap();
    Opened { sql, _database: database, _folder: folder }
}

impl Opened {
    /// Rows as text, or what went wrong.
    fn ask(&self, query: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let text = |value: Option<Vec<u8>>| value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        self.sql
            .query(SCRIPT, query.as_bytes(), i64::MAX)
            .map(|rows| rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect())
            .map_err(|error| error.to_string())
    }
}

#[derive(serde::Deserialize)]
struct Group {
    name: String,
    steps: Vec<Step>,
}

#[derive(serde::Deserialize)]
struct Step {
    sql: String,
    ok: bool,
    rows: Option<Vec<Vec<Option<String>>>>,
    error: Option<String>,
}

/// The first words of an error.
fn start(error: &str) -> Vec<&str> {
    error.split(' ').take(3).map(|word| word.trim_end_matches([';', ':'])).collect()
}

#[test]
fn answers_are_those_of_a_mariadb_server() {
    let files =
        ["answers.json", "more.json"].map(|name| format!("{}/tests/sql/{name}", env!("CARGO_MANIFEST_DIR")));
    let mut wrong = Vec::new();
    for text in files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
        for group in serde_json::from_str::<Vec<Group>>(&text).unwrap() {
            let opened = opened(Charset::UTF_8);
            for step in group.steps {
                let got = opened.ask(&step.sql);
                let right = match (&got, step.ok) {
                    (Ok(rows), true) => Some(rows) == step.rows.as_ref(),
                    // The manual fixes which error it is, not each word of it.
                    (Err(error), false) => {
                        step.error.as_ref().is_some_and(|expected| start(error) == start(expected))
                    }
                    _ => false,
                };
                if !right {
                    let expected =
                        if step.ok { format!("{:?}", step.rows) } else { format!("{:?}", step.error) };
                    wrong.push(format!("{}: {}\n    got {got:?}\n    not {expected}", group.name, step.sql));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Prints what a query costs; run it with `--release`.
#[test]
#[ignore = "measures, and checks nothing"]
fn speed() {
    let opened = opened(Charset::UTF_8);
    opened.ask("create table points (nick varchar(64) primary key, n int not null default 0)").unwrap();
    for at in 0..20 {
        let rows: Vec<String> = (0..500).map(|row| format!("('nick{}', {row})", at * 500 + row)).collect();
        opened.ask(&format!("insert into points values {}", rows.join(", "))).unwrap();
    }
    let micros = |count: u32, query: &dyn Fn(u32) -> String| {
        let queries: Vec<String> = (0..count).map(query).collect();
        let start = std::time::Instant::now();
        queries.iter().for_each(|query| drop(opened.ask(query).unwrap()));
        start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    };
    micros(1000, &|_| "select n from points where nick = 'nick4711'".into());
    let kept = micros(10_000, &|_| "select n from points where nick = 'nick4711'".into());
    let new = micros(5000, &|at| format!("select n from points where nick = 'nick{at}'"));
    let update = micros(2000, &|_| "update points set n = n + 1 where nick = 'nick4711'".into());
    let upsert = micros(2000, &|at| {
        format!("insert into points (nick, n) values ('nick{at}', 1) on duplicate key update n = n + 1")
    });
    println!(
        "a kept SELECT {kept:.1} us, a new one {new:.1} us, a kept UPDATE {update:.1} us, a new upsert {upsert:.1} us"
    );
}

/// Whether a query uses an index.
#[test]
fn looking_for_a_nick_uses_the_index() {
    let opened = opened(Charset::UTF_8);
    opened.ask("create table points (nick varchar(64) primary key, n int)").unwrap();
    for table in ["points", "reglist", "banlist"] {
        let query = format!("select 1 from {table} where nick = 'Alice'");
        let plan =
            opened.sql.guarded.run(|connection| opened.sql.plan(connection, query.as_bytes())).unwrap();
        let Plan::Rows { sql, .. } = &*plan else { panic!("{plan:?}") };
        let steps = opened.sql.guarded.trusted(|connection| -> rusqlite::Result<Vec<String>> {
            let mut statement = connection.prepare(&format!("explain query plan {sql}"))?;
            statement.query_map([], |row| row.get(3))?.collect()
        });
        let steps = steps.unwrap();
        let scan = |step: &String| step.starts_with("SCAN") && !step.ends_with("beyond ASCII");
        assert!(!steps.iter().any(scan), "{query}: {steps:?}\n{sql}");
    }
}

#[test]
fn bytes_of_any_encoding_survive() {
    let opened = opened(Charset::named("cp1251").unwrap());
    let ask = |query: &[u8]| opened.sql.query(SCRIPT, query, 0).unwrap();
    ask(b"create table pi_x (t varchar(20) primary key)");
    ask(b"insert into pi_x values ('\xcf\\'\xef')");
    assert_eq!(ask(b"select t from pi_x where t = '\xef\\'\xcf'"), [[Some(b"\xcf'\xef".to_vec())]]);
    assert_eq!(
        ask(b"select char_length(t), lower(t) from pi_x"),
        [[Some(b"3".to_vec()), Some(b"\xef'\xef".to_vec())]]
    );
}

#[test]
fn many_rows_are_inserted_at_once() {
    let opened = opened(Charset::UTF_8);
    opened.ask("create table points (nick varchar(64) primary key, n int)").unwrap();
    let rows: Vec<String> = (0..1000).map(|row| format!("('ник{row}', {row})")).collect();
    opened.ask(&format!("insert into points values {}", rows.join(", "))).unwrap();
    assert_eq!(opened.ask("select count(*) from points").unwrap(), [[Some("1000".to_string())]]);
}

#[test]
fn each_script_has_a_session_of_its_own() {
    let opened = opened(Charset::UTF_8);
    let ask = |script: i32, query: &str| opened.sql.query(ScriptId(script), query.as_bytes(), 0);
    ask(1, "create table notes (id int auto_increment primary key, t text)").unwrap();
    ask(1, "insert into notes (t) values ('a')").unwrap();
    ask(1, "set @x = 'mine'").unwrap();
    assert_eq!(
        ask(1, "select last_insert_id(), @x").unwrap(),
        [[Some(b"1".to_vec()), Some(b"mine".to_vec())]]
    );
    assert_eq!(ask(2, "select last_insert_id(), @x").unwrap(), [[Some(b"0".to_vec()), None]]);
}

#[test]
fn a_transaction_is_none_and_says_so() {
    let opened = opened(Charset::UTF_8);
    opened.ask("begin").unwrap();
    opened.ask("rollback").unwrap();
    opened.ask("create table t (a int)").unwrap();
    opened.ask("start transaction").unwrap();
    opened.ask("insert into t values (1)").unwrap();
    assert!(opened.ask("rollback").unwrap_err().contains("ROLLBACK cannot undo"));
}

#[test]
fn what_cannot_be_translated_is_named() {
    let opened = opened(Charset::UTF_8);
    for (query, named) in [
        ("select sleep(1)", "sleep()"),
        ("select nonsense(1)", "nonsense"),
        ("create view v as select 1", "CREATE VIEW"),
        ("create temporary table t (a int)", "TEMPORARY"),
        ("select a from (select 1 a) t group by a with rollup", "ROLLUP"),
        ("drop table reglist", "reglist"),
        ("alter table reglist add x int", "reglist"),
        ("create table sqlite_x (a int)", "sqlite_x"),
        ("select * from sqlite_master", "sqlite_master"),
        ("select * from vhpy_tables", "vhpy_tables"),
        ("select 1; select 2", "should end before"),
    ] {
        let error = opened.ask(query).unwrap_err();
        assert!(error.contains(named), "{query}: {error}");
    }
}

#[test]
fn deep_queries_are_refused_and_do_no_harm() {
    let opened = opened(Charset::UTF_8);
    for query in [
        format!("select {}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("select 1{}", "+1".repeat(5000)),
        format!("select {}1", "not ".repeat(5000)),
        format!("select {}1", "- ".repeat(5000)),
        format!("select 1{}", " union select 1".repeat(5000)),
        format!("select {}1{}", "if(1,".repeat(3000), ",1)".repeat(3000)),
        format!("select {} end", "case when 1 then ".repeat(3000)),
    ] {
        assert!(opened.ask(&query).is_err(), "{:.60}", query);
    }
    let many: Vec<String> = (0..150).map(|at| format!("nick = 'n{at}'")).collect();
    opened.ask(&format!("select nick from reglist where {}", many.join(" or "))).unwrap();
    let list: Vec<String> = (0..2000).map(|at| format!("'n{at}'")).collect();
    opened
        .ask(&format!("select nick from reglist where class in (1, 2) and login_pwd in ({})", list.join(",")))
        .unwrap();
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken(query in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120)) {
        let source = Source::new(Charset::UTF_8);
        if let Ok(text) = source.read(&query) {
            let _ = parse::parse(&text);
        }
    }

    #[test]
    fn near_queries_are_taken(query in "(select|update t set|delete from|insert into|create table|alter table|show) [a-z0-9'\"`\\\\();,.*=#@ -]{0,60}") {
        let _ = parse::parse(&query);
    }
}
