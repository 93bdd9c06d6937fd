//! What an interpreter makes of scripts, with a hub of a few lines and with a real supervisor: all that
//! depends on the version of Python. `tests/run` runs this with each that `VHPY_TEST_PYTHONS` names.

mod calls;
mod deaths;
mod events;
mod storing;
mod stub;
#[path = "../support/mod.rs"]
mod support;
mod threads;
