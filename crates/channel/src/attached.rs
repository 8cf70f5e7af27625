//! A channel as one process has it: its ring, the pool under it, and the name under which this process acts.
//!
//! One value serves all handles of a process. After fork(2) the child notices at its first use that it has another
//! nonce, and attaches itself; what it drops before that, it leaves to the parent.

use weyr_atomic::{AtomicU64, Ordering, thread};
use weyr_shared::{Actor, BlockReference, Holder, Ring, SlotWord};

use crate::Error;
use crate::host::Host;

/// A channel to which this process is attached.
#[derive(Debug)]
pub struct Attached<H: Host> {
    pub(crate) ring: Ring,
    pub(crate) host: H,
    /// The block in which the channel lies.
    reference: BlockReference,
    /// Nonce of the process whose thread attaches or has attached; zero: nobody.
    attaching: AtomicU64,
    /// Nonce of the process for which `actor` is right; zero: none.
    attached: AtomicU64,
    /// `process:16 | epoch:32`.
    actor: AtomicU64,
    /// Not zero: by what the channel is used as, which sends and receives for its users.
    by_use: AtomicU64,
}

impl<H: Host> Attached<H> {
    /// Attaches this process to the channel in `ring`, which lies in the block `reference`.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::TooManyHandles`], [`Error::Destroyed`], or the pool's.
    pub fn new(ring: Ring, reference: BlockReference, host: H) -> Result<Self, Error> {
        let attached = Self::being_made(ring, reference, host)?;
        // Attached, so it stays what it is now.
        attached.host.check_channel(reference)?;
        attached.free_leftovers();
        Ok(attached)
    }

