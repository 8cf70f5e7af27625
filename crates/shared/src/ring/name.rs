//! Names of channels: at most one channel of a pool has a name at a time.
//!
//! A name stands in the header before anybody else can see the channel. That makes the channel a *candidate* for it;
//! who settles the candidates (`weyr-channel`, `naming.rs`) makes one of them NAMED and destroys the others.
//!
//! | NAMED | DESTROYED | the channel | next |
//! | --- | --- | --- | --- |
//! | 0 | 0 | a candidate, if it has a name | NAMED by [`Ring::confirm`], or DESTROYED by [`Ring::refuse`], by any process |
//! | 1 | 0 | has its name | DESTROYED, by who destroys it |
//! | any | 1 | is gone, its name with it | |

use weyr_atomic::Ordering;

use super::{Ring, STATE_DESTROYED};
use crate::Futex;

/// Bytes of the longest name.
pub const RING_NAME_BYTES: usize = 60;
/// `RingHeader::state`: the channel has its name.
const STATE_NAMED: u32 = 16;

/// Bytes of a name, zeros behind its end; no name is all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingName([u8; RING_NAME_BYTES]);

impl RingName {
    /// The name with these bytes: 1 to 60, none of them zero.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; RING_NAME_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        (!name.is_empty() && !name.contains(&0)).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl Ring {
    /// Gives the channel a name for which it is a candidate. Only its creator may, before anybody else knows it.
    pub fn set_name(&self, name: &RingName) {
        for (word, byte) in self.header().name.iter().zip(name.0) {
            word.store(byte, Ordering::Relaxed);
        }
    }

    /// The name for which the channel is a candidate, or which it has.
    pub fn name(&self) -> Option<RingName> {
        let mut bytes = [0; RING_NAME_BYTES];
        for (byte, word) in bytes.iter_mut().zip(&self.header().name) {
            *byte = word.load(Ordering::Relaxed);
        }
        RingName::new(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// Whether the channel has its name, destroyed or not.
    pub fn is_named(&self) -> bool {
        self.header().state.load(Ordering::Acquire) & STATE_NAMED != 0
    }

    /// Gives a candidate its name, unless it was destroyed. Whether it has it now.
    ///
    /// Commit point: the exchange of the state. Only who has seen no other channel of that name, in a look that began
    /// when this one was there to be seen, may call it.
    pub fn confirm(&self) -> bool {
        self.change_state(|state| (state & STATE_DESTROYED == 0).then_some(state | STATE_NAMED))
    }

    /// Destroys a candidate, unless it has its name. Whether it is destroyed now.
    ///
    /// Commit point: the exchange of the state, by the same word as [`confirm`](Self::confirm), so that only one of
    /// the two happens.
    pub fn refuse<F: Futex>(&self, futex: &F) -> bool {
        let refused = self.change_state(|state| match state & (STATE_NAMED | STATE_DESTROYED) {
            STATE_NAMED => None,
            _ => Some(state | STATE_DESTROYED),
        });
        self.wake_everybody(futex);
        refused
    }

    fn change_state(&self, judge: impl Fn(u32) -> Option<u32>) -> bool {
        let word = &self.header().state;
        loop {
            let seen = word.load(Ordering::SeqCst);
            let Some(next) = judge(seen) else { return false };
            // SeqCst: in one order with the looks at other channels of the same name.
            if next == seen || word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return true;
            }
        }
    }
}
