//! What a channel asks of the pool in which it lies.
//!
//! The protocol is written against this trait, so that models run it over blocks of their own. It knows processes
//! by the names that slot words carry, and blocks by reference.

use std::time::Duration;

use weyr_shared::{Actor, BlockReference, Futex, Holder, MessageReference, Ring, SlotWord};

use crate::Error;
use crate::hindrance::Hindrance;

/// The pool under a channel, as the protocol sees it.
pub trait Host {
    /// A block that was taken from a message; dropping it frees it.
    type Block;
    /// How this process sleeps.
    type Futex: Futex;

    /// The futex.
    fn futex(&self) -> &Self::Futex;

    /// A number that changes when this process is forked: the child sees another.
    fn nonce(&self) -> u64;

    /// This process's slot and epoch; attaches to the pool anew in a forked child.
    ///
    /// # Errors
    /// The pool's, when it cannot be attached to.
    fn me(&self) -> Result<Actor, Error>;

    /// Monotonic time since any moment.
    fn now(&self) -> Duration;

    /// Whether `word` has been in the way for longer than `patience`. A model decides by choice, not by the clock.
    fn is_patience_over(&self, hindrance: &Hindrance, word: SlotWord, patience: Duration) -> bool {
        hindrance.outlasts(word, patience, self.now())
    }

    /// Called before each try of a wait, with all that the waiter remembers: a model tells states apart by it.
    #[inline]
    fn before_try(&self, _remembered: u128) {}

    /// Called where a try remembers nothing but at which of its steps it is.
    #[inline]
    fn at_step(&self, _step: u32) {}

    /// Whether the process that a slot word names no longer exists. May ask the kernel; does not wait.
    fn is_dead(&self, holder: Holder) -> bool;

    /// Recovers the pool from the death of the user of a process slot, this channel included. Idempotent.
    fn recover(&self, process: u16);

    /// Whether the block `channel` is a channel still.
    ///
    /// # Errors
    /// [`Error::Stale`], or the pool's.
    fn check_channel(&self, channel: BlockReference) -> Result<(), Error>;

    /// Frees the block of a destroyed channel to which nobody is attached. Of several that try, one succeeds.
    fn free_channel(&self, channel: BlockReference);

    /// Whether the block is on its way by exactly this reference.
    fn in_flight(&self, reference: BlockReference) -> bool;

    /// Gives a block to the channel. From now on, when this process dies, it is freed if no message refers to it.
    ///
    /// # Errors
    /// The pool's, when the block is not this process's to give.
    fn begin_transfer(&self, reference: BlockReference) -> Result<(), Error>;

    /// Takes a block back that `begin_transfer` gave and no message was published for.
    ///
    /// # Errors
    /// The pool's, when the block is not on its way.
    fn revert_transfer(&self, reference: BlockReference) -> Result<(), Error>;

    /// Takes the block of a message whose payload nobody keeps, and frees it, or gives it back to the pool.
    ///
    /// # Errors
    /// The pool's, when the block is not on its way.
    fn discard_transfer(&self, block: BlockReference) -> Result<(), Error> {
        self.take_transfer(&MessageReference { block, view_offset: 0, view_len: 0 }).map(drop)
    }

    /// Puts a block of this process in the buffer pool in the hands of a slot: see [`Pool::lend_buffer`](weyr_managed::Pool::lend_buffer).
    ///
    /// # Errors
    /// The buffer pool's, when the block is not this process's to give.
    fn lend_buffer(&self, _reference: BlockReference) -> Result<(), Error> {
        Err(Error::BufferPoolGone)
    }

    /// Makes a block that a slot has this process's again.
    ///
    /// # Errors
    /// The buffer pool's, when it is no longer there.
    fn revert_buffer(&self, _reference: BlockReference) -> Result<(), Error> {
        Err(Error::BufferPoolGone)
    }

    /// Frees a block that a slot has, or had.
    ///
    /// # Errors
    /// The buffer pool's, when it is no longer there.
    fn free_buffer(&self, _reference: BlockReference) -> Result<(), Error> {
        Err(Error::BufferPoolGone)
    }

    /// Whether the block that a slot names is there.
    fn has_buffer(&self, _reference: BlockReference) -> bool {
        false
    }

    /// Takes the messages that name memory of other pools out of a destroyed channel.
    fn drain_named(&self, _ring: &Ring, _me: Actor) {}

    /// Frees what a destroyed channel has in its buffer pool.
    fn drain_buffers(&self, _ring: &Ring, _me: Actor) {}

    /// Makes the block of a message this process's: the instant of taking.
    ///
    /// # Errors
    /// The pool's, when the block is not on its way by this reference, or is shorter than the message.
    fn take_transfer(&self, message: &MessageReference) -> Result<Self::Block, Error>;
}
