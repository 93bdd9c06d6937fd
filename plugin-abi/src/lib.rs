//! What a hub and its script workers agree on, and nothing that starts, waits for or decides
//! anything beyond that.
//!
//! - [`hook`]: the table of the 41 hooks
//! - [`call`]: the table of the functions that scripts call, and the constants of `vh`
//! - [`grammar`]: what may stand where an argument of a call goes
//! - [`command`]: commands that scripts answer
//! - [`filter`]: which events a hook wants
//! - [`value`]: values that cross between the two
//! - [`frame`]: messages in MessagePack
//! - [`privacy`]: whom arguments and answers are meant for
//! - [`ring`]: a ring of frames between processes that do not trust each other
//! - [`asleep`]: the word of one who sleeps
//! - [`segment`]: the memory with the two rings
//! - [`refusal`]: which system call is not allowed here
//! - [`link`]: both ends, and who wakes whom
//! - [`wait`]: how long to stay awake
//! - [`lodging`]: on which processor to sleep
//! - [`start`]: how a worker process begins
//! - [`manual`]: the tables in Markdown
//! - [`stub`]: the type stub `vh.pyi`
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
// A panic here is one in the hub or in a script. Tests and the fuzz targets may.
#![cfg_attr(not(any(test, fuzzing)), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod asleep;
pub mod call;
pub mod command;
pub mod filter;
pub mod frame;
pub mod grammar;
pub mod hook;
pub mod manual;
pub mod privacy;
pub mod ring;
pub mod start;
pub mod stub;
pub mod value;

// loom replaces the atomics of `ring`, which cannot lie in shared memory then.
#[cfg(not(loom))]
pub mod figures;
#[cfg(not(loom))]
pub mod link;
#[cfg(not(loom))]
pub mod lodging;
#[cfg(not(loom))]
pub mod refusal;
#[cfg(not(loom))]
pub mod segment;
#[cfg(not(loom))]
pub mod wait;

pub use call::{CALLS, CONSTANTS, Call, CallSpec, Numbering};
pub use frame::{Answer, Args, FromWorker, ToWorker};
pub use hook::{HOOKS, Hook, HookSet, HookSpec};
pub use privacy::Privacy;
pub use value::Value;
