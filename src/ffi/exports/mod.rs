//! The exported functions, by what they are about. `vhpy.h` documents them; each goes through
//! [`guard`](super::fault::guard).

mod events;
mod functions;
mod log;
mod names;
mod options;
mod scripts;
mod values;
