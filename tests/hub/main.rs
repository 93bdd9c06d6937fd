//! The embedded hub as a process of its own, with clients over TCP.
#![cfg(feature = "cli")]

mod abuse;
mod accounts;
mod bad_input;
mod bans;
mod chat;
mod configuration;
mod control;
mod functions;
mod geoip;
mod hooks;
mod in_process;
mod lists;
mod load;
mod logging;
mod metrics;
mod pythons;
mod refusals;
mod sql;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod survival;
mod text;
mod tls;
