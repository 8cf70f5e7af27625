//! The word on which the users of a channel sleep: a sequence, one bit that says that somebody might, and one that says
//! that somebody listens.
//!
//! | bits | meaning | who changes it |
//! | --- | --- | --- |
//! | 0 | armed: somebody sleeps or is about to | set by who will sleep; cleared by a signal that woke nobody, or that leaves the others to the one it wakes |
//! | 1 | listened: somebody is to be told who does not sleep here | set by who listens; cleared by the signal that then tells all of them |
//! | 2 to 31 | sequence | every signal that finds the armed bit set, every clearing of it, every raise |
//!
//! There is no count of sleepers, for a count leaks when a sleeper dies; a bit left behind costs one idle wake. The
//! order is everything: who sleeps **arms, looks once more, then sleeps** on the value that it armed; who has changed
//! something **changes, then looks** at the word. A signal that woke nobody takes the bit away and then wakes
//! everybody, for a sleeper may have come between its wake and its clearing. Source: futex(2).
//!
//! **Onlookers** are those who wait for what an event announces and do not use it up: who polls. They sleep on a word
//! of their own, all of them, so that no wake that one sleeper must use is spent on them; they arm that word, then the
//! event's, then look, then sleep. A signal that finds the event's bit looks at the onlookers' word after it has dealt
//! with its own, disarming included, and wakes all of them. So where nobody sleeps a signal stays one load.
//!
//! **Listeners** ([`Listeners`]) wait for many events at once. Who listens sets the bit, **then looks**; a signal that
//! finds it takes it away, and **then tells** every listener, each of whom sets it again before it looks again. So an
//! event that changes often costs a listener that does not come to it one telling, and where only listeners are a signal
//! makes no system call. The bit says nothing about sleepers: it may change under one that has armed, which then finds
//! another value and looks once more. A signaller that dies between taking the bit away and telling leaves listeners who
//! know nothing: a raise, which recovery makes, tells all of them whatever the bit says, and listeners look by themselves
//! from time to time, for those that are only stopped there.
//!
//! What it does not do: it knows nothing of what is waited for, and keeps no queue: the one that is woken is the
//! kernel's choice.

use std::time::{Duration, Instant};

use weyr_atomic::{AtomicU32, Ordering, arm_then_look, fence};
use weyr_sys::futex;

use crate::fault::{self, Fault};
use crate::{Interest, Listener, Listeners};

const ARMED: u32 = 1;
const LISTENED: u32 = 2;
const STEP: u32 = 4;

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awake {
    /// Somebody spent a wake on this sleeper, which it must use or pass on.
    Woken,
    /// The word was no longer the one that was armed, or a signal handler ran.
    Changed,
    /// The time is over.
    TimedOut,
}

/// How to sleep on a word, and how to reach those who listen: the kernel's futex, or a model's.
pub trait Futex {
    /// Sleeps while `word` holds `expected`, for at most `time`.
    fn wait(&self, word: &AtomicU32, expected: u32, time: Duration) -> Awake;
    /// Wakes at most `count` sleepers of `word`; returns how many there were.
    fn wake(&self, word: &AtomicU32, count: u32) -> u32;
    /// Tells a listener that something has changed; does not block. Where nothing has listeners there is nothing to do.
    fn tell(&self, _listener: Listener) {}
    /// The same, and wakes it in any case: whoever told it before may have died before it woke it.
    fn tell_after_death(&self, _listener: Listener) {}
}

/// The futex of the kernel. It reaches no listeners.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelFutex;

