//! Variables, flags and options: set by commands, by the command line, without the hub, read again.

use crate::survival::vhpy;
use std::time::Instant;

use crate::support::LIMIT;
use crate::support::client::HubBuilder;
use crate::support::eval::{EVAL, all, eval};
use nix::sys::signal::{Signal, kill};

#[test]
fn sighup_reads_the_configuration_again() {
    let mut hub = HubBuilder::new().script("eval.py", EVAL).set("hub_name", "Given").start();
    let mut nick = hub.guest("nick");
    let file = hub.data.as_ref().unwrap().path().join("hub.db");
    let database = rusqlite::Connection::open(file).unwrap();
    let set = |name: &str, value: &str| {
        let sql = "replace into SetupList (file, var, val) values ('config', ?, ?)";
        database.execute(sql, [name, value]).unwrap();
    };
    set("hub_topic", "from outside");
    set("hub_name", "not this");
    set("max_users", "many");
    set("opchat_name", "Ops");
    kill(hub.pid(), Signal::SIGHUP).unwrap();
    let said = hub.logs("configuration read again; changed: ");
    assert!(said.ends_with("hub_topic, opchat_name"), "{said}");
    hub.logs("the stored variable max_users is left out: give a whole number");
    // What the command line says holds all the same.
    nick.wait_for("$HubName Given - from outside");
    nick.wait_for("$HubTopic from outside");
    nick.wait_for("$MyINFO $ALL Ops ");
    all(&mut nick, &[("vh.Topic(), vh.GetConfig('max_users')", "('from outside', '6000')")]);
    kill(hub.pid(), Signal::SIGHUP).unwrap();
    hub.logs_next("configuration read again; changed: nothing");
}

#[test]
fn commands_change_the_configuration() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    let mut ask = |command: &str, answer: &str| {
        master.chat(command);
        let said = master.wait_for("<vhpy> ");
        assert!(said.contains(answer), "{command}: {said}");
    };
    ask("!setconfig max_chat_msg 30", "max_chat_msg = 30 (was 256)");
    ask("!setconfig max_chat_msg many", "max_chat_msg: give a whole number");
    ask("!setconfig nonsense 5", "There is no variable");
    ask("!setconfig mine nonsense some words", "nonsense = some words (was )");
    ask("!getconfig mine nonsense", "nonsense = some words");
    ask("!getconfig max_chat_msg", "max_chat_msg = 30");
    ask("!setconfig", "Usage: !setconfig");
    ask("!setconfig hub_name A hub", "hub_name = A hub (was vhpy hub)");
    nick.wait_for("$HubName A hub");
    nick.chat(&"x".repeat(31));
    nick.chat("short");
    let seen = nick.so_far().join("\n");
    assert!(seen.contains("<nick> short") && !seen.contains("<nick> xxx"), "{seen}");
    nick.chat("!setconfig hub_name mine");
    nick.chat("+setconfig hub_name mine");
    nick.wait_for("setconfig is for class 5 and higher.");
    // `$SetTopic` of an operator's client, and of others.
    nick.send("$SetTopic not mine|");
    nick.wait_for("This is for class 4 and higher.");
    master.send("$SetTopic By my client|");
    nick.wait_for("$HubTopic By my client");
    master.send("$GetTopic|");
    master.wait_for("$HubTopic By my client");
    let hub = HubBuilder::in_folder(hub.kill()).start();
    let mut nick = hub.guest("nick");
    all(
        &mut nick,
        &[(
            "vh.Topic(), vh.GetConfig('max_chat_msg'), vh.GetConfig('mine', 'nonsense'), vh.GetConfig('hub_name')",
            "('By my client', '30', 'some words', 'A hub')",
        )],
    );
}

