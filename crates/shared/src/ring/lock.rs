//! Locks that keep senders or receivers away from a channel: one word each, that says whose it is.
//!
//! | word | meaning | who leaves it, by compare-exchange | to |
//! | --- | --- | --- | --- |
//! | not held, n | nobody's | any process | held by it, n + 1 |
//! | held by P, n | P's | P; anybody once P is dead | not held, n |
//!
//! **The words are the truth.** The two bits of the channel's state only say that a lock was ever used, and stay: as long
//! as they are clear, senders and receivers look at the state, which they load anyway, and at no lock. Never cleared, a
//! bit cannot be cleared at the wrong moment, which is what would let two be in at once where a lock is two words.
//!
//! Who locks **says so, then looks at the slots**; who claims a slot **claims, then looks** whether there is a lock: see
//! [`Ring::is_shut`]. One of the two sees the other: a claim that the look at its slot missed gives its slot back.
//! The number in the word makes each holding another word, so a late release or repair does not end the next one.
//!
//! Crash argument: taking, releasing and breaking a lock is each one exchange of one word from the exact value that was
//! judged. Before it nothing has changed, but perhaps a bit that makes others look. Whoever is hindered by a dead
//! holder's lock breaks it, and so does the recovery of the dead.

use weyr_atomic::{AtomicU64, Ordering, fence, look_after_write};

use super::{Ring, STATE_DESTROYED, quiesce, use_of};
use crate::fault::{self, Fault};
use crate::{Corrupt, Futex, Holder};

/// A write lock was taken once.
const STATE_WRITE_LOCK_USED: u32 = 1;
/// A read lock was taken once.
const STATE_READ_LOCK_USED: u32 = 2;

/// Whom a lock keeps away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RingLock {
    /// All who send.
    Write,
    /// All who receive.
    Read,
}

impl RingLock {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Write, Self::Read];

    const fn used(self) -> u32 {
        match self {
            Self::Write => STATE_WRITE_LOCK_USED,
            Self::Read => STATE_READ_LOCK_USED,
        }
    }
}

/// One value of a lock's word: `held:1 | number:39 | process:16 | epoch:8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LockWord(u64);

impl LockWord {
    const HELD: u64 = 1 << 63;
    const NUMBER_SHIFT: u32 = 24;
    const NUMBERS: u64 = (1 << 39) - 1;
    const HOLDERS: u64 = (1 << 24) - 1;

    /// Checks what was read of `lock`.
    ///
    /// # Errors
    /// [`Corrupt`]: it names somebody and is not held.
    pub fn parse(bits: u64, lock: RingLock) -> Result<Self, Corrupt> {
        if bits & Self::HELD == 0 && bits & Self::HOLDERS != 0 {
            return Err(Corrupt::new("lock of a channel", lock.offset()));
        }
        Ok(Self(bits))
    }

    /// As it stands in memory.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whose it is, if it is anybody's.
    pub const fn holder(self) -> Option<Holder> {
        if self.0 & Self::HELD == 0 {
            return None;
        }
        Some(Holder { process: (self.0 >> 8) as u16, epoch: self.0 as u8 })
    }

    /// How often the lock was taken.
    pub const fn number(self) -> u64 {
        self.0 >> Self::NUMBER_SHIFT & Self::NUMBERS
    }

    const fn held_by(self, holder: Holder) -> Self {
        let number = (self.number() + 1) & Self::NUMBERS;
        let name = (holder.process as u64) << 8 | holder.epoch as u64;
        Self(Self::HELD | number << Self::NUMBER_SHIFT | name)
    }

    const fn released(self) -> Self {
        Self(self.number() << Self::NUMBER_SHIFT)
    }
}

/// All that keeps a kind of users away, at one look: two looks that are alike saw nothing come and go in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Whether a quiesce does.
    pub is_quiesced: bool,
    quiesces: u32,
    /// The lock.
    pub word: LockWord,
}

impl Bar {
    /// Whether there never was anything.
    pub fn is_new(self) -> bool {
        self.quiesces == 0 && self.word.0 == 0
    }
}

impl RingLock {
    /// Byte of the channel at which its word lies.
    const fn offset(self) -> u64 {
        match self {
            Self::Write => 48,
            Self::Read => 200,
        }
    }
}

