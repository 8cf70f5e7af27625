//! A channel brought to rest: nobody sends or receives until it is resumed, whoever dies.
//!
//! Three parts of the state word: QUIESCED keeps everybody away, AT_REST says that nothing was in anybody's hands behind
//! that, and a count of 16 bits makes each quiesce another word.
//!
//! | quiesced | at rest | meaning | who leaves it | to |
//! | --- | --- | --- | --- | --- |
//! | no | no | in use | any process, compare-exchange | quiesced, count + 1 |
//! | yes | no | coming to rest | anybody who finds nothing in hands, compare-exchange | at rest |
//! | | | | who gave up waiting for that, or resumes | in use |
//! | yes | yes | at rest | any process that resumes | in use |
//!
//! It names nobody and falls with nobody: who dies in it leaves a channel that comes to rest by the next quiesce, or is
//! resumed. Everybody judges the same words, so any number may bring it to rest at once, and one that gives up does not
//! take it from another that has succeeded: it finds AT_REST.
//!
//! A process that has looked before, and claims a slot behind it, finds the bit, and gives the slot back without having
//! touched a message; a message that it took out is then one given back, and received first.

use weyr_atomic::{Ordering, look_after_write};

use super::{Ring, RingLock};
use crate::Futex;

pub(super) const STATE_QUIESCED: u32 = 4;
const STATE_AT_REST: u32 = 32;
const COUNT_SHIFT: u32 = 16;
const BOTH: u32 = STATE_QUIESCED | STATE_AT_REST;

/// How often it was quiesced, as the state says.
pub(super) const fn count(state: u32) -> u32 {
    state >> COUNT_SHIFT
}

/// One quiesce: the parts of the state word that are about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "bring the channel to rest, or give up"]
pub struct Quiesce(u32);

impl Quiesce {
    /// For models, which tell states apart by it.
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }
}

const fn parts(state: u32) -> u32 {
    state & BOTH | count(state) << COUNT_SHIFT
}

impl Ring {
    /// Whether nobody may send or receive.
    pub fn is_quiesced(&self) -> bool {
        self.header().state.load(Ordering::SeqCst) & STATE_QUIESCED != 0
    }

    /// Whether it is quiesced and nothing is in anybody's hands.
    pub fn is_at_rest(&self) -> bool {
        self.header().state.load(Ordering::SeqCst) & BOTH == BOTH
    }

    /// Keeps everybody away from now on, unless that is so already; the caller looks at the slots behind it. Commit
    /// point: the exchange of the state.
    pub fn halt(&self) -> Quiesce {
        let word = &self.header().state;
        let mut seen = word.load(Ordering::SeqCst);
        while seen & STATE_QUIESCED == 0 {
            let halted = (seen & !STATE_AT_REST | STATE_QUIESCED).wrapping_add(1 << COUNT_SHIFT);
            match word.compare_exchange(seen, halted, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => seen = halted,
                Err(now) => seen = now,
            }
        }
        // Whoever had loaded the settings before changes them no more: see `set_settings`.
        self.header().settings.fetch_add(1 << super::settings::COUNT_SHIFT, Ordering::SeqCst);
        look_after_write();
        Quiesce(parts(seen))
    }

    /// After a look at all slots that found nothing in anybody's hands: whether the channel is at rest by this quiesce.
    pub fn come_to_rest(&self, quiesce: Quiesce) -> bool {
        self.change_quiesce(quiesce, |state| state | STATE_AT_REST)
    }

    /// Ends a quiesce that did not come to rest; true if it did not. False: another has brought it to rest.
    pub fn give_up_quiesce<F: Futex>(&self, quiesce: Quiesce, futex: &F) -> bool {
        let not_resting = quiesce.0 & STATE_AT_REST == 0;
        let given_up = not_resting && self.change_quiesce(quiesce, |state| state & !BOTH);
        if given_up {
            self.wake_held_up_by_quiesce(futex);
        }
        given_up || !self.is_at_rest()
    }

    /// Lets everybody send and receive again. False: the channel was not quiesced. Commit point: the exchange of the state.
    pub fn resume<F: Futex>(&self, futex: &F) -> bool {
        let before = self.header().state.fetch_and(!BOTH, Ordering::SeqCst);
        self.wake_held_up_by_quiesce(futex);
        before & STATE_QUIESCED != 0
    }

    fn wake_held_up_by_quiesce<F: Futex>(&self, futex: &F) {
        RingLock::ALL.iter().for_each(|lock| self.wake_held_up(*lock, futex));
    }

    /// Changes the state if it is still in this quiesce, with or without rest; the bits of others stay.
    fn change_quiesce(&self, quiesce: Quiesce, change: impl Fn(u32) -> u32) -> bool {
        let word = &self.header().state;
        let mut seen = word.load(Ordering::SeqCst);
        while parts(seen) == quiesce.0 {
            match word.compare_exchange(seen, change(seen), Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::{Geometry, KernelFutex};

    fn ring() -> Ring {
        Ring::private(&Geometry::PLAIN).unwrap()
    }

    #[test]
    fn a_quiesce_comes_to_rest_once_and_stays_until_resumed() {
        let ring = ring();
        assert!(!ring.resume(&KernelFutex));
        let quiesce = ring.halt();
        assert!(ring.is_quiesced() && !ring.is_at_rest());
        assert!(ring.come_to_rest(quiesce) && ring.is_at_rest());
        assert!(RingLock::ALL.iter().all(|lock| ring.is_shut(*lock).unwrap()));
        assert!(ring.resume(&KernelFutex) && !ring.is_quiesced() && !ring.is_at_rest());
        assert!(!ring.come_to_rest(quiesce), "an earlier quiesce");
    }

    #[test]
    fn who_gives_up_takes_nothing_from_who_succeeded() {
        let ring = ring();
        let (one, two) = (ring.halt(), ring.halt());
        assert_eq!(one, two);
        assert!(ring.come_to_rest(one) && !ring.give_up_quiesce(two, &KernelFutex) && ring.is_at_rest());
        ring.resume(&KernelFutex);
        let (one, two) = (ring.halt(), ring.halt());
        assert!(ring.give_up_quiesce(one, &KernelFutex) && !ring.is_quiesced());
        assert!(!ring.come_to_rest(two));
    }

    #[test]
    fn other_bits_of_the_state_stay() {
        let ring = ring();
        assert!(ring.confirm());
        let quiesce = ring.halt();
        assert!(ring.come_to_rest(quiesce));
        ring.destroy(&KernelFutex);
        assert!(ring.is_named() && ring.is_destroyed() && ring.is_at_rest());
        ring.resume(&KernelFutex);
        assert!(ring.is_named() && ring.is_destroyed());
    }
}
