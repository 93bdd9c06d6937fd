//! What scripts print: read from their pipes on a thread of its own, logged line by line
//! under the script's name, and the last lines kept for when a script dies.
//!
//! A script that prints more than [`RATE`] lines a second keeps running, but the surplus is
//! only counted. Standard error is counted by itself, so that the traceback which follows a flood
//! of prints is logged; the lines of one traceback are logged together or not at all.

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::Level;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use super::forks::Unforked;
use super::poll::{epoll, eventfd};

use crate::log_level::SCRIPT;

/// How many lines of each of a script's two streams are logged a second.
const RATE: u32 = 500;
/// How many lines are kept for a report.
const KEPT: usize = 200;
/// The longest line in bytes; longer ones are cut into several.
const LONGEST: usize = 4096;

/// How lines of the supervisor's own begin, among those of a script.
const NOTE: &str = "— process ";

/// The longest traceback that is kept together, in lines.
const LONGEST_TRACEBACK: usize = 400;
/// How long the rest of a traceback is waited for, before what is there is logged.
const REST: Duration = Duration::from_millis(100);

/// The last lines of one script and how much it may log.
#[derive(Debug)]
pub struct Output {
    name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: VecDeque<String>,
    /// How many lines there were, kept or not any more.
    count: u64,
    printed: Budget,
    complained: Budget,
}

/// How much of one stream has been logged.
#[derive(Debug)]
struct Budget {
    second: Instant,
    logged: u32,
    dropped: u64,
}

impl Output {
    /// For the script of this name.
    pub fn new(name: &str) -> Arc<Output> {
        let inner =
            Inner { kept: VecDeque::new(), count: 0, printed: Budget::new(), complained: Budget::new() };
        Arc::new(Output { name: name.to_string(), inner: Mutex::new(inner) })
    }

    /// For a forked child, where a thread that does not exist may have this one locked. It has
    /// the last lines unless that is so.
    pub fn in_child(&self) -> Arc<Output> {
        let output = Output::new(&self.name);
        if let Ok(inner) = self.inner.try_lock() {
            output.lock().kept.clone_from(&inner.kept);
        }
        output
    }

    /// The last lines, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        self.lock().kept.iter().cloned().collect()
    }

    /// The lines after so many, as far as they are kept, and how many there were in all.
    pub fn lines_from(&self, from: u64) -> (u64, Vec<String>) {
        let inner = self.lock();
        let new = usize::try_from(inner.count.saturating_sub(from)).unwrap_or(usize::MAX);
        let skipped = inner.kept.len().saturating_sub(new);
        (inner.count, inner.kept.iter().skip(skipped).cloned().collect())
    }

    /// The last line of the script's that says something: no note of ours, no part of a stack.
    pub fn last_line(&self) -> Option<String> {
        self.lock().kept.iter().rev().find(|line| says_something(line)).cloned()
    }

    /// Where the Python stack that was printed last begins: file, line, function.
    pub fn last_place(&self) -> Option<String> {
        let inner = self.lock();
        let header = inner.kept.iter().rposition(|line| line.contains("(most recent call first)"))?;
        inner.kept.get(header + 1).map(|line| line.trim().to_string())
    }

    /// Keeps a line of the supervisor's own: what became of a process.
    pub fn note_of(&self, pid: impl Display, what: &str) {
        self.lock().keep(format!("{NOTE}{pid} {what}"));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Logs lines one after the other, or none of them.
    fn lines(&self, level: Level, lines: &[String]) {
        let (log, dropped) = {
            let mut inner = self.lock();
            lines.iter().for_each(|line| inner.keep(line.clone()));
            let budget = if level == Level::Info { &mut inner.printed } else { &mut inner.complained };
            budget.admit(u32::try_from(lines.len()).unwrap_or(RATE))
        };
        if dropped > 0 {
            log::warn!(target: SCRIPT, "{}: {dropped} lines not logged: more than {RATE} a second", self.name);
        }
        if log {
            for line in lines {
                log::log!(target: SCRIPT, level, "{}: {line}", self.name);
            }
        }
    }
}

impl Inner {
    fn keep(&mut self, line: String) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
        self.count += 1;
    }
}

impl Budget {
    fn new() -> Budget {
        Budget { second: Instant::now(), logged: 0, dropped: 0 }
    }

    /// Whether so many more lines may be logged, and how many were not since the last that were.
    /// What begins within the budget is logged to its end.
    fn admit(&mut self, lines: u32) -> (bool, u64) {
        let now = Instant::now();
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.logged = 0;
        }
        if self.logged >= RATE {
            self.dropped += u64::from(lines);
            return (false, 0);
        }
        self.logged += lines;
        (true, std::mem::take(&mut self.dropped))
    }
}

