//! `w_Targs`, the structure that carries values across the C ABI: its layout, how it is made
//! and freed, and who owns what; the values in it are read and written by
//! [`values`](super::values).
//!
//! # One block
//! A structure that the library makes is one block from `malloc`, with everything the library
//! itself needs behind the elements:
//!
//! ```text
//! | format * | element 0 | … | element n-1 | mark | format text, NUL | n flags | texts |
//! ```
//!
//! So a host that only calls `free` on it, as many do, leaks nothing but the parts it was
//! meant to free. The format pointer leads to the text in the same block; a structure whose
//! pointer leads to exactly that place, with the mark before it, is the library's ("marked"),
//! and its flags say what it owns. Anything else was made by the host, by hand.
//!
//! # Who frees what
//! | structure | strings, lists, JSON | handles | freed by |
//! | --- | --- | --- | --- |
//! | from `w_pack` | the host's: borrowed | the host's | the host: `free` or `w_free_args` |
//! | a result (`w_CallHook`, `w_CallFunction`) | blocks of their own, owned | owned | the host: `w_free_args`; or `free` for each part and the structure |
//! | a callback's arguments | in the structure's own block | borrowed | the library, when the callback returns |
//! | a callback's answer, marked or not | blocks from `malloc`, handed over | stay valid | the library, after reading |
//! | what `w_unpack` converts in place | a block of its own, owned | | with the structure |
//!
//! In a callback's answer the library frees a pointer only when it can have come from
//! `malloc` ([`heap`]), only once, and not when it points into the arguments: an
//! answer made from a literal, or from the arguments themselves, is legal.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::ptr::NonNull;

use super::fault::{Fault, bytes};
use super::{handles, heap};
use crate::json;

/// One value; which one, the format says.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union Slot {
    pub(crate) long: c_long,
    pub(crate) text: *mut c_char,
    pub(crate) double: f64,
    pub(crate) pointer: *mut c_void,
    pub(crate) list: *mut *mut c_char,
}

/// `w_Telement`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Element {
    pub(crate) kind: c_char,
    pub(crate) value: Slot,
}

/// `w_Targs`.
#[repr(C)]
pub(crate) struct Targs {
    pub(crate) format: *const c_char,
    elements: [Element; 0],
}

/// `w_Tcallback`, never NULL: a place that may be is an `Option`.
pub(crate) type Callback = unsafe extern "C" fn(c_int, *mut Targs) -> *mut Targs;

/// Behind the elements of a structure that the library made.
#[repr(C)]
#[derive(Clone, Copy)]
struct Mark {
    magic: u64,
    count: u32,
    /// Whose handles the structure holds.
    script: i32,
}

const MAGIC: u64 = u64::from_ne_bytes(*b"vhpyargs");

/// A flag: the element's text, list or handle is freed with the structure.
pub(crate) const OWNED: u8 = 1;
/// A flag: the element stands for Python's `None` and can be read as any type.
pub(crate) const NONE: u8 = 2;

const ELEMENTS: usize = size_of::<Targs>();

/// Where the parts of a structure of `count` elements begin, in bytes.
struct Layout {
    mark: usize,
    format: usize,
    flags: usize,
    end: usize,
}

impl Layout {
    fn of(count: usize) -> Layout {
        let mark = ELEMENTS + count * size_of::<Element>();
        let format = mark + size_of::<Mark>();
        let flags = format + count + 1;
        Layout { mark, format, flags, end: flags + count }
    }
}

/// Whether a letter is one of the formats.
pub(crate) fn is_known(letter: u8) -> bool {
    b"lsdpLDO".contains(&letter)
}

/// A structure that the library made, with the right to read and change all of it.
#[derive(Clone, Copy)]
pub(crate) struct Marked {
    base: NonNull<u8>,
    count: usize,
}

