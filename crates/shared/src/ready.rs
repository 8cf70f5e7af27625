//! Where a process is told that something it listens to has changed: one event, and one bit a registration.
//!
//! Who tells sets the bit, then signals the event: one load where nobody sleeps. Who listens arms the event, looks at
//! its bits, sleeps; and takes the bits away **before** it looks at what they stand for, so that what changes behind
//! its look sets the bit again.
//!
//! Crash argument: bits and event are hints. A bit too many costs a look in vain, also one that was meant for a process
//! that had this row before. A teller that dies before its signal, or in it, when it has disarmed the event and woken
//! nobody, leaves a bit that the next look finds, and perhaps a sleeper whom a signal does not wake any more: who repairs
//! a channel wakes in any case. What happens when it dies before its bit is said where it took the LISTENED bit away
//! (`event.rs`).

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, look_after_write};

use crate::{Event, Futex};

/// Registrations of a row.
pub const REGISTRATIONS: u16 = 1024;

const WORDS: usize = REGISTRATIONS as usize / 64;

/// Some of the registrations of a row: bit `r % 64` of word `r / 64`.
pub type RegistrationMask = [u64; WORDS];

crate::layout! {
    /// Where one process is told what it listens to.
    pub struct ReadyRow: 256, align 64 {
        /// Event (`shared/src/event.rs`) on which the threads of the process sleep; signalled by who tells it something.
        0 => event: AtomicU32,
        /// Reserved, zero.
        4 => reserved: AtomicU32,
        /// Hint: a bit a registration: what it stands for is to be looked at; set by who tells, taken by the process.
        8 => ready: [AtomicU64; 16],
        /// Reserved, zero.
        136 => reserved_line: [AtomicU64; 15],
    }
}

impl ReadyRow {
    /// Says that what `registration` stands for has changed. Makes a system call only where somebody sleeps.
    pub fn tell<F: Futex>(&self, registration: u16, futex: &F) {
        self.set(registration);
        // Not by taking the event's bit away first: who dies between that and its wake would keep the others' from it.
        self.event(futex).waking(u32::MAX).signal();
    }

    /// The same where somebody died who may have signalled the event and not woken who slept there.
    pub fn tell_after_death<F: Futex>(&self, registration: u16, futex: &F) {
        self.set(registration);
        self.event(futex).raise();
    }

    fn set(&self, registration: u16) {
        let registration = registration % REGISTRATIONS;
        let word = &self.ready[usize::from(registration / 64)];
        // SeqCst: pairs with the look of who has armed the event.
        word.fetch_or(1 << (registration % 64), Ordering::SeqCst);
        look_after_write();
    }

    /// The event on which the process sleeps.
    pub const fn event<'a, F: Futex>(&'a self, futex: &'a F) -> Event<'a, F> {
        Event::new(&self.event, futex)
    }

    /// Whether any of `mask` was told.
    #[inline]
    pub fn is_any(&self, mask: &RegistrationMask) -> bool {
        let told = |(word, mask): (&AtomicU64, &u64)| word.load(Ordering::SeqCst) & mask != 0;
        self.ready.iter().zip(mask).any(told)
    }

    /// Takes those of `mask` that were told, and hands each to `each`, which then looks at what it stands for.
    #[inline]
    pub fn take(&self, mask: &RegistrationMask, mut each: impl FnMut(u16)) {
        for (number, (word, mask)) in (0_u16..).zip(self.ready.iter().zip(mask)) {
            if word.load(Ordering::SeqCst) & mask == 0 {
                continue;
            }
            // Before the looks: what is told behind this is told again.
            let mut told = word.fetch_and(!mask, Ordering::SeqCst) & mask;
            while told != 0 {
                each(number * 64 + told.trailing_zeros() as u16);
                told &= told - 1;
            }
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::{KernelFutex, Zeroed as _};

    fn taken(row: &ReadyRow, mask: &RegistrationMask) -> Vec<u16> {
        let mut taken = Vec::new();
        row.take(mask, |registration| taken.push(registration));
        taken
    }

    #[test]
    fn what_was_told_is_taken_once_by_whose_it_is() {
        let row = ReadyRow::zeroed();
        let mut mask = [0; 16];
        (mask[0], mask[15]) = (0b11, 1 << 63);
        assert!(!row.is_any(&mask));
        for registration in [1, 2, 1023, 1] {
            row.tell(registration, &KernelFutex);
        }
        assert!(row.is_any(&mask));
        assert_eq!(taken(&row, &mask), [1, 1023]);
        assert_eq!((taken(&row, &mask), row.is_any(&mask)), (vec![], false));
        assert_eq!(taken(&row, &[u64::MAX; 16]), [2], "another's is left to it");
    }

    #[test]
    fn a_registration_that_cannot_be_is_somebodys() {
        let row = ReadyRow::zeroed();
        row.tell(1024 + 5, &KernelFutex);
        assert_eq!(taken(&row, &[u64::MAX; 16]), [5]);
    }

    #[test]
    fn telling_prevents_a_sleep_that_was_armed_before() {
        let row = ReadyRow::zeroed();
        let armed = row.event(&KernelFutex).arm();
        row.tell(3, &KernelFutex);
        assert_ne!(row.event.load(Ordering::Relaxed), armed.value());
    }
}
