//! Those who look and take nothing: pollers and peekers.

use weyr_atomic::explore::{Context, Fate, Outcome};
use weyr_channel::protocol::{PollSide, ReceiveSide};
use weyr_channel::{PollEvents, WaitMode};
use weyr_shared::{SlotState, SlotWord};

use super::{ModelHost, World, bit};

/// Waits for what the case says, once.
pub(super) fn poll_once(world: &World, context: &Context) {
    let (channel, side) = (ModelHost::new(world, context.process()).attached(), PollSide::default());
    let events = world.case.pollers[context.process() - world.case.poller_numbers().start];
    let found = channel.poll_until(&side, events, WaitMode::Idle, None).unwrap();
    assert!(!found.is_empty() && events.contains(found), "polled for {events:?}, found {found:?}");
}

/// Looks at the message at the head once; whatever it finds was sent, and is whole.
pub(super) fn peek_once(world: &World, context: &Context) {
    let (channel, side) = (ModelHost::new(world, context.process()).attached(), ReceiveSide::default());
    let Some(peeked) = channel.try_peek(&side).unwrap() else { return };
    let (block, _) = peeked.reference().unwrap();
    let sent = world.oracle.read(|oracle| oracle.sent);
    assert_ne!(sent & bit(block.offset), 0, "message {} was seen and never sent", block.offset);
    if world.case.torn {
        assert_eq!(block.offset, block.generation, "the copy is torn");
    }
}

/// Nobody can go on: whoever still polls has nothing to find.
pub(super) fn judge_pollers(world: &World, outcome: &Outcome, words: &[SlotWord]) -> Result<(), String> {
    judge_who_waits(outcome, words, world.case.pollers, world.case.poller_numbers(), "a poller")
}

/// The same of those processes, each of which waits for one of the `events`.
pub(super) fn judge_who_waits(
    outcome: &Outcome,
    words: &[SlotWord],
    events: &[PollEvents],
    processes: std::ops::Range<usize>,
    who: &str,
) -> Result<(), String> {
    let waits = |word: &SlotWord| word.state == SlotState::Full || word.state.is_returned();
    let holds = |event: &PollEvents| match *event {
        PollEvents::IN => words.iter().any(waits),
        PollEvents::OUT => words.iter().any(|word| word.state == SlotState::Empty),
        PollEvents::EMPTY => !words.iter().any(waits),
        _ => words.iter().all(|word| word.state == SlotState::Full),
    };
    let all = [PollEvents::IN, PollEvents::OUT, PollEvents::EMPTY, PollEvents::FULL];
    for (process, &events) in processes.zip(events) {
        let missed = all.iter().any(|event| events.contains(*event) && holds(event));
        if missed && !outcome.finished(process) && outcome.fates[process] != Fate::Dead {
            return Err(format!("{who} for {events:?} waits for ever: {outcome}; {words:?}"));
        }
    }
    Ok(())
}
