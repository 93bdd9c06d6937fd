//! What there is of metrics in a build without them: saying so.

use std::io;
use std::net::SocketAddr;

use super::{Host, Supervisor};

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct Metrics {}

impl Metrics {
    pub(super) fn close(&self) {}
}

impl Supervisor {
    /// Where metrics are to be read: nowhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        None
    }

    /// Refuses, if metrics are asked for.
    ///
    /// # Errors
    /// This build was made without the feature `metrics`.
    pub fn serve_metrics(&self) -> io::Result<()> {
        match self.config.borrow().metrics {
            None => Ok(()),
            Some(_) => Err(io::Error::other("this build was made without the feature metrics")),
        }
    }

    /// Says so in the log, if metrics are asked for.
    pub fn serve_metrics_when_possible(&self) {
        if let Err(error) = self.serve_metrics() {
            log::error!("there are no metrics: {error}");
        }
    }

    pub(super) fn publish_metrics(&self, _host: &mut dyn Host) {}
}
