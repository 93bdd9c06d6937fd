//! What hosts can be told without the library's lock: who has which hook, for as long as nothing
//! may have changed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::forks;
use crate::supervisor::hook_board::HookBoard;
use crate::supervisor::pace;

/// What is known without the lock. The clock is that of [`pace`]; its ticks are 0 here while
/// nothing runs.
pub(crate) struct Board {
    pub(crate) hooks: HookBoard,
    /// The tick at which scripts were served for the sake of this board.
    pub(crate) served: AtomicU64,
    /// The tick at which was noticed what is due.
    pub(crate) noticed: AtomicU64,
    /// How often was asked; two threads may count as one.
    asked: AtomicU32,
}

pub(crate) static BOARD: Board = Board {
    hooks: HookBoard::new(),
    served: AtomicU64::new(0),
    noticed: AtomicU64::new(0),
    asked: AtomicU32::new(0),
};

/// A host that asks without end is let in once in so many times: scripts' threads wait for it.
const ASKED: u32 = 256;

impl Board {
    #[inline]
    pub(crate) fn is_fresh(&self, since: &AtomicU64) -> bool {
        since.load(Ordering::Relaxed) == pace::tick() && !forks::is_unnoticed()
    }

    /// Whether a host that asks is to be let in, however fresh the board is.
    #[inline]
    pub(crate) fn is_turn(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed).wrapping_add(1);
        self.asked.store(asked, Ordering::Relaxed);
        asked.is_multiple_of(ASKED)
    }

    pub(crate) fn was_served(&self) {
        let tick = pace::tick();
        self.served.store(tick, Ordering::Relaxed);
        self.noticed.store(tick, Ordering::Relaxed);
    }

    /// Nothing runs any more.
    pub(crate) fn wipe(&self) {
        self.served.store(0, Ordering::Relaxed);
        self.noticed.store(0, Ordering::Relaxed);
    }
}
