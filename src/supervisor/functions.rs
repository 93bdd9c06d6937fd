//! What the host registers for scripts to call by name; what such a function is, and what it takes,
//! is not known here.
//!
//! Invariant: **a function is called by the script that it was registered for only, and goes with it**.

use std::cell::RefCell;
use std::collections::HashMap;

use super::script::ScriptId;

/// The functions of one hub.
pub(super) struct Functions<F>(RefCell<HashMap<ScriptId, HashMap<String, F>>>);

impl<F> Default for Functions<F> {
    fn default() -> Functions<F> {
        Functions(RefCell::default())
    }
}

impl<F: Clone> Functions<F> {
    /// From now on this script calls this by that name.
    pub(super) fn insert(&self, id: ScriptId, name: &str, function: F) {
        // What stood in its place is let go of when nothing is borrowed: it may call anything.
        let _old = self.0.borrow_mut().entry(id).or_default().insert(name.to_string(), function);
    }

    /// Takes a function away again. False when there is no such one.
    pub(super) fn remove(&self, id: ScriptId, name: &str) -> bool {
        let old = self.0.borrow_mut().get_mut(&id).and_then(|functions| functions.remove(name));
        old.is_some()
    }

    /// What a script means by this name.
    pub(super) fn get(&self, id: ScriptId, name: &str) -> Option<F> {
        self.0.borrow().get(&id)?.get(name).cloned()
    }

    /// The script is gone.
    pub(super) fn forget(&self, id: ScriptId) {
        let functions = self.0.borrow_mut().remove(&id);
        drop(functions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_that_of_one_script_and_goes_with_it() {
        let functions = Functions::default();
        let (first, second) = (ScriptId(0), ScriptId(1));
        functions.insert(first, "f", 1);
        functions.insert(second, "f", 2);
        functions.insert(first, "f", 3);
        assert_eq!([first, second].map(|id| functions.get(id, "f")), [Some(3), Some(2)]);
        assert_eq!(functions.get(first, "g"), None);
        functions.forget(first);
        assert_eq!([first, second].map(|id| functions.get(id, "f")), [None, Some(2)]);
        assert!(functions.remove(second, "f") && !functions.remove(second, "f"));
        assert_eq!(functions.get(second, "f"), None);
    }
}
