//! The scripts, and who listens to which hook.
//!
//! Invariants: **the listeners of a hook are the scripts that have it, in load order**, and so is
//! what [`Registry::wants`] and the [`HookBoard`] say; **no number is given out twice** while it
//! is a script's or reserved for one.

use std::cell::{Cell, Ref, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use plugin_abi::{Hook, HookSet};

use super::hook_board::HookBoard;
use super::process::Process;
use super::script::{Script, ScriptId};
use super::script_file::PACKAGE;

/// The scripts of one hub.
pub(super) struct Registry {
    /// In load order.
    scripts: RefCell<Vec<Rc<Script>>>,
    /// For each hook the scripts that define it, in load order.
    listeners: RefCell<Vec<Rc<[Rc<Script>]>>>,
    wanted: Cell<HookSet>,
    /// Where others can read that.
    board: Cell<Option<&'static HookBoard>>,
    /// Another number after each change of what commands there are.
    commands_version: Cell<u64>,
    /// Ids that were given out before their scripts are loaded.
    reserved: RefCell<Vec<ScriptId>>,
}

impl Default for Registry {
    fn default() -> Registry {
        let none: Rc<[Rc<Script>]> = Rc::from([]);
        Registry {
            scripts: RefCell::default(),
            listeners: RefCell::new(vec![none; Hook::COUNT]),
            wanted: Cell::default(),
            board: Cell::default(),
            commands_version: Cell::default(),
            reserved: RefCell::default(),
        }
    }
}

impl Registry {
    /// Whether any script has the hook.
    #[inline]
    pub(super) fn wants(&self, hook: Hook) -> bool {
        self.wanted.get().contains(hook)
    }

    /// The scripts that have the hook, in load order.
    #[inline]
    pub(super) fn listeners(&self, hook: Hook) -> Option<Rc<[Rc<Script>]>> {
        self.listeners.borrow().get(hook as usize).cloned()
    }

    /// All scripts in load order, for a look: nothing may be loaded or unloaded meanwhile.
    #[inline]
    pub(super) fn list(&self) -> Ref<'_, Vec<Rc<Script>>> {
        self.scripts.borrow()
    }

    /// All scripts in load order, as they are now.
    pub(super) fn snapshot(&self) -> Vec<Rc<Script>> {
        self.scripts.borrow().clone()
    }

    /// The script with this number.
    pub(super) fn get(&self, id: ScriptId) -> Option<Rc<Script>> {
        self.find_by(|script| script.id == id)
    }

    /// The script of this file.
    pub(super) fn of_file(&self, path: &Path) -> Option<Rc<Script>> {
        self.find_by(|script| script.path == path)
    }

    /// The first script in load order of which this is true.
    pub(super) fn find_by(&self, is_it: impl Fn(&Script) -> bool) -> Option<Rc<Script>> {
        self.scripts.borrow().iter().find(|script| is_it(script)).cloned()
    }

    /// The script that an operator means: an id, a name with or without `.py`, or a path.
    pub(super) fn find(&self, what: &str) -> Option<Rc<Script>> {
        let what = what.trim();
        let number = what.parse().ok().map(ScriptId);
        let stem = what.strip_suffix(".py").unwrap_or(what);
        let path = Path::new(what).canonicalize().unwrap_or_else(|_| PathBuf::from(what));
        let path = if path.is_dir() { path.join(PACKAGE) } else { path };
        self.find_by(|script| Some(script.id) == number)
            .or_else(|| self.of_file(&path))
            .or_else(|| self.find_by(|script| script.name == stem))
    }

    /// The processes of all scripts, and those that are to follow them.
    pub(super) fn processes(&self) -> Vec<Rc<Process>> {
        let of = |script: &Rc<Script>| [script.process(), script.next_process()];
        self.scripts.borrow().iter().flat_map(of).flatten().collect()
    }

    /// Adds a script, behind all others.
    pub(super) fn add(&self, script: Rc<Script>) {
        self.scripts.borrow_mut().push(script);
        self.hooks_changed();
    }

    /// Another number whenever scripts have other commands.
    pub(super) fn commands_version(&self) -> u64 {
        self.commands_version.get()
    }

    /// A script has other commands than before.
    pub(super) fn commands_changed(&self) {
        self.commands_version.set(self.commands_version.get().wrapping_add(1));
    }

    /// Whether this script is among them.
    pub(super) fn has(&self, script: &Rc<Script>) -> bool {
        self.scripts.borrow().iter().any(|other| Rc::ptr_eq(other, script))
    }

    /// Takes a script out.
    pub(super) fn remove(&self, script: &Rc<Script>) {
        if !script.commands.borrow().is_empty() {
            self.commands_changed();
        }
        self.scripts.borrow_mut().retain(|other| !Rc::ptr_eq(other, script));
        self.hooks_changed();
    }

    /// Takes out all.
    pub(super) fn clear(&self) -> Vec<Rc<Script>> {
        let scripts = self.scripts.take();
        self.hooks_changed();
        scripts
    }

    /// Brings the lists by hook up to date after a script's hooks changed.
    pub(super) fn hooks_changed(&self) {
        let scripts = self.scripts.borrow();
        let mut wanted = HookSet::EMPTY;
        let mut listeners = Vec::with_capacity(Hook::COUNT);
        for spec in &plugin_abi::HOOKS {
            let with_hook: Vec<_> =
                scripts.iter().filter(|script| script.hooks.get().contains(spec.hook)).cloned().collect();
            if !with_hook.is_empty() {
                wanted.insert(spec.hook);
            }
            listeners.push(Rc::from(with_hook));
        }
        self.wanted.set(wanted);
        if let Some(board) = self.board.get() {
            board.write(wanted, &scripts);
        }
        *self.listeners.borrow_mut() = listeners;
    }

    /// From now on the hooks of all scripts can be read there.
    pub(super) fn publish(&self, board: &'static HookBoard) {
        self.board.set(Some(board));
        self.hooks_changed();
    }

    /// Gives out a number for a script that is loaded later.
    pub(super) fn reserve(&self) -> ScriptId {
        let id = self.free_id();
        self.reserved.borrow_mut().push(id);
        id
    }

    fn free_id(&self) -> ScriptId {
        let scripts = self.scripts.borrow();
        let reserved = self.reserved.borrow();
        let is_free =
            |id: &ScriptId| !reserved.contains(id) && !scripts.iter().any(|script| script.id == *id);
        (0..).map(ScriptId).find(is_free).unwrap_or(ScriptId(i32::MAX))
    }

    /// The number of a script that is to be loaded: the one that is asked for, else the oldest
    /// that is reserved, else a free one. An error when another script has it.
    pub(super) fn claim(&self, asked: Option<ScriptId>) -> Result<ScriptId, ScriptId> {
        let oldest = self.reserved.borrow().first().copied();
        let id = asked.or(oldest).unwrap_or_else(|| self.free_id());
        self.reserved.borrow_mut().retain(|known| *known != id);
        if self.get(id).is_some() { Err(id) } else { Ok(id) }
    }

    /// Whether this is the number of a script that is loaded or will be.
    pub(super) fn is_given_out(&self, id: ScriptId) -> bool {
        self.reserved.borrow().contains(&id) || self.get(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::script::tests::a_script;

    fn names(registry: &Registry, hook: Hook) -> Vec<String> {
        registry.listeners(hook).unwrap().iter().map(|script| script.name.clone()).collect()
    }

    fn set(hooks: &[Hook]) -> HookSet {
        let mut set = HookSet::EMPTY;
        hooks.iter().for_each(|hook| set.insert(*hook));
        set
    }

    #[test]
    fn listeners_are_the_scripts_with_the_hook_in_load_order() {
        static BOARD: HookBoard = HookBoard::new();
        let registry = Registry::default();
        registry.publish(&BOARD);
        let scripts = ["c", "a", "b"].map(|name| {
            let id = registry.claim(None).unwrap();
            let script = a_script(id, name);
            registry.add(script.clone());
            script
        });
        assert!(!registry.wants(Hook::OnTimer));
        scripts.iter().for_each(|script| script.hooks.set(set(&[Hook::OnTimer])));
        scripts[1].hooks.set(set(&[Hook::OnUserLogin]));
        registry.hooks_changed();
        assert_eq!(names(&registry, Hook::OnTimer), ["c", "b"]);
        assert_eq!(names(&registry, Hook::OnUserLogin), ["a"]);
        assert!(BOARD.wants(Hook::OnUserLogin));
        assert_eq!(BOARD.has_hook(scripts[1].id, Hook::OnTimer), Some(false));

        registry.remove(&scripts[1]);
        assert!(!registry.wants(Hook::OnUserLogin) && !BOARD.wants(Hook::OnUserLogin));
        assert_eq!(names(&registry, Hook::OnUserLogin), [""; 0]);
        assert_eq!(registry.clear().len(), 2);
        assert!(!registry.wants(Hook::OnTimer));
    }

    #[test]
    fn no_number_is_given_out_twice() {
        let registry = Registry::default();
        let load = |asked| registry.claim(asked).inspect(|id| registry.add(a_script(*id, &id.to_string())));
        let (first, second) = (registry.reserve(), registry.reserve());
        assert_eq!((first, second), (ScriptId(0), ScriptId(1)));
        assert!(registry.is_given_out(second) && !registry.is_given_out(ScriptId(2)));
        // Who asks for a number gets it.
        assert_eq!(load(Some(second)), Ok(second));
        assert_eq!(load(Some(second)), Err(second));
        // Others get what is reserved, and then what is free.
        assert_eq!(load(None), Ok(first));
        assert_eq!(load(None), Ok(ScriptId(2)));
        assert!(registry.is_given_out(ScriptId(2)) && !registry.is_given_out(ScriptId(3)));
    }

    #[test]
    fn an_operator_may_mean_a_number_a_name_or_a_file() {
        let registry = Registry::default();
        registry.add(a_script(ScriptId(5), "stats"));
        registry.add(a_script(ScriptId(6), "5"));
        for (what, id) in
            [("5", 5), (" stats ", 5), ("stats.py", 5), ("/nowhere/stats.py", 5), ("6", 6), ("5.py", 6)]
        {
            assert_eq!(registry.find(what).map(|script| script.id), Some(ScriptId(id)), "{what}");
        }
        assert!(registry.find("7").is_none());
    }
}
