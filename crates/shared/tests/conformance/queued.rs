//! What holds of the kinds that keep an order.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use weyr_atomic::Ordering;
use weyr_shared::lock::queue::Place;
use weyr_shared::lock::{Lock, LockError, Queued};
use weyr_shared::{Corrupt, Zeroed};

use super::cast::{Cast, dies};

macro_rules! suite {
    ($lock:ty) => {
        #[test]
        fn who_waits_longest_is_next() {
            $crate::queued::who_waits_longest_is_next::<$lock>(&[]);
        }

        #[test]
        fn the_dead_among_those_who_wait_are_left_out() {
            $crate::queued::who_waits_longest_is_next::<$lock>(&[0, 1, 4]);
        }

        #[test]
        fn who_stands_still_when_its_turn_comes_is_passed_and_is_first_again() {
            $crate::queued::who_stands_still_when_its_turn_comes_is_passed_and_is_first_again::<$lock>();
        }

        #[test]
        fn a_try_goes_past_nobody_who_waits() {
            $crate::queued::a_try_goes_past_nobody_who_waits::<$lock>();
        }

        #[test]
        fn places_of_the_dead_are_had_again() {
            $crate::queued::places_of_the_dead_are_had_again::<$lock>();
        }

        #[test]
        fn a_queue_of_any_words_is_told_of_and_never_waited_for() {
            $crate::queued::a_queue_of_any_words_is_told_of_and_never_waited_for::<$lock>();
        }
    };
}
pub(crate) use suite;

/// Who waits, one after the other; those with a number of `dead` die in the queue.
pub(crate) fn who_waits_longest_is_next<L: Queued + Zeroed + Sync>(dead: &[u16]) {
    const WAITERS: u16 = 12;
    let (cast, lock, order) = (Cast::default(), L::zeroed(), Mutex::new(vec![]));
    let owner = cast.actor(40);
    let guard = lock.acquire(&owner).unwrap();
    thread::scope(|scope| {
        for number in 0..WAITERS {
            if dead.contains(&number) {
                let mortal = cast.mortal(number);
                dies(&cast, number, || drop(lock.acquire(&mortal).unwrap()));
            } else {
                let (cast, lock, order) = (&cast, &lock, &order);
                scope.spawn(move || {
                    let me = cast.patient(number);
                    let _guard = lock.acquire(&me).unwrap();
                    order.lock().unwrap().push(number);
                });
            }
            while lock.waiters() <= usize::from(number) {
                thread::yield_now();
            }
        }
        drop(guard);
        // Those who wait are woken and look by no clock, so somebody else has to ask for the dead.
        while order.lock().unwrap().len() < usize::from(WAITERS) - dead.len() {
            lock.recover(&owner).unwrap();
            thread::yield_now();
        }
    });
    let expected: Vec<u16> = (0..WAITERS).filter(|number| !dead.contains(number)).collect();
    assert_eq!(*order.lock().unwrap(), expected);
    assert_eq!((lock.waiters(), lock.verify()), (0, vec![]));
}

pub(crate) fn who_stands_still_when_its_turn_comes_is_passed_and_is_first_again<L: Queued + Zeroed + Sync>() {
    let (cast, lock, order) = (Cast::default(), L::zeroed(), Mutex::new(vec![]));
    let owner = cast.actor(40);
    let guard = lock.acquire(&owner).unwrap();
    let (inside, is_inside) = channel();
    let (leave, leaving) = channel::<()>();
    thread::scope(|scope| {
        let (slow, standing) = cast.stopping(1);
        let (lock, order, cast) = (&lock, &order, &cast);
        scope.spawn(move || {
            let _guard = lock.acquire(&slow).unwrap();
            order.lock().unwrap().push(1);
        });
        standing.wait_until_it_stands();
        scope.spawn(move || {
            let me = cast.actor(2);
            let _guard = lock.acquire(&me).unwrap();
            order.lock().unwrap().push(2);
            inside.send(()).unwrap();
            leaving.recv().unwrap();
        });
        while lock.waiters() < 2 {
            thread::yield_now();
        }
        drop(guard);
        // The second passes the first, which stands still with the lock in its name.
        is_inside.recv().unwrap();
        scope.spawn(move || {
            let me = cast.patient(3);
            let _guard = lock.acquire(&me).unwrap();
            order.lock().unwrap().push(3);
        });
        while lock.waiters() < 2 {
            thread::yield_now();
        }
        standing.go_on();
        while !is_back(lock) {
            thread::yield_now();
        }
        leave.send(()).unwrap();
    });
    assert_eq!(*order.lock().unwrap(), [2, 1, 3]);
    assert_eq!((lock.waiters(), lock.verify()), (0, vec![]));
}