impl Marked {
    /// A new structure with this format, zeroes in its elements, no flags, and room for
    /// `texts` bytes. `None` when memory is short.
    pub(crate) fn new(format: &[u8], script: i32, texts: usize) -> Option<Marked> {
        let count = u32::try_from(format.len()).ok()?;
        let layout = Layout::of(format.len());
        // SAFETY: `calloc` has no preconditions.
        let base = NonNull::new(unsafe { libc::calloc(1, layout.end.checked_add(texts)?) }.cast::<u8>())?;
        let marked = Marked { base, count: format.len() };
        // SAFETY: every offset is inside the block by `Layout::of`; the block is zeroed and
        // aligned for anything; `mark` is a multiple of 8 because `Targs` and `Element` are.
        unsafe {
            base.add(layout.mark).cast::<Mark>().write(Mark { magic: MAGIC, count, script });
            base.add(layout.format).copy_from_nonoverlapping(NonNull::from(format).cast(), format.len());
            base.cast::<Targs>()
                .write(Targs { format: base.add(layout.format).as_ptr().cast(), elements: [] });
        }
        for (at, letter) in format.iter().enumerate() {
            marked.element(at).kind = *letter as c_char;
        }
        Some(marked)
    }

    /// The structure, if the library made it.
    ///
    /// # Safety
    /// `args` is NULL or points to a `w_Targs` whose format is NULL or a C string.
    pub(crate) unsafe fn find(args: *mut Targs) -> Option<Marked> {
        let base = NonNull::new(args)?.cast::<u8>();
        // SAFETY: the caller promises both the structure and its format.
        let (format, text) = unsafe { ((*args).format, bytes((*args).format)) };
        let count = text?.len();
        let layout = Layout::of(count);
        if format as usize != base.as_ptr() as usize + layout.format {
            return None;
        }
        // SAFETY: the format text lies behind the place of the mark, in what follows the
        // structure contiguously, so that place belongs to the structure's own memory.
        let mark = unsafe { base.add(layout.mark).cast::<Mark>().read_unaligned() };
        (mark.magic == MAGIC && mark.count as usize == count).then_some(Marked { base, count })
    }

    /// The address that hosts know.
    pub(crate) fn as_ptr(self) -> *mut Targs {
        self.base.as_ptr().cast()
    }

    /// How many elements there are.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// Whose handles the structure holds.
    fn script(self) -> i32 {
        // SAFETY: the mark is there in every `Marked`.
        unsafe { self.base.add(Layout::of(self.count).mark).cast::<Mark>().read().script }
    }

    /// An element, to read or change. `at` is less than the count.
    #[allow(clippy::mut_from_ref, reason = "the structure is C memory, not borrowed from self")]
    pub(crate) fn element<'a>(self, at: usize) -> &'a mut Element {
        assert!(at < self.count, "element {at} of {}", self.count);
        // SAFETY: inside the block, initialised by `calloc`, aligned to 8; callers take one
        // reference at a time and never keep it (all uses are single statements).
        unsafe { self.base.add(ELEMENTS).cast::<Element>().add(at).as_mut() }
    }

    fn byte<'a>(self, start: usize, at: usize) -> &'a mut u8 {
        assert!(at < self.count, "element {at} of {}", self.count);
        // SAFETY: format and flags have a byte for each element; as for `element`.
        unsafe { self.base.add(start + at).as_mut() }
    }

    /// An element's format letter.
    pub(crate) fn letter(self, at: usize) -> u8 {
        *self.byte(Layout::of(self.count).format, at)
    }

    /// Changes what an element is.
    fn set_letter(self, at: usize, letter: u8) {
        *self.byte(Layout::of(self.count).format, at) = letter;
        self.element(at).kind = letter as c_char;
    }

    /// An element's flags.
    pub(crate) fn flags<'a>(self, at: usize) -> &'a mut u8 {
        self.byte(Layout::of(self.count).flags, at)
    }

    /// Where the texts of a structure made with room for them begin.
    pub(crate) fn texts(self) -> NonNull<u8> {
        // SAFETY: at most the end of the block.
        unsafe { self.base.add(Layout::of(self.count).end) }
    }

