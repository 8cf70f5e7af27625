//! Flow control by resources: who has sent more than its share lets those go first who wait.
//!
//! It begins where a sender finds the channel full: for its next sends it looks, before it claims a slot, whether
//! somebody waits. A sender that never finds it full looks at nothing but private memory, and one that is alone has
//! nobody to let go first.
//!
//! Who waits for room, and has sent no more than its share of the last messages, says so in one word of the channel
//! (`Wish`), if no other does, or only one who has sent more of them. Who has sent more of them than their number divided among their senders, and the one who waits,
//! holds back until that word changes, but for no longer than patience lasts: then it takes the wish away, whose maker
//! may be dead, or stopped, and goes on. So nobody waits for the slow, and all that a death leaves is one such wait.
//!
//! Nothing here decides about what is right, only about who comes first.

use std::time::Instant;

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, thread};
use weyr_shared::{FlowControl, Position, Shares, Wish};

use crate::Error;
use crate::attached::Attached;
use crate::hindrance::Hindrance;
use crate::host::Host;
use crate::send::SendSide;
use crate::wait::POLLING_PATIENCE;

/// Sends behind one that found the channel full which look whether somebody waits.
const WARY_SENDS: u32 = 64;
/// The bit of a handle whose message is pending.
const PENDING: u32 = 1 << 31;
/// Of tries in a row that found the channel full, each such one looks who comes first.
const TRIES_PER_LOOK: u32 = 32;

/// What a sending handle remembers of others, in private memory.
#[derive(Debug)]
pub(crate) struct Courtesy {
    /// How many more sends are to look whether somebody waits; highest bit: none is to be sent now.
    wary: AtomicU32,
    /// Tries that found the channel full.
    tries: AtomicU32,
    /// The handle's own wish; zero: none.
    wish: AtomicU64,
    /// How long it has been held back by the same wish.
    held_back: Hindrance,
}

impl Courtesy {
    pub(crate) fn new() -> Self {
        let (wary, tries) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { wary, tries, wish: AtomicU64::new(0), held_back: Hindrance::new() }
    }

    /// Whether the handle has found the channel full not long ago, or has a message pending.
    #[inline]
    pub(crate) fn is_wary(&self) -> bool {
        self.wary.load(Ordering::Relaxed) != 0
    }

    /// Whether a message of the handle waits in the hands of a [`SendCompletion`](crate::SendCompletion).
    pub(crate) fn is_pending(&self) -> bool {
        self.wary.load(Ordering::Relaxed) & PENDING != 0
    }

    pub(crate) fn set_pending(&self, pending: bool) {
        let rest = self.wary.load(Ordering::Relaxed) & !PENDING;
        self.wary.store(rest | if pending { PENDING } else { 0 }, Ordering::Relaxed);
    }

    fn set_sends(&self, change: impl FnOnce(u32) -> u32) {
        let wary = self.wary.load(Ordering::Relaxed);
        self.wary.store(wary & PENDING | change(wary & !PENDING), Ordering::Relaxed);
    }
}

impl<H: Host> Attached<H> {
    /// A sender has found the channel full.
    pub(crate) fn note_full(&self, side: &SendSide) {
        if self.ring.flow_control() == FlowControl::Resources {
            side.courtesy.set_sends(|_| WARY_SENDS);
        }
    }

    /// Whether a sender is to let another go first. Does not wait. `waits`: the caller will, and so comes again by itself.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or the pool's.
    #[cold]
    pub(crate) fn is_held_back(&self, side: &SendSide, waits: bool) -> Result<bool, Error> {
        let me = self.me()?.process;
        let others = self.ring.wish().filter(|wish| wish.process() != me);
        let Some(wish) = others else {
            side.courtesy.set_sends(|sends| sends.saturating_sub(1));
            return Ok(false);
        };
        let shares = self.shares(side, me, wish)?;
        // Where nothing is to be received no change will tell others when to try again.
        if shares.there == 0 && !waits || shares.ones * shares.senders <= shares.all {
            return Ok(false);
        }
        let over = side.courtesy.held_back.outlasts_number(wish.bits(), POLLING_PATIENCE, self.host.now());
        if over {
            self.ring.end_wish(wish);
        }
        Ok(!over)
    }

