//! The one place where the hub's thread waits and sleeps: for the outcomes of what scripts were
//! given, for whatever happens to their processes, and for what is due.

use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::Hook;
use plugin_abi::asleep::Place;
use plugin_abi::wait::Oversubscription;
use smallvec::SmallVec;

use super::agenda::Deferred;
use super::inbound::Sender;
use super::process::Process;
use super::reactor::Event;
use super::script::Script;
use super::waits::Stopwatch;
use super::{FOREVER, Host, Supervisor};

/// How many frames of one process are handled before others and the clock get their turn.
const FRAMES_PER_TURN: usize = 256;
/// How many frames or waits pass between two readings of the clock.
const CLOCK_INTERVAL: usize = 4;
/// How long one process keeps the others and the clock waiting at most, but for one call.
const SLICE: Duration = Duration::from_millis(5);

/// One script that was asked.
pub(super) type Asked = (Rc<Script>, Rc<Process>);

impl Supervisor {
    /// Waits until every outcome is there, serving calls meanwhile.
    pub(super) fn await_outcomes<'s>(
        &'s self,
        host: &mut dyn Host,
        seq: u64,
        asked: &[Asked],
        hook: Option<Hook>,
        stopwatch: &mut Option<Stopwatch<'s>>,
    ) {
        let oversubscription = self.oversubscription_of(asked);
        let mut woken = None;
        for (_, process) in asked {
            process.set_oversubscription(oversubscription);
            process.set_place(if asked.len() == 1 { self.waits.wakeups.place() } else { Place::Anywhere });
            woken = process.woken().or(woken);
        }
        // One alone that slept here, or still has to lie down here.
        let mut is_here = match asked {
            [(_, process)] => process.is_here(woken),
            _ => false,
        };
        let mut slept = woken.is_some() && !is_here;
        let mut turns = 0;
        let mut looked: Option<Instant> = None;
        loop {
            let mut open = false;
            let inner = self.waits.forgiven();
            for (_, process) in asked {
                if process.is_ready() {
                    self.pump(host, process);
                }
                open |= process.awaits(seq);
            }
            if !open {
                break;
            }
            turns += 1;
            let is_slow = self.waits.forgiven() != inner
                || turns % CLOCK_INTERVAL == 0 && looked.get_or_insert_with(Instant::now).elapsed() > SLICE;
            let ready = || asked.iter().any(|(_, process)| process.is_ready() && process.awaits(seq));
            let mut stay_awake = || {
                // It is better to sleep as well than to stay awake for a sleeper, unless that is
                // one that only waits for this processor.
                let awake = match is_here {
                    true => self.waits.give_way(ready),
                    false => !std::mem::take(&mut slept) && self.waits.stay_awake(oversubscription, ready),
                };
                is_here &= awake;
                awake
            };
            if !is_slow && stay_awake() {
                continue;
            }
            let stopwatch = stopwatch.get_or_insert_with(|| self.waits.start());
            self.block(host, seq, asked, hook, stopwatch);
            looked = None;
        }
        if let (Some(woken), [_]) = (woken, asked) {
            self.waits.wakeups.woke(woken.asleep, woken.since.elapsed());
        }
    }

    /// How many threads are hot: those that are asked together, or those of scripts that are asked
    /// one by one, in turns, as some hosts do, and the hub's.
    #[inline]
    fn oversubscription_of(&self, asked: &[Asked]) -> Oversubscription {
        let scripts = match asked {
            [(_, process)] => process.turns_since(self.waits.next_turn()),
            _ => asked.len(),
        };
        self.waits.oversubscription(scripts, self.config.borrow().stay_awake)
    }

    /// The slow side of waiting: reads the clock, then sleeps.
    #[cold]
    fn block(
        &self,
        host: &mut dyn Host,
        seq: u64,
        asked: &[Asked],
        hook: Option<Hook>,
        stopwatch: &Stopwatch<'_>,
    ) {
        let now = Instant::now();
        let mut next = now + FOREVER;
        for (script, process) in asked {
            if !process.awaits(seq) {
                continue;
            }
            let timeout = self.hook_timeout(script, hook);
            let kept = script.kept.get().saturating_sub(process.kept_before(seq));
            let deadline = stopwatch.deadline(timeout, kept);
            if now < deadline {
                next = next.min(deadline);
                continue;
            }
            // It may be the hub's thread that was kept from looking.
            self.pump(host, process);
            if process.awaits(seq) {
                self.overran(script, process, seq, hook);
            }
        }
        if asked.iter().any(|(_, process)| process.awaits(seq)) {
            let before = Instant::now();
            self.sleep(host, next);
            self.waits.slept(before.elapsed());
            self.pump_others(host, asked);
        }
    }

    fn overran(&self, script: &Rc<Script>, process: &Rc<Process>, seq: u64, hook: Option<Hook>) {
        process.abandon(seq);
        script.counts.overran(hook);
        let what = hook.map_or("a function".to_string(), |hook| hook.name().to_string());
        self.agenda.defer(Deferred::Overran(script.clone(), process.clone(), what));
    }

    /// Waits for anything else than outcomes, serving everybody meanwhile. False when the
    /// deadline came first.
    pub(super) fn wait(&self, host: &mut dyn Host, deadline: Instant, done: impl Fn() -> bool) -> bool {
        self.wait_until(host, || deadline, done)
    }

    /// Waits on behalf of a script or an operator: the time that passes is not charged to scripts
    /// that are inside a hook meanwhile, and the hub's own work is not charged to the scripts that
    /// are waited for.
    pub(super) fn wait_inside(
        &self,
        host: &mut dyn Host,
        patience: Duration,
        scripts: &[Rc<Script>],
        done: impl Fn() -> bool,
    ) -> bool {
        let stopwatch = self.waits.start();
        let before: SmallVec<[Duration; 8]> = scripts.iter().map(|script| script.kept.get()).collect();
        let kept = || {
            let kept =
                scripts.iter().zip(&before).map(|(script, before)| script.kept.get().saturating_sub(*before));
            kept.max().unwrap_or_default()
        };
        self.wait_until(host, || stopwatch.deadline(patience, kept()), done)
    }

    fn wait_until(
        &self,
        host: &mut dyn Host,
        deadline: impl Fn() -> Instant,
        done: impl Fn() -> bool,
    ) -> bool {
        loop {
            self.pump_all(host);
            self.act_on_agenda(host);
            if done() {
                return true;
            }
            let deadline = deadline();
            if Instant::now() >= deadline {
                return false;
            }
            self.sleep(host, deadline);
        }
    }

    /// Work of the host that a script or its end asks for. When it takes long,
    /// that is not on the clock of the scripts that are waited for, and least of all on that of
    /// those who wait for the hub meanwhile.
    #[inline]
    pub(super) fn on_the_hosts_time<R>(&self, caller: Option<&Script>, work: impl FnOnce() -> R) -> R {
        if !self.waits.is_anybody_timed() && !self.agenda.has_stuck() && !self.tasks.is_any_open() {
            return work();
        }
        let timed = self.waits.begin_call();
        let calls = caller.map(|caller| (&caller.calls, caller.calls.get()));
        if let Some((calls, outer)) = calls {
            calls.set(outer + 1);
        }
        let result = work();
        if let Some(time) = self.waits.end_call(timed) {
            self.keep_who_waits(time);
            caller.into_iter().for_each(|caller| caller.forgive_ending(time));
        }
        if let Some((calls, outer)) = calls {
            calls.set(outer);
        }
        result
    }

    /// The hub did not look for so long. Who has said something meanwhile could not go on; who
    /// is itself inside a call has made the hub do this, or something around it.
    #[cold]
    fn keep_who_waits(&self, time: Duration) {
        for script in self.registry.list().iter() {
            let waits = script.with_state(|state| state.process().is_some_and(|process| process.is_ready()));
            if waits && script.calls.get() == 0 {
                script.keep(time);
            }
        }
    }

    /// Sleeps until something happens or the deadline, and notices what happened.
    fn sleep(&self, host: &mut dyn Host, deadline: Instant) {
        self.show_to_control();
        let processes = self.processes();
        // All of them must be armed, even when one of them keeps the hub awake already.
        let awake = processes.iter().filter(|process| !process.arm()).count();
        if awake == 0 && !self.agenda.has_deferred() {
            self.poll(deadline.saturating_duration_since(Instant::now()));
        } else {
            // One that never stops talking must not hide the death of another.
            self.poll(Duration::ZERO);
        }
        for process in &processes {
            if !process.dead.get() {
                process.disarm();
            }
        }
        self.act_on_agenda(host);
    }

    /// Asks the system what happened, and notices it; waits for it at most this long.
    pub(super) fn poll(&self, timeout: Duration) {
        for event in self.reactor.poll(timeout) {
            match event {
                Event::Due => self.agenda.need_housekeeping(),
                Event::Started => self.collect_started(),
                Event::Doorbell(serial) => self.with_process(serial, |process| {
                    if !process.silence() {
                        self.reactor.forget_doorbell(process);
                        process.hang_up();
                    }
                }),
                Event::Ended(serial) => self.with_process(serial, |process| self.died(process)),
            }
        }
    }

    fn with_process(&self, serial: u64, work: impl FnOnce(&Rc<Process>)) {
        if let Some(process) = self.processes().iter().find(|process| process.serial == serial) {
            work(process);
        }
    }

    /// Every process that can say something: scripts' own and spares.
    pub(super) fn processes(&self) -> Vec<Rc<Process>> {
        let mut processes = self.registry.processes();
        self.pool.with_spares(|spare| processes.push(spare.clone()));
        processes
    }

    pub(super) fn pump_all(&self, host: &mut dyn Host) {
        let mut ready: SmallVec<[Rc<Process>; 8]> = SmallVec::new();
        let mut add = |process: &Rc<Process>| {
            if process.is_ready() {
                ready.push(process.clone());
            }
        };
        for script in self.registry.list().iter() {
            script.with_state(|state| state.process().into_iter().for_each(&mut add));
            script.next_process().iter().for_each(&mut add);
        }
        self.pool.with_spares(add);
        for process in &ready {
            self.pump(host, process);
        }
    }

    /// Serves those who are not asked: their threads may call at any time.
    fn pump_others(&self, host: &mut dyn Host, asked: &[Asked]) {
        for process in self.processes() {
            if process.is_ready() && !asked.iter().any(|(_, asked)| asked.serial == process.serial) {
                self.pump(host, &process);
            }
        }
    }

    /// Handles what a process has sent, a turn's worth at most.
    pub(super) fn pump(&self, host: &mut dyn Host, process: &Rc<Process>) {
        if process.killed_for.borrow().is_some() {
            return;
        }
        let mut buffer = self.buffers.take();
        let inner = self.waits.forgiven();
        let mut began: Option<Instant> = None;
        for turn in 1..=FRAMES_PER_TURN {
            match process.receive(&mut buffer) {
                Ok(true) => {
                    if let Err(violation) = self.handle(Sender::Running(host), process, &mut buffer) {
                        self.violated(process, violation.to_string());
                        break;
                    }
                }
                Ok(false) => break,
                Err(violation) => {
                    self.violated(process, violation.to_string());
                    break;
                }
            }
            let is_slow = self.waits.forgiven() != inner
                || turn % CLOCK_INTERVAL == 2 && began.get_or_insert_with(Instant::now).elapsed() > SLICE;
            if is_slow {
                break;
            }
        }
        if process.is_ready() {
            // More than a turn's worth: come back even if the worker does not ring again.
            self.reactor.wake();
        }
        self.buffers.give(buffer);
    }
}
