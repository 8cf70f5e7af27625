//! Those who lock a channel or bring it to rest, once each.

use weyr_atomic::explore::{self, Context, Fate, Outcome};
use weyr_channel::protocol::{Attached, Patience};
use weyr_shared::{RingLock, SlotState};

use super::{ModelHost, PROCESSES, World, holder_is_dead};

/// What one of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locker {
    Write,
    Read,
    Quiesce,
}

/// Who has what, as those know who were told so.
#[derive(Debug, Clone, Copy, Hash, Default)]
pub(super) struct Barred {
    write: Option<usize>,
    read: Option<usize>,
    quiesced: bool,
    /// How often each has looked again because the holder of a lock is dead.
    doubts: [u8; PROCESSES as usize],
}

/// Sleeps of one that may end beside a dead holder's lock: one to find it, and one for each other word on the way.
const DOUBTS: u8 = 3;

fn is_alive(holder: Option<usize>) -> bool {
    holder.is_some_and(|process| explore::ghost(|| !explore::is_dead(process)))
}

impl World {
    /// No message is sent behind a lock.
    pub(super) fn assert_may_send(&self) {
        let (holder, quiesced) = self.barred(|barred| barred.write);
        assert!(!is_alive(holder) && !quiesced, "a message entered a locked channel: {holder:?}, {quiesced}");
    }

    /// No message is received behind a lock.
    pub(super) fn assert_may_receive(&self) {
        let (holder, quiesced) = self.barred(|barred| barred.read);
        assert!(!is_alive(holder) && !quiesced, "a message left a locked channel: {holder:?}, {quiesced}");
    }

    fn barred(&self, of: impl Fn(Barred) -> Option<usize>) -> (Option<usize>, bool) {
        let holder = self.oracle.read(|oracle| of(oracle.barred).map_or(0, |process| process + 1));
        (holder.checked_sub(1), self.oracle.read(|oracle| oracle.barred.quiesced))
    }

    pub(super) fn is_lock_of_the_dead(&self) -> bool {
        let held = RingLock::ALL.into_iter().filter_map(|lock| self.ring.lock(lock).unwrap().holder());
        held.into_iter().any(|holder| explore::is_dead(holder.process.into()))
    }

    /// No sleep ends over and over beside a dead holder's lock, which who sleeps is to break: that is no end in which
    /// nobody can go on.
    pub(super) fn assert_gets_on(&self, process: usize) {
        if explore::ghost(|| self.is_hindered_by_the_dead(process)) {
            let doubts = self.oracle.update(|oracle| {
                oracle.barred.doubts[process] += 1;
                u64::from(oracle.barred.doubts[process])
            });
            assert!(doubts <= DOUBTS.into(), "{process} leaves a dead holder's lock as it is");
        }
    }

    /// Whether the holder of the lock that keeps this one away is dead.
    fn is_hindered_by_the_dead(&self, process: usize) -> bool {
        let case = &self.case;
        let own = match process.checked_sub(case.locker_numbers().start).map(|locker| case.lockers[locker]) {
            Some(Locker::Write) => RingLock::Write,
            Some(Locker::Read) => RingLock::Read,
            Some(Locker::Quiesce) => return false,
            None if case.sender_numbers().contains(&process) => RingLock::Write,
            None => RingLock::Read,
        };
        let holder = self.ring.lock(own).unwrap().holder();
        holder.is_some_and(|holder| explore::is_dead(holder.process.into()))
    }

    /// Whether one that locks waits for nobody any more.
    pub(super) fn is_free_for(&self, process: usize) -> bool {
        let is_free = |lock| {
            let holder = self.ring.lock(lock).unwrap().holder();
            holder.is_none_or(|holder| usize::from(holder.process) == process)
        };
        let is_in_hands = |of: fn(SlotState) -> bool| self.words().iter().any(|word| of(word.state));
        match self.case.lockers[process - self.case.locker_numbers().start] {
            Locker::Write => is_free(RingLock::Write),
            Locker::Read => {
                let is_taken = |state| matches!(state, SlotState::Taking | SlotState::Leased);
                is_free(RingLock::Read) && !is_in_hands(is_taken)
            }
            Locker::Quiesce => !is_in_hands(SlotState::names_holder),
        }
    }

    /// A quiesce falls with nobody: then those who still wait are right to.
    pub(super) fn rests_for_ever(&self) -> bool {
        let at_rest = self.ring.is_at_rest();
        let held = |word: &weyr_shared::SlotWord| word.state.names_holder() && !holder_is_dead(*word);
        assert!(
            !at_rest || !self.words().iter().any(held),
            "a channel at rest with claims: {:?}",
            self.words()
        );
        self.ring.is_quiesced()
    }

    fn note(&self, change: impl FnOnce(&mut Barred)) {
        self.oracle.update(|oracle| change(&mut oracle.barred));
    }
}

/// Locks and unlocks.
pub(super) fn lock_once(world: &World, context: &Context) {
    let process = context.process();
    let channel = ModelHost::new(world, process).attached();
    match world.case.lockers[process - world.case.locker_numbers().start] {
        Locker::Write => lock(world, &channel, RingLock::Write, |barred| &mut barred.write),
        Locker::Read => lock(world, &channel, RingLock::Read, |barred| &mut barred.read),
        Locker::Quiesce => {
            channel.quiesce(Patience::Until(None)).unwrap();
            world.note(|barred| barred.quiesced = true);
            hold(world, &channel);
            world.note(|barred| barred.quiesced = false);
            let _another_was_first = channel.unquiesce();
        }
    }
}

fn lock(
    world: &World,
    channel: &Attached<ModelHost<'_>>,
    lock: RingLock,
    of: fn(&mut Barred) -> &mut Option<usize>,
) {
    // Of a quiesce that another has made this is told, and comes back when that is over.
    let word = match channel.lock(lock, Patience::Until(None)) {
        Ok(word) => word,
        Err(weyr_channel::Error::Quiesced) => return,
        Err(error) => panic!("{error}"),
    };
    let process = usize::from(word.holder().expect("held").process);
    world.note(|barred| {
        let holder = of(barred);
        assert!(!is_alive(*holder), "two have the lock: {holder:?} and {process}");
        *holder = Some(process);
    });
    hold(world, channel);
    world.note(|barred| *of(barred) = None);
    channel.end_lock(lock, word);
}

/// Between a lock and its end lies a step, so that others act in between.
fn hold(world: &World, channel: &Attached<ModelHost<'_>>) {
    channel.host().progress.set(1);
    channel.host().merge_states(0);
    let _a_step = world.ring.header().state.load(weyr_atomic::Ordering::SeqCst);
}

/// Who locks comes to its end, where nobody stands still whom it waits for.
pub(super) fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    let is_blocked = |process: usize| matches!(outcome.fates[process], Fate::Blocked(_));
    let waits = world.case.stops == 0 && world.case.locker_numbers().any(is_blocked);
    if waits { Err(format!("one that locks waits for ever: {outcome}; {:?}", world.words())) } else { Ok(()) }
}
