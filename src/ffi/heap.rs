//! Tells memory that a host's answer may hand over, to be freed, from memory that cannot have
//! come from `malloc`; the freeing itself is left to [`targs`](super::targs).
//!
//! The parts of a callback's answer come from `malloc`, and the library frees them. But hosts
//! also answer with string literals, static buffers and local arrays, since `w_pack` takes
//! any pointer. Freeing one of those would end the hub, so whatever lies in a loaded object,
//! in its thread-local storage or on the stack is left alone.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

/// Whether `address` can be a block from `malloc`.
pub(super) fn may_be_malloced(address: *const c_void) -> bool {
    let address = address as usize;
    // Every allocator aligns blocks at least to a pointer; text in the middle of something
    // rarely is.
    address != 0 && address.is_multiple_of(size_of::<usize>()) && !on_stack(address) && !in_an_object(address)
}

fn on_stack(address: usize) -> bool {
    thread_local! {
        static STACK: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }
    let (mut start, mut end) = STACK.get();
    if end == 0 {
        (start, end) = stack_of_this_thread().unwrap_or((0, 1));
        STACK.set((start, end));
    }
    (start..end).contains(&address)
}

fn stack_of_this_thread() -> Option<(usize, usize)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are initialised by the first call when it returns 0, read by the
    // second and destroyed once; both out pointers are to locals.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let failed = libc::pthread_attr_getstack(attributes.as_ptr(), &mut start, &mut size) != 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (!failed).then(|| (start as usize, start as usize + size))
    }
}

struct Search {
    address: usize,
    found: bool,
}

fn in_an_object(address: usize) -> bool {
    let mut search = Search { address, found: false };
    // SAFETY: `visit` gets `search`, which outlives the call, and is of the type it expects.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

/// One loaded object: its segments, and this thread's copy of its thread-local data.
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: the loader hands a valid description, and `in_an_object` its own `Search`.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's table has `dlpi_phnum` entries and lives while it iterates.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    search.found = headers.iter().any(|header| {
        let start = match header.p_type {
            libc::PT_LOAD => (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize),
            libc::PT_TLS if !info.dlpi_tls_data.is_null() => info.dlpi_tls_data as usize,
            _ => return false,
        };
        search.address.wrapping_sub(start) < header.p_memsz as usize
    });
    c_int::from(search.found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_heap_may_be_freed() {
        thread_local! {
            static LOCAL: [u64; 4] = const { [7; 4] };
        }
        static STATIC: [u64; 4] = [7; 4];
        let stack = [7u64; 4];
        let heap = Box::new([7u64; 4]);
        assert!(may_be_malloced(std::ptr::from_ref(&*heap).cast()));
        assert!(!may_be_malloced(std::ptr::null()));
        assert!(!may_be_malloced(std::ptr::from_ref(&STATIC).cast()));
        assert!(!may_be_malloced(std::ptr::from_ref(&stack).cast()));
        assert!(!may_be_malloced(c"a literal".as_ptr().cast()));
        LOCAL.with(|local| assert!(!may_be_malloced(std::ptr::from_ref(local).cast())));
    }
}
