//! The C ABI and the adapter for Verlihub, from programs that the system's compilers make here.

mod exports;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
mod verlihub;
