//! Who gives a command, and what giving one comes to.

use std::rc::Rc;

use crate::hub::class::Class;
use crate::hub::{ConnId, UserId};

/// Who gave a command.
pub struct Caller {
    /// Their connection.
    pub id: ConnId,
    /// Their user.
    pub user: UserId,
    /// Their nick.
    pub nick: Rc<[u8]>,
    /// Their class.
    pub class: Class,
}

/// A command was given without what it needs; the answer is how it is used.
pub struct Misused;

/// The answer to a command in the hub's encoding, empty for none.
pub type Answer = Result<Vec<u8>, Misused>;
