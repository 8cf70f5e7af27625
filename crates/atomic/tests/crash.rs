//! The crash face: writes are counted, and the operation stops before the chosen one.
#![cfg(weyr_face = "crash")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use weyr_atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, arm_then_look, crash, publish_then_look};

/// What dies in the tests below: a panic that runs no hook.
fn stop_here() {
    std::panic::resume_unwind(Box::new("stopped"));
}

/// Three words, one write each, in order.
fn write_three(words: &[AtomicU64; 3]) {
    words[0].store(1, Ordering::Release);
    words[1].swap(1, Ordering::AcqRel);
    words[2].fetch_add(1, Ordering::AcqRel);
}

fn values(words: &[AtomicU64; 3]) -> [u64; 3] {
    words.each_ref().map(|word| word.load(Ordering::Acquire))
}

#[test]
fn every_kind_of_write_counts_once_and_reads_do_not_count() {
    let (byte, word, long) = (AtomicU8::new(0), AtomicU32::new(0), AtomicU64::new(0));
    crash::arm(0, stop_here);
    assert_eq!(crash::writes(), 0);
    byte.store(1, Ordering::Relaxed);
    word.swap(1, Ordering::Relaxed);
    long.fetch_add(1, Ordering::Relaxed);
    long.fetch_sub(1, Ordering::Relaxed);
    long.fetch_or(1, Ordering::Relaxed);
    long.fetch_and(1, Ordering::Relaxed);
    long.fetch_max(4, Ordering::Relaxed);
    assert_eq!(crash::writes(), 7);
    assert!(long.compare_exchange(9, 1, Ordering::AcqRel, Ordering::Acquire).is_err());
    assert!(long.compare_exchange_weak(9, 1, Ordering::AcqRel, Ordering::Acquire).is_err());
    assert!(publish_then_look(&long, 4, 5).is_ok());
    assert!(arm_then_look(&word, 1, 2).is_ok());
    assert_eq!(crash::writes(), 11);
    let _ = byte.load(Ordering::Acquire);
    weyr_atomic::fence(Ordering::SeqCst);
    assert_eq!(crash::disarm(), 11);
    byte.store(2, Ordering::Relaxed);
    assert_eq!(crash::writes(), 11);
}

#[test]
fn the_operation_stops_just_before_the_chosen_write() {
    let words: [AtomicU64; 3] = weyr_atomic::Zeroed::zeroed();
    crash::arm(0, stop_here);
    write_three(&words);
    let points = crash::disarm();
    assert_eq!(points, 3);
    for point in 1..=points {
        let words: [AtomicU64; 3] = weyr_atomic::Zeroed::zeroed();
        crash::arm(point, stop_here);
        let stopped = catch_unwind(AssertUnwindSafe(|| write_three(&words))).is_err();
        assert!(stopped, "write {point} was not reached");
        assert_eq!(crash::disarm(), point);
        let done = usize::try_from(point - 1).expect("three points");
        assert_eq!(values(&words).iter().sum::<u64>(), point - 1);
        assert!(values(&words)[..done].iter().all(|&value| value == 1));
    }
}

#[test]
fn a_point_behind_the_last_write_is_seen_as_not_reached() {
    let words: [AtomicU64; 3] = weyr_atomic::Zeroed::zeroed();
    crash::arm(4, stop_here);
    write_three(&words);
    assert_eq!(crash::disarm(), 3);
}

#[test]
fn an_operation_without_writes_counts_zero() {
    crash::arm(1, stop_here);
    let _ = AtomicU64::new(3).load(Ordering::Acquire);
    assert_eq!(crash::disarm(), 0);
}

#[test]
fn writes_of_other_threads_do_not_count() {
    let word = AtomicU64::new(0);
    crash::arm(1, stop_here);
    std::thread::scope(|scope| {
        scope.spawn(|| word.store(1, Ordering::Release));
    });
    assert_eq!(crash::disarm(), 0);
    assert_eq!(word.load(Ordering::Acquire), 1);
}

/// Run by the next test in a child: the third of three writes is replaced by the end of the process.
#[test]
#[ignore = "ends its process; run by a_child_process_dies_before_the_chosen_write"]
fn child_that_exits_before_its_third_write() {
    let words: [AtomicU64; 3] = weyr_atomic::Zeroed::zeroed();
    crash::arm(3, || std::process::exit(if crash::writes() == 3 { 42 } else { 1 }));
    write_three(&words);
}

#[test]
fn a_child_process_dies_before_the_chosen_write() {
    let child = Command::new(std::env::current_exe().expect("path of this test"))
        .args(["--ignored", "--exact", "child_that_exits_before_its_third_write"])
        .output()
        .expect("start the child");
    assert_eq!(child.status.code(), Some(42), "{}", String::from_utf8_lossy(&child.stdout));
}
