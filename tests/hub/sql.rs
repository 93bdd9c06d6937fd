//! Queries of scripts in a hub as a process of its own: what they may not do to it.
#![cfg(feature = "cli")]

use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::{EVAL, all, eval};

fn hub() -> (TestHub, Client) {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let master = hub.master();
    (hub, master)
}

#[test]
fn whatever_stands_in_front_of_begin_the_hubs_writes_are_kept() {
    let (hub, mut master) = hub();
    for query in [
        "/*a*/ begin",
        "\u{feff}begin",
        "-- x\n begin immediate",
        "#\nbegin",
        "/*!40101 begin */",
        "savepoint s",
        ";begin",
    ] {
        eval(&mut master, &format!("vh.SQL({query:?})"));
    }
    master.chat("!regnew kept 1 a-password");
    master.wait_for("kept is registered.");
    let password = hub.password.clone();
    let hub = HubBuilder::in_folder(hub.kill()).start();
    let mut master = Client::connect(&hub, 250).login("master", Some(&password));
    all(&mut master, &[("vh.SQL(\"select nick from reglist where nick = 'kept'\")", "(1, [['kept']])")]);
}

#[test]
fn no_query_costs_the_hub_more_than_a_little_memory_or_three_seconds() {
    let (hub, mut master) = hub();
    all(&mut master, &[("vh.SQL('select 1')", "(1, [['1']])")]);
    let before = hub.most_memory();
    let many = "from (select 1 union all select 2) a, (select 1 union all select 2) b".to_string();
    let wide = (0..60).map(|at| format!("repeat('{at}', 4000000)")).collect::<Vec<_>>().join(", ");
    for query in [
        "select instr(zeroblob(200000000), 'x')".to_string(),
        "select hex(zeroblob(400000000))".to_string(),
        "select hex(repeat('a', 400000000))".to_string(),
        "select instr(repeat('a', 4000000), concat(repeat('a', 2000000), 'b'))".to_string(),
        "select repeat('a', 4000000) like concat(repeat('%a', 30000), 'b')".to_string(),
        "select replace(repeat('a', 4000000), 'a', repeat('b', 4000000))".to_string(),
        format!("select {wide}"),
        format!("select group_concat({wide}) {many}"),
        "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n".to_string(),
        "with recursive n(x) as (select 1 union all select x + 1 from n) select group_concat(x) from n".to_string(),
        "with recursive n(x) as (select 1 union all select x + 1 from n) select x, repeat('x', 3000) from n order by 2".to_string(),
    ] {
        // Only the first one's answer is known: others may be refused or be right and quick.
        let shown: String = query.chars().take(80).collect();
        let got = eval(&mut master, &format!("len(str(vh.SQL({query:?}, 1000000)))"));
        println!("{shown}: {got}, {} MiB", hub.most_memory());
        assert!(hub.most_memory() < before + 64, "{shown}: {before} MiB before, {} MiB after", hub.most_memory());
    }
    all(&mut master, &[("vh.SQL('select 1')", "(1, [['1']])")]);
}

#[test]
fn the_hubs_own_tables_stay_as_they_are() {
    let (_hub, mut master) = hub();
    for query in [
        "drop table reglist",
        "drop table `RegList`",
        "alter table reglist rename to x",
        "alter table reglist add column x int",
        "create table if not exists sqlite_x (a int)",
        "create trigger t after insert on reglist begin delete from reglist; end",
        "create view v as select 1",
        "create temp table t (a int)",
        "attach '/tmp/x' as x",
        "pragma journal_mode = off",
        "vacuum into '/tmp/x'",
        "update sqlite_sequence set seq = 1",
        "delete from sqlite_master",
        "create virtual table t using fts5(a)",
        "select load_extension('x')",
        "reindex",
        "analyze",
    ] {
        assert_eq!(eval(&mut master, &format!("vh.SQL({query:?})")), "(0, [])", "{query}");
    }
    all(&mut master, &[("vh.SQL('select nick from reglist')", "(1, [['master']])")]);
}