/// What those look at who send and receive.
impl Ring {
    /// Whether there may be something that keeps those whom `lock` is about away, or the end of the channel. One load,
    /// of the line that every operation reads.
    #[inline(always)]
    pub fn may_be_barred(&self, lock: RingLock) -> bool {
        let bits = lock.used() | quiesce::STATE_QUIESCED | STATE_DESTROYED | use_of::STATE_USES;
        self.header().state.load(Ordering::Acquire) & bits != 0
    }

    /// The same, of locks and quiesces, behind a claim of a slot.
    ///
    /// Pairs with [`take_lock`](Self::take_lock) and [`halt`](Self::halt): the claim is a SeqCst exchange and this a
    /// SeqCst load, so either this sees the lock, or who locks sees the claim. On x86 it is a plain load behind a locked
    /// instruction, on aarch64 a load-acquire behind one that is sequentially consistent; no barrier of its own.
    #[inline(always)]
    pub fn may_be_shut(&self, lock: RingLock) -> bool {
        // loom takes SeqCst accesses for AcqRel.
        #[cfg(weyr_face = "loom")]
        fence(Ordering::SeqCst);
        let bits = lock.used() | quiesce::STATE_QUIESCED;
        !fault::is(Fault::ClaimLooksNotAgain) && self.header().state.load(Ordering::SeqCst) & bits != 0
    }

    /// Whether a lock or a quiesce keeps those away whom `lock` is about, whoever holds it. Asked behind
    /// [`may_be_shut`](Self::may_be_shut).
    ///
    /// # Errors
    /// [`Corrupt`]: the lock's word cannot be.
    #[cold]
    pub fn is_shut(&self, lock: RingLock) -> Result<bool, Corrupt> {
        let quiesced = self.header().state.load(Ordering::SeqCst) & quiesce::STATE_QUIESCED != 0;
        Ok(quiesced || self.lock(lock)?.holder().is_some())
    }

    /// What keeps those away whom `lock` is about.
    ///
    /// # Errors
    /// [`Corrupt`]: the lock's word cannot be.
    pub fn bar(&self, lock: RingLock) -> Result<Bar, Corrupt> {
        let state = self.header().state.load(Ordering::SeqCst);
        let is_quiesced = state & quiesce::STATE_QUIESCED != 0;
        Ok(Bar { is_quiesced, quiesces: quiesce::count(state), word: self.lock(lock)? })
    }
}

/// Taking and ending locks.
impl Ring {
    fn lock_word(&self, lock: RingLock) -> &AtomicU64 {
        match lock {
            RingLock::Write => &self.header().lock,
            RingLock::Read => &self.header().read_lock,
        }
    }

