//! Frames: the messages between hub and worker, as MessagePack arrays; moving them is the
//! [`ring`](crate::ring)'s work, acting on them that of the two sides.
//!
//! A frame is an array whose first element is its kind. Text in the hub's encoding travels
//! as MessagePack `bin`; raw bytes, handles and pointers as extension types.
//!
//! The hub does not trust what it decodes. Decoding never panics, allocates no more than the
//! frame's own size times a constant, refuses nesting beyond [`MAX_DEPTH`](crate::value::MAX_DEPTH)
//! and more values than [`MAX_VALUES`](crate::value::MAX_VALUES), and borrows from a private copy of the frame.

mod quick;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::call::Call;
use crate::hook::{Hook, HookSet};
use crate::value::Value;

#[cfg(fuzzing)]
pub use read::compare_readers;
pub use read::read_returned;
pub use write::{write_command, write_event, write_function};

/// The largest frame in bytes. A longer one is refused before it is sent.
pub const MAX_FRAME: usize = 64 << 20;

/// The version of everything in this module; both sides must have the same.
pub const PROTOCOL: u32 = crate::start::protocol!();

/// How long the sources of a script together may be of which a copy is kept, in bytes.
pub const MAX_KEPT: usize = 8 << 20;

/// How much one script may keep in `vh.store`, keys and values together, in bytes as they travel.
pub const MAX_STORE: usize = 4 << 20;

/// The number of events whose answer nobody waits for: there is to be none.
pub const NOT_AWAITED: u64 = 0;

/// The arguments of an event or a call; the usual ones need no allocation.
pub type Args<'a> = SmallVec<[Value<'a>; 8]>;

/// What a script answered to an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<'a> {
    /// Go on.
    GoOn,
    /// Block.
    Block,
    /// Go on with another nick or message; `None` keeps the original.
    Chat {
        /// The nick to show.
        nick: Option<Cow<'a, [u8]>>,
        /// The message to show.
        message: Option<Cow<'a, [u8]>>,
    },
    /// Go on with other parts of a `$MyINFO`: description, tag, speed, mail, size.
    MyInfo([Option<Cow<'a, [u8]>>; 5]),
    /// Send this to the connection the event came from, then treat the number as an answer.
    Send {
        /// Protocol data; a final `|` is there.
        data: Cow<'a, [u8]>,
        /// 0 blocks, everything else goes on.
        then: i64,
    },
}

/// Why a call of a script failed; decides which exception it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Failure {
    /// There is no such function: `NameError`.
    Missing = 0,
    /// The host's function failed: `RuntimeError`.
    Failed = 1,
}

/// What the hub tells a new worker about its script.
#[derive(Clone, Debug, PartialEq)]
pub struct Load<'a> {
    /// `vh.myid`.
    pub id: i64,
    /// The script's file.
    pub path: Cow<'a, [u8]>,
    /// The hub's `scripts` folder, empty when there is none.
    pub scripts_dir: Cow<'a, [u8]>,
    /// `vh.botname`.
    pub botname: Cow<'a, [u8]>,
    /// `vh.opchatname`.
    pub opchatname: Cow<'a, [u8]>,
    /// `vh.basedir`.
    pub basedir: Cow<'a, [u8]>,
    /// `vh.config_name`.
    pub config_name: Cow<'a, [u8]>,
    /// `vh.starttime`, seconds since the epoch.
    pub starttime: i64,
    /// The hub's encoding as Python names it.
    pub encoding: Cow<'a, [u8]>,
    /// Whether the hub answers [`Call::GetIPCity`].
    pub has_ip_city: bool,
    /// The contents of `vh.store`: keys and values.
    pub store: Vec<(Value<'a>, Value<'a>)>,
    /// Sources that are loaded instead of what is on disk: files relative to the script's folder, and
    /// what is in them. Empty for the script as it is on disk.
    pub kept: Vec<(Value<'a>, Value<'a>)>,
}

/// What a script wants of the hub.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wants<'a> {
    /// The hooks it defines.
    pub hooks: HookSet,
    /// Those it marked as observers.
    pub observers: HookSet,
    /// Which events its hooks are for: a list of
    /// [`HookFilter`](crate::filter::HookFilter::to_value)s, or nil.
    pub filters: Value<'a>,
    /// How the hub's bytes are read where there are filters: nil for UTF-8; where each byte is a
    /// character, a list of 256 numbers for [`Decoder::table`](crate::filter::Decoder::table);
    /// `true` where it is neither, and the hub must know how by its encoding's name.
    pub table: Value<'a>,
    /// Its [`commands`](crate::command), or nil.
    pub commands: Value<'a>,
}

