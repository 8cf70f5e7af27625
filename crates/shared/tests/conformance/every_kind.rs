//! What holds of every kind.

use std::thread;
use std::time::{Duration, Instant};

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::Zeroed;
use weyr_shared::lock::{Lock, LockError};

use super::cast::{Cast, dies};

macro_rules! suite {
    ($lock:ty) => {
        #[test]
        fn one_at_a_time_is_inside() {
            $crate::every_kind::one_at_a_time_is_inside::<$lock>(4, 5000);
        }

        #[test]
        fn many_more_than_processors_all_come_to_their_end() {
            $crate::every_kind::one_at_a_time_is_inside::<$lock>(48, 300);
        }

        #[test]
        fn a_try_takes_what_is_nobodys_only() {
            $crate::every_kind::a_try_takes_what_is_nobodys_only::<$lock>();
        }

        #[test]
        fn who_gives_up_at_its_deadline_leaves_nothing_behind() {
            $crate::every_kind::who_gives_up_at_its_deadline_leaves_nothing_behind::<$lock>();
        }

        #[test]
        fn owners_are_told_of_a_death_until_one_says_that_all_is_well() {
            $crate::every_kind::owners_are_told_of_a_death_until_one_says_that_all_is_well::<$lock>();
        }

        #[test]
        fn a_sleeper_takes_what_its_owner_died_with() {
            $crate::every_kind::a_sleeper_takes_what_its_owner_died_with::<$lock>();
        }

        #[test]
        fn recovery_frees_what_the_dead_had() {
            $crate::every_kind::recovery_frees_what_the_dead_had::<$lock>();
        }

        #[test]
        fn a_waiter_that_died_is_in_nobodys_way() {
            $crate::every_kind::a_waiter_that_died_is_in_nobodys_way::<$lock>();
        }

        #[test]
        fn a_forked_process_has_nothing_of_its_parents() {
            $crate::every_kind::a_forked_process_has_nothing_of_its_parents::<$lock>();
        }

        #[test]
        fn any_word_is_a_value_and_what_nobody_writes_is_told_of() {
            $crate::every_kind::any_word_is_a_value_and_what_nobody_writes_is_told_of::<$lock>();
        }
    };
}
pub(crate) use suite;

