//! A worker that does its worst, and a hub that must not care.
//!
//! This program is both: started by the supervisor in place of Python, it is the hostile
//! worker, which writes anything anywhere in the shared memory, sends frames that are wrong
//! in every way, floods, falls silent, or dies. Otherwise it is the hub, which hands out
//! events and serves calls all the while, and at the end must be as it was at the start.
//!
//! `HOSTILE_ACTIONS` is how many bad things are done; by default 20,000 or as many as
//! 20 seconds allow. `HOSTILE_SEED` repeats a run.

mod support;

use std::io::Write;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};
use plugin_abi::frame::{PROTOCOL, Wants};
use plugin_abi::link::{Notify, WorkerFds, WorkerReceiver, WorkerSender};
use plugin_abi::{Answer, Args, Call, FromWorker, HookSet, ToWorker, start};
use vhpy::supervisor::{Config, RestartLimits};
use vhpy::{Hook, Host, ScriptId, Supervisor, Value};

/// A hub takes nothing for a worker library that does not say so.
#[used]
static BUILD: &str = start::MARKED_BUILD;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("-c") {
        return Worker::new().run();
    }
    let wanted: Option<u64> = from_environment("HOSTILE_ACTIONS");
    let actions = wanted.unwrap_or(20_000);
    // How often a worker must be waited for is chance, and the machine may have more to do.
    let time = if wanted.is_some() { Duration::MAX } else { Duration::from_secs(20) };
    let seed = from_environment("HOSTILE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("HOSTILE_SEED", seed.to_string()) };
    println!("\nrunning 1 test: {actions} hostile actions, HOSTILE_SEED={seed}");
    hub(actions, time);
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Small, fast, repeatable (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }
}

// ------------------------------------------------------------------ the worker

struct Worker {
    random: Random,
    memory: MmapRaw,
    sender: WorkerSender,
    receiver: WorkerReceiver,
    /// Grows by a byte with every action.
    tally: std::fs::File,
    /// The last event, which a decent worker would answer.
    event: Option<u64>,
    frame: Vec<u8>,
}

impl Worker {
    fn new() -> Worker {
        // SAFETY: a worker is given these three descriptors, and nobody else here uses them.
        let owned = |fd| unsafe { OwnedFd::from_raw_fd(fd) };
        let fds = WorkerFds {
            memory: owned(start::MEMORY_FD),
            wake: owned(start::WAKE_FD),
            doorbell: owned(start::DOORBELL_FD),
            life: owned(start::LIFE_FD),
        };
        let file = std::fs::File::from(fds.memory.as_fd().try_clone_to_owned().expect("a copy"));
        let memory = MmapOptions::new().map_raw(&file).expect("the shared memory");
        let (sender, receiver) = plugin_abi::link::open(fds).expect("the link");
        let seed = from_environment("HOSTILE_SEED").unwrap_or(1);
        let tally = std::env::var_os("HOSTILE_TALLY").expect("the hub's tally");
        // Each process does something else, and in another run with this seed the same again.
        let starts = Path::new(&tally).with_extension("starts");
        let mut starts = std::fs::File::options().append(true).create(true).open(starts).expect("a file");
        starts.write_all(b".").expect("a byte");
        let number = starts.metadata().expect("its length").len();
        let random = Random(seed ^ (number << 32));
        let tally = std::fs::File::options().append(true).create(true).open(tally).expect("the tally");
        Worker { random, memory, sender, receiver, tally, event: None, frame: Vec::new() }
    }

    fn run(mut self) {
        // Some never even say hello.
        if self.random.below(40) == 0 {
            return;
        }
        self.send(&FromWorker::Hello { protocol: PROTOCOL, python: b"hostile"[..].into() });
        loop {
            self.take();
            for _ in 0..=self.random.below(8) {
                let _ = self.tally.write(b".");
                if !self.act() {
                    return;
                }
            }
            if !self.receiver.is_ready() && !self.receiver.stay_awake() {
                let _ = self.receiver.sleep(None);
            }
        }
    }

    /// Reads what the hub sent; loads like a decent worker, so that there is something to ruin.
    fn take(&mut self) {
        let mut frame = std::mem::take(&mut self.frame);
        while let Ok(true) = self.receiver.receive(&mut frame) {
            match ToWorker::read(&frame) {
                Ok(ToWorker::Load(_)) => {
                    let mut hooks = HookSet::EMPTY;
                    hooks.insert(Hook::OnParsedMsgChat);
                    self.send(&FromWorker::Loaded {
                        wants: Wants { hooks, ..Wants::default() },
                        warnings: Vec::new(),
                    });
                }
                Ok(ToWorker::Event { seq, .. }) => {
                    self.event = Some(seq);
                    // Mostly answered, or every event would only measure the deadline.
                    if self.random.below(16) != 0 {
                        self.send(&FromWorker::Answer { seq, answer: Answer::GoOn });
                    }
                }
                Ok(ToWorker::Unload { .. }) => std::process::exit(0),
                _ => {}
            }
        }
        self.frame = frame;
    }