    fn exchange_lock(&self, lock: RingLock, from: LockWord, to: LockWord) -> bool {
        self.lock_word(lock).compare_exchange(from.0, to.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The lock as it is.
    ///
    /// # Errors
    /// [`Corrupt`]: its word cannot be.
    pub fn lock(&self, lock: RingLock) -> Result<LockWord, Corrupt> {
        LockWord::parse(self.lock_word(lock).load(Ordering::SeqCst), lock)
    }

    /// Makes a lock that was seen as `free` that of `me`, who looks at the slots behind it. None: it is another's now.
    /// Commit point: the exchange of the word.
    pub fn take_lock(&self, lock: RingLock, free: LockWord, me: Holder) -> Option<LockWord> {
        let taken = free.held_by(me);
        if !fault::is(Fault::LockUnannounced) {
            // First: whoever could see the word looks for it.
            self.header().state.fetch_or(lock.used(), Ordering::SeqCst);
        }
        let locked = self.exchange_lock(lock, free, taken);
        // The barrier between this and the looks at the slots, which are no SeqCst loads.
        look_after_write();
        locked.then_some(taken)
    }

    /// Ends a lock that was seen as `held`, which is the caller's or a dead process's, and wakes those whom it held up.
    /// False: it had ended before. Commit point: the exchange; those whom a death behind it leaves asleep look again at
    /// the end of a slice, and are woken by the recovery of the dead.
    pub fn end_lock<F: Futex>(&self, lock: RingLock, held: LockWord, futex: &F) -> bool {
        let ended = self.exchange_lock(lock, held, held.released());
        if ended {
            self.wake_held_up(lock, futex);
        }
        ended
    }

    pub(super) fn wake_held_up<F: Futex>(&self, lock: RingLock, futex: &F) {
        fence(Ordering::SeqCst);
        match lock {
            RingLock::Write => self.to_senders(futex).raise(),
            RingLock::Read => self.to_receivers(futex).raise(),
        }
    }

    /// Ends the locks of those of whom `is_dead` says so; it is asked behind the look at each word. Wakes nobody.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be; the other lock was looked at.
    pub(super) fn break_locks(
        &self,
        is_dead: &impl Fn(Holder) -> bool,
        still_so: &impl Fn(Holder) -> bool,
    ) -> Result<u32, Corrupt> {
        let [write, read] = RingLock::ALL.map(|lock| {
            let held = self.lock(lock)?;
            let is_broken = held.holder().is_some_and(|holder| is_dead(holder) && still_so(holder))
                && self.exchange_lock(lock, held, held.released());
            Ok(u32::from(is_broken))
        });
        Ok(write? + read?)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::{Geometry, KernelFutex};

    const ME: Holder = Holder { process: 0xabcd, epoch: 0x5a };

    fn ring() -> Ring {
        Ring::private(&Geometry::PLAIN).unwrap()
    }

    #[test]
    fn each_holding_is_another_word() {
        let ring = ring();
        for lock in RingLock::ALL {
            let free = ring.lock(lock).unwrap();
            let first = ring.take_lock(lock, free, ME).unwrap();
            assert_eq!((first.holder(), first.number()), (Some(ME), 1));
            assert_eq!(first.bits(), 1 << 63 | 1 << 24 | 0xab_cd5a);
            assert!(ring.take_lock(lock, free, ME).is_none());
            assert!(ring.end_lock(lock, first, &KernelFutex) && !ring.end_lock(lock, first, &KernelFutex));
            let free = ring.lock(lock).unwrap();
            assert_eq!((free.holder(), free.number()), (None, 1));
            let second = ring.take_lock(lock, free, ME).unwrap();
            assert!(!ring.end_lock(lock, first, &KernelFutex) && ring.is_shut(lock).unwrap());
            assert_eq!(ring.lock(lock), Ok(second));
        }
    }

    #[test]
    fn a_lock_bars_only_those_whom_it_is_about() {
        let ring = ring();
        assert!(RingLock::ALL.iter().all(|lock| !ring.may_be_barred(*lock) && !ring.may_be_shut(*lock)));
        let held = ring.take_lock(RingLock::Read, ring.lock(RingLock::Read).unwrap(), ME).unwrap();
        assert!(ring.may_be_shut(RingLock::Read) && !ring.may_be_shut(RingLock::Write));
        assert!(ring.bar(RingLock::Write).unwrap().is_new());
        ring.end_lock(RingLock::Read, held, &KernelFutex);
        assert!(ring.may_be_shut(RingLock::Read) && !ring.is_shut(RingLock::Read).unwrap());
    }

    #[test]
    fn the_locks_of_the_dead_alone_are_broken() {
        let ring = ring();
        let other = Holder { process: 1, epoch: 2 };
        let words = [(RingLock::Write, ME), (RingLock::Read, other)]
            .map(|(lock, holder)| ring.take_lock(lock, ring.lock(lock).unwrap(), holder).unwrap());
        assert_eq!(ring.break_locks(&|holder| holder == ME, &|_| false), Ok(0));
        assert_eq!(ring.break_locks(&|holder| holder == ME, &|_| true), Ok(1));
        assert_eq!(ring.lock(RingLock::Write).unwrap().holder(), None);
        assert_eq!(ring.lock(RingLock::Read), Ok(words[1]));
    }

    #[test]
    fn a_word_that_names_somebody_and_is_not_held_is_corrupt() {
        let ring = ring();
        ring.header().read_lock.store(5, Ordering::Relaxed);
        let corrupt = ring.lock(RingLock::Read).unwrap_err();
        assert_eq!(corrupt.offset, 200);
        assert_eq!(ring.break_locks(&|_| true, &|_| true), Err(corrupt));
    }
}