impl Futex for KernelFutex {
    fn wait(&self, word: &AtomicU32, expected: u32, time: Duration) -> Awake {
        match futex::wait(word, expected, Instant::now().checked_add(time)) {
            futex::Wait::Woken => Awake::Woken,
            futex::Wait::Changed | futex::Wait::Interrupted => Awake::Changed,
            futex::Wait::TimedOut => Awake::TimedOut,
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        futex::wake(word, count)
    }
}

/// The value of an event on which its taker may sleep, after it has looked once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "look at what is waited for once more, then sleep on it"]
pub struct Armed(u32);

impl Armed {
    /// The value of the word.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// An event word with the futex on which it sleeps.
#[derive(Debug)]
pub struct Event<'a, F> {
    word: &'a AtomicU32,
    /// Word of those who look on.
    onlookers: Option<&'a AtomicU32>,
    /// Those who listen, and what of it this event announces.
    listeners: Option<(Listeners<'a>, Interest)>,
    futex: &'a F,
    /// How many sleepers a signal wakes.
    sleepers: u32,
}

impl<F> Clone for Event<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Event<'_, F> {}

impl<'a, F: Futex> Event<'a, F> {
    /// The event in `word`.
    pub const fn new(word: &'a AtomicU32, futex: &'a F) -> Self {
        Self { word, onlookers: None, listeners: None, futex, sleepers: 1 }
    }

    /// The same event, of which a signal wakes up to `sleepers`: all of them where not each can use what is announced.
    #[inline]
    #[must_use]
    pub const fn waking(self, sleepers: u32) -> Self {
        Self { sleepers, ..self }
    }

    /// The same event, at which those who sleep on `onlookers` look on: a signal that finds anybody armed wakes all of
    /// them too. An onlooker arms its own word first, then this one.
    #[inline]
    #[must_use]
    pub const fn watched(self, onlookers: &'a AtomicU32) -> Self {
        Self { onlookers: Some(onlookers), ..self }
    }

    /// The same event, which announces `interest` to `listeners`: a signal that finds their bit tells all of them.
    #[inline]
    #[must_use]
    pub const fn heard(self, listeners: Listeners<'a>, interest: Interest) -> Self {
        Self { listeners: Some((listeners, interest)), ..self }
    }

    /// Says that somebody listens, who is in the table already. What is loaded afterwards is at least as new as what a
    /// signaller changed that did not see the bit. Does not block.
    pub fn listen(&self) {
        self.set(LISTENED);
    }

    /// Announces a sleep. What is loaded afterwards is at least as new as what a signaller changed that did not see
    /// the bit. Does not block.
    pub fn arm(&self) -> Armed {
        Armed(self.set(ARMED))
    }

    fn set(&self, bit: u32) -> u32 {
        let mut seen = self.word.load(Ordering::SeqCst);
        while seen & bit == 0 {
            match arm_then_look(self.word, seen, seen | bit) {
                Ok(_) => return seen | bit,
                Err(now) => seen = now,
            }
        }
        // Somebody else's bit: the barrier that the exchange would have been. Pairs with the one before `signal`.
        fence(Ordering::SeqCst);
        seen
    }

    /// Whether somebody may sleep.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.word.load(Ordering::SeqCst) & ARMED != 0
    }

    /// Sleeps until the word is no longer what was armed, for at most `time`.
    pub fn sleep(&self, armed: Armed, time: Duration) -> Awake {
        self.futex.wait(self.word, armed.0, time)
    }

    /// Wakes one sleeper, or as many as [`waking`](Self::waking) said, if there may be one, and tells who listens. The
    /// caller has changed what they wait for by `publish_then_look`. One load where nobody sleeps or listens.
    #[inline]
    pub fn signal(self) {
        // Pairs with `arm` and `listen`: either this load sees the bit, or the look behind it sees the caller's change.
        let seen = self.word.load(Ordering::SeqCst);
        if seen & (ARMED | LISTENED) != 0 {
            self.announce(seen);
        }
    }

    // By value: were it borrowed, each signal that wakes nobody would store it first.
    #[cold]
    fn announce(self, seen: u32) {
        if seen & ARMED != 0 {
            self.wake_one(seen);
        }
        // Who listens from now on looks behind the caller's change.
        if seen & LISTENED != 0 {
            self.tell_listeners();
        }
    }

