//! What the hub keeps when it is killed, when the disk is full, when backups are made meanwhile.

use crate::bans::{refused, welcome};
use std::time::Instant;

use crate::support::LIMIT;
use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::{EVAL, all, eval};
use crate::support::processes::{descendants, runs};
use nix::sys::signal::{Signal, kill};

#[test]
fn a_killed_hub_leaves_nothing_running_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = folder.path().join("hangs");
    let endless = format!(
        "import signal, threading\n\
        def OnParsedMsgChat(nick, text):\n    \
            if text == 'hang':\n        open('{}', 'w').close()\n        while True: pass\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        threading.Thread(target=threading.Event().wait).start()\n",
        hangs.display()
    );
    let hub = HubBuilder::new().script("eval.py", EVAL).script("endless.py", &endless).start();
    let password = hub.password.clone();
    let mut master = hub.master();
    for number in 0..20 {
        let expression = format!(
            "vh.AddRegUser('reg{number}', 1, 'a password'), vh.Ban('master', 'bad{number}', 'why', 0, vh.eBF_NICK), \
             vh.SetConfig('mine', 'n{number}', 'value {number}')"
        );
        assert_eq!(eval(&mut master, &expression), "(True, True, True)");
    }
    assert_eq!(eval(&mut master, "vh.Topic('A topic')"), "'A topic'");
    let workers = descendants(hub.pid().as_raw());
    assert!(workers.len() >= 2, "{workers:?}");
    // One of them is in the middle of a hook.
    master.chat("hang");
    let end = Instant::now() + LIMIT;
    while !hangs.exists() {
        assert!(Instant::now() < end, "waited for the hook to hang");
        std::thread::yield_now();
    }
    let data = hub.kill();
    let end = Instant::now() + LIMIT;
    while let Some(pid) = workers.iter().find(|pid| runs(**pid)) {
        assert!(Instant::now() < end, "waited for worker {pid} of {workers:?} to end");
        std::thread::yield_now();
    }
    let hub = HubBuilder::in_folder(data).start();
    let mut master = Client::connect(&hub, 250).login("master", Some(&password));
    let all_there = "(1, [['20', '20', '20', 'ok']])";
    let counts = "vh.SQL(\"select (select count(*) from reglist where nick like 'reg%' and class = 1), \
        (select count(*) from banlist where nick like 'bad%' or ip like 'bad%'), \
        (select count(*) from SetupList where file = 'mine'), 'ok'\")";
    assert_eq!(eval(&mut master, counts), all_there);
    all(&mut master, &[("vh.Topic(), vh.GetConfig('mine', 'n19')", "('A topic', 'value 19')")]);
    drop(Client::connect(&hub, 2).login("reg19", Some("a password")));
    refused(&hub, 3, "bad19", 1);
    let file = hub.data.as_ref().unwrap().path().join("hub.db");
    let database = rusqlite::Connection::open(file).unwrap();
    let sound: String = database.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// Lets files of the hub grow no further, as a full disk does; or again as they like.
