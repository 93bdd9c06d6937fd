//! The yardstick: the same scripts in sub-interpreters of a CPython inside this process. The
//! work itself is in `benches/baseline/baseline.c`; without the feature `baseline` there is none.

pub use yardstick::Baseline;

#[cfg(feature = "baseline")]
mod yardstick {
    use std::ffi::{CStr, CString, c_char, c_int, c_long};
    use std::marker::PhantomData;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::super::{Error, rig};

    unsafe extern "C" {
        fn baseline_begin(home: *const c_char) -> c_int;
        fn baseline_load(folder: *const c_char, name: *const c_char) -> c_int;
        fn baseline_unload(id: c_int);
        fn baseline_event(
            ids: *const c_int,
            count: c_int,
            nick: *const c_char,
            message: *const c_char,
        ) -> c_int;
        fn baseline_add(id: c_int, a: c_long, b: c_long, sum: *mut c_long) -> c_int;
        fn baseline_echo_list(id: c_int, list: *mut *mut c_char) -> *mut c_char;
        fn baseline_echo_json(id: c_int, json: *const c_char) -> *mut c_char;
    }

    /// An interpreter that was started; it lives as long as the process, on this thread alone.
    #[derive(Debug)]
    pub struct Baseline {
        one_thread: PhantomData<*mut ()>,
    }

    impl Baseline {
        /// Starts the interpreter, once in a process.
        pub fn start() -> Result<Option<Baseline>, Error> {
            let home = text(env!("VHPY_BASELINE_PREFIX"))?;
            // SAFETY: `home` is a C string that lives through the call; this type stays on the
            // thread that made the first, because the benchmarks run on one thread.
            match unsafe { baseline_begin(home.as_ptr()) } {
                0 => Err(Error::Wrong("Python inside this process did not start".into())),
                _ => Ok(Some(Baseline { one_thread: PhantomData })),
            }
        }

        /// The interpreter whose library this is.
        pub fn executable() -> Option<&'static str> {
            Some(env!("VHPY_BASELINE_EXECUTABLE"))
        }