    /// Takes the bit away and tells all who listen; nothing where there is no bit.
    fn tell_listeners(&self) {
        let Some((listeners, interest)) = self.listeners else { return };
        let mut seen = self.word.load(Ordering::SeqCst);
        while seen & LISTENED != 0 {
            match arm_then_look(self.word, seen, seen & !LISTENED) {
                Ok(_) if fault::is(Fault::ListenersUntold) => return,
                Ok(_) => {
                    // Behind the taking: whoever is not told now sets the bit later, and then looks.
                    let interested = listeners.all().filter(|listener| listener.interest().meets(interest));
                    return interested.for_each(|listener| self.futex.tell(listener));
                }
                // Another's signal took it away, and tells; or somebody slept, or listens again.
                Err(now) => seen = now,
            }
        }
    }

    fn wake_one(&self, seen: u32) {
        let mut seen = seen;
        while seen & ARMED != 0 {
            let next = seen.wrapping_add(STEP);
            match arm_then_look(self.word, seen, next) {
                Ok(_) => {
                    self.wake_or_disarm(next);
                    break;
                }
                Err(now) => seen = now,
            }
        }
        self.wake_onlookers();
    }

    /// Wakes all who look on, if there may be any, tells all who listen, and leaves the sleepers of the event itself
    /// alone: for changes that are of no use to those. The caller has made its change visible as for
    /// [`signal`](Self::signal).
    pub fn signal_onlookers(&self) {
        self.wake_onlookers();
        self.tell_listeners();
    }

    fn wake_onlookers(&self) {
        // Behind the disarming of the event: an onlooker that armed the event before that, and so is not announced by
        // its bit any more, had armed its own word before.
        if let Some(own) = self.event_of_onlookers() {
            own.signal_all();
        }
    }

    fn event_of_onlookers(&self) -> Option<Event<'a, F>> {
        let word = self.onlookers.filter(|_| !fault::is(Fault::OnlookersForgotten));
        word.map(|word| Event::new(word, self.futex))
    }

    /// Wakes every sleeper, if there may be one, and takes the bit away: who sleeps again arms again, so whatever
    /// happens before it does costs nobody a wake. One load where nobody sleeps. For what may be used by some sleepers
    /// and not by others, and for changes by plain stores; then the armer's second look comes behind a barrier that
    /// reaches the caller, and the caller's look behind its change in program order.
    #[inline]
    pub fn signal_all(self) {
        // Pairs with `arm` and that barrier: either this load sees the bit, or the second look sees the change.
        let seen = self.word.load(Ordering::SeqCst);
        if seen & ARMED != 0 {
            self.wake_and_disarm(seen, u32::MAX);
        }
    }

    /// Wakes one sleeper, if there may be one, and takes the bit away, so that until that one runs and arms again, on
    /// behalf of the others too, signals are one load. For sleepers that arm before each look and signal when they are
    /// through, and that look by themselves from time to time: one that dies in between owes the others a wake. The
    /// caller has changed what they wait for by `publish_then_look`.
    #[inline]
    pub fn signal_next(self) {
        // Pairs with `arm`, as in `signal`.
        let seen = self.word.load(Ordering::SeqCst);
        if seen & ARMED != 0 {
            self.wake_and_disarm(seen, 1);
        }
    }

    #[cold]
    fn wake_and_disarm(self, seen: u32, sleepers: u32) {
        let mut seen = seen;
        while seen & ARMED != 0 {
            // Bit and sequence in one step: who has armed and not slept yet does not sleep on the value it armed.
            let step = if fault::is(Fault::DisarmKeepsSequence) { 0 } else { STEP };
            match arm_then_look(self.word, seen, seen.wrapping_add(step) & !ARMED) {
                Ok(_) => {
                    let sleepers = if fault::is(Fault::OneWakeForAll) { 1 } else { sleepers };
                    self.futex.wake(self.word, sleepers);
                    return;
                }
                // Another's signal took the bit away; this caller's change is visible by now.
                Err(now) => seen = now,
            }
        }
    }

