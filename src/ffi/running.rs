//! What there is while scripts can run: the supervisor and the host that it works for.

use std::cell::Cell;

use encoding_rs::Encoding;
use plugin_abi::Call;

use super::table::Table;
use crate::supervisor::Supervisor;

/// What exists while scripts can run.
pub(crate) struct Running {
    pub(crate) supervisor: Supervisor,
    pub(crate) table: Table,
    pub(crate) encoding: Cell<Option<&'static Encoding>>,
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
