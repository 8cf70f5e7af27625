//! Whatever stands in a channel's memory, calls end: with success, or with an error that has a name.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod plain;

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use weyr_atomic::{AtomicU32, AtomicU64, Ordering};
use weyr_channel::protocol::{Attempt, Bytes, ReceiveSide, SendSide, Tried};
use weyr_channel::{Error, WaitMode};
use weyr_kill::note;
use weyr_shared::{
    Actor, BlockReference, Geometry, Holder, KernelFutex, Lap, Region, Ring, RingHeader, RingOpenError,
    SlotState, SlotWord,
};
use weyr_sys::mapping::Mapping;

const REFERENCE: BlockReference = BlockReference { offset: 4096, generation: 3 };
const GEOMETRY: Geometry = Geometry { block_size: 64, capacity: 4, processes: 16, ..Geometry::PLAIN };
const IMPATIENT: Attempt = Attempt { patience: Duration::ZERO, inspect: true };

fn formatted() -> Region {
    let mapping = Mapping::anonymous(GEOMETRY.bytes() as usize).unwrap();
    let region = Region::new(mapping.into());
    Ring::format(&region, &GEOMETRY, REFERENCE).unwrap();
    region
}

fn open_with(change: impl Fn(&RingHeader)) -> Result<Ring, RingOpenError> {
    let region = formatted();
    change(region.view::<RingHeader>(0).unwrap());
    Ring::open(&region, REFERENCE)
}

fn corrupt(opened: Result<Ring, RingOpenError>) -> bool {
    matches!(opened, Err(RingOpenError::Corrupt(_)))
}

#[test]
fn a_header_that_cannot_be_is_not_opened() {
    assert!(open_with(|_| {}).is_ok());
    let magic = open_with(|header| header.magic.store(1, Ordering::Relaxed));
    assert_eq!(magic.err(), Some(RingOpenError::NotAChannel));
    let version = open_with(|header| header.version.store(9, Ordering::Relaxed));
    assert_eq!(version.err(), Some(RingOpenError::Version { found: 9 }));
    let narrow: [fn(&RingHeader) -> &AtomicU32; 6] = [
        |header| &header.flags,
        |header| &header.block_size,
        |header| &header.capacity,
        |header| &header.slot_stride,
        |header| &header.levels,
        |header| &header.processes,
    ];
    for (field, word) in narrow.into_iter().enumerate() {
        for value in [0, 2, 5, 63, 65, 1 << 16, (1 << 16) + 1, 1 << 24, 1 << 30, 1 << 31, u32::MAX] {
            let right = open_with(|_| {}).unwrap();
            let opened = open_with(|header| word(header).store(value, Ordering::Relaxed));
            // What is opened all the same lies inside the region, for the region has checked it.
            let same = |ring: &Ring| ring.capacity() <= right.capacity();
            assert!(
                corrupt(opened.clone()) || opened.is_ok_and(|ring| same(&ring)),
                "field {field}, {value}"
            );
        }
    }
    assert!(corrupt(open_with(|header| header.generation.store(4, Ordering::Relaxed))));
}

#[test]
fn a_region_too_small_or_misaligned_is_not_opened() {
    let region = formatted();
    for bytes in [0, 64, 319, 320, 448, 576, GEOMETRY.bytes() - 1] {
        assert!(Ring::open(&region.part(0, bytes).unwrap(), REFERENCE).is_err(), "{bytes} bytes");
    }
    let shifted = region.part(8, GEOMETRY.bytes() - 8).unwrap();
    assert!(Ring::open(&shifted, REFERENCE).is_err());
    assert!(Ring::format(&shifted, &GEOMETRY, REFERENCE).is_err());
}

#[test]
fn a_process_slot_beyond_the_channels_is_refused() {
    let ring = plain::ring(2);
    assert!(ring.attach(Actor { process: 16, epoch: 1 }).is_err());
    assert!(ring.detach(Actor { process: u16::MAX, epoch: 1 }).is_err());
}

/// A word that somebody may have left: anything, or nearly right.
fn slot_word() -> impl Strategy<Value = u64> {
    let nearly = (0..10_u64, 0..20_u16, 0..3_u8, 0..6_u64).prop_map(|(state, process, epoch, lap)| {
        let word =
            SlotWord::held(SlotState::Filling, Holder { process, epoch }, Lap::new(lap.wrapping_sub(2)));
        word.bits() & !(15 << 60) | state << 60
    });
    prop_oneof![any::<u64>(), nearly]
}

/// What is written over which words.
#[derive(Debug, Clone)]
struct Overwriting {
    slots: Vec<(u32, u64, u64)>,
    hints: [u64; 2],
    counts: [u32; 4],
}

