//! Many users at once, a hub that has nothing to do, and scripts that die while users talk.
#![cfg(feature = "cli")]

use crate::support::processes;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::LIMIT;
use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::{EVAL, eval};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How many users talk.
const USERS: usize = 200;

/// How many messages there are: `VHPY_TEST_MESSAGES`, or enough to see that none is lost.
fn messages() -> usize {
    let usual = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    std::env::var("VHPY_TEST_MESSAGES").map_or(usual, |number| number.parse().expect("a number"))
}

/// What a user says; every seventh message is one that the filter blocks.
fn said(user: usize, number: usize) -> String {
    let word = if (user + number).is_multiple_of(7) { "forbidden" } else { "allowed" };
    format!("<user{user}> message {number} with an {word} word|")
}

#[test]
fn every_message_arrives_everywhere_once_unless_blocked() {
    let filter = "
blocked = 0
def OnParsedMsgChat(nick, message):
    global blocked
    if 'forbidden' in message:
        blocked += 1
        return 0
    if message == 'how many blocked': vh.pm(str(blocked), nick)
";
    let counter = "
counts = {}
def OnParsedMsgChat(nick, message):
    if message == 'how many':
        vh.pm(f'{sum(counts.values())} of {len(counts)}, {min(counts.values())} to {max(counts.values())}', nick)
    elif message.startswith('message '): counts[nick] = counts.get(nick, 0) + 1
";
    let hub = HubBuilder::new()
        .script("filter.py", filter)
        .script("counter.py", counter)
        .set("max_flood_counter_pm", "0")
        .start();
    let mut clients: Vec<Client> = (0..USERS).map(|user| hub.guest(&format!("user{user}"))).collect();
    let mut witness = hub.guest("witness");
    clients.iter_mut().for_each(|client| drop(client.so_far()));
    witness.so_far();

    // In rounds, so that no user falls far behind.
    let rounds = 20;
    let each = (messages() / USERS / rounds).max(1);
    let mut expected_once = HashSet::new();
    for round in 0..rounds {
        let numbers = round * each..(round + 1) * each;
        let mut passed = 0;
        for (user, client) in clients.iter_mut().enumerate() {
            let all: Vec<String> = numbers.clone().map(|number| said(user, number)).collect();
            passed +=
                all.iter().filter(|message| !message.contains("forbidden")).map(String::len).sum::<usize>();
            client.send(&all.concat());
        }
        let heard = witness.exactly(passed);
        for message in heard.split_inclusive(|byte| *byte == b'|') {
            let message = String::from_utf8(message.to_vec()).unwrap();
            assert!(expected_once.insert(message.clone()), "twice: {message}");
        }
        // All hear the same in the same order.
        for client in &mut clients {
            assert!(client.exactly(passed) == heard, "{} heard something else in round {round}", client.nick);
        }
    }
    let total = rounds * each * USERS;
    let blocked = (0..USERS)
        .flat_map(|user| (0..rounds * each).map(move |number| said(user, number)))
        .filter(|message| {
            let forbidden = message.contains("forbidden");
            assert!(forbidden != expected_once.contains(message), "lost or not blocked: {message}");
            forbidden
        })
        .count();
    assert_eq!(expected_once.len(), total - blocked);
    witness.chat("how many");
    witness.wait_for(&format!("$<vhpy> {total} of {USERS}, {0} to {0}", rounds * each));
    witness.chat("how many blocked");
    witness.wait_for(&format!("$<vhpy> {blocked}"));
    for client in &mut clients {
        client.wait_for("<witness> how many");
        client.wait_for("<witness> how many blocked");
        assert_eq!(client.so_far(), Vec::<String>::new());
    }
}

/// How often the threads of a process have gone to sleep and been woken.
fn wake_ups(pids: &[i32]) -> u64 {
    let mut sum = 0;
    for pid in pids {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
            sum += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        }
    }
    sum
}

#[test]
fn an_idle_hub_sleeps() {
    // Who reads scripts that are loaded would come and go meanwhile.
    let hub = HubBuilder::new()
        .set("check_scripts", "0")
        .script("one.py", "def OnParsedMsgChat(nick, message):\n    vh.mc('heard')\n")
        .script("two.py", "def OnUserLogin(nick):\n    pass\n")
        .start();
    let mut master = hub.master();
    master.chat("hello");
    master.wait_for("<vhpy> heard");
    let mut processes = processes::descendants(hub.pid().as_raw());
    assert!(processes.len() >= 2, "{processes:?}");
    processes.push(hub.pid().as_raw());
    // What still happens after the login is over at some time; a hub that looks for work by
    // itself would be woken in each of these seconds.
    let end = Instant::now() + LIMIT;
    loop {
        let before = wake_ups(&processes);
        std::thread::sleep(Duration::from_secs(1));
        let woken = wake_ups(&processes) - before;
        if woken == 0 {
            break;
        }
        assert!(Instant::now() < end, "an idle hub and its scripts are woken {woken} times in a second");
    }
    master.chat("hello");
    master.wait_for("<vhpy> heard");
}

