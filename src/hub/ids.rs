//! What connections and users are called by whoever does not hold them: by names that are looked
//! up each time, since what they name may be gone after any event.

use super::slots::Id;

/// Stands for connections in their names.
pub enum OfConnections {}

/// Stands for users in their names.
pub enum OfUsers {}

/// Names one connection.
pub type ConnId = Id<OfConnections>;

/// Names one user.
pub type UserId = Id<OfUsers>;
