//! What is done for the dead, and with the messages of a channel that nobody will receive.

use weyr_atomic::Ordering;

use super::{Ring, UNSTABLE_READS};
use crate::fault::{self, Fault};
use crate::{Actor, BlockReference, Corrupt, Futex, Holder, Listener, MessageKind, SlotState, SlotWord};

/// What is done for the dead.
impl Ring {
    /// Ends everything that `actor`, which is dead, left undone here, and its locks, detaches it, lets it listen no more
    /// and wakes everybody. The caller is attached. Any number may do this at once, and again; each may die anywhere in it.
    ///
    /// `still_dead` is asked after each word was loaded and before it is changed; `in_flight` whether the pool's block
    /// is still on its way by that reference. Returns how many slots were changed.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be, found on the way; all other slots were repaired.
    pub fn repair<F: Futex>(
        &self,
        actor: Actor,
        still_dead: impl Fn() -> bool,
        in_flight: impl Fn(BlockReference) -> bool,
        futex: &F,
    ) -> Result<u32, Corrupt> {
        let (mut changed, mut outcome) = (0, Ok(()));
        if fault::is(Fault::CountedBeforeReturned) {
            self.count_returned();
        }
        for index in 0..self.slot_count {
            let dead = Holder::from(actor);
            match self.repair_slot(index, &|holder| holder == dead, &|_| still_dead(), &in_flight) {
                Ok(count) => changed += count,
                Err(corrupt) => outcome = outcome.and(Err(corrupt)),
            }
        }
        let broken = self.break_locks(&|holder| holder == Holder::from(actor), &|_| still_dead());
        self.forget_sleepers(actor.into());
        let detached = self.detach_dead(actor, &still_dead);
        self.listeners().clear(|listener| listener.is_of(actor) && still_dead());
        // Also when nothing was changed: who repaired it before may have died before this line.
        if !fault::is(Fault::RepairCountsNothing) && !fault::is(Fault::CountedBeforeReturned) {
            self.count_returned();
        }
        if !fault::is(Fault::RepairWakesNobody) {
            self.wake_everybody(futex);
        }
        outcome.and(broken).and(detached).map(|()| changed)
    }

    /// Ends what slots hold for a holder who `is_nobody`: who had that name is gone, and was repaired. That is asked
    /// behind the look at each word. Any number may do this at once, and again. Returns how many slots were changed.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be, found on the way; all other slots were repaired.
    pub fn repair_nobodys<F: Futex>(
        &self,
        is_nobody: impl Fn(Holder) -> bool,
        in_flight: impl Fn(BlockReference) -> bool,
        futex: &F,
    ) -> Result<u32, Corrupt> {
        let (mut changed, mut outcome) = (0, Ok(()));
        for index in 0..self.slot_count {
            match self.repair_slot(index, &is_nobody, &is_nobody, &in_flight) {
                Ok(count) => changed += count,
                Err(corrupt) => outcome = outcome.and(Err(corrupt)),
            }
        }
        match self.break_locks(&is_nobody, &is_nobody) {
            Ok(count) => changed += count,
            Err(corrupt) => outcome = outcome.and(Err(corrupt)),
        }
        if changed > 0 {
            self.count_returned();
            self.wake_everybody(futex);
        }
        // Of no slot; who has a set enters itself again.
        let holder =
            |listener: Listener| Holder { process: listener.process(), epoch: listener.epoch() as u8 };
        self.listeners().clear(|listener| is_nobody(holder(listener)));
        outcome.map(|()| changed)
    }

    /// Takes every waiting message out whose block is not on its way by its reference, as `is_lost` says: it is asked
    /// behind the look at the slot, and nobody but a receiver, which changes the slot first, ends that. The caller is
    /// attached, as `me`; when it dies in between, the slot names it, and is emptied as that of a receiver that has
    /// taken. Returns how many messages there were.
    ///
    /// # Errors
    /// [`Corrupt`]: a slot that cannot be judged; all others were.
    pub fn remove_lost<F: Futex>(
        &self,
        me: Holder,
        is_lost: impl Fn(BlockReference) -> bool,
        futex: &F,
    ) -> Result<u32, Corrupt> {
        let (mut removed, mut outcome) = (0, Ok(()));
        for index in 0..self.slot_count {
            match self.remove_if_lost(index, me, &is_lost) {
                Ok(lost) => removed += u32::from(lost),
                Err(corrupt) => outcome = outcome.and(Err(corrupt)),
            }
        }
        if removed > 0 {
            self.wake_everybody(futex);
        }
        outcome.map(|()| removed)
    }

