//! Scripts in processes, with a host that records: events, calls, loading, deaths and restarts, and
//! every way in which a script can hang or take too much.

mod calls;
mod control;
mod debugging;
mod events;
mod figures;
mod filters;
mod hangs;
mod limits;
mod loading;
#[cfg(feature = "hub")]
mod recording;
mod reloads;
mod restarts;
#[path = "../support/mod.rs"]
mod support;

use crate::support::Stage;
use vhpy::Hook;

fn chat(stage: &mut Stage, nick: &str, message: &str) -> vhpy::supervisor::Verdict {
    stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &[nick.into(), message.into()])
}