/// A frame from the hub.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker<'a> {
    /// Before the first one: read and compile this script, but do not run it yet.
    Prepare {
        /// The script's file.
        path: Cow<'a, [u8]>,
    },
    /// The first frame: run this script.
    Load(Box<Load<'a>>),
    /// An event.
    Event {
        /// Comes back in the answer, unless it is [`NOT_AWAITED`].
        seq: u64,
        /// Which one.
        hook: Hook,
        /// The hook's arguments.
        args: Args<'a>,
    },
    /// A user gave one of the script's commands. Answered as an event is.
    Command {
        /// Comes back in the answer.
        seq: u64,
        /// The command's name, as the script gave it.
        name: Cow<'a, [u8]>,
        /// Those of `OnHubCommand`.
        args: Args<'a>,
    },
    /// Call a top-level function of the script.
    Function {
        /// Comes back in the result.
        seq: u64,
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its positional arguments.
        args: Args<'a>,
    },
    /// The answer to a call of the script; nil when the host failed.
    Reply {
        /// The number the call had.
        id: u64,
        /// The answer.
        value: Value<'a>,
    },
    /// A call of the script failed in a way that raises an exception.
    Refusal {
        /// The number the call had.
        id: u64,
        /// Which exception.
        failure: Failure,
        /// Its text.
        reason: Cow<'a, [u8]>,
    },
    /// The hub's bots have new names.
    Names {
        /// `vh.botname`.
        botname: Cow<'a, [u8]>,
        /// `vh.opchatname`.
        opchatname: Cow<'a, [u8]>,
    },
    /// The hub no longer needs the object with this handle.
    Release(u64),
    /// No event is in flight that was when [`FromWorker::Later`] was sent with this number, or before.
    Due(u64),
    /// Run `UnLoad()`, say [`FromWorker::Unloaded`], and end.
    Unload {
        /// How long that may take, in milliseconds.
        within: u32,
    },
}

/// A frame from the worker. Everything in it is what the worker claims.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker<'a> {
    /// The interpreter runs and waits for its script.
    Hello {
        /// Must be [`PROTOCOL`].
        protocol: u32,
        /// Python's version, such as `3.11.2`.
        python: Cow<'a, [u8]>,
    },
    /// The script's source was compiled.
    Prepared,
    /// The script, or a module that it imported from its folder, was loaded from this. What is loaded
    /// by the script's top level comes before [`FromWorker::Loaded`].
    Source {
        /// The file, relative to the script's folder.
        file: Cow<'a, [u8]>,
        /// What was in it.
        text: Cow<'a, [u8]>,
    },
    /// The script ran to its end and serves events now.
    Loaded {
        /// What it wants of the hub.
        wants: Wants<'a>,
        /// What an operator should know: names that look like misspelt hooks, for one.
        warnings: Vec<Cow<'a, [u8]>>,
    },
    /// The script wants something else than the hub was told.
    Hooks(Wants<'a>),
    /// The script could not be loaded.
    LoadFailed {
        /// File, line and reason.
        reason: Cow<'a, [u8]>,
    },
    /// The answer to an event.
    Answer {
        /// The event's.
        seq: u64,
        /// What the script said.
        answer: Answer<'a>,
    },
    /// The result of a function.
    Returned {
        /// The function call's.
        seq: u64,
        /// What it returned.
        value: Value<'a>,
    },
    /// The function is missing or raised.
    Raised {
        /// The function call's.
        seq: u64,
        /// The exception; the traceback went to the log.
        reason: Cow<'a, [u8]>,
    },
    /// The script calls a function of the hub.
    Call {
        /// Comes back in the reply.
        id: u64,
        /// Which one.
        call: Call,
        /// The host's arguments, in the host's order.
        args: Args<'a>,
    },
    /// The script calls a function that the host registered for it.
    Dynamic {
        /// Comes back in the reply.
        id: u64,
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its arguments.
        args: Args<'a>,
    },
    /// `vh.store[key] = value`, or `del vh.store[key]` when nil.
    Store {
        /// The key, UTF-8 that may have lone surrogates.
        key: Cow<'a, [u8]>,
        /// The value; `None` removes the key.
        value: Option<Value<'a>>,
    },
    /// The script wants to know when no event is in flight any more: [`ToWorker::Due`] with this number,
    /// or a later one that was sent meanwhile.
    Later(u64),
    /// `UnLoad()` has run.
    Unloaded,
    /// The script's debugger wants something. Each is answered by a [`ToWorker::Reply`].
    Debug {
        /// Comes back in the reply.
        id: u64,
        /// What.
        ask: DebugAsk,
        /// What it shows; empty for the others.
        text: Cow<'a, [u8]>,
    },
    /// Operators should know this of a hook.
    Noticed {
        /// The hook.
        hook: Hook,
        /// What.
        what: Noticed,
        /// File and line, `quiz.py:88`; empty where that is not known.
        place: Cow<'a, [u8]>,
    },
}

