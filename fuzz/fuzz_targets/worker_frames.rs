//! Any bytes as a frame: reading never panics, what was read can be written and read again, and
//! the quick reader reads nothing else than the general one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_abi::filter::{Decoder, Filters, Texts};
use plugin_abi::frame::Wants;
use plugin_abi::{FromWorker, HOOKS, ToWorker, Value, command, frame};

/// Filters and commands: whatever is read can be used.
fn want(wants: &Wants<'_>) {
    let _ = command::read(&wants.commands);
    let Ok(decoder) = Decoder::table(&wants.table) else { return };
    let Ok(filters) = Filters::read(&wants.filters, decoder.unwrap_or_default(), None) else { return };
    let args = [&b"nick"[..], b"message", b"\xff\xc3\xa9"].map(Value::text);
    let mut scratch = String::new();
    for filter in HOOKS.iter().filter_map(|spec| filters.of(spec.hook)) {
        filter.test(&mut Texts::new(&args, filters.decoder(), &mut scratch));
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = FromWorker::read(bytes) {
        let mut written = Vec::new();
        frame.write(&mut written).expect("what was read fits");
        FromWorker::read(&written).expect("what was written can be read");
        if let FromWorker::Loaded { wants, .. } | FromWorker::Hooks(wants) = frame {
            want(&wants);
        }
    }
    let _ = ToWorker::read(bytes);
    let _ = frame::read_returned(bytes);
    frame::compare_readers(bytes);
});
