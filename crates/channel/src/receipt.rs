//! Waiting until a message was received.
//!
//! No word of shared memory is written for it: the sender knows slot and lap of its message, and the slot's word says
//! whether it is still there. Sent as FULL(n):
//!
//! | the slot's word, lap m | the message |
//! | --- | --- |
//! | FULL(n) | waits |
//! | TAKING, LEASED, RETURNED, PUT_BACK(n+1) | is in somebody's hands, or waits again: only what was FULL(n) comes there |
//! | the same, m > n+1 | is there, if senders went round the slot meanwhile; or a later one is, and this one is gone |
//! | anything else, m > n | is gone: the slot is, or was, free for another |
//!
//! The third case is decided by what the slot says about its message, between two looks at the same word: see
//! [`Likeness`]. Where that is another, the message is gone. Where it is the same, it is taken to be there still, which with
//! message attributes is exact. Without them a later message that says the same, from the same process, makes the wait
//! longer, until that one is gone too; no receipt is ever told of that was none.
//!
//! **Received** is a message whose slot was left by who took it, or by who ended its lease: not before, for until then
//! a death brings it back. A receiver that dies before leaves it to the next one, and the sender waits on. A message is
//! also gone when its channel was destroyed: then nobody can say any more.
//!
//! Who waits is an onlooker (`poll.rs`), so no wake that a sender must get is spent on it.

use std::cell::Cell;
use std::time::Instant;

use weyr_shared::fault::{self, Fault};
use weyr_shared::{Corrupt, Lap, Likeness, Ring, SlotState, SlotWord};

use crate::attached::Attached;
use crate::host::Host;
use crate::poll::{Onlooker, PollEvents};
use crate::send::{Claim, Outgoing};
use crate::wait::{Attempt, Waiter};
use crate::{Error, WaitMode};

/// How often a slot that changes under the look is looked at again before it counts as that of a message.
const LOOKS: u32 = 8;

/// Where a message was put, and what it was like there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    index: u32,
    lap: Lap,
    likeness: Likeness,
}

/// A message that remembers where it was put.
#[derive(Debug)]
pub struct Awaited<'a, M> {
    message: &'a M,
    sent: Cell<Option<Sent>>,
}

impl<'a, M> Awaited<'a, M> {
    /// Of `message`, with all that goes with it.
    pub fn new(message: &'a M) -> Self {
        Self { message, sent: Cell::new(None) }
    }

    /// Where it was put; none if it never was.
    pub fn sent(&self) -> Option<Sent> {
        self.sent.get()
    }
}

impl<H: Host, M: Outgoing<H>> Outgoing<H> for Awaited<'_, M> {
    fn fill(&self, host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        self.message.fill(host, ring, claim)?;
        match ring.likeness(claim.index()) {
            Ok(likeness) => {
                self.sent.set(Some(Sent { index: claim.index(), lap: claim.word().lap, likeness }));
                Ok(())
            }
            Err(corrupt) => {
                self.message.take_back(host)?;
                Err(corrupt.into())
            }
        }
    }

    fn take_back(&self, host: &H) -> Result<(), Error> {
        self.sent.set(None);
        self.message.take_back(host)
    }

    fn bytes_copied(&self) -> u64 {
        self.message.bytes_copied()
    }
}

/// What a slot's word alone says of a message.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    There,
    Gone,
    /// It, or a later one.
    One,
    Impossible,
}

fn said(word: SlotWord, lap: Lap) -> Said {
    use SlotState::{Full, Leased, PutBack, Returned, Taking};
    match (word.lap.after(lap), word.state) {
        (0, Full) | (1, Taking | Leased | Returned | PutBack) => Said::There,
        (2.., Taking | Leased | Returned | PutBack) => Said::One,
        (1.., _) => Said::Gone,
        _ => Said::Impossible,
    }
}

impl<H: Host> Attached<H> {
    /// Whether a message that this process has sent was received. Does not wait.
    ///
    /// # Errors
    /// [`Error::Destroyed`], received or not; [`Error::Corrupt`].
    pub fn is_received_by_somebody(&self, sent: &Sent, attempt: Attempt) -> Result<bool, Error> {
        let gone = self.is_gone(sent)?;
        // Behind the look: who destroys says so before it takes messages away.
        self.check_usable()?;
        if !gone && attempt.inspect {
            self.bury(sent.index, self.ring.load(sent.index)?)?;
        }
        Ok(gone)
    }

    fn is_gone(&self, sent: &Sent) -> Result<bool, Error> {
        for _ in 0..LOOKS {
            let word = self.ring.load(sent.index)?;
            match said(word, sent.lap) {
                Said::There => return Ok(false),
                Said::Gone => return Ok(true),
                Said::Impossible => return Err(Corrupt::new("lap of a slot", sent.index.into()).into()),
                Said::One if fault::is(Fault::LaterLapIsReceipt) => return Ok(true),
                Said::One => {}
            }
            let likeness = self.ring.likeness(sent.index);
            if self.ring.is_still(sent.index, word)? {
                return Ok(likeness? != sent.likeness);
            }
        }
        Ok(false)
    }

