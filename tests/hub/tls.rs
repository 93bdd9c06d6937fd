//! Clients with `nmdcs://`: what they are sent is what others are, however much it is and however
//! slowly they read; the certificate is the one that was announced, and is read again on demand.
#![cfg(feature = "cli")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::LIMIT;
use crate::support::client::{Client, HubBuilder, TestHub};
use nix::sys::signal::{Signal, kill};

/// Takes plain connections and hands their bytes on with TLS; prints where it listens, and the
/// digest of each certificate that it meets. Python's implementation is another than the hub's.
const TUNNEL: &str = r#"
import asyncio, hashlib, ssl, sys

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    except (ConnectionError, ssl.SSLError):
        writer.close()

async def tunnel(reader, writer):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, sys.argv[2])
    host, port = sys.argv[1].rsplit(":", 1)
    hub_reader, hub_writer = await asyncio.open_connection(host, int(port), ssl=context)
    certificate = hub_writer.get_extra_info("ssl_object").getpeercert(True)
    print(hashlib.sha256(certificate).hexdigest(), flush=True)
    await asyncio.gather(pump(reader, hub_writer), pump(hub_reader, writer))

async def main():
    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

struct Tunnel {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Tunnel {
    fn to(address: &str, version: &str) -> Tunnel {
        let mut command = Command::new("python3");
        command.args(["-c", TUNNEL, address, version]).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Tunnel { process, output, port: line.trim().parse().unwrap() }
    }

    /// A connection through it, and the digest of the certificate that the hub showed.
    fn client(&mut self) -> (Client, String) {
        let client = Client::on(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        (client, line.trim().to_string())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hub() -> HubBuilder {
    HubBuilder::new().arg("--listen-tls").arg("127.0.0.1:0").set("max_chat_msg", "100000")
}

/// The address for TLS and the keyprint, as the hub has said.
fn told(hub: &TestHub) -> (String, String) {
    let url = hub.greeting.split("nmdcs://").nth(1).unwrap_or_else(|| panic!("{}", hub.greeting));
    let (address, keyprint) = url.split_once("/?kp=SHA256/").unwrap();
    (address.into(), keyprint.lines().next().unwrap().into())
}

/// What a keyprint in base 32 says, as hexadecimal digits.
fn digits(keyprint: &str) -> String {
    let bits: String = keyprint
        .bytes()
        .map(|letter| match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        })
        .map(|value| format!("{value:05b}"))
        .collect();
    (0..64).map(|at| format!("{:x}", u8::from_str_radix(&bits[at * 4..at * 4 + 4], 2).unwrap())).collect()
}

#[test]
fn a_client_with_tls_is_a_client_like_others() {
    let hub = hub().start();
    let (address, keyprint) = told(&hub);
    for version in ["TLSv1_2", "TLSv1_3"] {
        let mut tunnel = Tunnel::to(&address, version);
        let (anna, certificate) = tunnel.client();
        assert_eq!(certificate, digits(&keyprint));
        let mut anna = anna.login("anna", None);
        let mut bert = hub.guest("bert");
        anna.chat("hello");
        bert.wait_for("<anna> hello");
        bert.chat("hello anna");
        anna.wait_for("<bert> hello anna");
        drop(anna);
        bert.wait_for("$Quit anna");
        // The hub's own goodbye comes through whole.
        let (mut other, _) = tunnel.client();
        other.wait_for("$Lock ");
        other.send("$Supports NoHello|$Key x|$ValidateNick bert|");
        assert!(other.closed().contains("$ValidateDenide bert"));
        drop(bert);
    }
}

#[test]
fn who_reads_late_gets_all_of_it() {
    let hub = hub().start();
    let mut tunnel = Tunnel::to(&told(&hub).0, "TLSv1_3");
    let mut late = tunnel.client().0.login("late", None);
    let mut writer = hub.guest("writer");
    let text = |number: usize| format!("{number} {}", "x".repeat(9_000));
    // More than the sockets' buffers take, less than the hub keeps for one.
    (0..400).for_each(|number| writer.chat(&text(number)));
    writer.so_far();
    for number in 0..400 {
        assert_eq!(late.wait_for("<writer> "), format!("<writer> {}", text(number)));
    }
}

#[test]
fn what_is_no_tls_is_sent_away_and_harms_nobody() {
    let hub = hub().start();
    let address = told(&hub).0;
    for hello in
        [&b"$ValidateNick x|"[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3], &[0; 300]]
    {
        let mut stranger = TcpStream::connect(&address).unwrap();
        stranger.set_read_timeout(Some(LIMIT)).unwrap();
        stranger.write_all(hello).unwrap();
        if hello[0] == 0x16 {
            // It may go on: the hub waits as long as for any login.
            continue;
        }
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
        assert!(!answer.windows(5).any(|part| part == b"$Lock"), "{}", answer.escape_ascii());
    }
    let mut tunnel = Tunnel::to(&address, "TLSv1_3");
    tunnel.client().0.login("anna", None);
}

#[test]
fn the_certificate_is_read_again() {
    let pair = |folder: &std::path::Path| (folder.join("tls/certificate.pem"), folder.join("tls/key.pem"));
    // Two hubs, for two pairs.
    let (first, second) = (hub().start(), hub().start());
    let other = told(&second).1;
    let (mut first, folder) = (first, second.data.as_ref().unwrap().path().to_path_buf());
    let own = first.data.as_ref().unwrap().path().to_path_buf();
    let mut tunnel = Tunnel::to(&told(&first).0, "TLSv1_3");
    assert_eq!(tunnel.client().1, digits(&told(&first).1));
    std::fs::write(pair(&own).1, "no key").unwrap();
    kill(first.pid(), Signal::SIGHUP).unwrap();
    first.logs_next("the certificate stays as it is");
    assert_eq!(tunnel.client().1, digits(&told(&first).1));
    std::fs::copy(pair(&folder).0, pair(&own).0).unwrap();
    std::fs::copy(pair(&folder).1, pair(&own).1).unwrap();
    kill(first.pid(), Signal::SIGHUP).unwrap();
    first.logs_next("the certificate was read again");
    assert_eq!(tunnel.client().1, digits(&other));
}

#[test]
fn several_addresses_and_those_that_cannot_be_had() {
    let hub = HubBuilder::new().arg("--listen").arg("127.0.0.1:0").start();
    let second = hub.greeting.split("dchub://").nth(1).unwrap().lines().next().unwrap();
    let anna = Client::on(TcpStream::connect(second).unwrap()).login("anna", None);
    let mut bert = hub.guest("bert");
    bert.so_far();
    drop(anna);
    bert.wait_for("$Quit anna");
    let refused = |args: &[&str]| {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vhpy"));
        command.arg("hub").arg("--data").arg(data.path()).args(args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + LIMIT;
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "waited for the end of vhpy hub {args:?}");
            std::thread::yield_now();
        }
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused(&["--listen", "127.0.0.1:0", "--listen-tls", second]);
    assert!(code == 1 && said.contains("is in use"), "{said}");
    let missing =
        ["--listen-tls", "127.0.0.1:0", "--tls-cert", "/nowhere/c.pem", "--tls-key", "/nowhere/k.pem"];
    let (code, said) = refused(&missing);
    assert!(code == 1 && said.contains("cannot read /nowhere/c.pem") && said.lines().count() == 1, "{said}");
    assert_eq!(refused(&["--tls-cert", "/nowhere/c.pem"]).0, 2);
}
