//! Values from `w_Targs` structures and structures from values: which format letter stands
//! for which type in which direction; memory is left to [`targs`].

use std::borrow::Cow;
use std::ffi::c_long;
use std::ptr::NonNull;

use encoding_rs::Encoding;
use plugin_abi::hook::ArgKind;
use plugin_abi::{Answer, Args, Hook, Numbering, Value};

use super::fault::{Fault, bytes};
use super::handles;
use super::targs::{self, Element, Kept, Marked, NONE, OWNED, Slot, Targs};
use crate::json;

/// The values of a structure from the host, in order.
///
/// # Safety
/// `args` is NULL or points to a `w_Targs` as its format says, and lives for `'a`.
pub(crate) unsafe fn read<'a>(
    args: *const Targs,
    encoding: Option<&'static Encoding>,
) -> Result<Args<'a>, Fault> {
    // SAFETY: as the caller promises.
    let (format, elements) = unsafe { targs::parts(args) }?;
    // SAFETY: each letter fits its element, as the caller promises.
    let one = |(&letter, element)| unsafe { read_one(letter, element, encoding) };
    format.iter().zip(elements).map(one).collect()
}

/// One value.
///
/// # Safety
/// The letter fits the element, whose text or list lives for `'a`.
pub(crate) unsafe fn read_one<'a>(
    letter: u8,
    element: &Element,
    encoding: Option<&'static Encoding>,
) -> Result<Value<'a>, Fault> {
    // SAFETY: as the caller promises.
    unsafe {
        Ok(match letter {
            b'l' => Value::Int(element.value.long),
            b'd' => Value::Float(element.value.double),
            b's' => bytes(element.value.text).map_or(Value::Nil, |text| Value::Text(Cow::Borrowed(text))),
            b'D' => match bytes(element.value.text) {
                Some(text) => json::read(text, encoding)?,
                None => Value::Nil,
            },
            b'L' if element.value.list.is_null() => Value::Nil,
            b'L' => targs::list_items(element.value.list).into_iter().collect(),
            b'p' => Value::Pointer(element.value.pointer as usize as u64),
            b'O' if element.value.pointer.is_null() => Value::Nil,
            b'O' => Value::Handle(element.value.pointer as usize as u64),
            _ => return Err(Fault::UnknownLetter(letter)),
        })
    }
}

/// What a host's function answered, as one value: nothing is None, one value is itself,
/// several are a list.
///
/// # Safety
/// As for [`read`].
pub(crate) unsafe fn read_result(
    answer: *const Targs,
    encoding: Option<&'static Encoding>,
) -> Result<Value<'static>, Fault> {
    // SAFETY: as the caller promises.
    let mut values = unsafe { read(answer, encoding) }?;
    Ok(match values.len() {
        0 => Value::Nil,
        1 => values.remove(0).into_owned(),
        _ => Value::List(values.into_iter().map(Value::into_owned).collect()),
    })
}

/// An event's arguments from the host as they are, whatever the hook's table row says: hosts
/// of the old library hand over what they have. Where the row asks for a float, an int is one.
///
/// # Safety
/// As for [`read_one`]; `elements` has as many as `format` has letters.
pub(crate) unsafe fn read_any_event<'a>(
    hook: Hook,
    format: &[u8],
    elements: &[Element],
    encoding: Option<&'static Encoding>,
) -> Result<Args<'a>, Fault> {
    let kinds = hook.spec().args.iter().map(|arg| Some(arg.kind)).chain(std::iter::repeat(None));
    format
        .iter()
        .zip(elements)
        .zip(kinds)
        .map(|((&letter, element), kind)| {
            // SAFETY: as the caller promises.
            let value = unsafe { read_one(letter, element, encoding) }?;
            Ok(as_kind(kind, value))
        })
        .collect()
}

