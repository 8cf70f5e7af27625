//! Waiting for words, in one process and across processes.

mod child;

use child::Child;
use std::time::{Duration, Instant};
use weyr_atomic::{AtomicU32, Ordering};
use weyr_kill::{Outcome, Refusal, Syscall, refuse_with};
use weyr_sys::futex::{Wait, wait, wait_any, wake};
use weyr_sys::mapping::{Mapping, page_size};
use weyr_sys::object::{Access, Object};

/// The first words of a page that forked children share.
fn shared_words(page: &Mapping) -> &[AtomicU32; 8] {
    let words = page.as_ptr().cast::<[AtomicU32; 8]>();
    // SAFETY: the page is mapped for as long as `page` lives, aligned, zero at first, and used only as atomics.
    unsafe { &*words }
}

fn shared_page() -> Mapping {
    let object = Object::memory("futex").expect("a memfd");
    object.set_len(page_size() as u64).expect("a length");
    Mapping::shared(&object, page_size(), Access::ReadWrite).expect("mapped")
}

/// Wakes until somebody was asleep.
fn wake_a_sleeper(word: &AtomicU32) {
    while wake(word, 1) == 0 {
        std::thread::yield_now();
    }
}

fn past() -> Option<Instant> {
    Some(Instant::now())
}

#[test]
fn a_word_that_has_changed_is_not_waited_for() {
    let word = AtomicU32::new(4);
    assert_eq!(wait(&word, 3, None), Wait::Changed);
    assert_eq!(wait(&word, 3, past()), Wait::Changed);
    assert_eq!(wait_any(&[(&word, 3)], None), Wait::Changed);
}

#[test]
fn a_deadline_ends_a_wait() {
    let word = AtomicU32::new(4);
    assert_eq!(wait(&word, 4, past()), Wait::TimedOut);
    assert_eq!(wait_any(&[(&word, 4), (&word, 4)], past()), Wait::TimedOut);
    let soon = Instant::now() + Duration::from_millis(3);
    assert_eq!(wait(&word, 4, Some(soon)), Wait::TimedOut);
    assert!(Instant::now() >= soon, "no wait ends before its deadline without a reason");
    let soon = Instant::now() + Duration::from_millis(3);
    assert_eq!(wait_any(&[(&word, 4)], Some(soon)), Wait::TimedOut);
    assert!(Instant::now() >= soon, "no wait ends before its deadline without a reason");
}

#[test]
fn nobody_sleeping_is_nobody_woken() {
    assert_eq!(wake(&AtomicU32::new(0), u32::MAX), 0);
}

#[test]
fn a_process_wakes_another_over_a_shared_mapping() {
    let page = shared_page();
    let [word, ..] = shared_words(&page);
    let mut sleeper = Child::fork(|_| assert_eq!(wait(word, 0, None), Wait::Woken));
    wake_a_sleeper(word);
    assert_eq!(sleeper.reap(), 0);
}

#[test]
fn a_wake_of_nobody_wakes_nobody() {
    let page = shared_page();
    let [word, ..] = shared_words(&page);
    let mut sleepers = [0, 1].map(|_| Child::fork(|_| assert_eq!(wait(word, 0, None), Wait::Woken)));
    // The first may sleep or not yet; each one that is woken is counted, and there are two.
    let mut woken = 0;
    while woken < 2 {
        assert_eq!(wake(word, 0), 0);
        woken += wake(word, 1);
        std::thread::yield_now();
    }
    assert_eq!(sleepers.each_mut().map(Child::reap), [0, 0]);
}

#[test]
fn a_process_wakes_another_that_waits_for_several_words() {
    let page = shared_page();
    let [one, two, three, ..] = shared_words(&page);
    for chosen in [one, two, three] {
        let mut sleeper = Child::fork(|_| {
            let words = [(one, 0), (two, 0), (three, 0)];
            while chosen.load(Ordering::Acquire) == 0 {
                assert!(matches!(wait_any(&words, None), Wait::Woken | Wait::Changed));
            }
        });
        wake_a_sleeper(chosen);
        chosen.store(1, Ordering::Release);
        wake(chosen, 1);
        assert_eq!(sleeper.reap(), 0);
        chosen.store(0, Ordering::Release);
    }
}

#[test]
fn more_words_than_one_call_takes_are_waited_for_too() {
    let page = shared_page();
    let [quiet, chosen, ..] = shared_words(&page);
    let mut sleeper = Child::fork(|_| {
        let mut words = vec![(quiet, 0); 200];
        words.push((chosen, 0));
        while chosen.load(Ordering::Acquire) == 0 {
            assert!(matches!(wait_any(&words, None), Wait::Woken | Wait::Changed));
        }
    });
    chosen.store(1, Ordering::Release);
    wake(chosen, 1);
    assert_eq!(sleeper.reap(), 0);
}

/// Says that its owner has ended, however it did.
struct Ending<'w>(&'w AtomicU32);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Release);
    }
}

#[test]
fn where_waiting_for_several_words_is_refused_they_are_waited_for_in_turns() {
    for (refusal, chosen) in
        [Refusal::Missing, Refusal::Forbidden].iter().flat_map(|r| (0..3).map(move |c| (*r, c)))
    {
        let page = shared_page();
        let [words @ .., ended] = shared_words(&page);
        let mut sleeper = weyr_kill::child::spawn(|| {
            let _ending = Ending(ended);
            refuse_with(&[Syscall::FutexWaitv], refusal).expect("the kernel takes a filter");
            let own = AtomicU32::new(0);
            assert_eq!(wait_any(&[(&own, 0), (&own, 0)], past()), Wait::TimedOut);
            let pairs = words.each_ref().map(|word| (word, 0));
            while words[chosen].load(Ordering::Acquire) == 0 {
                assert!(matches!(wait_any(&pairs, None), Wait::Woken | Wait::Changed));
            }
            assert_eq!(wait_any(&pairs, None), Wait::Changed);
        })
        .expect("a child");
        // It sleeps on the chosen word too, when that has its turn.
        while wake(&words[chosen], 1) == 0 && ended.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        words[chosen].store(1, Ordering::Release);
        wake(&words[chosen], 1);
        assert_eq!(sleeper.wait().expect("a child"), Outcome::Exited(0), "{refusal:?}");
    }
}

#[test]
fn no_word_at_all_is_not_waited_for() {
    assert_eq!(wait_any(&[], None), Wait::Changed);
}

extern "C" fn ignore(_: i32) {}

#[test]
fn a_signal_handler_interrupts_a_wait() {
    let mut sleeper = Child::fork(|parent| {
        let action = libc::sigaction {
            sa_sigaction: ignore as *const () as usize,
            // SAFETY: all-zero bytes are an empty set of signals.
            sa_mask: unsafe { std::mem::zeroed() },
            sa_flags: 0,
            sa_restorer: None,
        };
        // SAFETY: the handler does nothing, and the action lives through the call.
        assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) }, 0);
        parent.tell(1);
        assert_eq!(wait(&AtomicU32::new(0), 0, None), Wait::Interrupted);
        parent.tell(2);
    });
    assert_eq!(sleeper.hear(), Some(1));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let pid = sleeper.pid;
        scope.spawn(move || {
            // A signal before the sleep interrupts nothing: again, until the child has gone on.
            while told.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                // SAFETY: the child is reaped only after this thread has ended.
                unsafe { libc::kill(pid, libc::SIGUSR1) };
                std::thread::yield_now();
            }
        });
        assert_eq!(sleeper.hear(), Some(2));
        tell.send(()).expect("the thread listens");
    });
    assert_eq!(sleeper.reap(), 0);
}
