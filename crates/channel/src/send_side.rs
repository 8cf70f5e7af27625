//! The memory of a sending handle.

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::Position;

use crate::flow_control::Courtesy;
use crate::hindrance::Hindrance;
use crate::pace::Pace;
use crate::tally::Tally;

/// What one sending handle remembers, in private memory.
#[derive(Debug)]
pub struct SendSide {
    /// Priority level to which it sends.
    pub(crate) level: u32,
    pub(crate) position: AtomicU64,
    pub(crate) hindrance: Hindrance,
    /// How long the levels together have been too full.
    pub(crate) shortage: Hindrance,
    pub(crate) courtesy: Courtesy,
    pub(crate) pace: Pace,
    pub(crate) messages: Tally,
    pub(crate) bytes_copied: Tally,
    pub(crate) revoked: Tally,
}

impl SendSide {
    /// Where the handle will look next, for models.
    #[doc(hidden)]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Of a handle that sends to priority level `level`.
    pub fn at_level(level: u32) -> Self {
        Self { level, ..Self::default() }
    }

    /// The slot of its level at which the handle will look next.
    pub(crate) fn index(&self) -> u32 {
        Position::from_bits(self.position()).index()
    }
}

impl Default for SendSide {
    fn default() -> Self {
        Self {
            level: 0,
            position: AtomicU64::new(0),
            hindrance: Hindrance::new(),
            shortage: Hindrance::new(),
            courtesy: Courtesy::new(),
            pace: Pace::new(),
            messages: Tally::new(),
            bytes_copied: Tally::new(),
            revoked: Tally::new(),
        }
    }
}
