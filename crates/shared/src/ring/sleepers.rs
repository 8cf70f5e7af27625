//! How many threads sleep in a channel, waiting to send or to receive.
//!
//! A count leaks when somebody dies, so there is one word a process slot, `epoch:8 | senders:12 | receivers:12`, that
//! only threads of that process change, on their way to sleep and back. A word of an earlier process is not counted, and
//! overwritten by the next one's first sleeper. It is a hint: nobody's turn depends on it.

use weyr_atomic::{AtomicU32, Ordering};

use super::{ATTACHMENTS_AT, Geometry, Ring};
use crate::Holder;

/// What sleeping threads wait to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleeper {
    /// To send.
    Sender,
    /// To receive.
    Receiver,
}

/// The sleeping threads of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleepers {
    /// The process.
    pub holder: Holder,
    /// Threads that wait to send; no more than 4095 are counted.
    pub senders: u32,
    /// Threads that wait to receive; no more than 4095 are counted.
    pub receivers: u32,
}

const MOST: u32 = (1 << 12) - 1;

impl Sleepers {
    fn of_word(word: u32, process: u16) -> Self {
        let holder = Holder { process, epoch: (word >> 24) as u8 };
        Self { holder, senders: word >> 12 & MOST, receivers: word & MOST }
    }

    fn word(self) -> u32 {
        u32::from(self.holder.epoch) << 24 | self.senders << 12 | self.receivers
    }

    fn count(&mut self, sleeper: Sleeper) -> &mut u32 {
        match sleeper {
            Sleeper::Sender => &mut self.senders,
            Sleeper::Receiver => &mut self.receivers,
        }
    }
}

impl Geometry {
    /// Byte of the channel at which the counts of sleepers lie.
    pub(super) const fn sleepers_at(&self) -> u64 {
        ATTACHMENTS_AT + self.processes as u64 * 8
    }

    pub(super) const fn sleepers_bytes(&self) -> u64 {
        self.processes as u64 * 4
    }
}

impl Ring {
    /// Byte of the channel at which the counts of sleepers lie, and how many there are.
    pub fn sleepers_at(&self) -> (u64, u64) {
        (self.geometry.sleepers_at(), self.sleepers.len() as u64)
    }

    /// One thread of `me` more goes to sleep.
    pub fn fall_asleep(&self, me: Holder, sleeper: Sleeper) {
        self.change_sleepers(me, |mut now| {
            let count = now.count(sleeper);
            *count = (*count + 1).min(MOST);
            now
        });
    }

    /// One thread of `me` less is asleep.
    pub fn wake_up(&self, me: Holder, sleeper: Sleeper) {
        self.change_sleepers(me, |mut now| {
            let count = now.count(sleeper);
            *count = count.saturating_sub(1);
            now
        });
    }

    fn change_sleepers(&self, me: Holder, change: impl Fn(Sleepers) -> Sleepers) {
        let Some(word) = self.sleepers.get(usize::from(me.process)) else { return };
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let now = Sleepers::of_word(seen, me.process);
            let own = if now.holder == me { now } else { Sleepers { holder: me, senders: 0, receivers: 0 } };
            match word.compare_exchange(seen, change(own).word(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// The processes of which threads sleep, or slept when they died.
    pub fn sleepers(&self) -> impl Iterator<Item = Sleepers> {
        let of = |(process, word): (usize, &AtomicU32)| {
            Sleepers::of_word(word.load(Ordering::Relaxed), process as u16)
        };
        self.sleepers.iter().enumerate().map(of).filter(|found| found.senders + found.receivers > 0)
    }

    /// Those of a dead process are nobody's.
    pub(super) fn forget_sleepers(&self, dead: Holder) {
        let Some(word) = self.sleepers.get(usize::from(dead.process)) else { return };
        let seen = word.load(Ordering::Relaxed);
        if Sleepers::of_word(seen, dead.process).holder == dead {
            // Failing: the slot has another process by now.
            let _ = word.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn sleepers_are_counted_by_process_and_forgotten_with_it() {
        let ring = Ring::private(&Geometry::PLAIN).unwrap();
        let (one, two) = (Holder { process: 1, epoch: 9 }, Holder { process: 2, epoch: 7 });
        ring.wake_up(one, Sleeper::Sender);
        assert_eq!(ring.sleepers().count(), 0);
        (0..3).for_each(|_| ring.fall_asleep(one, Sleeper::Receiver));
        ring.fall_asleep(one, Sleeper::Sender);
        ring.fall_asleep(two, Sleeper::Sender);
        ring.wake_up(one, Sleeper::Receiver);
        let found: Vec<Sleepers> = ring.sleepers().collect();
        assert_eq!(found[0], Sleepers { holder: one, senders: 1, receivers: 2 });
        assert_eq!(found[1], Sleepers { holder: two, senders: 1, receivers: 0 });
        ring.forget_sleepers(Holder { epoch: 8, ..one });
        ring.forget_sleepers(two);
        assert_eq!(ring.sleepers().count(), 1);
        let next = Holder { epoch: 10, ..one };
        ring.fall_asleep(next, Sleeper::Sender);
        assert_eq!(ring.sleepers().next(), Some(Sleepers { holder: next, senders: 1, receivers: 0 }));
        ring.fall_asleep(Holder { process: 999, epoch: 1 }, Sleeper::Sender);
    }

    #[test]
    fn no_more_are_counted_than_a_word_holds() {
        let ring = Ring::private(&Geometry::PLAIN).unwrap();
        let me = Holder { process: 3, epoch: 255 };
        (0..5000).for_each(|_| ring.fall_asleep(me, Sleeper::Sender));
        assert_eq!(ring.sleepers().next(), Some(Sleepers { holder: me, senders: 4095, receivers: 0 }));
    }
}