/// Whether nobody is passed.
fn is_back(lock: &impl Queued) -> bool {
    lock.queue().places.iter().all(|place| place.word().load(Ordering::SeqCst) & 3 != 3)
}

pub(crate) fn a_try_goes_past_nobody_who_waits<L: Queued + Zeroed + Sync>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (owner, hasty) = (cast.actor(40), cast.actor(41));
    let guard = lock.acquire(&owner).unwrap();
    thread::scope(|scope| {
        let (slow, standing) = cast.stopping(1);
        let lock = &lock;
        let waiter = scope.spawn(move || drop(lock.acquire(&slow).unwrap()));
        standing.wait_until_it_stands();
        drop(guard);
        assert_eq!(lock.try_acquire(&hasty).unwrap_err(), LockError::Busy);
        standing.go_on();
        waiter.join().unwrap();
        drop(lock.try_acquire(&hasty).unwrap());
    });
}

/// All places are the dead's; who comes then has one nevertheless, or the lock.
pub(crate) fn places_of_the_dead_are_had_again<L: Queued + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let (owner, next) = (cast.actor(40), cast.actor(41));
    let guard = lock.acquire(&owner).unwrap();
    let places = lock.queue().places.len();
    for _ in 0..places {
        let mortal = cast.mortal(1);
        // Alive as long as it comes, so that nobody frees its place.
        let death = std::panic::AssertUnwindSafe(|| drop(lock.acquire(&mortal).unwrap()));
        std::panic::catch_unwind(death).unwrap_err();
    }
    assert_eq!(lock.waiters(), places);
    cast.bury(1);
    drop(guard);
    drop(lock.acquire(&next).unwrap());
    lock.recover(&next).unwrap();
    assert_eq!((lock.waiters(), lock.owner(), lock.verify()), (0, None, vec![]));
}

pub(crate) fn a_queue_of_any_words_is_told_of_and_never_waited_for<L: Queued + Zeroed>() {
    let (cast, lock) = (Cast::default(), L::zeroed());
    let me = cast.actor(1);
    let queue = lock.queue();
    for word in [1 << 3, 1 << 60 | 2, u64::MAX] {
        queue.places.iter().for_each(|place| place.word().store(word, Ordering::SeqCst));
        drop(lock.acquire(&me).unwrap());
        let wrong: Vec<Corrupt> = lock.verify();
        assert_eq!(wrong.len(), queue.places.len(), "{word:#x}");
    }
    queue.places.iter().for_each(|place| place.word().store(0, Ordering::SeqCst));
    // Handed to a place that there is not, and to one in which nobody waits.
    for place in [0u64, 5, 0xFFFF] {
        queue.owner.store(2 | 1 << 2 | place << 8, Ordering::SeqCst);
        drop(lock.try_acquire(&me).unwrap());
        drop(lock.acquire(&me).unwrap());
    }
    // Two with one ticket, and one that was never given out.
    for place in &queue.places[..2] {
        place.word().store(2 | 1 << 8, Ordering::SeqCst);
        place.ticket().store(queue.next_ticket.load(Ordering::SeqCst), Ordering::SeqCst);
    }
    assert_eq!(lock.verify().len(), 2);
}