/// Each of so many threads adds one to a number so many times, by a load and a store.
pub(crate) fn one_at_a_time_is_inside<L: Lock + Zeroed + Sync>(threads: u16, each: u64) {
    let (cast, lock, number) = (Cast::default(), L::zeroed(), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..threads {
            let (cast, lock, number) = (&cast, &lock, &number);
            scope.spawn(move || {
                let me = cast.actor(thread);
                for _ in 0..each {
                    let _guard = lock.acquire(&me).unwrap();
                    let before = number.load(Ordering::Relaxed);
                    number.store(before + 1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(number.load(Ordering::Relaxed), u64::from(threads) * each);
    assert_untouched(&lock);
}

/// As it was at first, but for what counts.
fn assert_untouched(lock: &impl Lock) {
    assert_eq!((lock.owner(), lock.verify()), (None, vec![]));
    assert_eq!(lock.owner_word().load(Ordering::SeqCst), 0);
}

pub(crate) fn a_try_takes_what_is_nobodys_only<L: Lock + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (one, other) = (cast.actor(1), cast.actor(2));
    let guard = lock.try_acquire(&one).unwrap();
    assert_eq!(lock.try_acquire(&other).unwrap_err(), LockError::Busy);
    assert_eq!(lock.try_acquire(&one).unwrap_err(), LockError::Busy);
    guard.release().unwrap();
    drop(lock.try_acquire(&other).unwrap());
    std::mem::forget(lock.try_acquire(&one).unwrap());
    cast.bury(1);
    assert!(lock.try_acquire(&other).unwrap().owner_died());
}

pub(crate) fn who_gives_up_at_its_deadline_leaves_nothing_behind<L: Lock + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (one, other) = (cast.actor(1), cast.actor(2));
    let guard = lock.acquire(&one).unwrap();
    for deadline in [Instant::now(), Instant::now() + Duration::from_millis(25)] {
        assert_eq!(lock.acquire_until(&other, deadline).unwrap_err(), LockError::Timeout);
    }
    drop(guard);
    drop(lock.acquire_until(&other, Instant::now()).unwrap());
    assert_untouched(&lock);
}

pub(crate) fn owners_are_told_of_a_death_until_one_says_that_all_is_well<L: Lock + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (victim, second, third) = (cast.actor(1), cast.actor(2), cast.actor(3));
    std::mem::forget(lock.acquire(&victim).unwrap());
    cast.bury(1);
    assert!(lock.acquire(&second).unwrap().owner_died());
    // It was told, and has said nothing.
    assert!(lock.acquire(&third).unwrap().owner_died());
    std::mem::forget(lock.acquire(&second).unwrap());
    cast.bury(2);
    let mut guard = lock.acquire(&third).unwrap();
    assert!(guard.owner_died());
    guard.mark_consistent();
    assert!(!guard.owner_died());
    drop(guard);
    assert!(!lock.acquire(&third).unwrap().owner_died());
    assert_untouched(&lock);
}

pub(crate) fn a_sleeper_takes_what_its_owner_died_with<L: Lock + Zeroed + Sync>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let victim = cast.actor(1);
    std::mem::forget(lock.acquire(&victim).unwrap());
    thread::scope(|scope| {
        let (player, standing) = cast.stopping(2);
        let lock = &lock;
        let sleeper = scope.spawn(move || lock.acquire(&player).map(|guard| guard.owner_died()));
        standing.wait_until_it_stands();
        cast.bury(1);
        // The sleep ended by itself, and nobody has woken it.
        let other = cast.actor(3);
        assert_eq!(lock.recover(&other).unwrap(), 1);
        standing.go_on();
        assert_eq!(sleeper.join().unwrap(), Ok(true));
    });
}

pub(crate) fn recovery_frees_what_the_dead_had<L: Lock + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (victim, other) = (cast.actor(1), cast.actor(2));
    std::mem::forget(lock.acquire(&victim).unwrap());
    assert_eq!(lock.recover(&other).unwrap(), 0);
    cast.bury(1);
    assert_eq!((lock.recover(&other).unwrap(), lock.recover(&other).unwrap()), (1, 0));
    assert_eq!(lock.owner(), None);
    assert!(lock.try_acquire(&other).unwrap().owner_died());
}

pub(crate) fn a_waiter_that_died_is_in_nobodys_way<L: Lock + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (owner, next) = (cast.actor(1), cast.actor(2));
    for victims in [1, 3] {
        let guard = lock.acquire(&owner).unwrap();
        for victim in 10..10 + victims {
            let mortal = cast.mortal(victim);
            dies(&cast, victim, || drop(lock.acquire(&mortal).unwrap()));
        }
        drop(guard);
        let guard = lock.acquire(&next).unwrap();
        assert!(!guard.owner_died(), "it had nothing");
        drop(guard);
        assert_eq!(lock.verify(), vec![]);
    }
    lock.recover(&owner).unwrap();
    drop(lock.acquire(&owner).unwrap());
    assert_untouched(&lock);
}

pub(crate) fn a_forked_process_has_nothing_of_its_parents<L: Lock + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (parent, child) = (cast.actor(1), cast.child_of(1));
    assert_eq!(lock.acquire(&child).unwrap_err(), LockError::Forked);
    let guard = lock.acquire(&parent).unwrap();
    assert_eq!(lock.try_acquire(&child).unwrap_err(), LockError::Forked);
    assert!(lock.owner().is_some());
    drop(guard);
}

pub(crate) fn any_word_is_a_value_and_what_nobody_writes_is_told_of<L: Lock + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let me = cast.actor(1);
    for word in [3, 1 << 4, 1 << 60 | 1, u64::MAX, 0xDEAD_BEEF_0BAD_F00D] {
        lock.owner_word().store(word, Ordering::SeqCst);
        assert!(matches!(lock.try_acquire(&me), Err(LockError::Corrupt(_))), "{word:#x}");
        let until = Instant::now() + Duration::from_secs(60);
        assert!(matches!(lock.acquire_until(&me, until), Err(LockError::Corrupt(_))), "{word:#x}");
        assert_eq!(lock.verify().len(), 1, "{word:#x}");
        assert_eq!(lock.owner_word().load(Ordering::SeqCst), word, "left as it is");
    }
    lock.owner_word().store(0, Ordering::SeqCst);
    let guard = lock.acquire(&me).unwrap();
    lock.owner_word().store(u64::MAX, Ordering::SeqCst);
    assert!(guard.release().is_err());
}
