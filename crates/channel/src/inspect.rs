//! What no position of a ring leads to: messages that were given back, and what the dead hold.

use std::ops::Range;

use weyr_atomic::Ordering;
use weyr_shared::fault::{self, Fault};
use weyr_shared::{Holder, SlotState};

use crate::Error;
use crate::attached::Attached;
use crate::host::Host;
use crate::receive::{ReceiveSide, Taken};
use crate::wait::{Attempt, LONGEST_SLICE, Tried};

/// After how many looks at an empty channel a handle that never sleeps asks the clock.
const LOOKS_PER_CLOCK: u64 = 1024;

/// How many messages were given back, and for how many all slots were searched; the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Returned {
    made: u32,
    seen: u32,
}

impl<H: Host> Attached<H> {
    /// What came of a try, or of an inspection if that is due.
    #[inline(always)]
    pub(crate) fn or_inspect(
        &self,
        side: &ReceiveSide,
        me: Holder,
        state: SlotState,
        attempt: Attempt,
        tried: Tried<Taken>,
    ) -> Result<Tried<Taken>, Error> {
        if matches!(tried, Tried::Blocked { .. }) && (attempt.inspect || self.is_inspection_due(side)) {
            return self.inspect(side, me, state, tried);
        }
        Ok(tried)
    }

    /// The counts of messages given back, if they differ.
    #[inline(always)]
    pub(crate) fn returned(&self) -> Option<Returned> {
        let header = self.ring.header();
        let made = header.returned_made.load(Ordering::Acquire);
        let seen = header.returned_seen.load(Ordering::Acquire);
        (made != seen).then_some(Returned { made, seen })
    }

    /// A message that was given back, if the counts differed. Only who has searched all slots in vain makes them
    /// equal, and only for the count that it had seen before.
    pub(crate) fn take_returned(
        &self,
        side: &ReceiveSide,
        me: Holder,
        state: SlotState,
        returned: Option<Returned>,
    ) -> Result<Option<Taken>, Error> {
        let Some(Returned { made, seen }) = returned else { return Ok(None) };
        let header = self.ring.header();
        // Failing means that another receiver has searched as well.
        let mark = || header.returned_seen.compare_exchange(seen, made, Ordering::SeqCst, Ordering::SeqCst);
        let _too_early = fault::is(Fault::MarkedBeforeSearch) && mark().is_ok();
        let found = self.search_returned(side, me, state, 0..self.ring.slot_count())?;
        let _marked = found.is_none() && mark().is_ok();
        Ok(found)
    }

    #[cold]
    pub(crate) fn search_returned(
        &self,
        side: &ReceiveSide,
        me: Holder,
        state: SlotState,
        slots: Range<u32>,
    ) -> Result<Option<Taken>, Error> {
        for index in slots {
            let found = self.claim_returned(side, me, state, index)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Claims what was given back to one slot. A claim that fails says nothing: a sender that goes round the slot
    /// leaves the message where it is, in a later lap. So it looks again until the slot is another's, or empty.
    fn claim_returned(
        &self,
        side: &ReceiveSide,
        me: Holder,
        state: SlotState,
        index: u32,
    ) -> Result<Option<Taken>, Error> {
        loop {
            let word = self.ring.load(index)?;
            if !word.state.is_returned() {
                return Ok(None);
            }
            let taken = word.held_by(state, me);
            if self.ring.claim(index, word, taken)? {
                let again = word.state == SlotState::Returned;
                side.redelivered.add(u64::from(again));
                return Ok(Some(Taken::new(index, taken, again)));
            }
            if fault::is(Fault::SearchLeavesSlotPassed) {
                return Ok(None);
            }
        }
    }

    pub(crate) fn is_inspection_due(&self, side: &ReceiveSide) -> bool {
        side.fruitless.add(1);
        side.fruitless.get().is_multiple_of(LOOKS_PER_CLOCK) && self.is_time_to_inspect(side)
    }

    #[cold]
    fn is_time_to_inspect(&self, side: &ReceiveSide) -> bool {
        let now_ns = self.host.now().as_nanos() as u64;
        let waited_ns = now_ns.saturating_sub(side.inspected_ns.load(Ordering::Relaxed));
        let due = waited_ns >= LONGEST_SLICE.as_nanos() as u64;
        if due {
            side.inspected_ns.store(now_ns, Ordering::Relaxed);
        }
        due
    }

    /// The net under counters and wakes: buries every dead holder, and takes what was given back without being
    /// counted. A channel that only one process still uses so recovers itself.
    #[cold]
    fn inspect(
        &self,
        side: &ReceiveSide,
        me: Holder,
        state: SlotState,
        tried: Tried<Taken>,
    ) -> Result<Tried<Taken>, Error> {
        self.bury_all()?;
        for level in (0..self.ring.levels()).rev() {
            let slots = self.ring.level(level)?.slots();
            if let Some(taken) = self.search_returned(side, me, state, slots)? {
                return self.unless_shut(taken);
            }
        }
        Ok(tried)
    }
}