/// The supervisor's options are variables and flags of the hub.
#[test]
fn options_about_scripts_are_variables_and_flags() {
    let limits = "
        import resource
        def OnParsedMsgChat(nick, message):
            memory = resource.getrlimit(resource.RLIMIT_AS)[0] >> 20
            vh.usermc(f'{memory} MiB, {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} files', nick)
            return 0
        ";
    let hub = HubBuilder::new()
        .script("limits.py", limits)
        .arg("--set")
        .arg("limit_memory=300")
        .arg("--limit-files")
        .arg("99")
        .start();
    let mut master = hub.master();
    master.chat("hello");
    master.wait_for("300 MiB, 99 files");
    let mut ask = |command: &str, answer: &str| {
        master.chat(command);
        let said = master.wait_for("<vhpy> ");
        assert!(said.contains(answer), "{command}: {said}");
    };
    ask("!setconfig limit_memory 5", "limit_memory: give a number from 16");
    ask("!setconfig restart_limit 3", "restart_limit = 3 (was 5)");
    ask("!setconfig limit_memory 400", "limit_memory = 400 (was 300)");
    ask("!pyreload limits", "is reloaded");
    master.chat("hello");
    master.wait_for("400 MiB, 99 files");
    let hub = HubBuilder::in_folder(hub.kill()).start();
    let mut nick = hub.guest("nick");
    nick.chat("hello");
    nick.wait_for("400 MiB, ");
    for (wrong, reason) in [
        (["--hook-timeout", "-1"], "must be a number of seconds"),
        (["--spare", "perhaps"], "must be 0 or 1"),
    ] {
        let output = HubBuilder::new().arg(wrong[0]).arg(wrong[1]).command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(reason), "{wrong:?}: {said}");
    }
}

/// Each option about scripts reaches their processes, in its unit.
#[test]
fn options_about_scripts_have_their_effect() {
    let hub = HubBuilder::new()
        .script("eval.py", EVAL)
        .set("limit_memory", "4000")
        .set("limit_cpu", "5000")
        .set("limit_files", "77")
        .set("limit_processes", "4321")
        .set("nice", "3")
        .set("kill_timeout", "4000")
        .set("hook_timeout", "3000")
        .set("load_timeout", "2000")
        .set("restart_wait", "5")
        .start();
    let mut master = hub.master();
    let limit =
        |name: &str| format!("__import__('resource').getrlimit(__import__('resource').RLIMIT_{name})");
    for (expression, value) in [
        (limit("AS"), "(4194304000, 4194304000)".to_string()),
        (limit("NOFILE"), "(77, 77)".into()),
        (limit("NPROC"), "(4321, 4321)".into()),
        (format!("{}[0]", limit("CPU")), "5000".into()),
    ] {
        assert_eq!(eval(&mut master, &expression), value, "{expression}");
    }
    // SAFETY: a call without pointers.
    let own = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    assert_eq!(eval(&mut master, "__import__('os').nice(0)"), (own + 3).min(19).to_string());
    // Each by its own name, and no other.
    for (name, value) in
        [("kill_timeout", "4000"), ("hook_timeout", "3000"), ("load_timeout", "2000"), ("restart_wait", "5")]
    {
        assert_eq!(eval(&mut master, &format!("vh.GetConfig('config', '{name}')")), format!("'{value}'"));
    }
}

#[test]
fn the_configuration_is_changed_without_the_hub() {
    let data = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"));
        command.arg("config").args(args.split(' ')).arg("--data").arg(data.path());
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    };
    assert_eq!(run("set max_users 7"), (0, "max_users = 7\n".into()));
    assert_eq!(run("get max_users"), (0, "7\n".into()));
    assert_eq!(run("list --changed"), (0, "* max_users = 7\n".into()));
    let (code, said) = run("set max_users many");
    assert!(
        code == 1 && said.contains("max_users: give a whole number") && said.lines().count() == 1,
        "{said}"
    );
    let (code, said) = run("explain hook_timeout");
    assert!(code == 0 && said.contains("default  2"), "{said}");
    // A hub takes it, and one that runs takes changes over.
    let hub = HubBuilder::in_folder(data).script("eval.py", EVAL).start();
    let mut master = hub.master();
    all(&mut master, &[("vh.GetConfig('config', 'max_users')", "'7'")]);
    let folder = hub.data.as_ref().unwrap().path().to_path_buf();
    let changed = vhpy(&[
        "config".as_ref(),
        "reset".as_ref(),
        "max_users".as_ref(),
        "--data".as_ref(),
        folder.as_os_str(),
    ])
    .status();
    assert!(changed.unwrap().success());
    kill(hub.pid(), Signal::SIGHUP).unwrap();
    let end = Instant::now() + LIMIT;
    while eval(&mut master, "vh.GetConfig('config', 'max_users')") != "'6000'" {
        assert!(Instant::now() < end, "waited for the hub to read its configuration again");
    }
}