/// The pipes of one process.
#[derive(Debug)]
pub struct Pipes {
    /// The reading end of its standard output.
    pub stdout: OwnedFd,
    /// The reading end of its standard error.
    pub stderr: OwnedFd,
}

/// The thread that reads all pipes. It sleeps while nothing is printed.
#[derive(Debug)]
pub struct OutputThread {
    shared: Unforked<Arc<Shared>>,
    thread: Unforked<Option<std::thread::JoinHandle<()>>>,
}

/// One pipe.
#[derive(Debug)]
struct Stream {
    file: std::fs::File,
    level: Level,
    output: Arc<Output>,
    line: Vec<u8>,
    /// The lines of a traceback that has not come to its end, and since when it waits for that.
    traceback: Vec<String>,
    since: Instant,
}

/// What the thread and the hub's thread share. The hub's thread never waits for the other
/// one, except for the pipe that this one is just reading.
#[derive(Debug)]
struct Shared {
    epoll: Epoll,
    /// Ends the thread's sleep for good.
    stop: EventFd,
    /// By twice the process's key, plus one for standard error.
    streams: Mutex<HashMap<u64, Arc<Mutex<Stream>>>>,
}

const STOP: u64 = u64::MAX;

/// How many buffers of one pipe are read before the others get their turn.
const BUFFERS_PER_TURN: u32 = 16;
/// How many buffers of a dead process are read at most: a child of it may go on printing.
const LAST: u32 = 256;

impl OutputThread {
    /// Starts the thread.
    pub fn start() -> std::io::Result<OutputThread> {
        let stop = eventfd()?;
        let epoll = epoll()?;
        epoll.add(stop.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        let shared = Arc::new(Shared { epoll, stop, streams: Mutex::default() });
        let reader = shared.clone();
        let thread = std::thread::Builder::new().name("vhpy-output".into()).spawn(move || reader.run())?;
        Ok(OutputThread { shared: Unforked::new(shared), thread: Unforked::new(Some(thread)) })
    }

    /// Reads the pipes of a process from now on. The key is the caller's.
    pub fn register(&self, key: u64, pipes: Pipes, output: Arc<Output>) {
        let Some(shared) = self.shared.get() else { return };
        shared.add(key * 2, pipes.stdout, Level::Info, output.clone());
        shared.add(key * 2 + 1, pipes.stderr, Level::Warn, output);
    }

    /// Logs what a process prints from now on under another name: a spare got its script.
    pub fn rename(&self, key: u64, output: &Arc<Output>) {
        let Some(shared) = self.shared.get() else { return };
        for key in [key * 2, key * 2 + 1] {
            if let Some(stream) = shared.stream(key) {
                lock(&stream).output = output.clone();
            }
        }
    }

    /// Reads what a dead process left, on the caller's thread, and closes its pipes, even if
    /// a child of it still holds them.
    pub fn finish(&self, key: u64) {
        let Some(shared) = self.shared.get() else { return };
        for key in [key * 2, key * 2 + 1] {
            shared.read(key, LAST);
            shared.close(key);
        }
    }

    /// Reads, on the caller's thread, what scripts have printed so far, and logs it.
    pub fn catch_up(&self) {
        let Some(shared) = self.shared.get() else { return };
        let keys: Vec<u64> = lock(&shared.streams).keys().copied().collect();
        for key in keys {
            shared.read(key, LAST);
            if let Some(stream) = shared.stream(key) {
                lock(&stream).log_traceback();
            }
        }
    }

    /// In a forked child: closes the pipes, as far as nobody had them locked.
    pub fn leave(&self) {
        if self.shared.get().is_some() {
            return;
        }
        // Who has the lock is sure that nobody was changing what it protects. A stream that the
        // thread was reading is held by it, so that it is not dropped here.
        if let Ok(mut streams) = self.shared.even_in_a_child().streams.try_lock() {
            streams.clear();
        }
    }
}

impl Drop for OutputThread {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().and_then(Option::take);
        if let (Some(shared), Some(thread)) = (self.shared.get(), thread) {
            // Fails only if the counter is at its limit, and then the thread is awake.
            let _ = shared.stop.write(1);
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut events = [EpollEvent::empty(); 32];
        let mut unfinished: Vec<u64> = Vec::new();
        loop {
            unfinished.retain(|key| self.waits_for_rest(*key));
            let timeout = if unfinished.is_empty() { EpollTimeout::NONE } else { EpollTimeout::from(100u8) };
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => {
                    log::error!("scripts' output is lost from now on: epoll: {error}");
                    return;
                }
            };
            for event in &events[..count] {
                match event.data() {
                    STOP => return,
                    key => {
                        self.read(key, BUFFERS_PER_TURN);
                        if !unfinished.contains(&key) {
                            unfinished.push(key);
                        }
                    }
                }
            }
        }
    }

