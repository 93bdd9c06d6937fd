//! Who has which hook, where other threads can read it.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use plugin_abi::{Hook, HookSet};

use super::script::{Script, ScriptId};

/// How many scripts a [`HookBoard`] has room for.
const PLACES: usize = 256;

/// The hooks of all scripts where they can be read without the supervisor, by any thread.
pub(crate) struct HookBoard {
    wanted: AtomicU64,
    /// By the scripts' numbers.
    scripts: [AtomicU64; PLACES],
}

impl HookBoard {
    /// Nobody has a hook.
    pub(crate) const fn new() -> HookBoard {
        HookBoard { wanted: AtomicU64::new(0), scripts: [const { AtomicU64::new(0) }; PLACES] }
    }

    /// Whether any script defines the hook.
    #[inline]
    pub(crate) fn wants(&self, hook: Hook) -> bool {
        HookSet::from_bits(self.wanted.load(Ordering::Relaxed)).contains(hook)
    }

    /// Whether this script defines the hook; `None` for a number that there is no room for.
    #[inline]
    pub(crate) fn has_hook(&self, id: ScriptId, hook: Hook) -> Option<bool> {
        let hooks = self.scripts.get(usize::try_from(id.0).ok()?)?;
        Some(HookSet::from_bits(hooks.load(Ordering::Relaxed)).contains(hook))
    }

    /// Each word has its old or its new value at any time, and nothing else.
    pub(super) fn write(&self, wanted: HookSet, scripts: &[Rc<Script>]) {
        let mut hooks = [0; PLACES];
        for script in scripts {
            if let Some(place) = usize::try_from(script.id.0).ok().and_then(|id| hooks.get_mut(id)) {
                *place = script.hooks.get().bits();
            }
        }
        for (word, hooks) in self.scripts.iter().zip(hooks) {
            word.store(hooks, Ordering::Relaxed);
        }
        self.wanted.store(wanted.bits(), Ordering::Relaxed);
    }
}
