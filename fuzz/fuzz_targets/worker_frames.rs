//! Any bytes as a frame: reading never panics, what was read can be written and read again, and
//! the quick reader reads nothing else than the general one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_abi::{FromWorker, ToWorker, frame};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = FromWorker::read(bytes) {
        let mut written = Vec::new();
        frame.write(&mut written).expect("what was read fits");
        FromWorker::read(&written).expect("what was written can be read");
    }
    let _ = ToWorker::read(bytes);
    let _ = frame::read_returned(bytes);
    frame::compare_readers(bytes);
});