    fn wake_or_disarm(&self, seen: u32) {
        if self.futex.wake(self.word, self.sleepers) > 0 {
            return;
        }
        // The sequence goes on: else who armed before this, and has not slept yet, would take the next one's bit for
        // its own, and sleep through what was changed in between.
        let step = if fault::is(Fault::DisarmKeepsSequence) { 0 } else { STEP };
        let disarmed = arm_then_look(self.word, seen, seen.wrapping_add(step) & !ARMED).is_ok();
        if disarmed && !fault::is(Fault::NoSecondWake) {
            // Without this wake, one that fell asleep after the wake above and before the clearing sleeps for ever.
            self.futex.wake(self.word, u32::MAX);
        }
    }

    /// Lets everybody look again, whoever died before it could say so: also those who listen, whatever the bit says and
    /// whatever they are interested in.
    pub fn raise(&self) {
        self.word.fetch_add(STEP, Ordering::SeqCst);
        self.futex.wake(self.word, u32::MAX);
        // Zero: nobody has looked on yet.
        if let Some(own) = self.event_of_onlookers().filter(|own| own.word.load(Ordering::SeqCst) != 0) {
            own.raise();
        }
        if let Some((listeners, _)) = self.listeners.filter(|_| !fault::is(Fault::RaiseTellsNobody)) {
            listeners.all().for_each(|listener| self.futex.tell_after_death(listener));
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_atomic::AtomicU64;

    use super::*;
    use crate::Actor;

    /// Counts wakes and tellings; says that `sleepers` were asleep at each wake.
    struct Fake {
        sleepers: AtomicU32,
        wakes: AtomicU32,
        told: AtomicU32,
    }

    impl Fake {
        fn new(sleepers: u32) -> Self {
            Self { sleepers: AtomicU32::new(sleepers), wakes: AtomicU32::new(0), told: AtomicU32::new(0) }
        }

        fn wakes(&self) -> u32 {
            self.wakes.load(Ordering::Relaxed)
        }
    }

    impl Futex for Fake {
        fn wait(&self, word: &AtomicU32, expected: u32, _time: Duration) -> Awake {
            if word.load(Ordering::Relaxed) == expected { Awake::TimedOut } else { Awake::Changed }
        }

        fn wake(&self, _word: &AtomicU32, count: u32) -> u32 {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            self.sleepers.load(Ordering::Relaxed).min(count)
        }

        fn tell(&self, listener: Listener) {
            self.told.fetch_or(1 << listener.registration(), Ordering::Relaxed);
        }

        fn tell_after_death(&self, listener: Listener) {
            self.told.fetch_or(0x100 << listener.registration(), Ordering::Relaxed);
        }
    }

    /// A table of three: number 0 for arrivals, 1 for departures, 2 for both.
    fn listeners() -> [AtomicU64; 3] {
        let (actor, both) = (Actor { process: 0, epoch: 0 }, Interest::ARRIVALS.or(Interest::DEPARTURES));
        let table: [AtomicU64; 3] = Default::default();
        for (number, interest) in [(0, Interest::ARRIVALS), (1, Interest::DEPARTURES), (2, both)] {
            assert!(Listeners::new(&table).enter(Listener::new(actor, number, interest)));
        }
        table
    }

    #[test]
    fn a_signal_tells_those_interested_once_until_somebody_listens_again() {
        let (word, table, fake) = (AtomicU32::new(12), listeners(), Fake::new(1));
        let event = Event::new(&word, &fake).heard(Listeners::new(&table), Interest::ARRIVALS);
        let told = || fake.told.swap(0, Ordering::Relaxed);
        event.signal();
        assert_eq!(told(), 0);
        event.listen();
        event.signal();
        assert_eq!((told(), word.load(Ordering::Relaxed), fake.wakes()), (0b101, 12, 0));
        event.signal();
        assert_eq!(told(), 0);
        event.listen();
        event.signal_onlookers();
        assert_eq!(told(), 0b101);
    }

    #[test]
    fn sleepers_and_listeners_both_hear_a_signal_and_neither_uses_it_up() {
        let (word, table, fake) = (AtomicU32::new(0), listeners(), Fake::new(1));
        let event = Event::new(&word, &fake).heard(Listeners::new(&table), Interest::DEPARTURES);
        event.listen();
        let armed = event.arm();
        event.signal();
        assert_eq!((fake.wakes(), fake.told.swap(0, Ordering::Relaxed)), (1, 0b110));
        assert_eq!(event.sleep(armed, Duration::ZERO), Awake::Changed);
        event.signal();
        assert_eq!((fake.wakes(), fake.told.swap(0, Ordering::Relaxed)), (2, 0), "the sleeper's bit is left");
    }

    #[test]
    fn a_raise_tells_everybody_whatever_the_bit_says() {
        let (word, table, fake) = (AtomicU32::new(0), listeners(), Fake::new(0));
        Event::new(&word, &fake).heard(Listeners::new(&table), Interest::ARRIVALS).raise();
        assert_eq!(fake.told.load(Ordering::Relaxed), 0x700);
    }

    #[test]
    fn a_signal_that_finds_no_bit_makes_no_call() {
        let (word, fake) = (AtomicU32::new(12), Fake::new(1));
        Event::new(&word, &fake).signal();
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (12, 0));
    }

    #[test]
    fn a_signal_between_arming_and_sleeping_prevents_the_sleep() {
        let (word, fake) = (AtomicU32::new(12), Fake::new(1));
        let event = Event::new(&word, &fake);
        let armed = event.arm();
        event.signal();
        assert_eq!(event.sleep(armed, Duration::from_secs(1)), Awake::Changed);
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (17, 1));
    }

