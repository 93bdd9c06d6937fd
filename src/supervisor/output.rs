//! What scripts print: read from their pipes on a thread of its own, logged line by line
//! under the script's name, and the last lines kept for when a script dies.
//!
//! A script that prints more than [`RATE`] lines a second keeps running, but the surplus is
//! only counted.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use log::Level;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// How many lines of one script are logged a second.
const RATE: u32 = 500;
/// How many lines are kept for a report.
const KEPT: usize = 200;
/// The longest line in bytes; longer ones are cut into several.
const LONGEST: usize = 4096;

/// The last lines of one script and how much it may log.
#[derive(Debug)]
pub struct Output {
    name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: VecDeque<String>,
    second: Instant,
    logged: u32,
    dropped: u64,
}

impl Output {
    /// For the script of this name.
    pub fn new(name: &str) -> Arc<Output> {
        let inner = Inner { kept: VecDeque::new(), second: Instant::now(), logged: 0, dropped: 0 };
        Arc::new(Output { name: name.to_string(), inner: Mutex::new(inner) })
    }

    /// The last lines, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        self.lock().kept.iter().cloned().collect()
    }

    /// The last line that is not empty.
    pub fn last_line(&self) -> Option<String> {
        self.lock().kept.iter().rev().find(|line| !line.trim().is_empty()).cloned()
    }

    /// Where the Python stack that was printed last begins: file, line, function.
    pub fn last_place(&self) -> Option<String> {
        let inner = self.lock();
        let header = inner.kept.iter().rposition(|line| line.contains("(most recent call first)"))?;
        inner.kept.get(header + 1).map(|line| line.trim().to_string())
    }

    /// Keeps a line of the supervisor's own, such as the reason of a death.
    pub fn note(&self, line: String) {
        self.lock().keep(line);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The data is whole after a panic of another thread: each change is one step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, level: Level, line: &[u8]) {
        let text = String::from_utf8_lossy(line).into_owned();
        let (log, dropped) = {
            let mut inner = self.lock();
            inner.keep(text.clone());
            inner.admit()
        };
        if dropped > 0 {
            log::warn!(target: "script", "{}: {dropped} lines not logged: more than {RATE} a second", self.name);
        }
        if log {
            log::log!(target: "script", level, "{}: {text}", self.name);
        }
    }
}

impl Inner {
    fn keep(&mut self, line: String) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
    }

    /// Whether another line may be logged, and how many were not since the last one that was.
    fn admit(&mut self) -> (bool, u64) {
        let now = Instant::now();
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.logged = 0;
        }
        if self.logged == RATE {
            self.dropped += 1;
            return (false, 0);
        }
        self.logged += 1;
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

enum Order {
    Watch {
        key: u64,
        pipes: Pipes,
        output: Arc<Output>,
    },
    /// A spare got its script.
    Rename {
        key: u64,
        output: Arc<Output>,
    },
    /// The process is gone: read what is left and close, even if a child of it still holds
    /// the pipe. The sender is dropped when that is done.
    Finish {
        key: u64,
        done: Sender<()>,
    },
    Stop,
}

/// The thread that reads all pipes. It sleeps while nothing is printed.
#[derive(Debug)]
pub struct OutputThread {
    orders: Sender<Order>,
    nudge: Arc<EventFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl OutputThread {
    /// Starts the thread.
    pub fn start() -> std::io::Result<OutputThread> {
        let (orders, receiver) = crossbeam_channel::unbounded();
        let nudge = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(nudge.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, NUDGE))?;
        let mut reader = Reader { epoll, nudge: nudge.clone(), orders: receiver, streams: HashMap::new() };
        let thread = std::thread::Builder::new().name("vhpy-output".into()).spawn(move || reader.run())?;
        Ok(OutputThread { orders, nudge, thread: Some(thread) })
    }

    /// Reads the pipes of a process from now on. The key is the caller's.
    pub fn watch(&self, key: u64, pipes: Pipes, output: Arc<Output>) {
        self.order(Order::Watch { key, pipes, output });
    }

    /// Logs what a process prints from now on under another name.
    pub fn rename(&self, key: u64, output: Arc<Output>) {
        self.order(Order::Rename { key, output });
    }

    /// Reads what a dead process left and closes its pipes. The receiver tells when that is done.
    pub fn finish(&self, key: u64) -> Receiver<()> {
        let (done, finished) = crossbeam_channel::bounded(0);
        self.order(Order::Finish { key, done });
        finished
    }

    fn order(&self, order: Order) {
        // Both fail only if the thread is gone, and then there is nobody to read anything.
        let _ = self.orders.send(order);
        let _ = self.nudge.write(1);
    }

