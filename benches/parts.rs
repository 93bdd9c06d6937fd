//! The small parts: frames written and read, a ring, values owned and borrowed.
//!
//! The size of samples is given: the timer is too coarse for the few nanoseconds of one, and
//! a slow first call would make the samples too small.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use divan::{Bencher, black_box};
use plugin_abi::frame::{self, FromWorker, ToWorker};
use plugin_abi::ring::{Consumer, Producer, Storage};
use plugin_abi::{Answer, Hook, Value};

fn main() {
    divan::main();
}

fn chat() -> [Value<'static>; 2] {
    [Value::text("alice"), Value::text("good morning, has anybody seen the new release?")]
}

fn event() -> Vec<u8> {
    let mut frame = Vec::new();
    frame::write_event(&mut frame, 12_345, Hook::OnParsedMsgChat, &chat()).expect("two short texts fit");
    frame
}

#[divan::bench(sample_size = 1000)]
fn write_event(bencher: Bencher) {
    let mut frame = Vec::new();
    bencher.bench_local(|| {
        frame.clear();
        frame::write_event(&mut frame, 12_345, Hook::OnParsedMsgChat, black_box(&chat()))
    });
}

#[divan::bench(sample_size = 1000)]
fn read_event(bencher: Bencher) {
    let frame = event();
    bencher.bench_local(|| ToWorker::read(black_box(&frame)).is_ok());
}

#[divan::bench(sample_size = 1000)]
fn write_answer(bencher: Bencher) {
    let mut frame = Vec::new();
    bencher.bench_local(|| {
        frame.clear();
        FromWorker::Answer { seq: black_box(12_345), answer: Answer::GoOn }.write(&mut frame)
    });
}

#[divan::bench(sample_size = 1000)]
fn read_answer(bencher: Bencher) {
    let mut frame = Vec::new();
    FromWorker::Answer { seq: 12_345, answer: Answer::GoOn }.write(&mut frame).expect("it fits");
    bencher.bench_local(|| FromWorker::read(black_box(&frame)).is_ok());
}

fn list(length: usize) -> Vec<u8> {
    let value = (0..length).map(|number| format!("user{number:04}")).collect();
    let mut frame = Vec::new();
    FromWorker::Returned { seq: 1, value }.write(&mut frame).expect("it fits");
    frame
}

#[divan::bench(args = [10, 1000], sample_size = 100)]
fn read_list_borrowed(bencher: Bencher, length: usize) {
    let frame = list(length);
    bencher.bench_local(|| FromWorker::read(black_box(&frame)).is_ok());
}

#[divan::bench(args = [10, 1000], sample_size = 100)]
fn read_list_owned(bencher: Bencher, length: usize) {
    let frame = list(length);
    bencher.bench_local(|| match FromWorker::read(black_box(&frame)) {
        Ok(FromWorker::Returned { value, .. }) => Some(value.into_owned()),
        _ => None,
    });
}

struct Memory {
    words: Vec<AtomicU64>,
    consumed: AtomicU64,
}

#[derive(Clone)]
struct Shared(Arc<Memory>);

impl Storage for Shared {
    fn words(&self) -> &[AtomicU64] {
        &self.0.words
    }
    fn consumed(&self) -> &AtomicU64 {
        &self.0.consumed
    }
}

#[divan::bench(args = [8, 64, 1024], sample_size = 1000)]
fn ring_push_and_pop(bencher: Bencher, length: usize) {
    let words = (0..1 << 17).map(|_| AtomicU64::new(0)).collect();
    let memory = Shared(Arc::new(Memory { words, consumed: AtomicU64::new(0) }));
    let (mut producer, mut consumer) = (Producer::new(memory.clone()), Consumer::new(memory));
    let sent = vec![1; length];
    let mut received = Vec::new();
    bencher.bench_local(|| {
        received.clear();
        (producer.push(black_box(&sent), false).is_ok(), consumer.pop(&mut received).is_ok())
    });
}
