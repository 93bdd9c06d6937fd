//! A library with the functions `w_*` as a hub in C uses it: found by name, its scripts asked
//! one after the other.
//!
//! `libvhpy.so` is one; whichever else has these functions can be measured beside it.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use crate::Hook;

use super::Error;

/// `w_Targs`, of which a hub reads nothing by itself.
#[repr(C)]
struct Args(c_void);

type Callback = unsafe extern "C" fn(c_int, *mut Args) -> *mut Args;

type Begin = unsafe extern "C" fn(*const Option<Callback>) -> c_int;
type SetOption = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
type LogLevel = unsafe extern "C" fn(c_int);

/// A function that was found by its name.
///
/// # Safety
/// `F` is the type of a pointer to the function that is there.
unsafe fn function<F: Copy>(address: NonNull<c_void>) -> F {
    const { assert!(size_of::<F>() == size_of::<NonNull<c_void>>()) };
    // SAFETY: pointers to functions and to data are of one size and form on Linux; the rest is
    // the caller's promise.
    unsafe { std::mem::transmute_copy(&address) }
}

/// How many places a hub's table of functions has.
const PLACES: usize = 100;

/// One that was loaded and has begun. It ends when it is dropped, and stays in memory.
pub(super) struct Library {
    end: unsafe extern "C" fn() -> c_int,
    reserve_id: unsafe extern "C" fn() -> c_int,
    load: unsafe extern "C" fn(*mut Args) -> c_int,
    unload: unsafe extern "C" fn(c_int) -> c_int,
    has_hook: unsafe extern "C" fn(c_int, c_int) -> c_int,
    call_hook: unsafe extern "C" fn(c_int, c_int, *mut Args) -> *mut Args,
    call_function: unsafe extern "C" fn(c_int, *const c_char, *mut Args) -> *mut Args,
    pack: unsafe extern "C" fn(*const c_char, ...) -> *mut Args,
    unpack: unsafe extern "C" fn(*mut Args, *const c_char, ...) -> c_int,
    free_args: unsafe extern "C" fn(*mut Args),
}

impl Library {
    /// Loads and begins it. Scripts get no functions of the hub.
    pub(super) fn open(path: &Path) -> Result<Library, Error> {
        let why = |what: &dyn std::fmt::Display| Error::Wrong(format!("{}: {what}", path.display()));
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| why(&error))?;
        // SAFETY: `name` is a C string; running the library's initialisers is what was asked for.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: the text of the error lives until the next such call of this thread.
            let error = unsafe { CStr::from_ptr(libc::dlerror()) };
            return Err(Error::Wrong(error.to_string_lossy().into_owned()));
        }
        let find = |name: &CStr| {
            // SAFETY: the handle was just opened and is never closed; `name` is a C string.
            let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
            let missing = || why(&format_args!("there is no {}", name.to_string_lossy()));
            NonNull::new(found).ok_or_else(missing)
        };
        // SAFETY: a library that has functions of these names has them as `vhpy.h` says.
        let (library, begin) = unsafe {
            let begin: Begin = function(find(c"w_Begin")?);
            let library = Library {
                end: function(find(c"w_End")?),
                reserve_id: function(find(c"w_ReserveID")?),
                load: function(find(c"w_Load")?),
                unload: function(find(c"w_Unload")?),
                has_hook: function(find(c"w_HasHook")?),
                call_hook: function(find(c"w_CallHook")?),
                call_function: function(find(c"w_CallFunction")?),
                pack: function(find(c"w_pack")?),
                unpack: function(find(c"w_unpack")?),
                free_args: function(find(c"w_free_args")?),
            };
            (library, begin)
        };
        // The spare process would only disturb, and the log too. Others have no such options.
        if let Ok(set_option) = find(c"vhpy_set_option") {
            // SAFETY: as above; all are C strings.
            unsafe {
                let set_option: SetOption = function(set_option);
                set_option(c"spare".as_ptr(), c"0".as_ptr());
                set_option(c"log_level".as_ptr(), c"0".as_ptr());
            }
        }
        if let Ok(log_level) = find(c"w_LogLevel") {
            // SAFETY: as above.
            unsafe {
                let log_level: LogLevel = function(log_level);
                log_level(0);
            }
        }
        // It may keep the table's address until it ends.
        let table: &'static [Option<Callback>; PLACES] = Box::leak(Box::new([None; PLACES]));
        // SAFETY: the table has as many places as a library looks at.
        match unsafe { begin(table.as_ptr()) } {
            0 => Err(why(&"it does not begin")),
            _ => Ok(library),
        }
    }

    /// Loads scripts, to be unloaded when dropped.
    pub(super) fn scripts(&self, paths: &[std::path::PathBuf]) -> Result<Scripts<'_>, Error> {
        let mut scripts = Scripts { library: self, ids: Vec::new() };
        for path in paths {
            let text = CString::new(path.as_os_str().as_bytes())
                .map_err(|error| Error::Wrong(format!("{}: {error}", path.display())))?;
            // SAFETY: the values are as the format says, and live until the structure is freed, of
            // which everything but itself is borrowed.
            let id = unsafe {
                let (name, folder) = (c"bench".as_ptr(), c"/".as_ptr());
                let next = c_long::from((self.reserve_id)());
                let start: c_long = 0;
                let args =
                    (self.pack)(c"lssssls".as_ptr(), next, text.as_ptr(), name, name, folder, start, name);
                let id = (self.load)(args);
                libc::free(args.cast());
                id
            };
            if id < 0 {
                return Err(Error::Wrong(format!("{} did not load", path.display())));
            }
            scripts.ids.push(id);
        }
        Ok(scripts)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: it has begun.
        unsafe { (self.end)() };
    }
}

