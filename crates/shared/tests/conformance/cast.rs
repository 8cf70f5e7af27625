//! Threads that play processes: they die and stand still when they are told to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use weyr_atomic::{AtomicU32, AtomicU64, Ordering};
use weyr_shared::lock::Participant;
use weyr_shared::{Actor, Awake, Futex, KernelFutex};

/// Who of a cast is dead, one bit each.
#[derive(Default)]
pub(crate) struct Cast(AtomicU64);

impl Cast {
    pub(crate) fn bury(&self, number: u16) {
        self.0.fetch_or(1 << number, Ordering::SeqCst);
    }

    pub(crate) fn actor(&self, number: u16) -> Player<'_, KernelFutex> {
        Player { cast: self, number, futex: KernelFutex, forked: false }
    }

    /// Never finds anybody slow, however busy the machine is: its sleeps end by a wake alone.
    pub(crate) fn patient(&self, number: u16) -> Player<'_, Patient> {
        Player { cast: self, number, futex: Patient, forked: false }
    }

    /// Dies in its first sleep.
    pub(crate) fn mortal(&self, number: u16) -> Player<'_, Dying> {
        Player { cast: self, number, futex: Dying, forked: false }
    }

    /// As the process has it that was forked from this one.
    pub(crate) fn child_of(&self, number: u16) -> Player<'_, KernelFutex> {
        Player { forked: true, ..self.actor(number) }
    }

    /// Stands still in its first sleep, until it is told to go on.
    pub(crate) fn stopping(&self, number: u16) -> (Player<'_, Standing>, Stopped) {
        let ((stands, is_standing), (go_on, going)) = (channel(), channel());
        let futex = Standing { stands, going: going.into() };
        (Player { cast: self, number, futex, forked: false }, Stopped { is_standing, go_on })
    }
}

/// A participant.
pub(crate) struct Player<'c, F> {
    cast: &'c Cast,
    number: u16,
    futex: F,
    forked: bool,
}

impl<F: Futex> Participant for Player<'_, F> {
    type Futex = F;

    fn me(&self) -> Option<Actor> {
        (!self.forked).then_some(Actor { process: self.number, epoch: 7 })
    }

    fn is_dead(&self, other: Actor) -> bool {
        self.cast.0.load(Ordering::SeqCst) >> other.process & 1 == 1
    }

    fn futex(&self) -> &F {
        &self.futex
    }
}

/// Sleeps until it is woken.
pub(crate) struct Patient;

impl Futex for Patient {
    fn wait(&self, word: &AtomicU32, expected: u32, time: Duration) -> Awake {
        loop {
            match KernelFutex.wait(word, expected, time) {
                Awake::TimedOut => {}
                awake => return awake,
            }
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        KernelFutex.wake(word, count)
    }
}

/// Sleeping is its end.
pub(crate) struct Dying;

impl Futex for Dying {
    fn wait(&self, _: &AtomicU32, _: u32, _: Duration) -> Awake {
        std::panic::resume_unwind(Box::new("dies asleep"));
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        KernelFutex.wake(word, count)
    }
}

/// Runs `act` to the death of its player, which is buried.
pub(crate) fn dies(cast: &Cast, number: u16, act: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(act)).expect_err("it sleeps");
    cast.bury(number);
}

/// Sleeps until it is told to go on.
pub(crate) struct Standing {
    stands: Sender<()>,
    going: std::sync::Mutex<Receiver<()>>,
}

impl Futex for Standing {
    fn wait(&self, _: &AtomicU32, _: u32, _: Duration) -> Awake {
        // From the second sleep on nobody listens, and it goes on at once.
        let _is_listened_to = self.stands.send(());
        let _was_told = self.going.lock().unwrap().recv();
        Awake::Changed
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        KernelFutex.wake(word, count)
    }
}

/// One that stands still; goes on when this is dropped.
pub(crate) struct Stopped {
    is_standing: Receiver<()>,
    go_on: Sender<()>,
}

impl Stopped {
    pub(crate) fn wait_until_it_stands(&self) {
        self.is_standing.recv().unwrap();
    }

    pub(crate) fn go_on(self) {
        drop(self.go_on);
    }
}
