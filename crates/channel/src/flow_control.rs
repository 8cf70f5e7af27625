//! Flow control by resources: who has sent more than its share lets those go first who wait.
//!
//! It begins where a sender finds the channel full: for its next sends it looks, before it claims a slot, whether
//! somebody waits. A sender that never finds it full looks at nothing but private memory, and one that is alone has
//! nobody to let go first.
//!
//! Who waits for room says so in one word of the channel (`Wish`), if no other does. Who has sent more of the last
//! messages than their number divided among their senders, and the one who waits, holds back until that word
//! changes, but for no longer than patience lasts: then it takes the wish away, whose maker may be dead, or
//! stopped, and goes on. So nobody waits for the slow, and all that a death leaves is one such wait.
//!
//! Nothing here decides about what is right, only about who comes first.

use std::time::Instant;

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, thread};
use weyr_shared::{FlowControl, Position, Wish};

use crate::Error;
use crate::attached::Attached;
use crate::hindrance::Hindrance;
use crate::host::Host;
use crate::send::SendSide;
use crate::wait::POLLING_PATIENCE;

/// Sends behind one that found the channel full which look whether somebody waits.
const WARY_SENDS: u32 = 64;

/// What a sending handle remembers of others, in private memory.
#[derive(Debug)]
pub(crate) struct Courtesy {
    /// How many more sends are to look whether somebody waits.
    wary: AtomicU32,
    /// The handle's own wish; zero: none.
    wish: AtomicU64,
    /// How long it has been held back by the same wish.
    held_back: Hindrance,
}

impl Courtesy {
    pub(crate) fn new() -> Self {
        Self { wary: AtomicU32::new(0), wish: AtomicU64::new(0), held_back: Hindrance::new() }
    }

    /// Whether the handle has found the channel full not long ago.
    #[inline]
    pub(crate) fn is_wary(&self) -> bool {
        self.wary.load(Ordering::Relaxed) != 0
    }

    fn relax(&self) {
        let wary = self.wary.load(Ordering::Relaxed);
        self.wary.store(wary.saturating_sub(1), Ordering::Relaxed);
    }
}

impl<H: Host> Attached<H> {
    /// A sender has found the channel full.
    pub(crate) fn note_full(&self, side: &SendSide) {
        if self.ring.flow_control() == FlowControl::Resources {
            side.courtesy.wary.store(WARY_SENDS, Ordering::Relaxed);
        }
    }

    /// Whether a sender is to let another go first. Does not wait.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or the pool's.
    #[cold]
    pub(crate) fn is_held_back(&self, side: &SendSide) -> Result<bool, Error> {
        let me = self.me()?.process;
        let others = self.ring.wish().filter(|wish| wish.process() != me);
        let Some(wish) = others else {
            side.courtesy.relax();
            return Ok(false);
        };
        let place = Position::from_bits(side.position());
        let level = self.ring.level(side.level)?;
        if place.index() >= level.capacity() {
            return Ok(false);
        }
        let (mine, all, senders) = self.ring.recent_share(level, place, me, wish.process())?;
        if mine * senders <= all {
            return Ok(false);
        }
        let over = side.courtesy.held_back.outlasts_number(wish.bits(), POLLING_PATIENCE, self.host.now());
        if over {
            self.ring.end_wish(wish);
        }
        Ok(!over)
    }

    /// Lets others go first for as long as that is to be, giving them the processor.
    ///
    /// # Errors
    /// As [`is_held_back`](Self::is_held_back), and [`Error::Timeout`].
    #[cold]
    pub(crate) fn give_way(&self, side: &SendSide, deadline: Option<Instant>) -> Result<(), Error> {
        while self.is_held_back(side)? {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::Timeout);
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// Says that a sender waits for room.
    pub(crate) fn make_wish(&self, side: &SendSide) -> Result<(), Error> {
        if self.ring.flow_control() != FlowControl::Resources {
            return Ok(());
        }
        let wish = Wish::new(self.me()?.process, Position::from_bits(side.position()));
        if self.ring.make_wish(wish) {
            side.courtesy.wish.store(wish.bits(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// It waits no more.
    pub(crate) fn end_wish(&self, side: &SendSide) {
        let made = side.courtesy.wish.swap(0, Ordering::Relaxed);
        if let Some(wish) = Wish::of(made) {
            self.ring.end_wish(wish);
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_shared::SlotState;

    use super::*;
    use crate::fake_pool::{FakeHost, FakePool};
    use crate::receive::ReceiveSide;
    use crate::send::Bytes;
    use crate::wait::{Attempt, Tried};

    type Process = Attached<FakeHost>;

    fn is_sent(process: &Process, side: &SendSide) -> bool {
        matches!(process.try_send(side, &Bytes(b"x"), Attempt::AT_ONCE).unwrap(), Tried::Done(()))
    }

    fn receive_one(process: &Process, side: &ReceiveSide) {
        let taken = process.try_take(side, SlotState::Taking, Attempt::AT_ONCE).unwrap();
        let Tried::Done(taken) = taken else { panic!("no message") };
        process.release(taken).unwrap();
    }

    #[test]
    fn a_lonely_sender_is_never_held_back() {
        let pool = FakePool::with_flow_control(4, FlowControl::Resources);
        let (process, side, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        for _ in 0..20 {
            while is_sent(&process, &side) {
                assert!(!process.is_held_back(&side).unwrap());
            }
            assert!(side.courtesy.is_wary());
            process.make_wish(&side).unwrap();
            receive_one(&process, &to);
            assert!(!process.is_held_back(&side).unwrap(), "its own wish holds nobody back");
            process.end_wish(&side);
        }
    }

    #[test]
    fn who_has_more_than_its_share_lets_another_go_first_until_its_patience_is_over() {
        let pool = FakePool::with_flow_control(4, FlowControl::Resources);
        let (greedy, modest) = (pool.process(1), pool.process(2));
        let (much, little) = (SendSide::default(), SendSide::default());
        assert!((0..4).all(|_| is_sent(&greedy, &much)) && !is_sent(&modest, &little));
        modest.make_wish(&little).unwrap();
        assert!(greedy.is_held_back(&much).unwrap() && !modest.is_held_back(&little).unwrap());
        pool.pass(POLLING_PATIENCE);
        assert!(!greedy.is_held_back(&much).unwrap(), "for no longer than patience lasts");
        assert_eq!(pool.ring.wish(), None, "and then the wish is gone, whose maker may be dead");
        // With half of the last messages it may go on.
        let to = ReceiveSide::default();
        for _ in 0..2 {
            receive_one(&greedy, &to);
            assert!(is_sent(&modest, &little));
        }
        receive_one(&greedy, &to);
        modest.make_wish(&little).unwrap();
        let _ = is_sent(&greedy, &much);
        assert_eq!(
            greedy.is_held_back(&much).unwrap(),
            greedy
                .ring
                .recent_share(greedy.ring.lowest(), Position::from_bits(much.position()), 1, 2)
                .unwrap()
                .0
                > 2
        );
    }

    #[test]
    fn without_flow_control_nothing_is_noted() {
        let pool = FakePool::new(1);
        let (process, side) = (pool.process(1), SendSide::default());
        assert!(is_sent(&process, &side) && !is_sent(&process, &side));
        process.make_wish(&side).unwrap();
        assert!(!side.courtesy.is_wary() && pool.ring.wish().is_none());
    }
}