#[test]
fn a_killed_worker_loses_no_message_and_is_back() {
    let hub = HubBuilder::new()
        .script("eval.py", EVAL)
        .script("victim.py", "def OnParsedMsgChat(nick, message):\n    return 'served ' + message\ndef OnHubCommand(nick, command, *_):\n    if command == 'pid':\n        import os\n        vh.usermc(f'pid {os.getpid()}', nick)\n        return 0\n")
        .start();
    let mut master = hub.master();
    let mut listener = hub.guest("listener");
    let mut speaker = hub.guest("speaker");
    let pid_of = |client: &mut Client| {
        client.chat("+pid");
        let said = client.wait_for("<vhpy> ");
        said.strip_prefix("<vhpy> pid ").map(|pid| pid.parse::<i32>().unwrap())
    };
    listener.so_far();
    let mut number = 0;
    for round in 0..4 {
        let pid = pid_of(&mut speaker).expect("the script serves");
        for at in 0..200 {
            speaker.chat(&format!("message {number}"));
            number += 1;
            if at == 50 {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
        }
        let report = master.wait_for("died: ");
        assert!(
            report.contains(" From: OpChat ")
                && report.contains(&format!("Script victim (process {pid}) died: ")),
            "{report}"
        );
        assert!(report.contains("restarted"), "{report}");
        // It is back as soon as it answers; until then the command is unknown.
        let end = Instant::now() + LIMIT;
        while pid_of(&mut speaker).is_none() {
            assert!(Instant::now() < end, "waited for the script to serve again");
        }
        speaker.chat("end of round");
        let mut heard = Vec::new();
        loop {
            let message = String::from_utf8(listener.next().expect("the hub runs")).unwrap();
            if message == "<speaker> served end of round" {
                break;
            }
            heard.push(message.replace("served ", ""));
        }
        let wanted: Vec<String> =
            (number - 200..number).map(|number| format!("<speaker> message {number}")).collect();
        assert_eq!(heard, wanted, "round {round}");
    }
    assert_eq!(eval(&mut speaker, "1 + 1"), "2");
}

/// Checks that a hub's memory has grown by no more than this since then, in MiB.
fn has_grown_little(hub: &TestHub, since: u64, most: u64) {
    let grown = hub.most_memory() - since;
    eprintln!("the hub's memory grew by {grown} MiB");
    assert!(grown <= most, "the hub's memory grew by {grown} MiB; {most} are enough");
}

/// As many clients as that, logged in, who read nothing from then on.
fn readers_of_nothing(hub: &TestHub, count: usize) -> Vec<Client> {
    (0..count).map(|at| hub.guest(&format!("silent{at}"))).collect()
}

#[test]
fn asking_for_the_list_again_and_again_costs_one_list() {
    let robots = "
for at in range(300): vh.AddRobot(f'robot{at}', 0, 'd' * 900, 'x', 'm', 0)
";
    let hub = HubBuilder::new().script("robots.py", robots).start();
    let mut clients = readers_of_nothing(&hub, 20);
    let mut witness = hub.guest("witness");
    let before = hub.most_memory();
    for client in &mut clients {
        client.send(&"$GetNickList|".repeat(300));
    }
    witness.so_far();
    for client in &mut clients {
        client.chat("asked");
        witness.wait_for("asked");
    }
    has_grown_little(&hub, before, 64);
    // Each gets the list all the same, and is still there.
    for client in &mut clients {
        client.wait_for("$MyINFO $ALL robot299 ");
        client.wait_for("$OpList ");
        client.so_far();
    }
}

#[test]
fn all_clients_together_let_only_so_much_wait() {
    let mut hub = HubBuilder::new()
        .script("eval.py", EVAL)
        .set("adv_max_outbuf_total", &(16 << 20).to_string())
        .start();
    let mut master = hub.master();
    let clients = readers_of_nothing(&hub, 60);
    let before = hub.most_memory();
    // Nobody of them alone lets too much wait. What the system keeps for each comes before.
    let each = "vh.SendDataToUser('<x> ' + 'y' * 200000, f'silent{at}') for at in range(60)";
    let mut gone = Vec::new();
    while gone.is_empty() {
        eval(&mut master, &format!("sum({each})"));
        gone = master.so_far();
        gone.retain(|message| message.starts_with("$Quit silent"));
    }
    hub.logs("adv_max_outbuf_total");
    has_grown_little(&hub, before, 64);
    assert!(gone.len() < 60 && !hub.has_logged("reads too slowly"), "{} are gone", gone.len());
    drop(clients);
}

#[test]
fn what_is_said_to_everybody_waits_once() {
    let hub =
        HubBuilder::new().script("eval.py", EVAL).set("adv_max_outbuf_size", &(40 << 20).to_string()).start();
    let mut master = hub.master();
    let clients = readers_of_nothing(&hub, 100);
    let before = hub.most_memory();
    for _ in 0..20 {
        for call in [
            "vh.SendDataToAll('<x> ' + 'z' * 900000, 0, 10)",
            "vh.SendDataToAll('<x> ' + 'z' * 100000, 0, 2)",
            "vh.SendPMToAll('z' * 100000, 'x', 0, 2)",
        ] {
            assert_eq!(eval(&mut master, call), "True");
        }
    }
    // Kept for each of them it would be 2,000 MiB.
    has_grown_little(&hub, before, 160);
    assert_eq!(eval(&mut master, "vh.GetUsersCount()"), "101");
    drop(clients);
}

#[test]
fn what_scripts_give_to_the_hub_has_limits() {
    let (quiet, _) = EVAL.split_once("def OnScriptCommand").unwrap();
    // Gigabytes take their time where others use the processors, and that is not what is tested.
    let patient = HubBuilder::new().set("hook_timeout", "600").set("kill_timeout", "900");
    let hub = patient.script("eval.py", quiet).start();
    let mut master = hub.master();
    let clients = readers_of_nothing(&hub, 60);
    let before = hub.most_memory();
    for (call, done) in [
        ("sum(vh.ScriptCommand('c', 'x' * 10_000_000) for _ in range(200))", "0"),
        ("sum(vh.ScriptCommand('c', 'x' * 1_000_000) for _ in range(200))", "16"),
        ("sum(vh.AddRobot(f'{at}' + 'n' * 1_000_000, 0, 'd', 's', 'm', 0) for at in range(50))", "0"),
        ("sum(vh.AddRobot(f'robot{at}', 0, 'd' * 1_000_000, 's', 'm', 0) for at in range(50))", "0"),
        ("vh.SendPMToAll('x' * 20_000_000, 'sender', 0, 10)", "False"),
        ("vh.SendPMToAll('x' * 1_000_000, 'sender', 0, 2)", "True"),
        ("vh.mc('x' * 20_000_000)", "False"),
        ("vh.SendToOpChat('x' * 20_000_000)", "False"),
        ("vh.SetConfig('config', 'hub_desc', 'x' * 10_000_000)", "False"),
        ("vh.SetConfig('mine', 'v' * 10_000_000, 'x')", "False"),
        ("vh.SetConfig('mine', 'v', 'x' * 60_000)", "True"),
        ("vh.SetMyINFO('master', 'x' * 1_000_000)", "False"),
        ("vh.AddRegUser('x' * 1_000_000, 1, 'password')", "False"),
        ("vh.Ban('master', '10.0.0.1', 'x' * 1_000_000, 60, vh.eBF_IP)", "False"),
    ] {
        assert_eq!(eval(&mut master, call), done, "{call}");
    }
    has_grown_little(&hub, before, 160);
    drop(clients);
}

// ---------------------------------------------------------------- as a service

/// Waits for a message with this line.
fn wait_for_line(messages: &std::os::unix::net::UnixDatagram, wanted: &str) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(length) = messages.recv(&mut buffer) else {
            panic!("waited for {wanted:?}; there were {seen:?}")
        };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.lines().any(|line| line == wanted) {
            return;
        }
        seen.push(text);
    }
}