    fn stream(&self, key: u64) -> Option<Arc<Mutex<Stream>>> {
        lock(&self.streams).get(&key).cloned()
    }

    fn add(&self, key: u64, fd: OwnedFd, level: Level, output: Arc<Output>) {
        let name = output.name.clone();
        let added = set_nonblocking(&fd).and_then(|()| {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, key);
            let mut streams = lock(&self.streams);
            self.epoll.add(&fd, event)?;
            let (line, traceback, since) = (Vec::new(), Vec::new(), Instant::now());
            let stream = Stream { file: fd.into(), level, output, line, traceback, since };
            streams.insert(key, Arc::new(Mutex::new(stream)));
            Ok(())
        });
        if let Err(error) = added {
            log::error!("{name}: its output cannot be read: {error}");
        }
    }

    /// Reads at most so many buffers, so that one chatterer does not keep the others waiting.
    fn read(&self, key: u64, buffers: u32) {
        let Some(stream) = self.stream(key) else { return };
        let is_open = lock(&stream).read(buffers);
        if !is_open {
            self.close(key);
        }
    }

    /// Whether a stream is in the middle of a traceback; after a while that is its end.
    fn waits_for_rest(&self, key: u64) -> bool {
        let Some(stream) = self.stream(key) else { return false };
        let mut stream = lock(&stream);
        if stream.since.elapsed() >= REST {
            stream.log_traceback();
        }
        !stream.traceback.is_empty()
    }

    fn close(&self, key: u64) {
        let removed = lock(&self.streams).remove(&key);
        if let Some(stream) = removed {
            let mut stream = lock(&stream);
            stream.flush();
            // The other thread may hold the stream for another moment, and with it the pipe.
            let _ = self.epoll.delete(&stream.file);
        }
    }
}

/// The data is whole after a panic of another thread: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// Reads at most so many buffers. False at the end of the pipe.
    fn read(&mut self, buffers: u32) -> bool {
        let mut buffer = [0; 8192];
        for _ in 0..buffers {
            match self.file.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.take(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        while self.line.len() > LONGEST {
            let rest = self.line.split_off(LONGEST);
            self.end_line();
            self.line = rest;
        }
    }

    /// Logs the line, unless it belongs to a traceback that goes on.
    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        let begins = line.ends_with("Traceback (most recent call last):") && self.level != Level::Info;
        if self.traceback.is_empty() && !begins {
            return self.output.lines(self.level, &[line]);
        }
        // The exception itself, which ends a traceback, is the first line that is not indented.
        let is_last = !line.starts_with(' ') && !self.traceback.is_empty();
        self.since = Instant::now();
        self.traceback.push(line);
        if is_last || self.traceback.len() >= LONGEST_TRACEBACK {
            self.log_traceback();
        }
    }

    fn log_traceback(&mut self) {
        if !self.traceback.is_empty() {
            self.output.lines(self.level, &self.traceback);
            self.traceback.clear();
        }
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.log_traceback();
    }
}

fn set_nonblocking(fd: &OwnedFd) -> std::io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?) | OFlag::O_NONBLOCK;
    fcntl(fd, FcntlArg::F_SETFL(flags))?;
    debug_assert!(fd.as_raw_fd() >= 0);
    Ok(())
}

