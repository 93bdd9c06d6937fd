//! What names something that was asked for and takes its time.

/// Names something that was asked for and takes its time. Never used twice by one supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);
