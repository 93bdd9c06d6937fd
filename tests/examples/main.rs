//! What is there to be copied works: the example of an own hub, the examples of the old plugin's
//! manual, scripts with real packages; and so does what is installed.

mod installing;
mod old_manual;
mod packages;
#[path = "../support/mod.rs"]
mod support;
mod tiny_hub;
