//! Those who lock a channel or bring it to rest, once each.

use weyr_atomic::explore::{self, Context};
use weyr_channel::protocol::{Attached, Patience};
use weyr_shared::RingLock;

use super::{ModelHost, World, holder_is_dead};

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
}

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
        Locker::Write => {
            lock(world, &channel, RingLock::Write, |barred, held| barred.write = held.then_some(process))
        }
        Locker::Read => {
            lock(world, &channel, RingLock::Read, |barred, held| barred.read = held.then_some(process))
        }
        Locker::Quiesce => {
            channel.quiesce(Patience::Until(None)).unwrap();
            world.note(|barred| barred.quiesced = true);
            hold(world, &channel);
            world.note(|barred| barred.quiesced = false);
            let _another_was_first = channel.unquiesce();
        }
    }
}

fn lock(world: &World, channel: &Attached<ModelHost<'_>>, lock: RingLock, set: impl Fn(&mut Barred, bool)) {
    // Of a quiesce that another has made this is told, and comes back when that is over.
    let word = match channel.lock(lock, Patience::Until(None)) {
        Ok(word) => word,
        Err(weyr_channel::Error::Quiesced) => return,
        Err(error) => panic!("{error}"),
    };
    world.note(|barred| set(barred, true));
    hold(world, channel);
    world.note(|barred| set(barred, false));
    channel.end_lock(lock, word);
}

/// Between a lock and its end lies a step, so that others act in between.
fn hold(world: &World, channel: &Attached<ModelHost<'_>>) {
    channel.host().progress.set(1);
    channel.host().merge_states(0);
    let _a_step = world.ring.header().state.load(weyr_atomic::Ordering::SeqCst);
}
