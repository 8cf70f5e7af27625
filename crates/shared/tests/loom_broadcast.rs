//! Events under the C11 memory model: who is released has the payload as it was written, and nobody sleeps through its
//! release. Two threads, on the product's own code.
#![cfg(weyr_face = "loom")]

mod two_threads;

use two_threads::{Thread, explore};
use weyr_atomic::loom::sync::Arc;
use weyr_atomic::loom::thread;
use weyr_atomic::{AtomicU64, Ordering, Zeroed};
use weyr_shared::broadcast::shape::Shape;
use weyr_shared::broadcast::trigger::Count;
use weyr_shared::broadcast::words::Words;
use weyr_shared::broadcast::{BroadcastHeader, BroadcastPlace, BroadcastRecord, IN_USE};
use weyr_shared::lock::Until;
use weyr_shared::{BroadcastAttributes, WaitMode};

struct World {
    header: BroadcastHeader,
    places: [BroadcastPlace; 1],
    records: [BroadcastRecord; 1],
    payloads: [AtomicU64; 1],
}

impl World {
    fn new() -> Self {
        let world = Self {
            header: Zeroed::zeroed(),
            places: Zeroed::zeroed(),
            records: Zeroed::zeroed(),
            payloads: Zeroed::zeroed(),
        };
        world.header.next_ticket.store(1, Ordering::SeqCst);
        world.header.life.store(IN_USE, Ordering::SeqCst);
        world
    }

    fn words(&self) -> Words<'_> {
        let attributes =
            BroadcastAttributes::new().max_payload(8).max_waiters(1).max_spinners(0).max_triggers(1);
        Words {
            header: &self.header,
            places: &self.places,
            records: &self.records,
            payloads: &self.payloads,
            shape: Shape::new(&attributes).unwrap(),
        }
    }
}

/// One waits already, and is about to sleep when the other triggers.
#[test]
fn who_is_released_wakes_and_has_the_payload() {
    explore(|| {
        let world = Arc::new(World::new());
        let seat = world.words().enter(&Thread(1), WaitMode::Idle).unwrap();
        let theirs = world.clone();
        let trigger = thread::spawn(move || {
            theirs.words().trigger(&Thread(2), Count::All, b"payload", Until::Now).unwrap().released
        });
        let got = world.words().wait(&Thread(1), seat, WaitMode::Idle, Until::Forever).unwrap();
        assert_eq!((got, trigger.join().unwrap()), (b"payload".to_vec(), 1));
        assert!(world.words().verify().is_empty());
    });
}

/// The record that one has read is written anew for the next wait only behind that.
#[test]
fn a_payload_is_written_over_when_it_was_read() {
    explore(|| {
        let world = Arc::new(World::new());
        let seat = world.words().enter(&Thread(1), WaitMode::Idle).unwrap();
        world.words().trigger(&Thread(2), Count::Some(1), b"first", Until::Now).unwrap();
        let theirs = world.clone();
        let next = thread::spawn(move || {
            let Ok(seat) = theirs.words().enter(&Thread(3), WaitMode::Idle) else { return };
            theirs.words().trigger(&Thread(2), Count::All, b"other", Until::Now).unwrap();
            let got = theirs.words().wait(&Thread(3), seat, WaitMode::Idle, Until::Forever).unwrap();
            assert_eq!(got, b"other");
        });
        let got = world.words().wait(&Thread(1), seat, WaitMode::Idle, Until::Forever).unwrap();
        assert_eq!(got, b"first");
        next.join().unwrap();
    });
}