        /// Loads scripts, each into an interpreter of its own.
        pub fn load(&self, paths: &[PathBuf]) -> Result<Inside<'_>, Error> {
            let mut inside =
                Inside { ids: Vec::new(), nick: text(rig::NICK)?, message: text(rig::MESSAGE)?, of: self };
            for path in paths {
                let part = |part: Option<&std::ffi::OsStr>| text(&part.unwrap_or_default().to_string_lossy());
                let folder = part(path.parent().map(std::path::Path::as_os_str))?;
                let name = part(path.file_stem())?;
                // SAFETY: both are C strings that live through the call.
                let id = unsafe { baseline_load(folder.as_ptr(), name.as_ptr()) };
                if id < 0 {
                    return Err(Error::Wrong(format!("{} did not load in-process", path.display())));
                }
                inside.ids.push(id);
            }
            Ok(inside)
        }
    }

    /// Scripts inside this process; unloaded when dropped.
    #[derive(Debug)]
    pub struct Inside<'b> {
        ids: Vec<c_int>,
        nick: CString,
        message: CString,
        of: &'b Baseline,
    }

    impl Inside<'_> {
        /// Gives these scripts so many chat events.
        pub fn events(&mut self, count: u64) -> Result<Duration, Error> {
            let scripts = c_int::try_from(self.ids.len()).unwrap_or(c_int::MAX);
            let mut answers = 0u64;
            let start = Instant::now();
            for _ in 0..count {
                // SAFETY: the array and both strings live through the call.
                let said = unsafe {
                    baseline_event(self.ids.as_ptr(), scripts, self.nick.as_ptr(), self.message.as_ptr())
                };
                answers += u64::try_from(said).unwrap_or(0);
            }
            let took = start.elapsed();
            if answers != count * self.ids.len() as u64 {
                return Err(Error::Wrong("a hook failed in-process".into()));
            }
            Ok(took)
        }

        /// Calls `add(1, 2)` of the first script.
        pub fn add(&mut self, count: u64) -> Result<Duration, Error> {
            let id = self.first();
            let start = Instant::now();
            for _ in 0..count {
                let mut sum = 0;
                // SAFETY: `sum` is valid for writing.
                if unsafe { baseline_add(id, 1, 2, &mut sum) } == 0 || sum != 3 {
                    return Err(Error::Wrong("add(1, 2) failed in-process".into()));
                }
            }
            Ok(start.elapsed())
        }

        /// Calls `echo(list)` of the first script.
        pub fn echo_list(&mut self, list: &[CString], count: u64) -> Result<Duration, Error> {
            let id = self.first();
            let mut pointers: Vec<*mut c_char> = list.iter().map(|item| item.as_ptr().cast_mut()).collect();
            pointers.push(std::ptr::null_mut());
            let start = Instant::now();
            for _ in 0..count {
                // SAFETY: the array ends with NULL and lives, with its strings, through the call,
                // which only reads them.
                check(unsafe { baseline_echo_list(id, pointers.as_mut_ptr()) })?;
            }
            Ok(start.elapsed())
        }

        /// Calls `echo(value)` of the first script with a value given as JSON.
        pub fn echo_json(&mut self, json: &CStr, count: u64) -> Result<Duration, Error> {
            let id = self.first();
            let start = Instant::now();
            for _ in 0..count {
                // SAFETY: `json` is a C string that lives through the call.
                check(unsafe { baseline_echo_json(id, json.as_ptr()) })?;
            }
            Ok(start.elapsed())
        }

        fn first(&self) -> c_int {
            self.ids.first().copied().unwrap_or(0)
        }
    }

    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            let Baseline { .. } = self.of;
            for id in &self.ids {
                // SAFETY: the script was loaded on this thread, and is not running.
                unsafe { baseline_unload(*id) };
            }
        }
    }

    fn text(from: &str) -> Result<CString, Error> {
        CString::new(from).map_err(|error| Error::Wrong(error.to_string()))
    }

    /// Takes a result: JSON from malloc.
    fn check(json: *mut c_char) -> Result<(), Error> {
        if json.is_null() {
            return Err(Error::Wrong("echo failed in-process".into()));
        }
        // SAFETY: it is from malloc and belongs to us.
        unsafe { libc::free(json.cast()) };
        Ok(())
    }
}

#[cfg(not(feature = "baseline"))]
mod yardstick {
    use std::ffi::{CStr, CString};
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::Error;

    /// There is none: this was built without the feature `baseline`.
    #[derive(Debug)]
    pub enum Baseline {}

    impl Baseline {
        /// Nothing to start.
        pub fn start() -> Result<Option<Baseline>, Error> {
            Ok(None)
        }

        /// No interpreter.
        pub fn executable() -> Option<&'static str> {
            None
        }

        /// Cannot be called.
        pub fn load(&self, _paths: &[PathBuf]) -> Result<Inside<'_>, Error> {
            match *self {}
        }
    }

    /// There are none.
    #[derive(Debug)]
    pub struct Inside<'b>(&'b Baseline);

    impl Inside<'_> {
        /// Cannot be called.
        pub fn events(&mut self, _count: u64) -> Result<Duration, Error> {
            match *self.0 {}
        }

        /// Cannot be called.
        pub fn add(&mut self, _count: u64) -> Result<Duration, Error> {
            match *self.0 {}
        }

        /// Cannot be called.
        pub fn echo_list(&mut self, _list: &[CString], _count: u64) -> Result<Duration, Error> {
            match *self.0 {}
        }

        /// Cannot be called.
        pub fn echo_json(&mut self, _json: &CStr, _count: u64) -> Result<Duration, Error> {
            match *self.0 {}
        }
    }
}