    fn shares(&self, side: &SendSide, me: u16, wish: Wish) -> Result<Shares, Error> {
        let place = Position::from_bits(side.position());
        Ok(self.ring.recent_share(self.ring.level(side.level)?, place, me, wish.process())?)
    }

    /// Lets others go first for as long as that is to be, giving them the processor.
    ///
    /// # Errors
    /// As [`is_held_back`](Self::is_held_back), and [`Error::Timeout`].
    #[cold]
    pub(crate) fn give_way(&self, side: &SendSide, deadline: Option<Instant>) -> Result<(), Error> {
        while self.is_held_back(side, true)? {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::Timeout);
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// Says that a sender waits for room, where it comes before who has said so. `polls`: it will try again at once, so
    /// that now and then will do: a sender that spins would else keep the slots from those who work there.
    pub(crate) fn make_wish(&self, side: &SendSide, polls: bool) -> Result<(), Error> {
        if self.ring.flow_control() != FlowControl::Resources {
            return Ok(());
        }
        let tries = side.courtesy.tries.fetch_add(1, Ordering::Relaxed);
        if polls && !tries.is_multiple_of(TRIES_PER_LOOK) {
            return Ok(());
        }
        let me = self.me()?.process;
        let wish = Wish::new(me, Position::from_bits(side.position()));
        let stands = self.ring.wish();
        let shares = self.shares(side, me, stands.unwrap_or(wish))?;
        let comes_first = match stands {
            Some(stands) => stands.process() != me && shares.ones < shares.others,
            None => shares.senders == 1 || shares.ones * shares.senders <= shares.all,
        };
        if comes_first && self.ring.make_wish(wish, stands) {
            side.courtesy.wish.store(wish.bits(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// It waits no more.
    pub(crate) fn end_wish(&self, side: &SendSide) {
        side.courtesy.tries.store(0, Ordering::Relaxed);
        let made = side.courtesy.wish.swap(0, Ordering::Relaxed);
        if let Some(wish) = Wish::of(made) {
            self.ring.end_wish(wish);
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_shared::{SlotState, WaitMode};

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
                assert!(!process.is_held_back(&side, true).unwrap());
            }
            assert!(side.courtesy.is_wary());
            process.make_wish(&side, true).unwrap();
            receive_one(&process, &to);
            assert!(!process.is_held_back(&side, true).unwrap(), "its own wish holds nobody back");
            process.end_wish(&side);
        }
    }

    #[test]
    fn who_has_more_than_its_share_lets_another_go_first_until_its_patience_is_over() {
        let pool = FakePool::with_flow_control(4, FlowControl::Resources);
        let (greedy, modest) = (pool.process(1), pool.process(2));
        let (much, little) = (SendSide::default(), SendSide::default());
        assert!((0..4).all(|_| is_sent(&greedy, &much)) && !is_sent(&modest, &little));
        modest.make_wish(&little, false).unwrap();
        assert!(greedy.is_held_back(&much, true).unwrap() && !modest.is_held_back(&little, true).unwrap());
        pool.pass(POLLING_PATIENCE);
        assert!(!greedy.is_held_back(&much, true).unwrap(), "for no longer than patience lasts");
        assert_eq!(pool.ring.wish(), None, "and then the wish is gone, whose maker may be dead");
        // With half of the last messages it may go on.
        let to = ReceiveSide::default();
        for _ in 0..2 {
            receive_one(&greedy, &to);
            assert!(is_sent(&modest, &little));
        }
        modest.make_wish(&little, false).unwrap();
        assert!(!greedy.is_held_back(&much, true).unwrap());
    }

    /// Of 4,000 messages, how many are each process's: they try `greed` times for each message that is received.
    fn sent(flow_control: FlowControl, capacity: u32, greed: &[u32]) -> Vec<u32> {
        let pool = FakePool::with_flow_control(capacity, flow_control);
        let senders: Vec<_> = (1..).zip(greed).map(|(slot, _)| pool.process(slot)).collect();
        let sides: Vec<_> = greed.iter().map(|_| SendSide::default()).collect();
        let (to, mut counts, mut random) = (ReceiveSide::default(), vec![0; greed.len()], 1_u64);
        let tries: Vec<_> = (0..greed.len()).flat_map(|one| vec![one; greed[one] as usize]).collect();
        while counts.iter().sum::<u32>() < 4_000 {
            for _ in &tries {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let one = tries[(random >> 33) as usize % tries.len()];
                let (process, side) = (&senders[one], &sides[one]);
                pool.pass(std::time::Duration::from_nanos(100));
                if side.courtesy.is_wary() && process.is_held_back(side, true).unwrap() {
                    continue;
                }
                if is_sent(process, side) {
                    process.end_wish(side);
                    counts[one] += 1;
                } else {
                    process.make_wish(side, false).unwrap();
                }
            }
            if pool.ring.waiting().unwrap() > 0 {
                receive_one(&senders[0], &to);
            }
        }
        counts
    }

    #[test]
    fn the_greedy_get_no_more_than_four_times_what_the_modest_get() {
        for capacity in [8, 100] {
            for greed in [&[20, 1, 1, 1][..], &[50, 5], &[30, 30, 1], &[1, 2, 4, 8, 16, 32]] {
                let counts = sent(FlowControl::Resources, capacity, greed);
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(*most <= 4 * least, "capacity {capacity}, greed {greed:?}: {counts:?}");
            }
        }
        let counts = sent(FlowControl::None, 8, &[20, 1, 1, 1]);
        assert!(counts[0] > 10 * counts[1], "without flow control: {counts:?}");
    }

    #[test]
    fn nobody_who_does_not_wait_is_held_back_from_an_empty_channel() {
        let pool = FakePool::with_flow_control(1, FlowControl::Resources);
        let (greedy, modest) = (pool.process(1), pool.process(2));
        let (much, little) = (SendSide::default(), SendSide::default());
        assert!(is_sent(&greedy, &much) && !is_sent(&greedy, &much) && !is_sent(&modest, &little));
        modest.make_wish(&little, false).unwrap();
        assert!(greedy.is_held_back(&much, true).unwrap());
        receive_one(&greedy, &ReceiveSide::default());
        assert!(!greedy.is_held_back(&much, false).unwrap());
        assert!(greedy.is_held_back(&much, true).unwrap());
    }

    #[test]
    fn a_wish_ends_with_the_send_that_made_it_sent_or_not() {
        let pool = FakePool::with_flow_control(2, FlowControl::Resources);
        let (greedy, modest) = (pool.process(1), pool.process(2));
        let (much, little) = (SendSide::default(), SendSide::default());
        assert!(is_sent(&greedy, &much) && is_sent(&greedy, &much) && !is_sent(&greedy, &much));
        let send = |end| modest.send_until(&little, &Bytes(b"x"), WaitMode::Idle, end);
        // By the send itself, which finds no room.
        assert!(matches!(send(Some(Instant::now())), Err(Error::Timeout)));
        assert_eq!(pool.ring.wish(), None, "a send that was given up wants nothing");
        // What stands when a send begins ends with it too.
        for room in [false, true] {
            modest.make_wish(&little, false).unwrap();
            assert_eq!(pool.ring.wish().map(Wish::process), Some(2));
            assert!(greedy.is_held_back(&much, true).unwrap());
            if room {
                receive_one(&greedy, &ReceiveSide::default());
            }
            assert_eq!(send(Some(Instant::now())).is_ok(), room);
            assert_eq!(pool.ring.wish(), None, "sent: {room}");
            assert!(!greedy.is_held_back(&much, true).unwrap(), "and no time has passed");
        }
    }

    #[test]
    fn nobody_ends_the_wish_of_another_before_its_patience_is_over() {
        let pool = FakePool::with_flow_control(2, FlowControl::Resources);
        let (greedy, modest) = (pool.process(1), pool.process(2));
        let (much, little) = (SendSide::default(), SendSide::default());
        assert!(is_sent(&greedy, &much) && is_sent(&greedy, &much) && !is_sent(&greedy, &much));
        modest.make_wish(&little, false).unwrap();
        let given_up = greedy.send_until(&much, &Bytes(b"x"), WaitMode::Idle, Some(Instant::now()));
        assert!(matches!(given_up, Err(Error::Timeout)));
        assert_eq!(pool.ring.wish().map(Wish::process), Some(2));
    }

    #[test]
    fn without_flow_control_nothing_is_noted() {
        let pool = FakePool::new(1);
        let (process, side) = (pool.process(1), SendSide::default());
        assert!(is_sent(&process, &side) && !is_sent(&process, &side));
        process.make_wish(&side, true).unwrap();
        assert!(!side.courtesy.is_wary() && pool.ring.wish().is_none());
    }
}