    /// Turns a list into JSON or the reverse, in place. False, and nothing is changed, when
    /// the element is neither or the JSON is no array of strings.
    pub(crate) fn convert(self, at: usize, to: u8) -> Result<bool, Fault> {
        // SAFETY: the letters say which member of each union is meant, and `values` and
        // `w_pack` put what the letters say.
        unsafe {
            let old = self.element(at).value;
            let (new, letter) = match (self.letter(at), to) {
                (b'L', b'D') => {
                    let mut text = Vec::new();
                    json::write_texts(&mut text, &list_items(old.list));
                    (Slot { text: malloc_text(&text).ok_or(Fault::Memory)?.as_ptr() }, b'D')
                }
                (b'D', b'L') => {
                    let Some(items) = json::read_texts(bytes(old.text).unwrap_or(b"[]")) else {
                        return Ok(false);
                    };
                    (Slot { list: malloc_list(&items).ok_or(Fault::Memory)?.as_ptr() }, b'L')
                }
                _ => return Ok(false),
            };
            if *self.flags(at) & OWNED != 0 {
                free_part(self.letter(at), old);
            }
            self.element(at).value = new;
            self.set_letter(at, letter);
            *self.flags(at) |= OWNED;
            Ok(true)
        }
    }

    /// Frees the structure and what it owns.
    ///
    /// # Safety
    /// Nobody uses the structure or its parts any more.
    pub(crate) unsafe fn free(self) {
        for at in (0..self.count).filter(|&at| *self.flags(at) & OWNED != 0) {
            let value = self.element(at).value;
            // SAFETY: owned parts are blocks of their own, freed here only.
            unsafe {
                match self.letter(at) {
                    b'O' => handles::release(self.script(), value.pointer as usize as u64),
                    letter => free_part(letter, value),
                }
            }
        }
        // SAFETY: the base is what `calloc` gave.
        unsafe { libc::free(self.base.as_ptr().cast()) };
    }
}

/// Frees the blocks of one text or list.
///
/// # Safety
/// The letter fits the value, whose parts are blocks from `malloc` that nobody uses.
unsafe fn free_part(letter: u8, value: Slot) {
    // SAFETY: as the caller promises.
    unsafe {
        match letter {
            b's' | b'D' => libc::free(value.text.cast()),
            b'L' if !value.list.is_null() => {
                let mut item = value.list;
                while !(*item).is_null() {
                    libc::free((*item).cast());
                    item = item.add(1);
                }
                libc::free(value.list.cast());
            }
            _ => {}
        }
    }
}

/// The texts of a list that ends with NULL; none for NULL.
///
/// # Safety
/// `list` is NULL or such a list of C strings, and lives for `'a`.
pub(crate) unsafe fn list_items<'a>(list: *mut *mut c_char) -> Vec<&'a [u8]> {
    let mut items = Vec::new();
    if !list.is_null() {
        // SAFETY: as the caller promises; the loop ends at the NULL.
        unsafe {
            let mut item = list;
            while let Some(text) = bytes(*item) {
                items.push(text);
                item = item.add(1);
            }
        }
    }
    items
}

/// A copy as a C string in a block of its own; it ends at the first NUL byte, as C strings
/// do.
pub(crate) fn malloc_text(text: &[u8]) -> Option<NonNull<c_char>> {
    // SAFETY: `malloc` has no preconditions, and the block has room for text and NUL.
    unsafe {
        let copy = NonNull::new(libc::malloc(text.len() + 1).cast::<c_char>())?;
        copy.cast::<u8>().copy_from_nonoverlapping(NonNull::from(text).cast(), text.len());
        copy.add(text.len()).write(0);
        Some(copy)
    }
}

/// A copy as a C string in a block of its own, which the host frees.
pub(crate) fn owned(text: &[u8]) -> Result<*mut c_char, Fault> {
    malloc_text(text).map(|text| text.as_ptr()).ok_or(Fault::Memory)
}

/// Copies as a list that ends with NULL.
pub(crate) fn malloc_list(items: &[impl AsRef<[u8]>]) -> Option<NonNull<*mut c_char>> {
    // SAFETY: the block has room for each item and the NULL; zeroed, it always ends with
    // one, so it can be freed as a list at any point.
    unsafe {
        let block = libc::calloc(items.len() + 1, size_of::<*mut c_char>());
        let list = NonNull::new(block.cast::<*mut c_char>())?;
        for (at, item) in items.iter().enumerate() {
            match malloc_text(item.as_ref()) {
                Some(copy) => list.add(at).write(copy.as_ptr()),
                None => {
                    free_part(b'L', Slot { list: list.as_ptr() });
                    return None;
                }
            }
        }
        Some(list)
    }
}

