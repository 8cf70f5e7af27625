//! The loom face: the contract's orderings under the C11 model.
#![cfg(weyr_face = "loom")]

use weyr_atomic::loom::{self, sync::Arc};
use weyr_atomic::{
    AtomicU32, AtomicU64, Ordering, Zeroed, arm_then_look, heavy_barrier, light_barrier, publish_then_look,
};

/// Runs the test's case under every execution, and notes how many there were.
fn explore(case: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(std::sync::Mutex::new(0_u64));
    let counted = executions.clone();
    loom::model(move || {
        *counted.lock().expect("no poison") += 1;
        case();
    });
    let executions = *executions.lock().expect("no poison");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    weyr_kill::note(format_args!("loom {test}: {executions} executions, complete"));
    assert!(executions > 2, "nothing was explored");
}

/// Whether a reader that saw the flag, published with `publish`, can miss the payload.
fn reader_can_miss_the_payload(publish: Ordering) -> bool {
    let missed = std::sync::Arc::new(std::sync::Mutex::new(false));
    let seen = missed.clone();
    explore(move || {
        let words: Arc<[AtomicU64; 2]> = Arc::new(Zeroed::zeroed());
        let writer = words.clone();
        let thread = loom::thread::spawn(move || {
            writer[0].store(7, Ordering::Relaxed);
            writer[1].store(1, publish);
        });
        if words[1].load(Ordering::Acquire) == 1 && words[0].load(Ordering::Relaxed) != 7 {
            *seen.lock().expect("no poison") = true;
        }
        thread.join().expect("the writer ends");
    });
    *missed.lock().expect("no poison")
}

#[test]
fn a_released_flag_carries_the_payload() {
    assert!(!reader_can_miss_the_payload(Ordering::Release));
}

#[test]
fn a_relaxed_flag_does_not_carry_the_payload() {
    assert!(reader_can_miss_the_payload(Ordering::Relaxed));
}

/// Two threads each change their own word by their `publish` and then look at the other's by `look`: can both miss?
fn both_can_miss<T: Zeroed + Send + Sync + 'static>(publish: [fn(&T); 2], look: fn(&T) -> bool) -> bool {
    let missed = std::sync::Arc::new(std::sync::Mutex::new(false));
    let found = missed.clone();
    explore(move || {
        let words: Arc<[T; 2]> = Arc::new(Zeroed::zeroed());
        let peer = words.clone();
        let thread = loom::thread::spawn(move || {
            publish[1](&peer[1]);
            look(&peer[0])
        });
        publish[0](&words[0]);
        let here = look(&words[1]);
        if !thread.join().expect("the peer ends") && !here {
            *found.lock().expect("no poison") = true;
        }
    });
    *missed.lock().expect("no poison")
}

#[test]
fn of_two_publishers_at_least_one_sees_the_other() {
    assert!(!both_can_miss([|word| assert!(publish_then_look(word, 0, 1).is_ok()); 2], |word| word
        .load(Ordering::SeqCst)
        == 1,));
}

#[test]
fn of_two_who_arm_at_least_one_sees_the_other() {
    assert!(!both_can_miss::<AtomicU32>([|word| assert!(arm_then_look(word, 0, 1).is_ok()); 2], |word| word
        .load(Ordering::SeqCst)
        == 1,));
}

#[test]
fn without_the_fence_both_can_miss() {
    assert!(both_can_miss::<AtomicU64>(
        [|word| assert!(word.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()); 2],
        |word| word.load(Ordering::SeqCst) == 1,
    ));
}

fn store_lightly(word: &AtomicU64) {
    word.store(1, Ordering::Relaxed);
    light_barrier();
}

fn store_heavily(word: &AtomicU64) {
    word.store(1, Ordering::Relaxed);
    assert!(heavy_barrier(|| false));
}

#[test]
fn the_light_and_the_heavy_side_cannot_both_miss() {
    assert!(!both_can_miss([store_lightly, store_heavily], |word| word.load(Ordering::Relaxed) == 1));
}