fn as_kind(kind: Option<ArgKind>, value: Value<'_>) -> Value<'_> {
    match (kind, value) {
        (Some(ArgKind::Float), Value::Int(number)) => Value::Float(number as f64),
        (_, value) => value,
    }
}

/// An event's arguments from the host, checked against the hook's table row. An int may
/// stand for a float.
///
/// # Safety
/// As for [`read_one`]; `elements` has as many as `format` has letters.
pub(crate) unsafe fn read_event<'a>(
    hook: Hook,
    format: &[u8],
    elements: &[Element],
) -> Result<Args<'a>, Fault> {
    let wanted = hook.spec().args;
    let fits = |(arg, &letter): (&plugin_abi::hook::HookArg, &u8)| match arg.kind {
        ArgKind::Text => letter == b's',
        ArgKind::Int => letter == b'l',
        ArgKind::Float => letter == b'd' || letter == b'l',
    };
    if wanted.len() != format.len() || !wanted.iter().zip(format).all(fits) {
        return Err(Fault::Refused(format!(
            "{hook} takes arguments of format \"{}\", not \"{}\"",
            wanted.iter().map(|arg| arg.kind.format()).collect::<String>(),
            format.escape_ascii(),
        )));
    }
    // SAFETY: as the caller promises.
    unsafe { read_any_event(hook, format, elements, None) }
}

/// One element of a structure to be made.
pub(crate) enum Part<'a> {
    Long(c_long),
    Double(f64),
    Pointer(u64),
    Handle(u64),
    Text(Cow<'a, [u8]>),
    /// NULL where a text could be.
    NoText,
    /// Python's `None` among arguments: NULL, and readable as any type.
    None,
    Json(Vec<u8>),
    List(Vec<Cow<'a, [u8]>>),
}

impl Part<'_> {
    fn letter(&self) -> u8 {
        match self {
            Part::Long(_) => b'l',
            Part::Double(_) => b'd',
            Part::Pointer(_) => b'p',
            Part::Handle(_) => b'O',
            Part::Text(_) | Part::NoText | Part::None => b's',
            Part::Json(_) => b'D',
            Part::List(_) => b'L',
        }
    }
}

/// What stands for a value of a script. A list of texts is `L` in the first numbering, and
/// JSON like all other containers in the second.
pub(crate) fn part_of<'a>(value: &'a Value<'_>, numbering: Numbering) -> Part<'a> {
    match value {
        Value::Nil => Part::None,
        Value::Bool(yes) => Part::Long(c_long::from(*yes)),
        Value::Int(number) => Part::Long(*number),
        Value::Float(number) => Part::Double(*number),
        Value::Text(text) | Value::Bytes(text) => Part::Text(Cow::Borrowed(text)),
        Value::Pointer(address) => Part::Pointer(*address),
        Value::Handle(handle) => Part::Handle(*handle),
        Value::List(list) => match texts(list).filter(|_| numbering == Numbering::V1_6) {
            Some(texts) => Part::List(texts),
            None => json_part(value),
        },
        Value::Map(_) => json_part(value),
    }
}