#[test]
fn a_service_manager_hears_how_the_hub_is_doing() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let messages = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    messages.set_read_timeout(Some(LIMIT)).unwrap();
    let builder = HubBuilder::new().script("eval.py", EVAL);
    let hub = builder.env("NOTIFY_SOCKET", socket.to_str().unwrap()).env("WATCHDOG_USEC", "20000").start();
    wait_for_line(&messages, "READY=1");
    wait_for_line(&messages, "WATCHDOG=1");
    let mut master = hub.master();
    wait_for_line(&messages, "STATUS=1 user, 1 script");
    wait_for_line(&messages, "WATCHDOG=1");
    assert_eq!(eval(&mut master, "__import__('os').environ.get('NOTIFY_SOCKET')"), "None");
    kill(hub.pid(), Signal::SIGTERM).unwrap();
    wait_for_line(&messages, "STOPPING=1");
    assert_eq!(hub.ended().0, 0);
}

#[test]
fn the_version_says_what_fits_together() {
    let vhpy = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy")).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&vhpy.stdout).into_owned();
    let build = plugin_abi::start::BUILD;
    for part in [format!("vhpy {build}\n"), "\ncommit ".into(), format!("\nworker {build}, ")] {
        assert!(said.contains(&part), "{part}: {said}");
    }
}