    /// Waits until a message that this process has sent was received.
    ///
    /// # Errors
    /// As [`is_received_by_somebody`](Self::is_received_by_somebody), and [`Error::Timeout`].
    pub fn await_receipt(&self, sent: &Sent, mode: WaitMode, deadline: Option<Instant>) -> Result<(), Error> {
        let mut waiter = Waiter::new(mode, deadline);
        let onlooker = Onlooker::new(&self.ring, self.host.futex(), PollEvents::EMPTY);
        loop {
            let place = u64::from(sent.index) << 36 | sent.lap.number();
            self.host.before_try(waiter.remembered(place));
            if self.is_received_by_somebody(sent, waiter.attempt())? {
                return Ok(());
            }
            waiter.pause(&onlooker, false)?;
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::fake_pool::{FakeHost, FakePool};
    use crate::receive::{ReceiveSide, Taken};
    use crate::send::{Bytes, SendSide};
    use crate::wait::Tried;

    type Process = Attached<FakeHost>;

    fn send(process: &Process, side: &SendSide, byte: u8) -> Sent {
        let bytes = [byte];
        let message = Bytes(&bytes);
        let awaited = Awaited::new(&message);
        let tried = process.try_send(side, &awaited, Attempt::AT_ONCE).unwrap();
        assert!(matches!(tried, Tried::Done(())));
        awaited.sent().unwrap()
    }

    fn take(process: &Process, side: &ReceiveSide, state: SlotState) -> Taken {
        match process.try_take(side, state, Attempt::AT_ONCE).unwrap() {
            Tried::Done(taken) => taken,
            Tried::Blocked { .. } => panic!("no message"),
        }
    }

    fn is_received(process: &Process, sent: &Sent) -> bool {
        process.is_received_by_somebody(sent, Attempt::AT_ONCE).unwrap()
    }

    #[test]
    fn a_message_is_received_when_its_slot_is_left() {
        let pool = FakePool::new(2);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        let sent = send(&process, &from, 1);
        assert!(!is_received(&process, &sent));
        let taken = take(&process, &to, SlotState::Taking);
        assert!(!is_received(&process, &sent));
        process.release(taken).unwrap();
        assert!(is_received(&process, &sent));
        // Whatever becomes of the slot.
        for byte in 1..20 {
            let _ = send(&process, &from, byte);
            assert!(is_received(&process, &sent));
            let taken = take(&process, &to, SlotState::Leased);
            assert!(is_received(&process, &sent) || byte == 1);
            process.release(taken).unwrap();
        }
    }

    #[test]
    fn a_message_that_is_given_back_or_gone_round_was_not_received() {
        let pool = FakePool::new(3);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        let sent = send(&process, &from, 99);
        let mut lease = take(&process, &to, SlotState::Leased);
        for byte in 0..30 {
            let passing = send(&process, &from, byte);
            let taken = take(&process, &to, SlotState::Taking);
            assert!(!is_received(&process, &passing) && !is_received(&process, &sent));
            process.release(taken).unwrap();
            assert!(is_received(&process, &passing) && !is_received(&process, &sent));
            if byte == 15 {
                process.put_back(lease, true).unwrap();
                assert!(!is_received(&process, &sent));
                lease = take(&process, &to, SlotState::Leased);
            }
        }
        process.release(lease).unwrap();
        assert!(is_received(&process, &sent));
    }

    #[test]
    fn a_later_message_in_the_same_slot_is_not_taken_for_an_earlier_one() {
        let pool = FakePool::new(1);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        let first = send(&process, &from, 1);
        process.release(take(&process, &to, SlotState::Taking)).unwrap();
        let second = send(&process, &from, 2);
        let taken = take(&process, &to, SlotState::Taking);
        assert!(is_received(&process, &first) && !is_received(&process, &second));
        process.release(taken).unwrap();
        // One that says the same may be taken for it, and nothing else goes wrong.
        let third = send(&process, &from, 2);
        let taken = take(&process, &to, SlotState::Taking);
        assert!(!is_received(&process, &second));
        process.release(taken).unwrap();
        assert!(is_received(&process, &second) && is_received(&process, &third));
    }

    #[test]
    fn who_dies_with_the_message_leaves_it_to_the_next() {
        let pool = FakePool::new(1);
        let (dying, other) = (pool.process(1), pool.process(2));
        let sent = send(&other, &SendSide::default(), 1);
        let _ = take(&dying, &ReceiveSide::default(), SlotState::Taking);
        pool.kill(1);
        let inspecting = Attempt { inspect: true, ..Attempt::AT_ONCE };
        assert!(!other.is_received_by_somebody(&sent, inspecting).unwrap());
        assert_eq!(pool.recovered(), [1]);
        let again = take(&other, &ReceiveSide::default(), SlotState::Taking);
        assert!(again.is_redelivered() && !is_received(&other, &sent));
        other.release(again).unwrap();
        assert!(is_received(&other, &sent));
    }

    #[test]
    fn what_was_in_a_channel_that_is_destroyed_was_not_seen_to_be_received() {
        let pool = FakePool::new(1);
        let process = pool.process(1);
        let sent = send(&process, &SendSide::default(), 1);
        pool.process(2).destroy().unwrap();
        assert_eq!(process.is_received_by_somebody(&sent, Attempt::AT_ONCE), Err(Error::Destroyed));
    }

    #[test]
    fn a_lap_that_went_back_is_corrupt() {
        let pool = FakePool::new(1);
        let process = pool.process(1);
        let sent = send(&process, &SendSide::default(), 1);
        let full = pool.ring.load(0).unwrap();
        assert!(pool.ring.claim(0, full, full.laps_later(u64::MAX)).unwrap());
        let looked = process.is_received_by_somebody(&sent, Attempt::AT_ONCE);
        assert!(matches!(looked, Err(Error::Corrupt(_))));
    }
}
