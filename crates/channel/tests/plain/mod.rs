//! A pool for tests in which no user dies: one ring in private memory, threads as its users, the kernel's futex.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::{Duration, Instant};

use weyr_channel::Error;
use weyr_channel::protocol::{Attached, Host};
use weyr_shared::{Actor, BlockReference, Geometry, Holder, KernelFutex, MessageReference, Ring};

/// The pool as one of the threads sees it.
#[derive(Debug)]
pub(crate) struct PlainHost {
    futex: KernelFutex,
    actor: Actor,
    born: Instant,
}

impl Host for PlainHost {
    type Block = BlockReference;
    type Futex = KernelFutex;

    fn futex(&self) -> &KernelFutex {
        &self.futex
    }

    fn nonce(&self) -> u64 {
        weyr_sys::fork::nonce()
    }

    fn me(&self) -> Result<Actor, Error> {
        Ok(self.actor)
    }

    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    /// Nobody attaches as these: whoever is named there was written by accident.
    fn is_dead(&self, holder: Holder) -> bool {
        holder.process >= 16
    }

    fn recover(&self, _process: u16) {}

    fn check_channel(&self, _channel: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn free_channel(&self, _channel: BlockReference) {}

    fn in_flight(&self, _reference: BlockReference) -> bool {
        true
    }

    fn begin_transfer(&self, _reference: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn revert_transfer(&self, _reference: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn take_transfer(&self, message: &MessageReference) -> Result<BlockReference, Error> {
        Ok(message.block)
    }
}

/// A channel as one of the threads has it.
pub(crate) type Plain = Attached<PlainHost>;

/// A new channel.
pub(crate) fn ring(capacity: u32) -> Ring {
    Ring::private(&Geometry { capacity, processes: 16, ..Geometry::PLAIN }).unwrap()
}

/// The channel as one thread has it, which acts as process `process`.
pub(crate) fn attached(ring: &Ring, process: u16) -> Plain {
    let host = PlainHost { futex: KernelFutex, actor: Actor { process, epoch: 1 }, born: Instant::now() };
    Attached::new(ring.clone(), BlockReference { offset: 0, generation: 1 }, host).unwrap()
}