/// Whether a line is more than a place in the code, as an interpreter that crashes writes them.
fn says_something(line: &str) -> bool {
    let is_of_a_stack = line.starts_with(' ')
        || line.ends_with("(most recent call first):")
        || line.starts_with("Extension modules: ");
    !line.trim().is_empty() && !line.starts_with(NOTE) && !is_of_a_stack
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_line_is_one_that_says_something() {
        let output = Output::new("test");
        assert_eq!(output.last_line(), None);
        output.note_of(7, "ended: signal SIGSEGV");
        assert_eq!(output.last_line(), None);
        for line in [
            "Fatal Python error: Segmentation fault",
            "",
            "Current thread 0x00007f3f6213b040 (most recent call first):",
            "  File \"<string>\", line 36 in <module>",
            "",
            "Extension modules: _a, _b (total: 2)",
        ] {
            output.lock().keep(line.into());
        }
        assert_eq!(output.last_line().as_deref(), Some("Fatal Python error: Segmentation fault"));
    }

    #[test]
    fn lines_are_kept_and_the_rest_of_a_dead_process_is_read() {
        let thread = OutputThread::start().unwrap();
        let (out, out_writer) = nix::unistd::pipe().unwrap();
        let (err, err_writer) = nix::unistd::pipe().unwrap();
        let output = Output::new("test");
        thread.register(7, Pipes { stdout: out, stderr: err }, output.clone());
        let mut writer = std::fs::File::from(out_writer);
        writer.write_all(b"one\ntwo\nwithout an end").unwrap();
        // The writing ends stay open, as a child of the script would keep them.
        thread.finish(7);
        assert_eq!(output.last_lines(), ["one", "two", "without an end"]);
        drop(err_writer);
    }

    #[test]
    fn a_flood_is_counted_and_not_logged() {
        let mut budget = Budget::new();
        // All of it within one second, however long it takes.
        budget.second = Instant::now() + Duration::from_secs(3600);
        let admitted = (0..RATE + 100).filter(|_| budget.admit(1).0).count();
        assert_eq!(admitted, RATE as usize);
    }

    #[test]
    fn a_traceback_after_a_flood_is_logged_and_whole() {
        let output = Output::new("test");
        for _ in 0..2 * RATE {
            output.lines(Level::Info, &["printed".into()]);
        }
        {
            // As if all of it had been within one second.
            let mut inner = output.lock();
            inner.printed.second = Instant::now() + Duration::from_secs(60);
            inner.printed.logged = RATE;
            assert!(!inner.printed.admit(1).0);
            inner.complained.second = inner.printed.second;
            inner.complained.logged = RATE - 1;
            assert!(inner.complained.admit(10).0, "what begins within the budget ends in it");
            assert!(!inner.complained.admit(1).0);
        }
    }

    #[test]
    fn the_lines_of_one_traceback_stay_together() {
        let (out, _out_writer) = nix::unistd::pipe().unwrap();
        let output = Output::new("test");
        let stream = |level| Stream {
            file: out.try_clone().unwrap().into(),
            level,
            output: output.clone(),
            line: Vec::new(),
            traceback: Vec::new(),
            since: Instant::now(),
        };
        let (mut stdout, mut stderr) = (stream(Level::Info), stream(Level::Warn));
        stderr.take(b"before\nTraceback (most recent call last):\n  File \"a.py\", line 1\n");
        stdout.take(b"Traceback (most recent call last):\nprinted\n");
        stderr.take(
            b"    x\nKeyError: 5\nafter\n  + Exception Group Traceback (most recent call last):\n  | a\n",
        );
        stdout.take(b"printed\n");
        stderr.take(b"  +-----\n");
        stderr.flush();
        let printed = ["Traceback (most recent call last):", "printed"];
        let traceback =
            ["Traceback (most recent call last):", "  File \"a.py\", line 1", "    x", "KeyError: 5"];
        let group = ["  + Exception Group Traceback (most recent call last):", "  | a", "  +-----"];
        let expected = [&["before"][..], &printed, &traceback, &["after"], &["printed"], &group].concat();
        assert_eq!(output.last_lines(), expected);
    }

    #[test]
    fn a_traceback_that_never_ends_is_logged_in_parts() {
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let output = Output::new("test");
        let (level, since) = (Level::Warn, Instant::now());
        let (line, traceback) = (Vec::new(), Vec::new());
        let mut stream = Stream { file: writer.into(), level, output, line, traceback, since };
        stream.take(b"Traceback (most recent call last):\n");
        for _ in 0..3 * LONGEST_TRACEBACK {
            stream.take(b"  File\n");
            assert!(stream.traceback.len() < LONGEST_TRACEBACK);
        }
    }

    #[test]
    fn a_traceback_without_an_end_is_logged_nevertheless() {
        let thread = OutputThread::start().unwrap();
        let (out, _out_writer) = nix::unistd::pipe().unwrap();
        let (err, err_writer) = nix::unistd::pipe().unwrap();
        let output = Output::new("test");
        thread.register(7, Pipes { stdout: out, stderr: err }, output.clone());
        std::fs::File::from(err_writer.try_clone().unwrap())
            .write_all(b"Traceback (most recent call last):\n  File\n")
            .unwrap();
        let start = Instant::now();
        while output.last_lines().len() < 2 {
            assert!(
                start.elapsed().as_secs() < 60,
                "waited a minute for the lines: {:?}",
                output.last_lines()
            );
            std::thread::yield_now();
        }
    }
}
