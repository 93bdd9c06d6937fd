//! The word by which a sleeper says that it must be woken, and where it sleeps.
//!
//! One who wants to sleep stores the word, then looks once more for what it waits for. One who
//! has published something looks at the word. Between the store and the look both have a
//! sequentially consistent fence, so at least one of them sees the other's store: nothing that
//! was published waits for a sleeper. `cargo test` under `--cfg loom` walks through all
//! interleavings.
//!
//! Either side can write anything there at any time. So what is read is used once, and says no
//! more than whether to wake, which does no harm, and where the other side claims to be.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// A processor's number, as the kernel gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor(u16);

impl Processor {
    /// How many there can be: what a set of processors has room for.
    pub const MOST: usize = 1024;

    /// This one, if such a set has room for it.
    pub fn from_number(number: usize) -> Option<Processor> {
        u16::try_from(number).ok().filter(|number| usize::from(*number) < Processor::MOST).map(Processor)
    }

    /// Its number.
    pub fn number(self) -> usize {
        self.0.into()
    }

    /// The one that this thread runs on at the moment. No system call: the kernel keeps it where
    /// the thread can read it.
    #[inline]
    pub fn current() -> Option<Processor> {
        // SAFETY: a call without pointers.
        usize::try_from(unsafe { libc::sched_getcpu() }).ok().and_then(Processor::from_number)
    }
}

/// Where a worker is to sleep, as the hub has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Wherever it is.
    #[default]
    Anywhere,
    /// On the processor on which the hub's thread runs, so that waking it disturbs no other.
    Beside(Processor),
}

impl Place {
    /// As it stands in memory. A number that no place has means anywhere.
    #[inline]
    pub fn from_word(word: u32) -> Place {
        let number = usize::try_from(word).ok().and_then(|word| word.checked_sub(1));
        number.and_then(Processor::from_number).map_or(Place::Anywhere, Place::Beside)
    }

    /// As [`Place::from_word`] reads it.
    #[inline]
    pub fn word(self) -> u32 {
        match self {
            Place::Anywhere => 0,
            Place::Beside(processor) => u32::from(processor.0) + 1,
        }
    }
}

/// How somebody sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asleep {
    /// Wherever the kernel will let it run.
    Anywhere,
    /// It will run there first.
    At(Processor),
    /// It was to sleep somewhere else, which the system does not allow.
    Refused,
}

const AWAKE: u32 = 0;
const ANYWHERE: u32 = 1;
const REFUSED: u32 = u32::MAX;
const FIRST: u32 = 2;

impl Asleep {
    fn word(self) -> u32 {
        match self {
            Asleep::Anywhere => ANYWHERE,
            Asleep::At(processor) => FIRST + u32::from(processor.0),
            Asleep::Refused => REFUSED,
        }
    }

    /// Any word but that of one who is awake is somebody's who wants to be woken.
    fn from_word(word: u32) -> Option<Asleep> {
        match word {
            AWAKE => None,
            REFUSED => Some(Asleep::Refused),
            _ => {
                let number = word.checked_sub(FIRST).and_then(|number| usize::try_from(number).ok());
                Some(number.and_then(Processor::from_number).map_or(Asleep::Anywhere, Asleep::At))
            }
        }
    }
}

/// Says that the caller is going to sleep. It may do so only if what it waits for is not there,
/// which it looks for after this.
#[inline]
pub fn lie_down(word: &AtomicU32, how: Asleep) {
    word.store(how.word(), Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// Says that the caller is awake.
#[inline]
pub fn get_up(word: &AtomicU32) {
    word.store(AWAKE, Ordering::Relaxed);
}

/// Whether somebody is to be woken who waits for what the caller has just published, and where
/// they say they sleep. Told once.
#[inline]
pub fn to_be_woken(word: &AtomicU32) -> Option<Asleep> {
    fence(Ordering::SeqCst);
    let asleep = Asleep::from_word(word.load(Ordering::Relaxed));
    if asleep.is_some() {
        word.store(AWAKE, Ordering::Relaxed);
    }
    asleep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(loom)]
    #[test]
    fn in_every_interleaving_of_ring_and_word_a_sleeper_is_woken() {
        use crate::ring::tests::Memory;
        use crate::ring::{Consumer, MIN_WORDS, Producer, Push};
        use loom::sync::Arc;
        use loom::sync::atomic::AtomicBool;

        loom::model(|| {
            let memory = Memory::new(MIN_WORDS);
            let word = Arc::new(AtomicU32::new(AWAKE));
            // The pipe that the sleeper reads: it holds what was written before it was asked.
            let rung = Arc::new(AtomicBool::new(false));
            let consumer = Consumer::new(memory.clone());
            let (their_word, their_rung) = (word.clone(), rung.clone());
            let hub = loom::thread::spawn(move || {
                let mut producer = Producer::new(memory);
                assert_eq!(producer.push(&[1; 8], false), Ok(Push::Done));
                if to_be_woken(&their_word).is_some() {
                    their_rung.store(true, Ordering::Release);
                }
            });
            let how = Processor::from_number(1).map_or(Asleep::Anywhere, Asleep::At);
            lie_down(&word, how);
            let sleeps = !consumer.is_ready();
            hub.join().unwrap();
            if sleeps {
                assert!(rung.load(Ordering::Acquire), "it sleeps for ever");
            }
            get_up(&word);
            assert!(consumer.is_ready());
        });
    }

    #[cfg(not(loom))]
    mod plain {
        use super::*;
        use proptest::prelude::*;

        #[test]
        fn what_is_written_is_what_is_read() {
            for number in [0, 1, 17, Processor::MOST - 1] {
                let processor = Processor::from_number(number).unwrap();
                assert_eq!(processor.number(), number);
                let place = Place::Beside(processor);
                assert_eq!(Place::from_word(place.word()), place);
                assert_eq!(Asleep::from_word(Asleep::At(processor).word()), Some(Asleep::At(processor)));
            }
            assert_eq!(Place::from_word(Place::Anywhere.word()), Place::Anywhere);
            for asleep in [Asleep::Anywhere, Asleep::Refused] {
                assert_eq!(Asleep::from_word(asleep.word()), Some(asleep));
            }
            assert_eq!(Processor::from_number(Processor::MOST), None);
        }

        proptest! {
            #[test]
            fn whatever_stands_there_is_a_place_that_exists_or_none(word in any::<u32>()) {
                if let Place::Beside(processor) = Place::from_word(word) {
                    prop_assert!(processor.number() < Processor::MOST);
                }
                match Asleep::from_word(word) {
                    Some(Asleep::At(processor)) => prop_assert!(processor.number() < Processor::MOST),
                    Some(_) => prop_assert!(word != AWAKE, "or nobody would wake it"),
                    None => prop_assert_eq!(word, AWAKE),
                }
            }
        }
    }
}
