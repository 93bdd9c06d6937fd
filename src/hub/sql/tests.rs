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
