//! The place on earth in a hub's answer to `GetGeoIP`: eight elements with names and numbers,
//! and a pointer to more names and texts. Old hubs point to a C++ `std::vector<std::string>`
//! there, others to a list that ends with NULL; this tells which, and reads it.
//!
//! Nothing says which of the two a pointer leads to, so every address on the way is read
//! through the kernel, which refuses bad ones instead of crashing, and a vector must look
//! like one in every detail.

use std::ffi::c_void;

use plugin_abi::Value;

use super::heap;

/// No hub knows more about an address than this many names and texts.
const MAX_TEXTS: usize = 256;
/// No such text is longer.
const MAX_TEXT: usize = 4096;

/// libstdc++'s `std::string`: the text's address, its length, then its room, or the text
/// itself if it is short.
const STRING: usize = 32;
const SHORT: usize = 16;

/// What a pointer led to.
#[derive(Default)]
pub(crate) struct Pairs {
    /// Names and texts.
    pub(crate) entries: Vec<(Value<'static>, Value<'static>)>,
    /// The blocks it is made of.
    blocks: Vec<usize>,
    from_cpp: bool,
}

/// Reads the pairs; none when the pointer is NULL or leads to neither a vector nor a list.
pub(crate) fn read_pairs(pointer: *const c_void) -> Pairs {
    let vector = pointer as usize;
    let from_cpp = read_vector(vector);
    let is_cpp = from_cpp.is_some();
    let Some((texts, mut blocks)) = from_cpp.or_else(|| read_list(vector)) else { return Pairs::default() };
    blocks.push(vector);
    let entries = texts
        .chunks_exact(2)
        .map(|pair| (Value::from(pair[0].clone()), Value::from(pair[1].clone())))
        .collect();
    Pairs { entries, blocks, from_cpp: is_cpp }
}

impl Pairs {
    /// Frees what the pointer led to, which the hub has handed over: the way C++ does, or C.
    ///
    /// # Safety
    /// Nobody uses it any more.
    pub(crate) unsafe fn free(&self) {
        // SAFETY: a NUL-terminated name; the answer is only used as the function that has
        // this name in every C++ program, `operator delete(void *)`.
        let delete = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_ZdlPv".as_ptr()) };
        for &block in &self.blocks {
            let block: *mut c_void = std::ptr::without_provenance_mut(block);
            // SAFETY: the caller's promise; these were read as the parts of a vector made by
            // `new`, or are the heap's. A hub without C++ cannot have made a vector.
            unsafe {
                match self.from_cpp {
                    true if delete.is_null() => {}
                    true => std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void)>(delete)(block),
                    false if heap::may_be_malloced(block) => libc::free(block),
                    false => {}
                }
            }
        }
    }
}

/// Texts, and the blocks they lie in.
type Found = (Vec<Vec<u8>>, Vec<usize>);

fn read_vector(vector: usize) -> Option<Found> {
    let [first, end, room] = words::<3>(vector)?;
    let length = end.checked_sub(first)?;
    if room < end || !first.is_multiple_of(8) || length % STRING != 0 || length / STRING > MAX_TEXTS {
        return None;
    }
    let (mut texts, mut blocks) = (Vec::new(), Vec::new());
    for string in (first..end).step_by(STRING) {
        let (text, block) = read_string(string)?;
        texts.push(text);
        blocks.extend(block);
    }
    blocks.extend((first != 0).then_some(first));
    Some((texts, blocks))
}

/// A string's text, and its block if it is not a short one.
fn read_string(string: usize) -> Option<(Vec<u8>, Option<usize>)> {
    let [text, length, room] = words::<3>(string)?;
    let short = text == string + SHORT;
    let fits = if short { length < SHORT } else { length <= room && room >= SHORT - 1 };
    if !fits || length > MAX_TEXT {
        return None;
    }
    let mut bytes = vec![0; length + 1];
    peek(text, &mut bytes)?;
    (bytes.pop() == Some(0) && !bytes.contains(&0)).then_some((bytes, (!short).then_some(text)))
}

fn read_list(list: usize) -> Option<Found> {
    let (mut texts, mut blocks) = (Vec::new(), Vec::new());
    while texts.len() < MAX_TEXTS {
        let [text] = words::<1>(list + texts.len() * size_of::<usize>())?;
        if text == 0 {
            return Some((texts, blocks));
        }
        texts.push(read_text(text)?);
        blocks.push(text);
    }
    None
}

/// A C string, read in pieces that do not cross a page that might not be there.
fn read_text(mut address: usize) -> Option<Vec<u8>> {
    const PIECE: usize = 64;
    let mut text = Vec::new();
    while text.len() < MAX_TEXT {
        let mut piece = [0; PIECE];
        let length = PIECE - address % PIECE;
        peek(address, &mut piece[..length])?;
        match piece[..length].iter().position(|&byte| byte == 0) {
            Some(end) => {
                text.extend_from_slice(&piece[..end]);
                return Some(text);
            }
            None => text.extend_from_slice(&piece[..length]),
        }
        address += length;
    }
    None
}

fn words<const N: usize>(address: usize) -> Option<[usize; N]> {
    let mut bytes = [[0; size_of::<usize>()]; N];
    peek(address, bytes.as_flattened_mut())?;
    Some(bytes.map(usize::from_ne_bytes))
}

/// Copies memory of this process; `None` when not all of it is there.
fn peek(address: usize, into: &mut [u8]) -> Option<()> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: into.len() };
    // SAFETY: the kernel writes at most `into.len()` bytes into `into`, and checks the other
    // address itself.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    (copied == into.len() as isize).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::c_char;

    fn wanted() -> Vec<(Value<'static>, Value<'static>)> {
        vec![
            (Value::from("host"), Value::from("10.0.0.1")),
            (Value::from("city"), Value::from("A town with quite a long name")),
        ]
    }

    #[test]
    fn lists_are_read() {
        let texts = [c"host", c"10.0.0.1", c"city", c"A town with quite a long name"];
        let mut list: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        list.push(std::ptr::null());
        assert_eq!(read_pairs(list.as_ptr().cast()).entries, wanted());
    }

    #[test]
    fn vectors_are_read() {
        let long = c"A town with quite a long name";
        let mut strings = [[0usize; 4]; 4];
        for (at, text) in ["host", "10.0.0.1", "city"].into_iter().enumerate() {
            let string = &mut strings[at];
            let short = string[2..].as_mut_ptr();
            // SAFETY: each text is shorter than the 16 bytes there.
            unsafe { short.cast::<u8>().copy_from(text.as_ptr(), text.len()) };
            (string[0], string[1]) = (short as usize, text.len());
        }
        strings[3] = [long.as_ptr() as usize, long.count_bytes(), 40, 0];
        let range = strings.as_ptr_range();
        let vector = [range.start as usize, range.end as usize, range.end as usize];
        let pairs = read_pairs(vector.as_ptr().cast());
        assert_eq!(pairs.entries, wanted());
        let blocks = [long.as_ptr() as usize, range.start as usize, vector.as_ptr() as usize];
        assert_eq!((pairs.blocks.as_slice(), pairs.from_cpp), (&blocks[..], true));
    }

    #[test]
    fn anything_else_is_nothing() {
        assert_eq!(read_pairs(std::ptr::null()).entries, []);
        assert_eq!(read_pairs(std::ptr::without_provenance(8)).entries, []);
        let junk = [1usize, 2, 3, 4];
        assert_eq!(read_pairs(junk.as_ptr().cast()).entries, []);
    }
}