    fn send(&mut self, frame: &FromWorker<'_>) {
        let mut bytes = Vec::new();
        if frame.write(&mut bytes).is_ok() {
            self.send_bytes(&bytes);
        }
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        let mut patience = 1000;
        let _ = self.sender.send(bytes, Notify::Ring, || {
            patience -= 1;
            if patience == 0 {
                std::process::exit(9);
            }
        });
    }

    /// One bad thing; false ends the process.
    fn act(&mut self) -> bool {
        match self.random.below(100) {
            0..20 => self.scribble(),
            20..25 => self.scribble_control(),
            25..35 => {
                let bytes = self.random.bytes(300);
                self.send_bytes(&bytes);
            }
            35..55 => self.damaged_frame(),
            55..60 => {
                let (seq, known) = (self.random.next(), self.event.unwrap_or(1));
                for seq in [known, known, seq] {
                    self.send(&FromWorker::Answer { seq, answer: Answer::Block });
                }
            }
            60..65 => {
                let mut nested = vec![0x93, 36, 1];
                nested.extend(std::iter::repeat_n(0x91, 10_000));
                self.send_bytes(&nested);
            }
            65..70 => self.send_bytes(&[0x93, 36, 1, 0xdd, 0xff, 0xff, 0xff, 0xff]),
            70..80 => {
                for id in 0..self.random.below(500) {
                    let args = Args::from_vec(vec![Value::from("nick")]);
                    self.send(&FromWorker::Call { id, call: Call::GetUserClass, args });
                }
            }
            80..84 => {
                let id = self.random.next();
                let args = Args::from_vec(vec![Value::Int(1); 12]);
                self.send(&FromWorker::Call { id, call: Call::mc, args });
            }
            85..88 => {
                let value = Value::from(self.random.bytes(100_000));
                let key = self.random.bytes(9);
                self.send(&FromWorker::Store { key: key.into(), value: Some(value) });
            }
            88..90 => self.send(&FromWorker::LoadFailed { reason: b"not really"[..].into() }),
            90 => self.send(&FromWorker::Unloaded),
            91 => {
                let number = self.random.next();
                self.send(&FromWorker::Later(number));
            }
            92 => return false,
            // SAFETY: a system call without pointers, on this very process.
            93 => unsafe {
                libc::raise(if self.random.below(2) == 0 { libc::SIGSEGV } else { libc::SIGSTOP });
            },
            94 => {
                // Deaf until it is killed.
                if self.random.below(20) == 0 {
                    loop {
                        std::thread::sleep(Duration::from_secs(3600));
                    }
                }
            }
            95 => self.abuse_descriptors(),
            96 => self.fill_ring(),
            97 => {
                for number in 0..self.random.below(3000) {
                    let nick = Value::from(format!("robot {number}"));
                    let mut args = vec![Value::from("x"); 6];
                    (args[0], args[1]) = (nick, Value::Int(1));
                    self.send(&FromWorker::Call { id: 1, call: Call::AddRobot, args: Args::from_vec(args) });
                }
                let warnings = vec![b"w"[..].into(); 100_000];
                self.send(&FromWorker::Loaded { wants: Wants::default(), warnings });
            }
            98 => return self.leave_a_child(),
            84 => {
                let mut some = || HookSet::from_bits(1 << self.random.below(64));
                let (hooks, observers) = (some(), some());
                for _ in 0..1000 {
                    self.send(&FromWorker::Hooks(Wants { hooks, observers, ..Wants::default() }));
                    let wants = Wants { hooks: observers, observers: hooks, ..Wants::default() };
                    self.send(&FromWorker::Hooks(wants));
                }
                for _ in 0..self.random.below(200) {
                    let wants = self.filters();
                    self.send(&FromWorker::Hooks(wants));
                }
            }
            _ => self.send(&FromWorker::Dynamic { id: 1, name: b"nothing"[..].into(), args: Args::new() }),
        }
        true
    }