/// What the script's debugger asks of the hub, as a call that may be answered much later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DebugAsk {
    /// Whether somebody is attached: a bool.
    Attached = 0,
    /// To open: false when nobody is attached, or it is open on another thread.
    Open = 1,
    /// To show a text of at most [`MAX_SHOWN`] bytes; answered when there is room for the next.
    Write = 2,
    /// The next line of whoever is attached, with its end; nil when they are gone.
    Read = 3,
    /// It has closed, and the script goes on.
    Close = 4,
    /// It lets the script do a step, and opens again after it.
    Step = 5,
}

impl DebugAsk {
    /// All of them, by number.
    pub const ALL: [DebugAsk; 6] = [
        DebugAsk::Attached,
        DebugAsk::Open,
        DebugAsk::Write,
        DebugAsk::Read,
        DebugAsk::Close,
        DebugAsk::Step,
    ];
}

/// How much a debugger shows at once, in bytes.
pub const MAX_SHOWN: usize = 64 << 10;

/// What operators should know of a hook.
#[derive(Clone, Debug, PartialEq)]
pub enum Noticed {
    /// It ended with this exception.
    Raised(String),
    /// It took so many nanoseconds.
    Slow(u64),
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not MessagePack, or not a frame of ours.
    #[error("not a frame: {0}")]
    Malformed(String),
    /// More than [`MAX_FRAME`] bytes.
    #[error("a message of {0} bytes; at most {MAX_FRAME} can be sent in one: send it in parts")]
    TooLong(usize),
}

impl From<rmp_serde::decode::Error> for FrameError {
    fn from(error: rmp_serde::decode::Error) -> FrameError {
        FrameError::Malformed(error.to_string())
    }
}

impl From<rmp_serde::encode::Error> for FrameError {
    fn from(error: rmp_serde::encode::Error) -> FrameError {
        FrameError::Malformed(error.to_string())
    }
}

/// The first element of a frame.
mod kind {
    pub const LOAD: u8 = 0;
    pub const EVENT: u8 = 1;
    pub const FUNCTION: u8 = 2;
    pub const REPLY: u8 = 3;
    pub const REFUSAL: u8 = 4;
    pub const NAMES: u8 = 5;
    pub const RELEASE: u8 = 6;
    pub const UNLOAD: u8 = 7;
    pub const COMMAND: u8 = 8;
    pub const DUE: u8 = 9;
    pub const PREPARE: u8 = 10;

    pub const HELLO: u8 = 32;
    pub const LOADED: u8 = 33;
    pub const LOAD_FAILED: u8 = 34;
    pub const ANSWER: u8 = 35;
    pub const RETURNED: u8 = 36;
    pub const RAISED: u8 = 37;
    pub const CALL: u8 = 38;
    pub const DYNAMIC: u8 = 39;
    pub const STORE: u8 = 40;
    pub const UNLOADED: u8 = 41;
    pub const HOOKS: u8 = 42;
    pub const LATER: u8 = 43;
    pub const NOTICED: u8 = 44;
    pub const PREPARED: u8 = 45;
    pub const SOURCE: u8 = 46;
    pub const DEBUG: u8 = 47;
}

/// The third element of an answer frame.
mod verdict {
    pub const GO_ON: u8 = 1;
    pub const BLOCK: u8 = 0;
    pub const CHAT: u8 = 2;
    pub const MY_INFO: u8 = 3;
    pub const SEND: u8 = 4;
}

/// How much room to make for a list that claims this length. The claim is not believed far:
/// the list grows as values really arrive.
fn believable(claimed: usize) -> usize {
    claimed.min(1024)
}

const EXT_HANDLE: i8 = 1;
const EXT_POINTER: i8 = 2;
const EXT_BYTES: i8 = 3;
