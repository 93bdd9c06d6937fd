//! Any bytes as a frame: reading never panics, and what was read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_abi::{FromWorker, ToWorker};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = FromWorker::read(bytes) {
        let mut written = Vec::new();
        frame.write(&mut written).expect("what was read fits");
        FromWorker::read(&written).expect("what was written can be read");
    }
    let _ = ToWorker::read(bytes);
});