    #[test]
    fn a_signal_that_woke_nobody_disarms_and_then_wakes_everybody() {
        let (word, fake) = (AtomicU32::new(0), Fake::new(0));
        let event = Event::new(&word, &fake);
        let _ = event.arm();
        event.signal();
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (8, 2));
    }

    #[test]
    fn onlookers_are_all_woken_by_a_signal_that_was_not_for_them() {
        let (word, onlookers, fake) = (AtomicU32::new(0), AtomicU32::new(0), Fake::new(3));
        let event = Event::new(&word, &fake).watched(&onlookers);
        let own = Event::new(&onlookers, &fake);
        let armed = own.arm();
        event.signal();
        assert_eq!((fake.wakes(), own.sleep(armed, Duration::ZERO)), (0, Awake::TimedOut));
        let _ = event.arm();
        event.signal();
        assert_eq!((fake.wakes(), own.sleep(armed, Duration::ZERO)), (2, Awake::Changed));
    }

    #[test]
    fn a_signal_to_all_wakes_them_once_and_leaves_the_word_disarmed() {
        let (word, fake) = (AtomicU32::new(12), Fake::new(2));
        let event = Event::new(&word, &fake);
        event.signal_all();
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (12, 0));
        let armed = event.arm();
        event.signal_all();
        event.signal_all();
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (16, 1));
        assert_eq!(event.sleep(armed, Duration::from_secs(1)), Awake::Changed);
    }

    #[test]
    fn a_signal_to_the_next_wakes_one_and_is_one_load_until_somebody_arms_again() {
        let (word, fake) = (AtomicU32::new(12), Fake::new(2));
        let event = Event::new(&word, &fake);
        let armed = event.arm();
        event.signal_next();
        event.signal_next();
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (16, 1));
        assert_eq!(event.sleep(armed, Duration::from_secs(1)), Awake::Changed);
        let _ = event.arm();
        event.signal_next();
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (20, 2));
    }

    #[test]
    fn a_raise_is_seen_by_who_has_armed_and_keeps_the_bit() {
        let (word, fake) = (AtomicU32::new(0), Fake::new(0));
        let event = Event::new(&word, &fake);
        let armed = event.arm();
        event.raise();
        assert_eq!(event.sleep(armed, Duration::from_secs(1)), Awake::Changed);
        assert_eq!((word.load(Ordering::Relaxed), fake.wakes()), (5, 1));
    }
}