/// The format and the elements of any structure.
///
/// # Safety
/// `args` points to a `w_Targs` as its format says, and lives for `'a`.
pub(crate) unsafe fn parts<'a>(args: *const Targs) -> Result<(&'a [u8], &'a [Element]), Fault> {
    if args.is_null() {
        return Err(Fault::Null("the argument structure"));
    }
    // SAFETY: as the caller promises: the format has a letter for each element.
    unsafe {
        let format = bytes((*args).format).ok_or(Fault::Null("the format"))?;
        if let Some(letter) = format.iter().copied().find(|&letter| !is_known(letter)) {
            return Err(Fault::UnknownLetter(letter));
        }
        let first = args.cast::<u8>().add(ELEMENTS).cast::<Element>();
        Ok((format, std::slice::from_raw_parts(first, format.len())))
    }
}

/// `w_free_args`.
///
/// # Safety
/// `args` is NULL, or a structure that nobody uses any more and that was made by the library,
/// or by hand from `malloc`ed parts.
pub(crate) unsafe fn free_args(args: *mut Targs) {
    // SAFETY: as the caller promises.
    unsafe {
        match Marked::find(args) {
            Some(marked) => marked.free(),
            None => free_answer(args, &[]),
        }
    }
}

/// Frees what a callback answered: the structure and whatever in it is the heap's, except
/// blocks inside of `kept` (the arguments that the callback was given).
///
/// # Safety
/// `answer` is NULL, or a structure whose parts nobody uses any more.
pub(crate) unsafe fn free_answer(answer: *mut Targs, kept: &[Kept]) {
    if answer.is_null() || kept.iter().any(|kept| kept.holds(answer.cast())) {
        return;
    }
    let mut freed: Vec<*mut c_void> = Vec::new();
    let mut free_once = |block: *mut c_void| {
        let may = heap::may_be_malloced(block) && !kept.iter().any(|kept| kept.holds(block));
        if may && !freed.contains(&block) {
            freed.push(block);
        }
    };
    // SAFETY: the caller promises the structure; an unknown letter ends what can be read.
    unsafe {
        let marked = Marked::find(answer);
        if let Ok((format, elements)) = parts(answer) {
            for (letter, element) in format.iter().zip(elements) {
                match letter {
                    b's' | b'D' => free_once(element.value.text.cast()),
                    b'L' if !element.value.list.is_null() => {
                        let mut item = element.value.list;
                        while !(*item).is_null() {
                            free_once((*item).cast());
                            item = item.add(1);
                        }
                        free_once(element.value.list.cast());
                    }
                    _ => {}
                }
            }
        }
        if marked.is_none() {
            free_once((*answer).format.cast_mut().cast());
            free_once(answer.cast());
        }
        for block in freed {
            libc::free(block);
        }
        if let Some(marked) = marked {
            libc::free(marked.base.as_ptr().cast());
        }
    }
}

/// Memory that a callback's answer may point to and that must stay.
pub(crate) struct Kept {
    start: usize,
    length: usize,
}

impl Kept {
    /// The memory of `length` bytes from `start` on.
    pub(crate) fn new(start: *const c_void, length: usize) -> Kept {
        Kept { start: start as usize, length }
    }

    fn holds(&self, address: *mut c_void) -> bool {
        (address as usize).wrapping_sub(self.start) < self.length
    }
}

/// All memory of a structure that the library made with room for `texts` bytes, and of what
/// `w_unpack` converted in it.
pub(crate) fn kept(marked: Marked, texts: usize) -> Vec<Kept> {
    let mut kept = vec![Kept::new(marked.as_ptr().cast(), Layout::of(marked.count).end + texts)];
    for at in (0..marked.count).filter(|&at| *marked.flags(at) & OWNED != 0) {
        let value = marked.element(at).value;
        // SAFETY: the letter says which member is meant.
        unsafe {
            match marked.letter(at) {
                b's' | b'D' => kept.push(Kept::new(value.text.cast(), 1)),
                b'L' => {
                    kept.push(Kept::new(value.list.cast(), 1));
                    kept.extend(list_items(value.list).iter().map(|item| Kept::new(item.as_ptr().cast(), 1)));
                }
                _ => {}
            }
        }
    }
    kept
}

/// The text of a C string that is known to end, for messages.
///
/// # Safety
/// `text` is NULL or a C string.
pub(crate) unsafe fn lossy(text: *const c_char) -> String {
    if text.is_null() {
        return "NULL".to_owned();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