    /// Flags, contents and ends of what it was given to wake and be woken.
    fn abuse_descriptors(&mut self) {
        let bytes = [7; 4096];
        // SAFETY: system calls on descriptors of this very process; the bytes are valid.
        unsafe {
            for fd in [start::WAKE_FD, start::DOORBELL_FD] {
                libc::fcntl(fd, libc::F_SETFL, 0);
            }
            libc::fcntl(start::DOORBELL_FD, libc::F_SETFL, libc::O_NONBLOCK);
            match self.random.below(4) {
                0 => while libc::write(start::DOORBELL_FD, bytes.as_ptr().cast(), bytes.len()) > 0 {},
                1 => drop(libc::dup2(start::MEMORY_FD, start::DOORBELL_FD)),
                2 => drop(libc::dup2(start::MEMORY_FD, start::WAKE_FD)),
                // A hole in the memory, which seals do not prevent.
                _ => drop(libc::fallocate(
                    start::MEMORY_FD,
                    libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                    0,
                    self.memory.len() as libc::off_t,
                )),
            }
        }
    }

    /// The same header everywhere: a frame without an end, or the same frame for ever.
    fn fill_ring(&mut self) {
        let headers = [0b11 << 62, 0b11 << 62 | 1, 0b11 << 62 | 64, 1 << 63, 1 << 63 | 8];
        let header = headers[self.random.below(headers.len() as u64) as usize];
        for at in (1024..self.memory.len() as u64).step_by(8) {
            self.write(at, header);
        }
    }

    /// Dies, and lets a child in another process group go on with the memory for a while.
    fn leave_a_child(&mut self) -> bool {
        // SAFETY: this process has one thread.
        if unsafe { libc::fork() } == 0 {
            // SAFETY: has no conditions.
            unsafe { libc::setsid() };
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(30) {
                self.scribble();
                self.fill_ring();
            }
            std::process::exit(0);
        }
        false
    }

    /// A frame that was right, with some bytes changed or cut off.
    fn damaged_frame(&mut self) {
        let value = Value::List(vec![
            Value::from("text"),
            Value::Int(7),
            Value::Map(vec![(1i64.into(), Value::Nil)]),
        ]);
        let mut bytes = Vec::new();
        let frame = match self.random.below(4) {
            0 => FromWorker::Returned { seq: 1, value },
            1 => FromWorker::Call { id: 2, call: Call::pm, args: Args::from_vec(vec![value]) },
            2 => FromWorker::Store { key: b"k"[..].into(), value: Some(value) },
            _ => FromWorker::Answer { seq: 3, answer: Answer::MyInfo([const { None }; 5]) },
        };
        if frame.write(&mut bytes).is_err() {
            return;
        }
        for _ in 0..=self.random.below(3) {
            let at = self.random.below(bytes.len() as u64) as usize;
            bytes[at] = self.random.next() as u8;
        }
        if self.random.below(4) == 0 {
            bytes.truncate(self.random.below(bytes.len() as u64) as usize);
        }
        self.send_bytes(&bytes);
    }

    /// Filters that take long to build, match everything, or are none.
    fn filters(&mut self) -> Wants<'static> {
        let number = self.random.next();
        let texts = match self.random.below(5) {
            0 => vec![format!(r"(\w{{20}}){{2}}{number}"); 40],
            1 => vec![format!("(a|b|{number})*(?i)x{{99}}")],
            2 => (0..5000).map(|at| format!("{at}{number}")).collect(),
            3 => vec!["(".repeat(4000)],
            _ => vec![String::new()],
        };
        let test = Value::List(vec![
            Value::Int(self.random.below(5) as i64),
            Value::Int(self.random.below(4) as i64),
            Value::Bool(self.random.below(2) == 0),
            Value::List(texts.into_iter().map(Value::from).collect()),
        ]);
        let clause = Value::List(vec![Value::Int(self.random.below(4) as i64), Value::List(vec![test])]);
        let hook = Value::Int(Hook::OnParsedMsgChat as i64);
        let mut hooks = HookSet::EMPTY;
        hooks.insert(Hook::OnParsedMsgChat);
        let command = Value::List(vec!["x".into(), "".into(), "".into(), Value::Int(0)]);
        let table = match self.random.below(3) {
            0 => Value::List(vec![Value::Int(0xD800); 256]),
            1 => Value::Bool(true),
            _ => Value::Nil,
        };
        Wants {
            hooks,
            filters: Value::List(vec![Value::List(vec![hook, Value::List(vec![clause])])]),
            table,
            commands: Value::List(vec![command; self.random.below(300) as usize]),
            ..Wants::default()
        }
    }

    /// Anything, anywhere in the memory, also while the hub reads it.
    fn scribble(&mut self) {
        let size = self.memory.len() as u64;
        for _ in 0..=self.random.below(64) {
            let at = self.random.below(size / 8) * 8;
            let what = match self.random.below(3) {
                0 => self.random.next(),
                1 => 1 << 63 | self.random.below(1 << 33),
                _ => 0,
            };
            self.write(at, what);
        }
    }

    /// The positions and the words by which the two sides wake each other.
    fn scribble_control(&mut self) {
        let at = self.random.below(8) * 128;
        let what = if self.random.below(2) == 0 { self.random.next() } else { self.random.below(100) };
        self.write(at, what);
    }

    fn write(&mut self, at: u64, what: u64) {
        use std::sync::atomic::{AtomicU64, Ordering};
        let word = self.memory.as_mut_ptr().wrapping_add(at as usize).cast::<u64>();
        // SAFETY: `at` is a multiple of 8 inside the mapping, and all access to it is atomic.
        unsafe { AtomicU64::from_ptr(word) }.store(what, Ordering::Relaxed);
    }
}

