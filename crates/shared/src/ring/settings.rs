//! Attributes of a channel that are only written down, and which of them can be changed.
//!
//! What can be changed is one word, `count:32 | spinners:32`, so that a change is one exchange. Every quiesce raises the
//! count: who had loaded the word before the channel was quiesced does not change it behind that.

use weyr_atomic::Ordering;

use super::{Ring, quiesce};

pub(super) const COUNT_SHIFT: u32 = 32;

/// What a creator says of a channel, and nothing depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingRecord {
    /// The process that made it, as its pid namespace calls it; 0: not known.
    pub creator_pid: u32,
    /// Kind of lock asked for.
    pub lock_kind: u8,
    /// Whether it was to be made only where none of its name exists.
    pub exclusive: bool,
    /// Waiters that may spin.
    pub spinners: u32,
}

/// Bits of the word of notes.
const NOTE_SHARED: u32 = 1 << 8;

impl Ring {
    /// Writes down what is said of the channel. Only its creator may, before anybody else knows it.
    pub fn set_record(&self, record: &RingRecord) {
        let header = self.header();
        header.creator.store(record.creator_pid, Ordering::Relaxed);
        let shared = if record.exclusive { 0 } else { NOTE_SHARED };
        header.notes.store(u32::from(record.lock_kind) | shared, Ordering::Relaxed);
        header.settings.store(record.spinners.into(), Ordering::Relaxed);
    }

    /// What is said of the channel.
    pub fn record(&self) -> RingRecord {
        let header = self.header();
        let notes = header.notes.load(Ordering::Relaxed);
        RingRecord {
            creator_pid: header.creator.load(Ordering::Relaxed),
            lock_kind: notes as u8,
            exclusive: notes & NOTE_SHARED == 0,
            spinners: header.settings.load(Ordering::Relaxed) as u32,
        }
    }

    /// Changes what can be changed; returns what it was, or none, if the channel is quiesced. Commit point: the exchange.
    pub fn set_spinners(&self, spinners: u32) -> Option<u32> {
        let word = &self.header().settings;
        loop {
            // SeqCst, before the look at the state: whoever quiesces changes the state, then this word.
            let seen = word.load(Ordering::SeqCst);
            if self.header().state.load(Ordering::SeqCst) & quiesce::STATE_QUIESCED != 0 {
                return None;
            }
            let next = seen >> COUNT_SHIFT << COUNT_SHIFT | u64::from(spinners);
            if word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return Some(seen as u32);
            }
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::{Geometry, KernelFutex};

    #[test]
    fn what_was_written_down_is_read_and_the_settings_are_frozen_by_a_quiesce() {
        let ring = Ring::private(&Geometry::PLAIN).unwrap();
        let record = RingRecord { creator_pid: 77, lock_kind: 2, exclusive: false, spinners: 5 };
        assert!(ring.record().exclusive);
        ring.set_record(&record);
        assert_eq!(ring.record(), record);
        assert_eq!(ring.set_spinners(u32::MAX), Some(5));
        let _halted = ring.halt();
        assert_eq!(ring.set_spinners(6), None);
        ring.resume(&KernelFutex);
        assert_eq!(ring.record().spinners, u32::MAX);
        assert_eq!(ring.set_spinners(6), Some(u32::MAX));
        assert_eq!(ring.record(), RingRecord { spinners: 6, ..record });
    }
}
