//! Those who wait in a channel set: for ever, to receive, or once.

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use weyr_atomic::explore::{self, Context, Outcome, checkpoint, wait_until};
use weyr_channel::protocol::{
    Attached, Attempt, Gathering, Listened, ListeningHost, ListeningPool, ReceiveSide, Taken, Tried,
};
use weyr_channel::{Error, PollEvents, WaitMode};
use weyr_shared::{Element, ReadyRow, RegistrationMask, SlotState, SlotWord};

use super::{ModelFutex, ModelHost, World, holder_is_dead};

/// The pool of the one channel, as one process has it.
#[derive(Clone)]
pub(super) struct ModelPool<'w> {
    world: &'w World,
    futex: ModelFutex<'w>,
    place: Rc<Cell<u64>>,
}

impl<'w> ModelPool<'w> {
    pub(super) fn new(futex: ModelFutex<'w>) -> Self {
        Self { world: futex.world, futex, place: Rc::default() }
    }

    /// The process remembers this place, besides what its set does.
    fn stand_at(&self, place: u64) {
        self.place.set(place);
    }
}

impl fmt::Debug for ModelPool<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelPool")
    }
}

impl<'w> ListeningPool for ModelPool<'w> {
    type Futex = ModelFutex<'w>;

    fn identity(&self) -> u128 {
        1
    }

    fn futex(&self) -> &ModelFutex<'w> {
        &self.futex
    }

    fn row(&self) -> Result<Element<ReadyRow>, Error> {
        Ok(self.world.rows.element(self.futex.process).unwrap())
    }

    fn take_registration(&self, held: u32) -> Result<Option<u16>, Error> {
        Ok((held == 0).then_some(0))
    }

    fn give_back(&self, _: &RegistrationMask) {}

    fn reap(&self) {
        for process in 0..self.world.case.recoverer_numbers().start {
            if explore::is_dead(process) {
                self.world.repair(process, &self.futex);
            }
        }
    }

    fn now_ns(&self) -> u64 {
        0
    }

    fn before_pass(&self, remembered: u128) {
        let mut hasher = DefaultHasher::new();
        (remembered, self.place.get()).hash(&mut hasher);
        checkpoint(hasher.finish());
    }
}

impl<'w> ListeningHost for ModelHost<'w> {
    type Pool = ModelPool<'w>;

    fn listening_pool(&self) -> &ModelPool<'w> {
        &self.pool
    }
}

/// A channel that is in a set, and used beside it.
#[derive(Clone)]
pub(super) struct Member<'w>(pub(super) Rc<Attached<ModelHost<'w>>>);

impl<'w> Listened for Member<'w> {
    type Host = ModelHost<'w>;

    fn attached(&self) -> &Attached<ModelHost<'w>> {
        &self.0
    }
}

pub(super) fn set_of<'w>(member: &Member<'w>, events: PollEvents) -> Gathering<Member<'w>> {
    let mut set = Gathering::default();
    set.add(member.clone(), events, 7).unwrap();
    set
}

/// Takes the next message, waiting for it in `set`.
pub(super) fn take_in_set<'w>(
    member: &Member<'w>,
    set: &mut Gathering<Member<'w>>,
    side: &ReceiveSide,
    state: SlotState,
) -> Taken {
    let mut ready = Vec::new();
    loop {
        member.0.host().pool.stand_at(side.position());
        ready.clear();
        let host = member.0.host();
        host.in_set.set(true);
        set.wait_until(&mut ready, 1, WaitMode::Idle, None).unwrap();
        host.in_set.set(false);
        host.beside.set(set.remembered());
        assert!(ready[0].events == PollEvents::IN && ready[0].error.is_none(), "{ready:?}");
        // Another receiver may have it by now, or somebody may write there whom only patience overcomes.
        if let Tried::Done(taken) = member.0.try_take(side, state, Attempt::AT_ONCE).unwrap() {
            return taken;
        }
    }
}

/// Waits in a set for what the case says, once.
pub(super) fn wait_once(world: &World, context: &Context) {
    let member = Member(Rc::new(ModelHost::new(world, context.process()).attached()));
    let events = world.case.sets[context.process() - world.case.set_numbers().start];
    let (mut set, mut ready) = (set_of(&member, events), Vec::new());
    member.0.host().in_set.set(true);
    set.wait_until(&mut ready, 1, WaitMode::Idle, None).unwrap();
    let found = ready[0].events;
    assert!(!found.is_empty() && events.contains(found), "waited for {events:?}, found {found:?}");
}

/// A slice of a set ends only where a look could find something: elsewhere it is a turn on the spot.
pub(super) fn wait_for_something_to_find(world: &World, process: usize) {
    let events = world
        .case
        .set_numbers()
        .contains(&process)
        .then(|| world.case.sets[process - world.case.set_numbers().start]);
    wait_until("the end of a slice of a set", || {
        let words = world.words();
        let waits = |word: &SlotWord| word.state == SlotState::Full || word.state.is_returned();
        let for_messages = events.is_none_or(|events| events == PollEvents::IN);
        let found = if for_messages { words.iter().any(waits) } else { true };
        found || words.into_iter().any(holder_is_dead)
    });
}

/// Nobody can go on: whoever still waits has nothing to find.
pub(super) fn judge(world: &World, outcome: &Outcome, words: &[SlotWord]) -> Result<(), String> {
    super::look::judge_who_waits(outcome, words, world.case.sets, world.case.set_numbers(), "a set")
}
