//! Figures over HTTP, as Prometheus and those who look at a hub's health read them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::support::client::{HubBuilder, TestHub};
use crate::support::{LIMIT, has, wait_until};

const SCRIPT: &str = r#"
    import os, time

    def OnParsedMsgChat(nick, message):
        if message == "raise":
            raise ValueError(message)
        if message.startswith("wait for "):
            while not os.path.exists(message[9:]):
                time.sleep(0.005)
"#;

fn hub() -> HubBuilder {
    HubBuilder::new().arg("--metrics").arg("127.0.0.1:0")
}

fn metrics_of(hub: &TestHub) -> SocketAddr {
    let rest = hub.greeting.split("Metrics are at http://").nth(1);
    let address = rest.and_then(|rest| rest.split('/').next());
    address.unwrap_or_else(|| panic!("no address in {}", hub.greeting)).parse().unwrap()
}

/// What comes for these bytes, until the connection ends. One that is reset has ended.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8(answer).unwrap(),
    }
}

fn get(address: SocketAddr, target: &str) -> String {
    exchange(address, format!("GET {target} HTTP/1.1\r\nHost: hub\r\n\r\n").as_bytes())
}

/// A figure, by all that stands before its value.
fn figure(page: &str, name: &str) -> Option<f64> {
    page.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(|value| value.parse().unwrap())
}

#[test]
fn figures_are_those_of_the_hub_and_its_scripts() {
    let hub = hub().script("quiz.py", SCRIPT).start();
    let address = metrics_of(&hub);
    let mut anna = hub.guest("anna");
    let mut master = hub.master();
    for message in ["hello", "raise", "bye"] {
        anna.chat(message);
        master.wait_for(&format!("<anna> {message}"));
    }
    // A worker counts when it has answered.
    let mut page = String::new();
    wait_until("all calls of the hook", || {
        page = get(address, "/metrics");
        figure(&page, r#"vhpy_hook_seconds_count{script="quiz",hook="OnParsedMsgChat"}"#) == Some(3.0)
    });
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text"), "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    for (name, value) in [
        (r#"vhpy_script_exceptions_total{script="quiz"}"#, 1.0),
        (r#"vhpy_script_up{script="quiz"}"#, 1.0),
        (r#"vhpy_script_restarts_total{script="quiz"}"#, 0.0),
        (r#"vhpy_users{class="guest"}"#, 1.0),
        (r#"vhpy_users{class="master"}"#, 1.0),
        (r#"vhpy_messages_total{kind="chat"}"#, 3.0),
        ("vhpy_share_bytes", 200.0),
    ] {
        assert_eq!(figure(&page, name), Some(value), "{name} in {page}");
    }
    for name in ["vhpy_turn_seconds_count", r#"vhpy_script_memory_bytes{script="quiz"}"#] {
        assert!(figure(&page, name) > Some(0.0), "{name} in {page}");
    }
    let health = get(address, "/health");
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("\r\n\r\nok\n"), "{health}");
    let head = exchange(address, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.contains("Content-Length: "), "{head}");
}

#[test]
fn promtool_finds_nothing_to_say_about_them() {
    if !has(&["promtool"]) {
        return;
    }
    let hub = hub().script("quiz.py", SCRIPT).start();
    hub.guest("anna").chat("hello");
    let request = b"GET /metrics HTTP/1.1\r\nAccept: text/plain;version=0.0.4\r\n\r\n";
    let answer = exchange(metrics_of(&hub), request);
    let (_, page) = answer.split_once("\r\n\r\n").unwrap();
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

#[test]
fn promtool_takes_the_examples_of_the_manual() {
    if !has(&["promtool"]) {
        return;
    }
    let manual = include_str!("../../docs/metrics.md");
    let folder = tempfile::tempdir().unwrap();
    let blocks = manual.split("```yaml\n# ").skip(1).map(|block| block.split("```").next().unwrap());
    let mut names = Vec::new();
    for block in blocks {
        let (name, text) = block.split_once('\n').unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        names.push(name);
    }
    assert_eq!(names, ["prometheus.yml", "vhpy.rules.yml"]);
    // It reads the rules, too.
    let mut promtool = Command::new("promtool");
    let output =
        promtool.args(["check", "config"]).arg(folder.path().join("prometheus.yml")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("5 rules found"), "{said}");
}

/// The script keeps the hub's thread for as long as the test wants.
#[test]
fn there_is_an_answer_while_the_hub_hangs() {
    let hub = hub().script("quiz.py", SCRIPT).start();
    let address = metrics_of(&hub);
    assert!(get(address, "/metrics").contains(r#"vhpy_script_up{script="quiz"} 1"#));
    let go_on = hub.data.as_ref().unwrap().path().join("go on");
    let mut anna = hub.guest("anna");
    anna.chat(&format!("wait for {}", go_on.display()));
    wait_until("the hub to hang", || {
        let health = get(address, "/health");
        health.starts_with("HTTP/1.1 503") && health.contains("the hub has not looked for ")
    });
    let page = get(address, "/metrics");
    assert!(page.contains(r#"vhpy_script_up{script="quiz"} 1"#), "the last figures: {page}");
    std::fs::write(go_on, "").unwrap();
    anna.wait_for("<anna> wait for ");
    wait_until("a healthy hub", || get(address, "/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn strangers_get_refusals_and_keep_nobody_away() {
    let hub = hub().script("quiz.py", SCRIPT).start();
    let address = metrics_of(&hub);
    let endless = [b"GET /metrics HTTP/1.1\r\na: ".to_vec(), vec![b'b'; 100_000]].concat();
    for (request, status) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"),
        (b"$Supports TTHSearch|$ValidateNick anna|\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "400"),
        (&endless, "431"),
    ] {
        let answer = exchange(address, request);
        // What was sent and not read may end the connection before the answer is seen.
        let is_refused = answer.is_empty() && request.len() > 10_000;
        assert!(is_refused || answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    // Those who send nothing or half a request, read nothing, or leave.
    let mut held = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(address).unwrap();
        let part: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /metrics HT",
            2 => b"GET /metrics HTTP/1.1\r\n\r\n",
            _ => b"\0\xff\r\n\r\n",
        };
        // The hub may have ended one that was there for long.
        let _ = stream.write_all(part);
        if number % 3 > 0 {
            held.push(stream);
        }
        if number % 10 == 0 {
            assert!(get(address, "/metrics").ends_with("# EOF\n"));
        }
    }
    assert!(get(address, "/health").starts_with("HTTP/1.1 200"));
    // Of those that were held, all but a few have been ended for others.
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", hub.pid())).unwrap().count();
    assert!(descriptors < 80, "{descriptors}");
    let mut anna = hub.guest("anna");
    anna.chat("hello");
    anna.wait_for("<anna> hello");
}

#[test]
fn an_address_that_is_taken_or_none_is_said_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, code, said) in [
        (&*taken, 1, "give another address with --metrics"),
        ("localhost", 2, "invalid value 'localhost'"),
        ("9111", 2, "invalid value '9111'"),
    ] {
        let output = HubBuilder::new().arg("--metrics").arg(address).command().output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && error.contains(said), "{address}: {error}");
    }
    drop(taken);
}