/// The items of a list, if all are texts that C strings can hold.
fn texts<'a>(list: &'a [Value<'_>]) -> Option<Vec<Cow<'a, [u8]>>> {
    list.iter().map(|item| item.as_text().filter(|text| !text.contains(&0)).map(Cow::Borrowed)).collect()
}

fn json_part(value: &Value<'_>) -> Part<'static> {
    let mut text = Vec::new();
    json::write(&mut text, value);
    Part::Json(text)
}

/// A result for the host: every text and list in a block of its own, owned by the structure.
pub(crate) fn write_result(parts: &[Part<'_>], script: i32) -> Result<Marked, Fault> {
    let format: Vec<u8> = parts.iter().map(Part::letter).collect();
    let marked = Marked::new(&format, script, 0).ok_or(Fault::Memory)?;
    for (at, part) in parts.iter().enumerate() {
        let slot = match part {
            Part::Text(text) => targs::malloc_text(text).map(|text| Slot { text: text.as_ptr() }),
            Part::Json(text) => targs::malloc_text(text).map(|text| Slot { text: text.as_ptr() }),
            Part::List(list) => targs::malloc_list(list).map(|list| Slot { list: list.as_ptr() }),
            plain => Some(plain_slot(plain)),
        };
        let Some(slot) = slot else {
            // SAFETY: nobody has seen the structure yet.
            unsafe { marked.free() };
            return Err(Fault::Memory);
        };
        marked.element(at).value = slot;
        *marked.flags(at) = OWNED;
    }
    Ok(marked)
}

fn plain_slot(part: &Part<'_>) -> Slot {
    match part {
        Part::Long(long) => Slot { long: *long },
        Part::Double(double) => Slot { double: *double },
        Part::Pointer(address) | Part::Handle(address) => {
            Slot { pointer: std::ptr::without_provenance_mut(*address as usize) }
        }
        _ => Slot { text: std::ptr::null_mut() },
    }
}

/// Gives back the objects inside of a container: JSON names them, but nobody can use them.
pub(crate) fn release_nested(value: &Value<'_>, script: i32) {
    let each = |item: &Value<'_>| match item {
        Value::Handle(handle) => handles::release(script, *handle),
        item => release_nested(item, script),
    };
    match value {
        Value::List(list) => list.iter().for_each(each),
        Value::Map(map) => map.iter().for_each(|(key, item)| {
            each(key);
            each(item);
        }),
        _ => {}
    }
}

/// What a function of a script returned, for the host. None is the number 0.
pub(crate) fn write_return(value: &Value<'_>, numbering: Numbering, script: i32) -> Result<Marked, Fault> {
    release_nested(value, script);
    let part = match value {
        Value::Nil => Part::Long(0),
        value => part_of(value, numbering),
    };
    write_result(&[part], script)
}

/// What a script answered to an event, for the host.
pub(crate) fn write_answer(answer: Answer<'_>, script: i32) -> Result<Marked, Fault> {
    let text = |text: Option<Cow<'_, [u8]>>| match text {
        Some(text) => Part::Text(Cow::Owned(text.into_owned())),
        None => Part::NoText,
    };
    match answer {
        Answer::GoOn => write_result(&[Part::Long(1)], script),
        Answer::Block => write_result(&[Part::Long(0)], script),
        Answer::Chat { nick, message } => write_result(&[text(nick), text(message)], script),
        Answer::MyInfo(parts) => write_result(&parts.map(text), script),
        Answer::Send { data, then } => write_result(&[Part::Text(data), Part::Long(then)], script),
    }
}

/// A callback's arguments: one block that holds everything, freed when dropped.
pub(crate) struct CallbackArgs {
    marked: Marked,
    texts: usize,
}

impl CallbackArgs {
    /// A structure of these parts.
    pub(crate) fn new(parts: &[Part<'_>], script: i32) -> Result<CallbackArgs, Fault> {
        let format: Vec<u8> = parts.iter().map(Part::letter).collect();
        // Pointers of lists need alignment that texts do not keep, so they come first.
        let pointers: usize = parts.iter().map(list_room).sum();
        let room = pointers + align_of::<usize>() + parts.iter().map(text_room).sum::<usize>();
        let marked = Marked::new(&format, script, room).ok_or(Fault::Memory)?;
        let start = marked.texts();
        let mut pointers_at = start.align_offset(align_of::<usize>());
        let mut texts_at = pointers_at + pointers;
        // SAFETY: `room` counts exactly what is written here, with the alignment's padding;
        // list pointers are aligned; the block is zeroed, so texts and lists end.
        unsafe {
            let mut put = |text: &[u8]| -> NonNull<u8> {
                let copy = start.add(texts_at);
                copy.copy_from_nonoverlapping(NonNull::from(text).cast(), text.len());
                texts_at += text.len() + 1;
                copy
            };
            for (at, part) in parts.iter().enumerate() {
                marked.element(at).value = match part {
                    Part::Text(text) => Slot { text: put(text).as_ptr().cast() },
                    Part::Json(text) => Slot { text: put(text).as_ptr().cast() },
                    Part::List(list) => {
                        let first = start.add(pointers_at).cast::<*mut _>();
                        for (item, text) in list.iter().enumerate() {
                            first.add(item).write(put(text).as_ptr().cast());
                        }
                        pointers_at += list_room(part);
                        Slot { list: first.as_ptr() }
                    }
                    plain => plain_slot(plain),
                };
                *marked.flags(at) = match part {
                    Part::None => NONE,
                    Part::Handle(_) => OWNED,
                    _ => 0,
                };
            }
        }
        Ok(CallbackArgs { marked, texts: room })
    }

    /// The structure.
    pub(crate) fn as_ptr(&self) -> *mut Targs {
        self.marked.as_ptr()
    }

    /// Memory that the callback's answer may point to and that is not its own.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        targs::kept(self.marked, self.texts)
    }
}

impl Drop for CallbackArgs {
    fn drop(&mut self) {
        // SAFETY: the callback has returned, and its answer was read and freed before.
        unsafe { self.marked.free() };
    }
}

fn list_room(part: &Part<'_>) -> usize {
    match part {
        Part::List(list) => (list.len() + 1) * size_of::<usize>(),
        _ => 0,
    }
}

fn text_room(part: &Part<'_>) -> usize {
    match part {
        Part::Text(text) => text.len() + 1,
        Part::Json(text) => text.len() + 1,
        Part::List(list) => list.iter().map(|text| text.len() + 1).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(marked: Marked) -> Vec<Value<'static>> {
        // SAFETY: just made by the library; copied before it is freed.
        unsafe {
            let values = read(marked.as_ptr(), None).unwrap();
            let values = values.into_iter().map(Value::into_owned).collect();
            marked.free();
            values
        }
    }

    #[test]
    fn returned_values_have_the_documented_formats() {
        let cases = [
            (Value::Nil, "l", "l"),
            (Value::Bool(true), "l", "l"),
            (Value::Int(-5), "l", "l"),
            (Value::Float(0.5), "d", "d"),
            (Value::from("text"), "s", "s"),
            (Value::List(vec![]), "L", "D"),
            (["a", "b"].into_iter().collect(), "L", "D"),
            (Value::List(vec![Value::from("a\0b")]), "D", "D"),
            (Value::List(vec![Value::Int(1)]), "D", "D"),
            (Value::Map(vec![(Value::from("a"), Value::Nil)]), "D", "D"),
            (Value::Handle(0), "O", "O"),
        ];
        for (value, first, second) in cases {
            for (numbering, wanted) in [(Numbering::V1_6, first), (Numbering::V1_7, second)] {
                let marked = write_return(&value, numbering, 0).unwrap();
                // SAFETY: just made.
                let (format, _) = unsafe { targs::parts(marked.as_ptr()) }.unwrap();
                assert_eq!(format, wanted.as_bytes(), "{value}");
                // SAFETY: nobody else has it. The handle belongs to no script.
                unsafe { marked.free() };
            }
        }
    }

    #[test]
    fn arguments_in_one_block_are_what_was_put_in() {
        let values = [
            Value::from("nick"),
            Value::Nil,
            Value::Int(3),
            ["a", "", "long text"].into_iter().collect(),
            Value::Float(1.5),
            Value::Map(vec![(Value::from("k"), Value::Int(1))]),
            ["z"].into_iter().collect(),
        ];
        let parts: Vec<Part<'_>> = values.iter().map(|value| part_of(value, Numbering::V1_6)).collect();
        let args = CallbackArgs::new(&parts, 1).unwrap();
        // SAFETY: alive until the end of the test.
        let read = unsafe { read(args.as_ptr(), None) }.unwrap();
        assert_eq!(read.as_slice(), values);
    }

    #[test]
    fn conversion_in_place_keeps_the_texts() {
        let value: Value<'_> = ["a\"b", "", "ä"].into_iter().collect();
        let marked = write_return(&value, Numbering::V1_6, 0).unwrap();
        assert!(marked.convert(0, b'D').unwrap());
        assert!(marked.convert(0, b'L').unwrap());
        assert!(!marked.convert(0, b's').unwrap());
        assert_eq!(back(marked), [value]);
    }

    #[test]
    fn events_need_the_arguments_of_their_hook() {
        let element = |value| Element { kind: 0, value };
        let texts = [element(Slot { text: c"a".as_ptr().cast_mut() }); 2];
        // SAFETY: literals.
        unsafe {
            assert!(read_event(Hook::OnParsedMsgChat, b"ss", &texts).is_ok());
            assert!(read_event(Hook::OnParsedMsgChat, b"s", &texts[..1]).is_err());
            let time = read_event(Hook::OnTimer, b"l", &[element(Slot { long: 3 })]).unwrap();
            assert_eq!(time.as_slice(), [Value::Float(3.0)]);
        }
    }
}
