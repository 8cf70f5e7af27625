//! What a sending handle is called in the messages that it sends, and how it numbers them.

use std::cell::Cell;

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{MessageAttributes, Ring};
use weyr_sys::host::random_u128;

use crate::Error;
use crate::host::Host;
use crate::send::{Claim, Outgoing};

/// The id of a sending handle and the number of its last message, in private memory.
#[derive(Debug)]
pub(crate) struct Numbering {
    /// With the nonce of the process it is the id, so that a forked child's copy of the handle has another one.
    base: u128,
    /// Nonce of the process that numbers.
    nonce: AtomicU64,
    last: AtomicU64,
}

impl Numbering {
    /// `needed`: messages of this handle carry its id. Asks the kernel for it then.
    pub(crate) fn new(needed: bool) -> Self {
        let base = if needed { random_u128() } else { 0 };
        Self { base, nonce: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    pub(crate) fn id(&self, nonce: u64) -> u128 {
        self.base ^ u128::from(nonce)
    }

    /// The next number, which is the caller's.
    fn draw(&self, nonce: u64) -> u64 {
        if self.nonce.swap(nonce, Ordering::Relaxed) != nonce {
            self.last.store(0, Ordering::Relaxed);
        }
        self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Gives a number back that no message got, unless another thread has drawn since.
    fn give_back(&self, number: u64) {
        let before = number.wrapping_sub(1);
        let _ = self.last.compare_exchange(number, before, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A message with attributes.
#[derive(Debug)]
pub(crate) struct Labelled<'a, M> {
    message: &'a M,
    numbering: &'a Numbering,
    client_id: u64,
    hints: u64,
    /// Its number, once it has a slot; it keeps it when it has to look for another.
    number: Cell<Option<u64>>,
}

impl<'a, M> Labelled<'a, M> {
    pub(crate) fn new(message: &'a M, numbering: &'a Numbering, client_id: u64, hints: u64) -> Self {
        Self { message, numbering, client_id, hints, number: Cell::new(None) }
    }

    /// The message was not sent.
    pub(crate) fn forget(&self) {
        if let Some(number) = self.number.take() {
            self.numbering.give_back(number);
        }
    }

    fn attributes(&self, nonce: u64) -> MessageAttributes {
        let number = self.number.get().unwrap_or_else(|| self.numbering.draw(nonce));
        self.number.set(Some(number));
        MessageAttributes {
            handle: self.numbering.id(nonce),
            client_id: self.client_id,
            hints: self.hints,
            sequence: number,
        }
    }
}

impl<H: Host, M: Outgoing<H>> Outgoing<H> for Labelled<'_, M> {
    fn fill(&self, host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        self.message.fill(host, ring, claim)?;
        let written = ring.write_attributes(claim.index(), &self.attributes(host.nonce()));
        if written.is_err() {
            self.message.take_back(host)?;
        }
        Ok(written?)
    }

    fn take_back(&self, host: &H) -> Result<(), Error> {
        self.message.take_back(host)
    }

    fn bytes_copied(&self) -> u64 {
        self.message.bytes_copied()
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_gaps_and_begin_anew_in_a_child() {
        let numbering = Numbering::new(true);
        assert_eq!((numbering.draw(7), numbering.draw(7)), (1, 2));
        numbering.give_back(2);
        assert_eq!(numbering.draw(7), 2);
        numbering.give_back(1);
        assert_eq!((numbering.draw(7), numbering.draw(8)), (3, 1));
        assert_ne!(numbering.id(7), numbering.id(8));
        assert_ne!(numbering.id(7), Numbering::new(true).id(7));
    }
}
