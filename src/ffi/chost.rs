//! A hub that is a table of C functions, as a [`Host`]: hands them a script's arguments and
//! reads their answers.

use std::ffi::{CString, c_int, c_longlong};
use std::rc::Rc;

use plugin_abi::call::Gives;
use plugin_abi::value::MAX_VALUES;
use plugin_abi::{Call, CallSpec, Numbering, Value};

use super::fault::{Fault, bytes};
use super::geo;
use super::running::Running;
use super::targs::{self, Callback, Element, Kept, Targs, list_items};
use super::values::{self, CallbackArgs, Part};
use super::{heap, lock};
use crate::encoding::encode;
use crate::supervisor::Supervisor;
use crate::supervisor::{Host, Outcome, ScriptId, Ticket};

/// The C hub for as long as one of its calls into the library lasts.
pub(crate) struct CHost {
    running: Rc<Running>,
}

impl CHost {
    pub(crate) fn new(running: Rc<Running>) -> CHost {
        CHost { running }
    }

    fn ask(&self, script: ScriptId, call: Call, args: &[Value<'_>]) -> Result<Value<'static>, Fault> {
        let Some(function) = self.running.table.function(call) else {
            if call == Call::users {
                return self.users_one_by_one(script, args);
            }
            log::debug!("script {script} called {}, which this hub does not have", call.name());
            return Ok(Value::Nil);
        };
        let parts: Vec<Part<'_>> = args.iter().map(plain_part).collect();
        let read = |answer: &[u8], elements: &[Element]| {
            // SAFETY: the host promises that the format fits the elements.
            unsafe { self.read_answer(call.spec(), answer, elements) }
        };
        // SAFETY: the host put a callback of this type into the table.
        unsafe { self.run(function, script.0, script.0, &parts, read) }
    }

    /// Everybody in the user list for a host without a function for that: by those that it has.
    fn users_one_by_one(&self, script: ScriptId, args: &[Value<'_>]) -> Result<Value<'static>, Fault> {
        let fields = args.first().and_then(Value::as_text).unwrap_or_default();
        let fields: Vec<&[u8]> = fields.split(|byte| *byte == b' ').collect();
        let list = self.ask(script, Call::GetNickList, &[])?;
        let nicks: Vec<&[u8]> = match &list {
            Value::List(list) => list.iter().filter_map(Value::as_text).collect(),
            list => split_nicks(list.as_text().unwrap_or_default()),
        };
        // Of a $MyINFO one call gives several.
        let part = |field: &[u8]| MY_INFO.iter().position(|known| known.as_bytes() == field);
        let wants_info = fields.iter().any(|field| part(field).is_some());
        let mut rows = Vec::with_capacity(nicks.len());
        for nick in nicks {
            let nick = Value::text(nick);
            let about = |call| self.ask(script, call, std::slice::from_ref(&nick));
            let info = if wants_info { about(Call::GetMyINFO)? } else { Value::Nil };
            let value = |field: &&[u8]| {
                Ok(match *field {
                    b"nick" => nick.clone().into_owned(),
                    b"class" => about(Call::GetUserClass)?,
                    b"ip" => about(Call::GetUserIP)?,
                    b"cc" => about(Call::GetUserCC)?,
                    field => {
                        let parts = info.as_list().unwrap_or_default();
                        part(field).and_then(|at| parts.get(at)).cloned().unwrap_or_default()
                    }
                })
            };
            rows.push(Value::List(fields.iter().map(value).collect::<Result<_, Fault>>()?));
        }
        Ok(Value::List(vec![Value::Int(1), Value::List(rows)]))
    }

    /// Calls a function of the host, reads its answer and frees it. NULL is `Nil`.
    ///
    /// # Safety
    /// `function` is a callback as `vhpy.h` describes them.
    unsafe fn run(
        &self,
        function: Callback,
        first: c_int,
        script: i32,
        parts: &[Part<'_>],
        read: impl FnOnce(&[u8], &[Element]) -> Result<Value<'static>, Fault>,
    ) -> Result<Value<'static>, Fault> {
        let args = CallbackArgs::new(parts, script)?;
        // SAFETY: as the caller promises; the arguments live until this function's end.
        let answer = lock::outside(|| unsafe { function(first, args.as_ptr()) });
        (self.running.after_callback)();
        // SAFETY: as above.
        unsafe { take_answer(answer, &args.kept(), read) }
    }

    /// # Safety
    /// The format fits the elements.
    unsafe fn read_answer(
        &self,
        spec: &CallSpec,
        format: &[u8],
        elements: &[Element],
    ) -> Result<Value<'static>, Fault> {
        if format.is_empty() {
            return Ok(Value::Nil);
        }
        let wrong = || {
            Fault::Refused(format!(
                "the host's {} must answer \"{}\", not \"{}\"",
                spec.name,
                spec.answer,
                format.escape_ascii()
            ))
        };
        let encoding = self.running.encoding();
        // SAFETY: as the caller promises, for each arm's own letters.
        unsafe {
            let one = |at: usize| Ok(values::read_one(format[at], &elements[at], encoding)?.into_owned());
            match (spec.gives, format) {
                (Gives::Nicks(_), b"s" | b"D" | b"L") => one(0),
                (Gives::Float, b"l") => Ok(Value::Float(elements[0].value.long as f64)),
                (Gives::Rows | Gives::Users, b"lllp" | b"lllL") => read_table(elements).ok_or_else(wrong),
                (Gives::Geo, b"D") => one(0),
                (Gives::Geo, b"sdsdslslp" | b"sdsdslslL") => read_place(format, elements),
                (_, given) if given != spec.answer.as_bytes() => Err(wrong()),
                _ if format.len() == 1 => one(0),
                _ => (0..format.len()).map(one).collect::<Result<Vec<_>, _>>().map(Value::List),
            }
        }
    }
}

impl Host for CHost {
    fn call(&mut self, _: &Supervisor, script: ScriptId, call: Call, args: &[Value<'_>]) -> Value<'static> {
        self.ask(script, call, args).unwrap_or_else(|fault| {
            log::error!("script {script}, {}: {fault}", call.name());
            Value::Nil
        })
    }

    fn finished(&mut self, _: &Supervisor, ticket: Ticket, outcome: Outcome) {
        let (id, text) = match outcome {
            Outcome::Loaded(Ok(loaded)) | Outcome::Reloaded(Ok(loaded)) => {
                (loaded.id.0, loaded.warnings.join("\n"))
            }
            Outcome::Loaded(Err(error)) | Outcome::Reloaded(Err(error)) => (-1, error.to_string()),
            Outcome::Unloaded => (-1, String::new()),
            Outcome::Said(text) => (-1, text),
        };
        let Some(done) = self.running.done.get() else { return };
        let Ok(text) = CString::new(text.replace('\0', " ")) else { return };
        let ticket = c_longlong::try_from(ticket.0).unwrap_or(c_longlong::MAX);
        // SAFETY: the host gave function and data for this, until it sets another or ends.
        lock::outside(|| unsafe { (done.function)(done.data, ticket, id, text.as_ptr()) });
        (self.running.after_callback)();
    }

    fn tell_operators(&mut self, supervisor: &Supervisor, text: &str) {
        let text = match self.running.encoding() {
            Some(encoding) => encode(encoding, text),
            None => text.as_bytes().into(),
        };
        if self.running.table.has(Call::SendToOpChat) {
            self.call(supervisor, ScriptId(-1), Call::SendToOpChat, &[Value::Text(text), Value::Nil]);
        }
    }
}

/// The parts of what `GetMyINFO` gives, as `users` calls them.
const MY_INFO: [&str; 6] = ["", "desc", "tag", "speed", "mail", "share"];

/// The nicks of `$NickList a$$b$$`.
fn split_nicks(list: &[u8]) -> Vec<&[u8]> {
    let mut rest = list.strip_prefix(b"$NickList ").unwrap_or(list);
    let mut nicks = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"$$") {
        nicks.push(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    nicks.push(rest.strip_suffix(b"|").unwrap_or(rest));
    nicks.retain(|nick| !nick.is_empty());
    nicks
}

/// Arguments of the table's functions are texts and numbers; `None` is NULL.
fn plain_part<'a>(value: &'a Value<'_>) -> Part<'a> {
    match value {
        Value::Nil => Part::NoText,
        value => values::part_of(value, Numbering::V1_6),
    }
}

/// Calls a function that the host registered for one script.
///
/// # Safety
/// `function` is a callback as `vhpy.h` describes them.
pub(crate) unsafe fn call_dynamic(
    running: &Running,
    script: i32,
    args: &[Value<'_>],
    function: impl FnOnce(*mut Targs) -> *mut Targs,
) -> Result<Value<'static>, Fault> {
    args.iter().for_each(|arg| values::release_nested(arg, script));
    let numbering = running.table.numbering();
    let parts: Vec<Part<'_>> = args.iter().map(|arg| values::part_of(arg, numbering)).collect();
    let args = CallbackArgs::new(&parts, script)?;
    let answer = lock::outside(|| function(args.as_ptr()));
    (running.after_callback)();
    if answer.is_null() {
        return Err(Fault::Null("the answer"));
    }
    let encoding = running.encoding();
    // SAFETY: the host promises that its answer is a structure as its format says.
    unsafe {
        let value = values::read_result(answer, encoding);
        targs::free_answer(answer, &args.kept());
        value
    }
}

/// Reads an answer and frees it.
///
/// # Safety
/// `answer` is NULL or a structure as its format says, handed over by a callback.
unsafe fn take_answer(
    answer: *mut Targs,
    kept: &[Kept],
    read: impl FnOnce(&[u8], &[Element]) -> Result<Value<'static>, Fault>,
) -> Result<Value<'static>, Fault> {
    if answer.is_null() {
        return Ok(Value::Nil);
    }
    // SAFETY: as the caller promises.
    unsafe {
        let value = targs::parts(answer).and_then(|(format, elements)| read(format, elements));
        targs::free_answer(answer, kept);
        value
    }
}

/// `ok, rows, columns, cells`: the cells row by row, handed over.
///
/// # Safety
/// There are as many cells as the numbers say, each NULL or a C string.
unsafe fn read_table(elements: &[Element]) -> Option<Value<'static>> {
    // SAFETY: the format was "lllp" or "lllL"; as the caller promises.
    unsafe {
        let number = |at: usize| usize::try_from(elements[at].value.long).ok();
        let (ok, rows, columns) = (elements[0].value.long, number(1)?, number(2)?);
        let cells = elements[3].value.list;
        let count = rows.checked_mul(columns).filter(|&count| count <= MAX_VALUES)?;
        if count == 0 || cells.is_null() {
            return (count == 0).then(|| Value::List(vec![Value::Int(ok), Value::List(vec![])]));
        }
        let cells = std::slice::from_raw_parts(cells, count);
        let table = cells
            .chunks(columns)
            .map(|row| row.iter().map(|&cell| bytes(cell).map(<[u8]>::to_vec)).collect())
            .collect();
        for block in cells.iter().copied().map(<*mut _>::cast).chain([elements[3].value.pointer]) {
            if heap::may_be_malloced(block) {
                libc::free(block);
            }
        }
        Some(Value::List(vec![Value::Int(ok), Value::List(table)]))
    }
}

/// Four names with numbers, then more names with texts.
///
/// # Safety
/// The elements are as the format says.
unsafe fn read_place(format: &[u8], elements: &[Element]) -> Result<Value<'static>, Fault> {
    let mut entries = Vec::new();
    // SAFETY: as the caller promises; the format has pairs of elements, then one.
    unsafe {
        for (letters, pair) in format[..8].chunks(2).zip(elements.chunks(2)) {
            let name = values::read_one(letters[0], &pair[0], None)?;
            entries.push((name.into_owned(), values::read_one(letters[1], &pair[1], None)?.into_owned()));
        }
        if format[8] == b'L' {
            let texts = list_items(elements[8].value.list);
            entries.extend(
                texts
                    .chunks_exact(2)
                    .map(|pair| (Value::from(pair[0]).into_owned(), Value::from(pair[1]).into_owned())),
            );
        } else {
            let mut pairs = geo::read_pairs(elements[8].value.pointer);
            pairs.free();
            entries.append(&mut pairs.entries);
        }
    }
    entries.retain(|(name, _)| *name != Value::Nil);
    Ok(Value::Map(entries))
}
