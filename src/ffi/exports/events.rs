//! Events: to one script or to all, who wants which, and when the scripts are to be served.

use std::ffi::{c_char, c_int};

use plugin_abi::{Answer, Hook};

use crate::ffi::fault::{Fault, guard};
use crate::ffi::library::{self, visit};
use crate::ffi::targs::{self, Element, Targs, is_known, owned};
use crate::ffi::values;
use crate::supervisor::ScriptId;
use crate::supervisor::{Replacement, Verdict};

fn hook(number: c_int) -> Result<Hook, Fault> {
    usize::try_from(number).ok().and_then(Hook::from_number).ok_or(Fault::NoHook(number))
}

/// `vhpy_verdict`.
#[repr(C)]
struct CVerdict {
    blocked: c_int,
    replaces: c_int,
    parts: [*mut c_char; 5],
    send: *mut c_char,
    send_length: usize,
}

const NOTHING: CVerdict = CVerdict {
    blocked: 0,
    replaces: 0,
    parts: [std::ptr::null_mut(); 5],
    send: std::ptr::null_mut(),
    send_length: 0,
};

/// One event for all scripts.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_event(
    number: c_int,
    args: *const Element,
    count: usize,
    verdict: *mut CVerdict,
) -> c_int {
    if !verdict.is_null() {
        // SAFETY: the header asks for a verdict to fill.
        unsafe { verdict.write(NOTHING) };
    }
    // A failure here must not stop the hub's users: the event goes on.
    guard("vhpy_event", 1, || {
        let hook = hook(number)?;
        if args.is_null() && count > 0 {
            return Err(Fault::Null("the array of arguments"));
        }
        // SAFETY: the header asks for `count` elements that say their type.
        let elements = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(args, count) } };
        let format: smallformat::Format = elements.iter().map(|element| element.kind as u8).collect();
        if let Some(letter) = format.iter().copied().find(|&letter| !is_known(letter)) {
            return Err(Fault::UnknownLetter(letter));
        }
        // SAFETY: as above.
        let values = unsafe { values::read_event(hook, &format, elements) }?;
        let answer = visit(|running, visit| Ok(running.supervisor.event(&mut visit.host, hook, &values)))?;
        let blocked = answer.blocked;
        if !verdict.is_null() {
            // SAFETY: as above.
            unsafe { fill(&mut *verdict, answer) }?;
        }
        Ok(c_int::from(!blocked))
    })
}

/// Room for the letters of any hook without a block from the heap.
mod smallformat {
    use std::ops::Deref;

    #[derive(Default)]
    pub(super) struct Format {
        letters: [u8; 8],
        count: usize,
    }

    impl FromIterator<u8> for Format {
        /// More than eight letters fit no hook; the last place then counts them.
        fn from_iter<I: IntoIterator<Item = u8>>(letters: I) -> Format {
            let mut format = Format::default();
            for letter in letters {
                let at = format.count.min(format.letters.len() - 1);
                format.letters[at] = letter;
                format.count = at + 1;
            }
            format
        }
    }

    impl Deref for Format {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.letters[..self.count]
        }
    }
}

fn fill(verdict: &mut CVerdict, answer: Verdict) -> Result<(), Fault> {
    verdict.blocked = answer.blocked.into();
    let parts: Vec<Option<Vec<u8>>> = match answer.replacement {
        None => vec![],
        Some(Replacement::Chat { nick, message }) => {
            verdict.replaces = 1;
            vec![nick, message]
        }
        Some(Replacement::MyInfo(parts)) => {
            verdict.replaces = 2;
            parts.into()
        }
    };
    for (place, part) in verdict.parts.iter_mut().zip(parts) {
        if let Some(part) = part {
            *place = owned(&part)?;
        }
    }
    if !answer.send.is_empty() {
        let data = answer.send.concat();
        verdict.send = owned(&data)?;
        verdict.send_length = data.len();
    }
    Ok(())
}

/// Frees what a verdict holds.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_verdict_free(verdict: *mut CVerdict) {
    if verdict.is_null() {
        return;
    }
    // SAFETY: the header asks for a verdict that `vhpy_event` filled; its texts are from
    // `malloc` or NULL.
    unsafe {
        let old = verdict.replace(NOTHING);
        old.parts.into_iter().chain([old.send]).for_each(|text| libc::free(text.cast()));
    }
}

/// Whether any script defines a hook.
#[unsafe(no_mangle)]
extern "C" fn vhpy_wants(number: c_int) -> c_int {
    guard("vhpy_wants", 0, || {
        let hook = hook(number)?;
        library::wants(hook).map(c_int::from)
    })
}

/// A descriptor that is readable when `vhpy_serve` has something to do.
#[unsafe(no_mangle)]
extern "C" fn vhpy_poll_fd() -> c_int {
    guard("vhpy_poll_fd", -1, || visit(|running, _| Ok(running.supervisor.poll_fd())))
}

/// Serves the scripts' waiting calls, notices deaths, restarts what is due.
#[unsafe(no_mangle)]
extern "C" fn vhpy_serve() -> c_int {
    guard("vhpy_serve", 0, || {
        visit(|running, visit| {
            running.supervisor.serve(&mut visit.host);
            Ok(1)
        })
    })
}

/// Whether a script defines a hook. Hosts ask this at every tick of their timers, so waiting
/// calls of scripts are served here.
#[unsafe(no_mangle)]
extern "C" fn w_HasHook(id: c_int, hook: c_int) -> c_int {
    guard("w_HasHook", 0, || {
        // No number of a hook is no hook that anybody has.
        let Some(hook) = usize::try_from(hook).ok().and_then(Hook::from_number) else {
            return visit(|_, _| Ok(0));
        };
        library::has_hook(ScriptId(id), hook).map(c_int::from)
    })
}

/// One event to one script.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_CallHook(id: c_int, hook: c_int, args: *mut Targs) -> *mut Targs {
    guard("w_CallHook", std::ptr::null_mut(), || {
        let hook = usize::try_from(hook).ok().and_then(Hook::from_number).ok_or(Fault::NoHook(hook))?;
        visit(|running, visit| {
            // SAFETY: the header asks for a structure as its format says, for as long as this
            // runs.
            let values = unsafe {
                let (format, elements) = targs::parts(args)?;
                values::read_any_event(hook, format, elements, running.encoding())?
            };
            let script = ScriptId(id);
            // One without this hook, stuck or dead goes on; only one that is not there is none.
            if !running.supervisor.contains(script) {
                return Err(Fault::NoScript(id));
            }
            let answer = running.supervisor.event_to(&mut visit.host, script, hook, &values);
            let answer = answer.unwrap_or(Answer::GoOn);
            Ok(values::write_answer(answer, id)?.as_ptr())
        })
    })
}