fn overwriting() -> impl Strategy<Value = Overwriting> {
    let slots = prop::collection::vec((0..4_u32, slot_word(), prop_oneof![any::<u64>(), 0..70_u64]), 0..4);
    let hint = || prop_oneof![any::<u64>(), (0..5_u64, 0..6_u64).prop_map(|(lap, index)| lap << 28 | index)];
    (slots, [hint(), hint()], any::<[u32; 4]>()).prop_map(|(slots, hints, counts)| Overwriting {
        slots,
        hints,
        counts,
    })
}

impl Overwriting {
    fn apply(&self, ring: &Ring) {
        let store = |word: &AtomicU64, value| word.store(value, Ordering::SeqCst);
        for (index, word, description) in &self.slots {
            let slot = ring.slot(*index).unwrap();
            store(&slot.word, *word);
            store(&slot.description, *description);
        }
        let header = ring.header();
        store(&header.tail, self.hints[0]);
        store(&header.head, self.hints[1]);
        let words = [&header.returned_made, &header.returned_seen, &header.to_receivers, &header.to_senders];
        words.into_iter().zip(self.counts).for_each(|(word, value)| word.store(value, Ordering::SeqCst));
    }
}

/// The error has a name, and is one that spoilt memory can give.
fn assert_named(error: &Error) {
    assert!(matches!(error, Error::Corrupt(_) | Error::Timeout | Error::Destroyed), "{error:?}");
}

/// Runs `case` on so many values of `strategy`, and notes how many.
fn check<S: Strategy>(name: &str, strategy: S, case: impl Fn(S::Value)) {
    let cases = Cell::new(0_u64);
    let config = ProptestConfig { cases: 3_000, ..ProptestConfig::default() };
    let ran = TestRunner::new(config).run(&strategy, |value| {
        cases.set(cases.get() + 1);
        case(value);
        Ok(())
    });
    note(format_args!("corruption of a channel, {name}: {} cases", cases.get()));
    ran.unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

#[test]
fn calls_end_whatever_the_words_are() {
    let calls = (0..9_u8, overwriting(), prop::collection::vec(0..4_u8, 1..12));
    check("calls", calls, |(before, overwriting, steps)| {
        let ring = plain::ring(4);
        let channel = plain::attached(&ring, 1);
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        for _ in 0..before {
            let _ = channel.try_send(&from, &Bytes(b"before"), IMPATIENT).unwrap();
            if before % 2 == 0
                && let Tried::Done(taken) = channel.try_take(&to, SlotState::Taking, IMPATIENT).unwrap()
            {
                channel.release(taken).unwrap();
            }
        }
        overwriting.apply(&ring);
        for step in steps {
            let outcome = match step {
                0 => channel.try_send(&from, &Bytes(b"after"), IMPATIENT).map(drop),
                1 => channel.try_send(&SendSide::default(), &Bytes(b"new"), IMPATIENT).map(drop),
                2 => receive(&channel, &to),
                _ => receive(&channel, &ReceiveSide::default()),
            };
            outcome.err().iter().for_each(assert_named);
        }
        let _ = ring.waiting();
        let _ = ring.references().count();
        let _ = ring.repair(Actor { process: 17, epoch: 1 }, || true, |_| false, &KernelFutex);
        let _ = ring.drain(Holder { process: 1, epoch: 1 }, |_| {});
    });
}

#[test]
fn waits_end_at_their_deadline_whatever_the_words_are() {
    check("waits", overwriting(), |overwriting| {
        let ring = plain::ring(4);
        let channel = plain::attached(&ring, 1);
        overwriting.apply(&ring);
        let deadline = Some(Instant::now() + Duration::from_micros(200));
        for mode in [WaitMode::Spin, WaitMode::Idle] {
            let sent = channel.send_until(&SendSide::default(), &Bytes(b"x"), mode, deadline);
            sent.err().iter().for_each(assert_named);
            match channel.take_until(&ReceiveSide::default(), SlotState::Taking, mode, deadline) {
                Ok(taken) => drop(channel.release(taken)),
                Err(error) => assert_named(&error),
            }
        }
    });
}

fn receive(channel: &plain::Plain, side: &ReceiveSide) -> Result<(), Error> {
    if let Tried::Done(taken) = channel.try_take(side, SlotState::Taking, IMPATIENT)? {
        let read = channel.description(&taken).and_then(|description| {
            let mut bytes = vec![0; description.len as usize];
            channel.read_bytes(&taken, &mut bytes)
        });
        channel.release(taken)?;
        read?;
    }
    Ok(())
}