fn disk_is_full(hub: &TestHub, full: bool) {
    let limit = if full { 1 } else { libc::RLIM_INFINITY };
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it reads the limit only, which outlives the call.
    let result =
        unsafe { libc::prlimit(hub.pid().as_raw(), libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn every_answer_on_a_full_disk_is_true() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    for (command, answer) in [
        ("!ban 127.0.0.30 1h why", "127.0.0.30 is banned for 1 hour."),
        ("!ban 127.0.0.31", "127.0.0.31 is banned for ever."),
        ("!ban 127.0.0.31 1h", "127.0.0.31 is banned for ever."),
        ("!regnew there 3 a-password", "there is registered."),
        ("!topic before", "The topic is now: before"),
    ] {
        master.chat(command);
        assert_eq!(master.wait_for("<vhpy> "), format!("<vhpy> {answer}"), "{command}");
    }
    let mut clients: Vec<Client> = ["kicked", "dropped", "banned"].map(|nick| hub.guest(nick)).into();
    master.so_far();
    disk_is_full(&hub, true);
    for (command, answer) in [
        (
            "!kick kicked",
            "kicked was kicked, but the ban could not be stored; see the log. It could not be put into the list of kicks; see the log.",
        ),
        ("!drop dropped", "dropped was dropped. It could not be put into the list of kicks; see the log."),
        ("!ban banned", "The ban could not be stored; see the log."),
        ("!ban 10.0.0.0/8 1h", "The ban could not be stored; see the log."),
        ("!unban 127.0.0.30", "The bans of 127.0.0.30 could not be lifted; see the log."),
        ("!regnew new 1 a-password", "new: it could not be stored; see the log."),
        ("!regclass there 1", "there: it could not be stored; see the log."),
        ("!regpasswd there another", "there: it could not be stored; see the log."),
        ("!delreg there", "there: it could not be stored; see the log."),
        ("+passwd another-one", "master: it could not be stored; see the log."),
        ("!topic after", "it could not be stored; see the log"),
        ("!topic", "The topic is: before"),
        ("!setconfig hub_name other", "hub_name: it could not be stored; see the log"),
        ("!setconfig of_a_script x 1", "x: it could not be stored; see the log"),
    ] {
        master.chat(command);
        assert_eq!(master.wait_for("<vhpy> "), format!("<vhpy> {answer}"), "{command}");
    }
    all(
        &mut master,
        &[
            ("vh.Ban('master', 'banned', 'why', 60, vh.eBF_NICK)", "False"),
            ("vh.KickUser('master', 'banned', 'why')", "False"),
            ("vh.UserRestrictions('master', nochat='1h')", "{}"),
            ("vh.DelIPTempBan('127.0.0.30')", "False"),
            ("vh.AddRegUser('new', 1, 'a-password')", "False"),
            ("vh.DelRegUser('there')", "False"),
            ("vh.SetRegClass('there', 1)", "False"),
            ("vh.SetConfig('config', 'hub_name', 'other')", "False"),
            ("vh.GetConfig('config', 'hub_name')", "'vhpy hub'"),
            ("vh.Topic('after')", "'before'"),
            ("vh.SQL(\"insert into SetupList values ('a', 'b', 'c')\")[0]", "0"),
        ],
    );
    // Whoever was banned before stays out, and whoever is registered comes in.
    refused(&hub, 30, "anybody", 1);
    Client::connect(&hub, 2).login("there", Some("a-password"));
    assert!(clients.iter_mut().all(|client| !client.closed().is_empty()));

    disk_is_full(&hub, false);
    let password = hub.password.clone();
    master.chat("!ban 127.0.0.32 1h why");
    master.wait_for("127.0.0.32 is banned for 1 hour.");
    let hub = HubBuilder::in_folder(hub.stop()).start();
    Client::connect(&hub, 250).login("master", Some(&password));
    Client::connect(&hub, 2).login("there", Some("a-password"));
    for host in [30, 32] {
        refused(&hub, host, "anybody", 1);
    }
    for nick in ["kicked", "banned", "new"] {
        welcome(&hub, 3, nick, 1);
    }
}

/// Keeps one more thing in its store and in the database with each message; says at its start
/// what is there, and whether it is a beginning of what was kept.
const KEEPER: &str = "
    import vh

    vh.SQL('create table if not exists kept (number int primary key)')
    _, rows = vh.SQL('select number from kept order by number', 1000000)
    numbers = [int(row[0]) for row in rows]
    stored = sorted(vh.store.values())
    whole = stored == list(range(len(stored))) and numbers == list(range(len(numbers)))
    print(f'kept {len(stored)} and {len(numbers)}, whole: {whole}')
    count = max(len(stored), len(numbers))
    for number in range(len(numbers), count):
        vh.SQL(f'insert into kept values ({number})')
    for number in range(len(stored), count):
        vh.store[f'number {number}'] = number

    def OnParsedMsgChat(nick, message):
        global count
        vh.store[f'number {count}'] = count
        vh.SQL(f'insert into kept values ({count})')
        count += 1
";

/// How often a backup is made and restored, each time with a kill in between.
fn backups() -> u32 {
    std::env::var("VHPY_TEST_BACKUPS").map_or(4, |times| times.parse().unwrap())
}

pub fn vhpy(args: &[&std::ffi::OsStr]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"));
    command.args(args).stdout(std::process::Stdio::null());
    command
}

/// What a hub keeps is whole after any of these: a backup while it is busy, its own death, the
/// death of the backup or of the restore at any moment.
#[test]
fn backups_are_whole_whoever_is_killed() {
    let archives = tempfile::tempdir().unwrap();
    let file = archives.path().join("hub.tar");
    let mut builder = HubBuilder::new().script("keeper.py", KEEPER);
    let mut least = 0;
    for round in 0..backups() {
        let mut hub = builder.start();
        let said = hub.logs_next("kept ");
        assert!(said.contains("whole: True"), "round {round}: {said}");
        let count: u32 = said.split("kept ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(count >= least, "round {round}: {said}, but {least} were in the backup");
        let mut guest = hub.guest("guest");
        let mut chat = || {
            guest.send(&"<guest> one more|".repeat(50));
            guest.so_far();
        };
        chat();
        // One backup that is killed, after as many of its own steps as chance will have; one
        // that is not; and the hub goes on all the while.
        let folder = hub.data.as_ref().unwrap().path().to_path_buf();
        let args = ["backup".as_ref(), file.as_os_str(), "--data".as_ref(), folder.as_os_str()];
        let mut killed = vhpy(&args).spawn().unwrap();
        (0..round * 977 % 50_000).for_each(|_| std::thread::yield_now());
        killed.kill().unwrap();
        killed.wait().unwrap();
        let mut made = vhpy(&args).spawn().unwrap();
        while made.try_wait().unwrap().is_none() {
            chat();
        }
        assert!(made.wait().unwrap().success());
        least = count + 50;
        chat();
        let data = hub.kill();
        // What was kept after the backup is lost; nothing of that before is.
        let args = ["restore".as_ref(), file.as_os_str(), "--data".as_ref(), data.path().as_os_str()];
        if round % 2 == 0 {
            let mut killed = vhpy(&args).spawn().unwrap();
            (0..round * 1499 % 50_000).for_each(|_| std::thread::yield_now());
            killed.kill().unwrap();
            killed.wait().unwrap();
        } else {
            assert!(vhpy(&args).status().unwrap().success());
        }
        builder = HubBuilder::in_folder(data).scripts(1);
    }
}

#[test]
fn backup_and_restore_say_what_is_wrong() {
    let hub = HubBuilder::new().start();
    let folder = hub.data.as_ref().unwrap().path().to_path_buf();
    let archives = tempfile::tempdir().unwrap();
    let file = archives.path().join("hub.tar");
    let run = |args: &[&std::ffi::OsStr]| {
        let output = vhpy(args).stderr(std::process::Stdio::piped()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let data = ["--data".as_ref(), folder.as_os_str()];
    let (code, said) = run(&[&["backup".as_ref(), file.as_os_str()], &data[..]].concat());
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap()) & 0o777, 0o600);
    let (code, said) = run(&["restore".as_ref(), "--check".as_ref(), file.as_os_str()]);
    assert_eq!((code, said.as_str()), (0, ""));
    let (code, said) = run(&[&["restore".as_ref(), file.as_os_str()], &data[..]].concat());
    assert!(code == 1 && said.contains("another hub uses the data folder"), "{code} {said}");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let (code, said) = run(&["restore".as_ref(), "--check".as_ref(), file.as_os_str()]);
    assert!(code == 1 && said.contains("is damaged") && said.lines().count() == 1, "{code} {said}");
    let nowhere = archives.path().join("nowhere");
    let (code, said) = run(&["backup".as_ref(), file.as_os_str(), "--data".as_ref(), nowhere.as_os_str()]);
    assert!(code == 1 && said.contains("there is no hub's database"), "{code} {said}");
}

#[test]
fn a_hub_goes_on_when_nobody_reads_what_it_prints() {
    let builder = HubBuilder::new();
    let mut command = builder.command();
    let mut hub =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(hub.stdout.take());
    let log = std::io::BufReader::new(hub.stderr.take().unwrap());
    let line = std::io::BufRead::lines(log).map_while(Result::ok).find(|line| line.contains("nobody reads"));
    assert!(line.is_some_and(|line| line.contains("listens on 127.0.0.1:")));
    assert!(hub.try_wait().unwrap().is_none());
    kill(nix::unistd::Pid::from_raw(hub.id() as i32), Signal::SIGTERM).unwrap();
    assert!(hub.wait().unwrap().success());
}