// ------------------------------------------------------------------ the hub

struct Counter {
    calls: u64,
}

impl Host for Counter {
    fn call(&mut self, _: &Supervisor, _: ScriptId, _: Call, _: &[Value<'_>]) -> Value<'static> {
        self.calls += 1;
        Value::Int(1)
    }

    fn tell_operators(&mut self, _: &Supervisor, _: &str) {}
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.matches("vhpy").count())
}

fn hub(actions: u64, time: Duration) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("hostile.py");
    std::fs::write(&script, "").expect("a script");
    let tally = folder.path().join("tally");
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("HOSTILE_TALLY", &tally) };
    let config = Config {
        python: std::env::current_exe().ok(),
        worker: std::env::current_exe().ok(),
        spare: false,
        hook_timeout: Duration::from_millis(20),
        kill_timeout: Duration::from_millis(10),
        load_timeout: Duration::from_millis(200),
        restart: RestartLimits {
            max_deaths: u32::MAX,
            first_delay: Duration::ZERO,
            ..RestartLimits::default()
        },
        ring_bytes: 1 << 16,
        ..Config::default()
    };
    let mut host = Counter { calls: 0 };
    let (before_files, before_maps, before_memory) = (open_files(), mappings(), memory());
    let supervisor = Supervisor::new(config).expect("a supervisor");
    let done = || std::fs::metadata(&tally).map_or(0, |file| file.len());
    let mut longest = Duration::ZERO;
    let mut blocked = 0;
    let mut restarts = 0;
    let began = Instant::now();
    let mut number = 0;
    while done() < actions && began.elapsed() < time {
        if supervisor.scripts().first().is_none_or(|script| script.state == "failed") {
            restarts += supervisor.scripts().first().map_or(0, |script| script.restarts);
            if let Some(script) = supervisor.scripts().first() {
                supervisor.unload(&mut host, script.id);
            }
            let _ = supervisor.load(&mut host, Path::new(&script));
        }
        if supervisor.scripts().first().is_some_and(|script| script.state != "ready") {
            support::poll(supervisor.poll_fd(), 100);
            supervisor.serve(&mut host);
            continue;
        }
        number += 1;
        let start = Instant::now();
        let args = [Value::from("nick"), Value::from(format!("message {number}"))];
        let verdict = supervisor.event(&mut host, Hook::OnParsedMsgChat, &args);
        // It may say yes or no. Other words in the place of a user's it has none, and what it says
        // in the form of another hook's answer is none.
        assert!(verdict.replacement.is_none(), "event {number}: {verdict:?}");
        blocked += u64::from(verdict.blocked);
        longest = longest.max(start.elapsed());
        if number % 16 == 0 {
            supervisor.serve(&mut host);
        }
    }
    restarts += supervisor.scripts().first().map_or(0, |script| script.restarts);
    supervisor.shutdown(&mut host);
    drop(supervisor);
    assert_eq!(open_files(), before_files, "descriptors of the hub");
    assert_eq!(mappings(), before_maps, "mappings of shared memory in the hub");
    println!("memory: {before_memory} KiB before, {} after", memory());
    // One frame may take 64 MiB, several times while it is parsed; what was freed may stay.
    assert!(memory() < before_memory + (256 << 10), "memory of the hub");
    println!(
        "{} actions, {number} events, {restarts} restarts, {} calls, the longest event took {longest:?}",
        done(),
        host.calls
    );
    // Most events are answered with "go on" before anything bad is done.
    assert!(blocked < number / 2, "{blocked} of {number} events were blocked by answers to others");
    assert!(restarts > 0, "a worker that never dies was not hostile");
}
