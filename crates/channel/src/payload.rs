//! What a send writes into the slot that it has claimed.

use weyr_shared::{MessageReference, Ring};

use crate::Error;
use crate::host::Host;
use crate::send::Claim;

/// What is to be sent.
pub trait Outgoing<H: Host> {
    /// Writes it into the slot that this process holds in FILLING.
    ///
    /// # Errors
    /// [`Corrupt`](weyr_shared::Corrupt), or the pool's; then nothing is on its way.
    fn fill(&self, host: &H, ring: &Ring, claim: Claim) -> Result<(), Error>;

    /// Undoes what `fill` did outside the slot.
    ///
    /// # Errors
    /// The pool's.
    fn take_back(&self, host: &H) -> Result<(), Error>;

    /// Bytes that `fill` copies.
    fn bytes_copied(&self) -> u64;
}

/// Bytes, copied into the slot.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<H: Host> Outgoing<H> for Bytes<'_> {
    #[inline]
    fn fill(&self, _host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        Ok(ring.write_inline(claim.index(), claim.sender(), self.0)?)
    }

    fn take_back(&self, _host: &H) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn bytes_copied(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A block, whose ownership goes with the message; the caller forgets it once the message is sent.
#[derive(Debug, Clone, Copy)]
pub struct Transfer(pub MessageReference);

impl<H: Host> Outgoing<H> for Transfer {
    fn fill(&self, host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        ring.write_reference(claim.index(), claim.sender(), &self.0)?;
        host.begin_transfer(self.0.block)
    }

    fn take_back(&self, host: &H) -> Result<(), Error> {
        host.revert_transfer(self.0.block)
    }

    fn bytes_copied(&self) -> u64 {
        0
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::elsewhere::Elsewhere;
    use crate::fake_pool::{FakeHost, FakePool};
    use crate::numbering::{Labelled, Numbering};
    use crate::send::SendSide;
    use crate::share::Share;
    use crate::side_load::SideLoaded;
    use crate::wait::{Attempt, Tried};

    /// The process slot that a message of process 5 names.
    fn named_by(message: &dyn Outgoing<FakeHost>) -> u16 {
        let pool = FakePool::new(1);
        let process = pool.process(5);
        let claimed = process.claim(&SendSide::default(), process.me().unwrap(), Attempt::AT_ONCE);
        let Tried::Done(claim) = claimed.unwrap() else { panic!("no slot is free") };
        // The pool knows none of the blocks; the slot is written before it is asked.
        let _ = message.fill(process.host(), process.ring(), claim);
        process.ring().sender(claim.index()).unwrap()
    }

    #[test]
    fn a_message_of_any_kind_names_its_sender() {
        let Transfer(message) = FakePool::new(1).message(64, 5);
        let numbering = Numbering::new(false);
        let messages: [&dyn Outgoing<FakeHost>; 6] = [
            &Bytes(b"bytes"),
            &Transfer(message),
            &Share { message, original: true },
            &SideLoaded(message),
            &Elsewhere(message),
            &Labelled::new(&Bytes(b""), &numbering, 0, 0),
        ];
        assert_eq!(messages.map(named_by), [5; 6]);
    }
}