    fn remove_if_lost(
        &self,
        index: u32,
        me: Holder,
        is_lost: &impl Fn(BlockReference) -> bool,
    ) -> Result<bool, Corrupt> {
        let Some((word, block)) = self.stable_reference(index)? else { return Ok(false) };
        let early = fault::is(Fault::LostBeforeSlot).then(|| is_lost(block));
        // A mistake of models: the slot is looked at again, and the judgement is of before.
        let word = if early.is_some() { self.load(index)? } else { word };
        let Some(taken) = Self::taken_by(word, me) else { return Ok(false) };
        if !early.unwrap_or_else(|| is_lost(block)) || !self.claim(index, word, taken)? {
            return Ok(false);
        }
        self.release(index, taken, SlotState::Empty)?;
        Ok(true)
    }

    /// What a waiting message's slot becomes in the hands of a receiver.
    pub(super) fn taken_by(word: SlotWord, me: Holder) -> Option<SlotWord> {
        match word.state {
            SlotState::Full => Some(word.held_by(SlotState::Taking, me).laps_later(1)),
            SlotState::Returned | SlotState::PutBack => Some(word.held_by(SlotState::Taking, me)),
            _ => None,
        }
    }

    /// Repairs one slot until it no longer names who `is_dead`; returns how many changes that took. `still_so` is asked
    /// behind all looks, before each change.
    fn repair_slot(
        &self,
        index: u32,
        is_dead: &impl Fn(Holder) -> bool,
        still_so: &impl Fn(Holder) -> bool,
        in_flight: &impl Fn(BlockReference) -> bool,
    ) -> Result<u32, Corrupt> {
        let mut changed = 0;
        loop {
            let word = self.load(index)?;
            if !word.state.names_holder() || !is_dead(word.holder) {
                return Ok(changed);
            }
            let repaired = self.repaired(index, word, in_flight);
            if !still_so(word.holder) {
                return Ok(changed);
            }
            changed += u32::from(self.publish(index, word, repaired)?);
        }
    }

    /// What a word becomes whose holder is dead.
    fn repaired(&self, index: u32, word: SlotWord, in_flight: &impl Fn(BlockReference) -> bool) -> SlotWord {
        match word.state {
            // Others may have sent behind it, so the position is over, also where nothing was written yet.
            SlotState::Reserved => {
                word.becomes(SlotState::Empty).laps_later((!fault::is(Fault::ReservedStaysInLap)).into())
            }
            SlotState::Filling => word.becomes(SlotState::Empty).laps_later(1),
            SlotState::Taking | SlotState::Leased if self.is_untaken(index, in_flight) => {
                word.becomes(SlotState::Returned).laps_later(fault::is(Fault::ReturnedTakesNextLap).into())
            }
            _ => word.becomes(SlotState::Empty),
        }
    }

    /// Whether the message of a dead receiver is still the channel's: taking a block is the change of its word in
    /// the pool, taking bytes or frozen memory is the end of the receive. What makes no sense was not a message. Whether
    /// memory of another pool was taken the next receiver asks that pool.
    fn is_untaken(&self, index: u32, in_flight: &impl Fn(BlockReference) -> bool) -> bool {
        match (self.description(index).map(|description| description.kind), self.reference(index)) {
            (Ok(MessageKind::Inline | MessageKind::Frozen | MessageKind::Foreign), _) => true,
            (Ok(kind), Ok(message)) if kind.has_block() => in_flight(message.block),
            (Ok(MessageKind::Elsewhere), _) => !matches!(self.elsewhere(index), Ok(None)),
            _ => false,
        }
    }

    /// The blocks that messages in this channel refer to: in FULL, TAKING, LEASED, RETURNED and PUT_BACK.
    ///
    /// An error means that a slot could not be judged; then a block that was not seen may be in it all the same.
    pub fn references(&self) -> impl Iterator<Item = Result<(SlotWord, BlockReference), Corrupt>> {
        (0..self.slot_count).filter_map(|index| self.stable_reference(index).transpose())
    }

