//! What there is while scripts can run: the supervisor and the host that it works for.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_longlong, c_void};

use encoding_rs::Encoding;
use plugin_abi::Call;

use super::table::Table;
use crate::supervisor::Supervisor;

/// A host's function that is told of what was begun: its data, the ticket, the script's number or -1,
/// a text in UTF-8.
pub(crate) type DoneFunction = unsafe extern "C" fn(*mut c_void, c_longlong, c_int, *const c_char);

/// The function and its data.
#[derive(Clone, Copy)]
pub(crate) struct Done {
    pub(crate) function: DoneFunction,
    pub(crate) data: *mut c_void,
}

/// What exists while scripts can run.
pub(crate) struct Running {
    pub(crate) supervisor: Supervisor,
    pub(crate) table: Table,
    pub(crate) encoding: Cell<Option<&'static Encoding>>,
    /// Who is told when something is done that was begun.
    pub(crate) done: Cell<Option<Done>>,
    /// To be called when a function of the host has returned: it may have forked, and the child
    /// be the one that returns.
    pub(crate) after_callback: fn(),
}

impl Running {
    /// The hub's encoding; `None` is UTF-8.
    pub(crate) fn encoding(&self) -> Option<&'static Encoding> {
        self.encoding.get()
    }

    /// Before a script is loaded: what it can call is what the table has at this moment.
    pub(crate) fn notice_table(&self) {
        let has_ip_city = self.table.has(Call::GetIPCity);
        self.supervisor.configure(|config| config.has_ip_city = has_ip_city);
    }
}
