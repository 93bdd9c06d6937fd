//! What a hub and its script workers agree on, and nothing that starts, waits for or decides
//! anything beyond that.
//!
//! - [`hook`]: the table of the 41 hooks
//! - [`call`]: the table of the functions that scripts call, and the constants of `vh`
//! - [`value`]: values that cross between the two
//! - [`frame`]: messages in MessagePack
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

pub mod call;
pub mod frame;
pub mod hook;
pub mod value;

pub use call::{CALLS, CONSTANTS, Call, CallSpec, Numbering};
pub use frame::{Answer, Args, FromWorker, ToWorker};
pub use hook::{HOOKS, Hook, HookSet, HookSpec};
pub use value::Value;