    fn stable_reference(&self, index: u32) -> Result<Option<(SlotWord, BlockReference)>, Corrupt> {
        use SlotState::{Empty, Filling, Reserved, Revoked};
        for _ in 0..UNSTABLE_READS {
            let word = self.load(index)?;
            if matches!(word.state, Empty | Reserved | Filling | Revoked) {
                return Ok(None);
            }
            let (description, message) = (self.description(index), self.reference(index)?);
            // Pairs with the claim of the next sender: the same word means that nobody wrote here in between.
            weyr_atomic::fence(Ordering::Acquire);
            if self.load(index)? == word {
                let has_block = description?.kind.has_block();
                return Ok(has_block.then_some((word, message.block)));
            }
        }
        Err(Corrupt::new("slot that never rests", self.word_at(index)))
    }

    /// Takes every message that waits in a destroyed channel and hands the blocks among them to `free`, but for those
    /// whose bytes lie [elsewhere](Self::drain_elsewhere), and those that are memory of [other
    /// pools](Self::drain_foreign): one of these may be sent at any time before its sender detaches. The caller is attached, as `me`; when it dies on the way the
    /// message is returned and drained by another.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be; all other slots were drained.
    pub fn drain(&self, me: Holder, mut free: impl FnMut(BlockReference)) -> Result<(), Corrupt> {
        self.for_all_slots(|index| self.drain_slot(index, me, &mut free))
    }

    /// Does something to every slot, whatever comes of those before.
    ///
    /// # Errors
    /// The first.
    pub(super) fn for_all_slots(
        &self,
        mut act: impl FnMut(u32) -> Result<(), Corrupt>,
    ) -> Result<(), Corrupt> {
        let mut outcome = Ok(());
        for index in 0..self.slot_count {
            outcome = outcome.and(act(index));
        }
        outcome
    }

    fn drain_slot(
        &self,
        index: u32,
        me: Holder,
        free: &mut impl FnMut(BlockReference),
    ) -> Result<(), Corrupt> {
        let word = self.load(index)?;
        let Some(taken) = Self::taken_by(word, me) else { return Ok(()) };
        let is_elsewhere = self.geometry.buffer_pool && self.elsewhere(index)?.is_some();
        let is_foreign = self.description(index).is_ok_and(|description| description.kind.is_foreign());
        if is_elsewhere || is_foreign || !self.claim(index, word, taken)? {
            return Ok(());
        }
        if self.description(index).is_ok_and(|description| description.kind.has_block()) {
            free(self.reference(index)?.block);
        }
        self.release(index, taken, SlotState::Empty).map(|_| ())
    }

    /// Leaves a slot that the caller holds by `held` to `state`, in whatever lap senders have put it by now. Returns
    /// the word as it became. Commit point: the exchange.
    ///
    /// # Errors
    /// [`Corrupt`]: the slot is no longer the caller's.
    #[inline]
    pub fn release(&self, index: u32, held: SlotWord, state: SlotState) -> Result<SlotWord, Corrupt> {
        let mut word = held;
        if fault::is(Fault::ReleasedByStore) {
            self.slot(index)?.word.store(held.becomes(state).bits(), Ordering::SeqCst);
            return Ok(held.becomes(state));
        }
        loop {
            let next = word.becomes(state);
            if self.publish(index, word, next)? {
                return Ok(next);
            }
            word = self.load(index)?;
            if (word.state, word.holder) != (held.state, held.holder) {
                return Err(Corrupt::new("slot in the hands of this process", self.word_at(index)));
            }
        }
    }

    /// Number of messages that wait, by one look at each slot.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be.
    pub fn waiting(&self) -> Result<u32, Corrupt> {
        (0..self.slot_count).try_fold(0, |count, index| {
            let state = self.load(index)?.state;
            Ok(count + u32::from(state == SlotState::Full || state.is_returned()))
        })
    }

    /// Positions that receivers have left behind, by one look at each slot: messages that they took, and positions that
    /// held none (a dead or slow sender's, and slots that were in somebody's hands). Begins anew after 2^36 laps.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be.
    pub fn passed(&self) -> Result<u64, Corrupt> {
        (0..self.slot_count).try_fold(0, |sum, index| Ok(sum + self.load(index)?.lap.number()))
    }

    /// Whether a message waits that was given back, by one look at each slot.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be.
    pub fn waiting_again(&self) -> Result<bool, Corrupt> {
        (0..self.slot_count)
            .try_fold(false, |found, index| Ok(found || self.load(index)?.state.is_returned()))
    }
}
