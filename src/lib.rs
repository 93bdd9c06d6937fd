//! Python scripting for Direct Connect hubs, every script in a process of its own.
//!
//! - [`mod@bench`]: what all this costs
//! - [`check`]: what can be told of scripts without running them
//! - [`supervisor`]: scripts, their processes, events and calls
//! - [`supervisor::dynamic`]: closures that scripts call by name
//! - [`hub`]: the embedded hub
//! - [`replay`]: recordings of hubs, given to scripts again
//! - [`log_level`]: how much is logged
//!
//! `libvhpy.so` exports the C functions of `vhpy.h` besides.
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
// A panic here is one in the hub or in a script. Tests and the fuzz targets may.
#![cfg_attr(not(any(test, fuzzing)), warn(clippy::unwrap_used, clippy::expect_used))]

#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "hub")]
pub mod check;
mod encoding;
mod ffi;
#[cfg(feature = "hub")]
pub mod hub;
mod json;
mod local_time;
pub mod log_level;
mod private_files;
#[cfg(feature = "hub")]
pub mod replay;
pub mod supervisor;

pub use plugin_abi::{Answer, Call, CallSpec, Hook, HookSet, HookSpec, Value};
pub use supervisor::{Host, ScriptId, Supervisor, dynamic};
