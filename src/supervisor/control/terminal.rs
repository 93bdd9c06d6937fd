//! A connection that has become a stream of bytes: what pdb shows goes to the client, and its lines to
//! pdb, until one of the two ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, SendTimeoutError};

use super::Shared;
use crate::supervisor::debugger::Terminal;

/// The longest line for pdb in bytes, with its end.
const LONGEST: u64 = 64 << 10;
/// How often to see whether the hub has looked at what there is for it, or has ended.
const TURN: Duration = Duration::from_millis(100);

/// Carries bytes until the client goes, the process or the hub ends.
pub(super) fn relay(
    stream: &UnixStream,
    reader: &mut BufReader<&UnixStream>,
    terminal: Terminal,
    shared: &Shared,
) {
    // Who debugs may stop their terminal for as long as they like; the hub's end ends that.
    let _ = stream.set_write_timeout(None);
    std::thread::scope(|scope| {
        let shows = std::thread::Builder::new()
            .name("vhpy-debug".into())
            .spawn_scoped(scope, || show(stream, &terminal, shared));
        if shows.is_ok() {
            read(reader, &terminal, shared);
        }
        terminal.hang_up();
        shared.wake_hub();
    });
}

fn show(mut stream: &UnixStream, terminal: &Terminal, shared: &Shared) {
    let mut is_news = false;
    while !shared.has_ended() {
        match terminal.shown.recv_timeout(TURN) {
            Ok(text) => {
                if stream.write_all(&text).is_err() {
                    break;
                }
                // There is room for more.
                shared.wake_hub();
                is_news = true;
            }
            Err(RecvTimeoutError::Timeout) => {
                // It may have been woken where it could not look.
                if terminal.wants_a_look() || std::mem::take(&mut is_news) {
                    shared.wake_hub();
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                if !terminal.has_hung_up() {
                    let _ = stream.write_all(format!("{}\n", terminal.ended).as_bytes());
                }
                break;
            }
        }
    }
    // Whoever reads from it is done, too.
    let _ = stream.shutdown(Shutdown::Both);
}

fn read(reader: &mut BufReader<&UnixStream>, terminal: &Terminal, shared: &Shared) {
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(1..) if line.ends_with(b"\n") => {}
            // Half a line is no command.
            _ => return,
        }
        loop {
            match terminal.typed.send_timeout(line, TURN) {
                Ok(()) => break,
                Err(SendTimeoutError::Timeout(kept)) if !shared.has_ended() => line = kept,
                Err(_) => return,
            }
        }
        shared.wake_hub();
    }
}