    /// The same for a channel that nobody else knows yet.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn being_made(ring: Ring, reference: BlockReference, host: H) -> Result<Self, Error> {
        let zero = || AtomicU64::new(0);
        let (attaching, attached, actor) = (zero(), zero(), zero());
        let attached = Self { ring, host, reference, attaching, attached, actor, by_use: zero() };
        attached.me()?;
        Ok(attached)
    }

    /// As if `actor` had attached itself in this process: for models, whose processes are one to the system.
    #[doc(hidden)]
    pub fn for_model(ring: Ring, host: H, actor: Actor) -> Self {
        let nonce = host.nonce();
        let name = u64::from(actor.process) << 32 | u64::from(actor.epoch);
        let [attaching, attached, actor] = [nonce, nonce, name].map(AtomicU64::new);
        let reference = BlockReference { offset: 0, generation: 1 };
        Self { ring, host, reference, attaching, attached, actor, by_use: AtomicU64::new(0) }
    }

    /// The block in which the channel lies.
    pub fn block(&self) -> BlockReference {
        self.reference
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Under which name this process acts here. Attaches a forked child.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[inline]
    pub fn me(&self) -> Result<Holder, Error> {
        self.actor().map(Holder::from)
    }

    #[inline]
    pub(crate) fn actor(&self) -> Result<Actor, Error> {
        let nonce = self.host.nonce();
        if self.attached.load(Ordering::Acquire) == nonce {
            return Ok(self.known_actor());
        }
        self.attach_as(nonce)
    }

    /// The same where nothing is to be done for it.
    #[inline(always)]
    pub(crate) fn known(&self) -> Option<Holder> {
        let is_known = self.attached.load(Ordering::Acquire) == self.host.nonce();
        is_known.then(|| self.known_actor().into())
    }

    #[inline]
    fn known_actor(&self) -> Actor {
        let bits = self.actor.load(Ordering::Relaxed);
        Actor { process: (bits >> 32) as u16, epoch: bits as u32 }
    }

    /// One thread attaches the process, the others let it. A claim that a fork copied names the parent, and is taken.
    #[cold]
    fn attach_as(&self, nonce: u64) -> Result<Actor, Error> {
        loop {
            let claimed = self.attaching.load(Ordering::Acquire);
            let mine = claimed != nonce
                && self
                    .attaching
                    .compare_exchange(claimed, nonce, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok();
            if mine {
                return self.attach_now(nonce);
            }
            if self.attached.load(Ordering::Acquire) == nonce {
                return Ok(self.known_actor());
            }
            thread::yield_now();
        }
    }

    fn attach_now(&self, nonce: u64) -> Result<Actor, Error> {
        let outcome = self.host.me().and_then(|actor| self.attach_actor(actor));
        match outcome {
            Ok(actor) => {
                self.actor.store(u64::from(actor.process) << 32 | u64::from(actor.epoch), Ordering::Relaxed);
                self.attached.store(nonce, Ordering::Release);
            }
            Err(_) => self.attaching.store(0, Ordering::Release),
        }
        outcome
    }

    fn attach_actor(&self, actor: Actor) -> Result<Actor, Error> {
        self.ring.attach(actor)?;
        if self.ring.is_destroyed() {
            self.leave(actor);
            return Err(Error::Destroyed);
        }
        Ok(actor)
    }

    /// Detaches this process, after emptying the channel if it was destroyed. Who turns out to be the last then frees
    /// the channel's memory. A forked child that never used the channel leaves the parent's attachment alone.
    fn detach(&self) {
        let nonce = self.host.nonce();
        if self.attached.compare_exchange(nonce, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.leave(self.known_actor());
        }
    }

    fn leave(&self, actor: Actor) {
        if self.ring.is_destroyed() {
            self.drain(actor);
        }
        // Asked while attached. What lies in a pool that this process cannot reach is freed by one that can.
        let is_empty = !self.ring.has_elsewhere();
        // A word that cannot be keeps the memory: then it is the pool's verification that says so.
        if self.ring.detach(actor) == Ok(true) && is_empty {
            self.host.free_channel(self.reference);
        }
    }

    /// Forbids all further messages, wakes everybody, and frees what no one will receive.
    ///
    /// # Errors
    /// [`Error::Destroyed`]: another was first; or the pool's.
    pub fn destroy(&self) -> Result<(), Error> {
        let me = self.actor()?;
        if !self.ring.destroy(self.host.futex()) {
            return Err(Error::Destroyed);
        }
        self.drain(me);
        Ok(())
    }

    fn drain(&self, me: Actor) {
        // A block that is not on its way is not this channel's to free; a corrupt slot keeps its message. Both are
        // for the pool's verification to report: whoever detaches cannot be told.
        let free = |block: BlockReference| drop(self.host.discard_transfer(block));
        let _ = self.ring.drain(me.into(), free);
        if self.ring.has_buffer_pool() {
            self.host.drain_buffers(&self.ring, me);
        }
        // Last, so that few are sent behind it; who does drains when it detaches.
        self.host.drain_named(&self.ring, me);
    }

    /// # Errors
    /// [`Error::Destroyed`].
    #[inline]
    pub(crate) fn check_usable(&self) -> Result<(), Error> {
        if self.ring.is_destroyed() { Err(Error::Destroyed) } else { Ok(()) }
    }

    /// This handle is that of what the channel is used as.
    pub(crate) fn be_by_use(&self) {
        self.by_use.store(1, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Error::NotForMessages`].
    pub(crate) fn check_use(&self) -> Result<(), Error> {
        match self.ring.used_as() {
            Some(as_what) if self.by_use.load(Ordering::Relaxed) == 0 => {
                Err(Error::NotForMessages { used_as: as_what.name() })
            }
            _ => Ok(()),
        }
    }

    /// Whether the holder that `word` names is dead; then the pool was recovered from it, and this slot repaired.
    pub(crate) fn bury(&self, index: u32, word: SlotWord) -> Result<bool, Error> {
        let holder = word.holder;
        if !word.state.names_holder() || !self.host.is_dead(holder) {
            return Ok(false);
        }
        self.host.recover(holder.process);
        if self.ring.load(index)? == word {
            self.repair(holder)?;
        }
        self.free_leftovers();
        Ok(true)
    }

    /// Buries every dead holder of a slot.
    pub(crate) fn bury_all(&self) -> Result<(), Error> {
        for index in 0..self.ring.slot_count() {
            self.bury(index, self.ring.load(index)?)?;
        }
        Ok(())
    }

    /// What recovery of the pool leaves: words of one whom the pool no longer knows.
    fn repair(&self, holder: Holder) -> Result<(), Error> {
        let actor = Actor { process: holder.process, epoch: holder.epoch.into() };
        let (is_dead, in_flight) = (|| self.host.is_dead(holder), |block| self.host.in_flight(block));
        self.ring.repair(actor, is_dead, in_flight, self.host.futex())?;
        Ok(())
    }
}

impl<H: Host> Drop for Attached<H> {
    fn drop(&mut self) {
        self.detach();
    }
}
