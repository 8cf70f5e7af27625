//! The type of which the messages of a channel are: one number, on which all handles that care agree.
//!
//! Zero until the first of them says it, and never changed afterwards but by who overwrites memory: then handles that
//! come later are refused, and nothing else happens. One compare-exchange: a death is before it or behind it.

use weyr_atomic::Ordering;

use super::Ring;

impl Ring {
    /// The number that was agreed on; zero: none.
    pub fn message_type(&self) -> u64 {
        self.header().message_type.load(Ordering::Relaxed)
    }

    /// Agrees on `fingerprint`, which is not zero, unless another number was agreed on.
    ///
    /// # Errors
    /// That other number.
    pub fn agree_on_type(&self, fingerprint: u64) -> Result<(), u64> {
        // Relaxed: no other memory hangs on it.
        let word = &self.header().message_type;
        match word.compare_exchange(0, fingerprint, Ordering::Relaxed, Ordering::Relaxed) {
            Err(agreed) if agreed != fingerprint => Err(agreed),
            _ => Ok(()),
        }
    }
}
