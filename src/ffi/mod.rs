//! The C ABI of `libvhpy.so`: the 18 functions `w_*` of the wrapper library that it stands in
//! for, and the functions `vhpy_*` for hosts that want more, over the
//! [`supervisor`](crate::supervisor).
//!
//! - [`exports`]: the exported functions, by subject: scripts, events, functions, options, values
//! - [`library`]: the one supervisor between `w_Begin` and `w_End`, its lock, what forks mean to it;
//!   [`running`]: what there is between the two; [`board`]: what is known without the lock
//! - [`options`]: what holds before the host says anything
//! - [`chost`]: a host that is a table of C functions; [`table`]: that table
//! - [`targs`]: the structures that carry values, and who frees what
//! - [`values`]: those structures and [`Value`](crate::Value)s, each from the other
//! - [`handles`]: freed handles on their way back to their scripts
//! - [`json`]: the text of format `D`
//! - [`heap`]: which memory a host's answer may hand over
//! - [`geo`]: the C++ vector in an old hub's answer to `GetGeoIP`
//! - [`fault`]: the boundary itself; [`forks`], [`lock`], [`logger`]
//!
//! # Rules that hold for all of them
//! - Every exported function goes through [`fault::guard`]: a panic or a fault becomes one log line
//!   and the documented value, and is kept for `vhpy_last_error`.
//! - Pointers from the host are checked for NULL; that they point to what the header says is
//!   the host's promise, as everywhere in C. What they point to is copied or only borrowed
//!   while the function runs.
//! - Functions may be called from any thread and from within callbacks; see [`lock`]. A call
//!   out of a signal handler that interrupted the library gets the value of a failure at once.
//! - A callback must not throw or jump out: Rust cannot let foreign unwinding through.

mod board;
mod chost;
mod exports;
mod fault;
mod forks;
mod geo;
mod handles;
mod heap;
mod library;
mod lock;
mod logger;
mod options;
mod running;
mod table;
mod targs;
mod values;