/// Scripts of a library, in load order.
pub(super) struct Scripts<'l> {
    library: &'l Library,
    ids: Vec<c_int>,
}

impl Scripts<'_> {
    /// One event of two texts, as hubs made for the old plugin hand it to their scripts: the
    /// arguments built once, each script asked whether it has the hook, and if so called, its
    /// answer read and freed. How many scripts answered.
    #[inline]
    pub(super) fn event(&self, hook: Hook, nick: &CStr, text: &CStr) -> Result<usize, Error> {
        let library = self.library;
        let number = hook as c_int;
        let mut answered = 0;
        // SAFETY: the structures are the library's, of the formats that it is told; texts live
        // through the call.
        unsafe {
            let args = (library.pack)(c"ss".as_ptr(), nick.as_ptr(), text.as_ptr());
            for &id in &self.ids {
                if (library.has_hook)(id, number) == 0 {
                    continue;
                }
                let answer = (library.call_hook)(id, number, args);
                let mut value: c_long = 0;
                if answer.is_null()
                    || (library.unpack)(answer, c"l".as_ptr(), &raw mut value) == 0
                    || value == 0
                {
                    return Err(Error::Wrong(format!("script {id} does not answer {hook}")));
                }
                (library.free_args)(answer);
                answered += 1;
            }
            libc::free(args.cast());
        }
        Ok(answered)
    }

    fn first(&self) -> c_int {
        self.ids.first().copied().unwrap_or(-1)
    }

    /// `add(1, 2)` of the first script.
    #[inline]
    pub(super) fn add(&self) -> Result<(), Error> {
        let library = self.library;
        let (one, two): (c_long, c_long) = (1, 2);
        let mut sum: c_long = 0;
        // SAFETY: as for events.
        unsafe {
            let args = (library.pack)(c"ll".as_ptr(), one, two);
            let answer = (library.call_function)(self.first(), c"add".as_ptr(), args);
            let is_there = !answer.is_null() && (library.unpack)(answer, c"l".as_ptr(), &raw mut sum) != 0;
            libc::free(args.cast());
            (library.free_args)(answer);
            if is_there && sum == 3 { Ok(()) } else { Err(Error::Wrong("add(1, 2) is not 3".into())) }
        }
    }

    /// `echo(list)` of the first script, with a list of C strings that ends with NULL.
    #[inline]
    pub(super) fn echo(&self, list: &[*const c_char]) -> Result<(), Error> {
        let library = self.library;
        let mut back: *mut *mut c_char = std::ptr::null_mut();
        // SAFETY: as for events; the list is only read, and ends as C's do.
        let count = unsafe {
            let args = (library.pack)(c"L".as_ptr(), list.as_ptr());
            let answer = (library.call_function)(self.first(), c"echo".as_ptr(), args);
            let mut count = 0;
            if !answer.is_null() && (library.unpack)(answer, c"L".as_ptr(), &raw mut back) != 0 {
                while !back.is_null() && !(*back.add(count)).is_null() {
                    count += 1;
                }
            }
            libc::free(args.cast());
            (library.free_args)(answer);
            count
        };
        if count + 1 == list.len() { Ok(()) } else { Err(Error::Wrong(format!("{count} texts came back"))) }
    }

    /// Whether the first script has a hook.
    #[inline]
    pub(super) fn has_hook(&self, hook: Hook) -> bool {
        // SAFETY: takes any numbers.
        unsafe { (self.library.has_hook)(self.first(), hook as c_int) != 0 }
    }
}

impl Drop for Scripts<'_> {
    fn drop(&mut self) {
        for &id in &self.ids {
            // SAFETY: takes any number.
            unsafe { (self.library.unload)(id) };
        }
    }
}
