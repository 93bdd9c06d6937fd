//! A worker that writes anything anywhere in the shared memory, between all that a hub does.
//!
//! The input is a list of writes, each of 11 bytes: what the hub does before it, where, what.
#![no_main]

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use memmap2::MmapOptions;
use plugin_abi::asleep::{Asleep, Place, Processor};
use plugin_abi::link::{HubEnd, Woken};
use plugin_abi::{FromWorker, Hook, frame};

fuzz_target!(|bytes: &[u8]| {
    let (mut hub, fds) = HubEnd::create(4096).expect("a link");
    let file = File::from(fds.memory.try_clone().expect("a copy"));
    let memory = MmapOptions::new().map_raw(&file).expect("the shared memory");
    let mut received = Vec::new();
    let mut event = Vec::new();
    frame::write_event(&mut event, 1, Hook::OnParsedMsgChat, &["nick".into(), "text".into()]).expect("a frame");

    for write in bytes.chunks_exact(11) {
        let at = usize::from(u16::from_le_bytes([write[1], write[2]])) * 8 % memory.len();
        let mut word = [0; 8];
        word.copy_from_slice(&write[3..]);
        let target = memory.as_mut_ptr().wrapping_add(at).cast::<u64>();
        // SAFETY: `at` is a multiple of 8 inside the mapping; all access to it is atomic.
        unsafe { AtomicU64::from_ptr(target) }.store(u64::from_le_bytes(word), Ordering::Relaxed);
        let ended = match write[0] % 8 {
            0 => {
                hub.set_place(Place::from_word(u32::from(write[1])));
                let failed = hub.try_send(&event).is_err();
                // Whatever the worker says of where it slept is a processor that can be.
                if let Some(Woken { asleep: Asleep::At(processor), .. }) = hub.woken() {
                    assert!(processor.number() < Processor::MOST);
                }
                failed
            }
            1 => hub.send(&event, || false).is_err(),
            2 => hub.arm() && !hub.silence(),
            3 => {
                hub.disarm();
                !hub.silence()
            }
            4 => {
                let _ = (hub.has_read(hub.position()), hub.is_ready());
                false
            }
            _ => match hub.receive(&mut received) {
                Ok(true) => FromWorker::read(&received).is_err(),
                Ok(false) => false,
                Err(_) => true,
            },
        };
        // A worker that was caught is killed.
        if ended {
            break;
        }
    }
});
