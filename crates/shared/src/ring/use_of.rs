//! What a channel is used as, where that is not to carry messages of its users.
//!
//! Its creator says so before anybody else knows the channel, by a bit of the state word: among those that senders and
//! receivers look at anyway, so that it costs other channels nothing. A new use is one more bit and one more line here.

use weyr_atomic::Ordering;

use super::Ring;

const STATE_BARRIER: u32 = 128;
const STATE_SEMAPHORE: u32 = 256;
/// All of them.
pub(super) const STATE_USES: u32 = STATE_BARRIER | STATE_SEMAPHORE;

/// What a channel is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RingUse {
    /// In its slot is a barrier; there are no messages.
    Barrier,
    /// Its messages are the units of a semaphore.
    Semaphore,
}

impl RingUse {
    const fn bit(self) -> u32 {
        match self {
            Self::Barrier => STATE_BARRIER,
            Self::Semaphore => STATE_SEMAPHORE,
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Semaphore => "semaphore",
        }
    }
}

impl Ring {
    /// Says what the channel is used as. Only its creator may, before anybody else knows it.
    pub fn set_use(&self, as_what: RingUse) {
        self.header().state.fetch_or(as_what.bit(), Ordering::Release);
    }

    /// What it is used as; none: messages of its users.
    pub fn used_as(&self) -> Option<RingUse> {
        let state = self.header().state.load(Ordering::Acquire);
        [RingUse::Barrier, RingUse::Semaphore].into_iter().find(|as_what| state & as_what.bit() != 0)
    }
}
