//! Where members of a pool are told that something they listen to has changed: a row each, of a type-stable table.
//!
//! A row is backed when its process first listens, and stays. Whoever tells a process that had the slot before tells
//! its successor to look in vain; so nobody has to ask whose a row is, and no row is ever cleared.
//!
//! What it does not do: it does not know what is listened to. Which registration stands for what is the process's own
//! affair.

use std::time::Duration;

use weyr_atomic::{AtomicU32, AtomicU64, Ordering};
use weyr_shared::{
    Awake, Element, Futex, KernelFutex, Layout, Listener, REGISTRATIONS, ReadyRow, RegistrationMask, Table,
};
use weyr_sys::Errno;

use crate::heap::Heap;
use crate::heap::backing::Backing;
use crate::{Error, Pool};

/// The futex of the kernel, which also reaches the members of one pool that listen.
#[derive(Debug)]
pub struct PoolFutex {
    rows: Table<ReadyRow>,
    backing: Backing,
    /// Byte of the object at which the rows start.
    start: u64,
}

impl PoolFutex {
    pub(crate) fn new(heap: &Heap) -> Self {
        let (rows, backing) = (heap.ready.clone(), heap.backing.clone());
        Self { rows, backing, start: heap.geometry.offsets.ready }
    }

    fn row_start(&self, process: u16) -> u64 {
        self.start + u64::from(process) * ReadyRow::SIZE as u64
    }

    /// The row of a process that has ever listened.
    fn row(&self, process: u16) -> Option<&ReadyRow> {
        self.rows.get(usize::from(process)).filter(|_| self.backing.has_metadata(self.row_start(process)))
    }

    /// The row of a process, backed.
    fn back_row(&self, process: u16) -> Result<Option<Element<ReadyRow>>, Errno> {
        self.backing.metadata(self.row_start(process), ReadyRow::SIZE as u64)?;
        Ok(self.rows.element(usize::from(process)))
    }
}

impl Futex for PoolFutex {
    fn wait(&self, word: &AtomicU32, expected: u32, time: Duration) -> Awake {
        KernelFutex.wait(word, expected, time)
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        KernelFutex.wake(word, count)
    }

    /// A process that cannot be is nobody.
    fn tell(&self, listener: Listener) {
        if let Some(row) = self.row(listener.process()) {
            row.tell(listener.registration(), &KernelFutex);
        }
    }

    fn tell_after_death(&self, listener: Listener) {
        if let Some(row) = self.row(listener.process()) {
            row.tell_after_death(listener.registration(), &KernelFutex);
        }
    }
}

/// Which registrations of its row a process has given out, in private memory.
#[derive(Debug, Default)]
pub(crate) struct Registrations([AtomicU64; REGISTRATIONS as usize / 64]);

impl Registrations {
    fn free(&self) -> u32 {
        self.0.iter().map(|word| word.load(Ordering::Relaxed).count_zeros()).sum()
    }

    /// One that nobody has, for somebody who has `held` already: half of what is left is for those who come later.
    fn take(&self, held: u32) -> Option<u16> {
        if held >= self.free() {
            return None;
        }
        (0_u16..).zip(&self.0).find_map(|(number, word)| Self::take_of(word).map(|bit| number * 64 + bit))
    }

    fn take_of(word: &AtomicU64) -> Option<u16> {
        let mut seen = word.load(Ordering::Relaxed);
        while seen != u64::MAX {
            let bit = seen.trailing_ones();
            // Acquire and Release: what the one before did with it is over.
            match word.compare_exchange(seen, seen | 1 << bit, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(bit as u16),
                Err(now) => seen = now,
            }
        }
        None
    }

    fn give_back(&self, registration: u16) {
        if let Some(word) = self.0.get(usize::from(registration / 64)) {
            word.fetch_and(!(1 << (registration % 64)), Ordering::AcqRel);
        }
    }
}

/// A process that listens.
impl Pool {
    /// How members of this pool sleep, and reach those that listen.
    #[inline]
    pub fn futex(&self) -> &PoolFutex {
        &self.attachment().futex
    }

    /// Where this process is told what it listens to. In a forked child that of its own.
    ///
    /// # Errors
    /// What joining gives; [`Error::FilesystemFull`]: there is no memory for it.
    pub fn ready_row(&self) -> Result<Element<ReadyRow>, Error> {
        let process = self.actor()?.process;
        let backed = self.futex().back_row(process);
        let row = backed.map_err(|errno| self.attachment().backing_error(errno, ReadyRow::SIZE as u64))?;
        let limit = self.process_limit();
        row.ok_or(Error::TableFull { table: "process slots", limit })
    }

    /// A registration of this process that nobody else in it has, for somebody who has `held` already. None when too few
    /// are left: half of them are for those who have fewer.
    ///
    /// # Errors
    /// What joining gives.
    pub fn take_registration(&self, held: u32) -> Result<Option<u16>, Error> {
        Ok(self.attachment().membership()?.registrations.take(held))
    }

    /// Gives registrations back that were taken in this life of the process.
    pub fn give_back_registrations(&self, mask: &RegistrationMask) {
        let Some(membership) = self.attachment().member() else { return };
        for registration in 0..REGISTRATIONS {
            if mask[usize::from(registration / 64)] >> (registration % 64) & 1 == 1 {
                membership.registrations.give_back(registration);
            }
        }
    }

    /// Recovers members that are probably dead, as a newcomer does: a look at the lock of each, and no more where all
    /// are held.
    pub fn reap(&self) {
        self.reap_dead();
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn who_takes_many_registrations_leaves_some_to_the_next() {
        let registrations = Registrations::default();
        let taken = |held| (held..).map_while(|held| registrations.take(held)).count();
        assert_eq!(taken(0), 512);
        assert_eq!(taken(0), 256);
        registrations.give_back(3);
        assert_eq!(registrations.take(0), Some(3));
        while registrations.take(0).is_some() {}
        assert_eq!(registrations.free(), 0);
        registrations.give_back(1023);
        assert_eq!((registrations.take(1), registrations.take(0)), (None, Some(1023)));
    }
}