    /// Lets go of a thread that a fork left in the parent process. Dropping its handle would
    /// detach it, and with it whichever thread of the child has got its stack since.
    pub fn forget(mut self) {
        std::mem::forget(self.thread.take());
    }
}

impl Drop for OutputThread {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.order(Order::Stop);
            let _ = thread.join();
        }
    }
}

const NUDGE: u64 = u64::MAX;

/// One pipe.
struct Stream {
    file: std::fs::File,
    level: Level,
    output: Arc<Output>,
    line: Vec<u8>,
}

struct Reader {
    epoll: Epoll,
    nudge: Arc<EventFd>,
    orders: Receiver<Order>,
    /// By twice the process's key, plus one for standard error.
    streams: HashMap<u64, Stream>,
}

impl Reader {
    fn run(&mut self) {
        let mut events = [EpollEvent::empty(); 32];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => {
                    log::error!("scripts' output is lost from now on: epoll: {error}");
                    return;
                }
            };
            let mut nudged = false;
            for event in &events[..count] {
                match event.data() {
                    NUDGE => nudged = true,
                    key => self.read(key, 16),
                }
            }
            if nudged && !self.obey() {
                return;
            }
        }
    }

    /// Carries out what was ordered; false at the end.
    fn obey(&mut self) -> bool {
        let _ = self.nudge.read();
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Watch { key, pipes, output } => {
                    self.add(key * 2, pipes.stdout, Level::Info, output.clone());
                    self.add(key * 2 + 1, pipes.stderr, Level::Warn, output);
                }
                Order::Rename { key, output } => {
                    for key in [key * 2, key * 2 + 1] {
                        if let Some(stream) = self.streams.get_mut(&key) {
                            stream.output = output.clone();
                        }
                    }
                }
                Order::Finish { key, done } => {
                    for key in [key * 2, key * 2 + 1] {
                        self.read(key, 256);
                        self.close(key);
                    }
                    drop(done);
                }
                Order::Stop => return false,
            }
        }
        true
    }

    fn add(&mut self, key: u64, fd: OwnedFd, level: Level, output: Arc<Output>) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, key);
        if let Err(error) = set_nonblocking(&fd).and_then(|()| Ok(self.epoll.add(&fd, event)?)) {
            log::error!("{}: its output cannot be read: {error}", output.name);
            return;
        }
        self.streams.insert(key, Stream { file: fd.into(), level, output, line: Vec::new() });
    }

    /// Reads at most so many buffers, so that one chatterer does not keep the others waiting.
    fn read(&mut self, key: u64, buffers: u32) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let mut buffer = [0; 8192];
        for _ in 0..buffers {
            match stream.file.read(&mut buffer) {
                Ok(0) => return self.close(key),
                Ok(count) => stream.take(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => return self.close(key),
            }
        }
    }

    fn close(&mut self, key: u64) {
        if let Some(mut stream) = self.streams.remove(&key) {
            stream.flush();
            let _ = self.epoll.delete(&stream.file);
        }
    }
}

impl Stream {
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            self.output.line(self.level, &self.line);
            self.line.clear();
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        while self.line.len() > LONGEST {
            let rest = self.line.split_off(LONGEST);
            self.output.line(self.level, &self.line);
            self.line = rest;
        }
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.output.line(self.level, &self.line);
            self.line.clear();
        }
    }
}

fn set_nonblocking(fd: &OwnedFd) -> std::io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?) | OFlag::O_NONBLOCK;
    fcntl(fd, FcntlArg::F_SETFL(flags))?;
    debug_assert!(fd.as_raw_fd() >= 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_are_kept_and_the_rest_of_a_dead_process_is_read() {
        let thread = OutputThread::start().unwrap();
        let (out, out_writer) = nix::unistd::pipe().unwrap();
        let (err, err_writer) = nix::unistd::pipe().unwrap();
        let output = Output::new("test");
        thread.watch(7, Pipes { stdout: out, stderr: err }, output.clone());
        let mut writer = std::fs::File::from(out_writer);
        writer.write_all(b"one\ntwo\nwithout an end").unwrap();
        // The writing ends stay open, as a child of the script would keep them.
        let _ = thread.finish(7).recv();
        assert_eq!(output.last_lines(), ["one", "two", "without an end"]);
        drop(err_writer);
    }

    #[test]
    fn a_flood_is_counted_and_not_logged() {
        let output = Output::new("test");
        let mut inner = output.lock();
        let admitted = (0..RATE + 100).filter(|_| inner.admit().0).count();
        assert!(admitted >= RATE as usize && admitted <= 2 * RATE as usize);
    }
}
