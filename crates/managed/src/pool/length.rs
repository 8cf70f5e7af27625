//! Whether the object of a pool is as long as the pool. Whoever may write to a file may cut it, and what lies behind its
//! end then ends who touches it with SIGBUS. So calls that are slow anyway ask the kernel first: docs/files.md.
//!
//! What it does *not* do: nothing keeps the object as long as it was seen to be but a seal.

use crate::heap::verify::{Finding, Verification};
use crate::membership::attachment::Attachment;
use crate::{Error, Pool};

impl Attachment {
    /// Fails where the object is shorter than the pool. Touches nothing of it that is not there.
    pub(crate) fn check_length(&self) -> Result<(), Error> {
        let Some(object) = self.object() else { return Ok(()) };
        let length = || object.len().map_err(Error::os("asking for the length of the pool's object"));
        let geometry = &self.heap.geometry;
        let compare = |bytes, expected| {
            let truncated = Error::Truncated { name: self.name.clone(), bytes, expected };
            if bytes < expected { Err(truncated) } else { Ok(()) }
        };
        compare(length()?, geometry.object_bytes(geometry.shape.initial_pages))?;
        // The header is there, so it can be asked: before the length, for who grows the pool makes the object longer
        // before it says so.
        let expected = geometry.object_bytes(self.heap.current_pages());
        compare(length()?, expected)
    }

    /// What there is to be said of a pool whose words cannot be looked at.
    pub(crate) fn cut_off(&self) -> Option<Verification> {
        let detail = self.check_length().err()?.to_string();
        let finding = Finding { invariant: "the object is as long as the pool", place: 0, detail };
        Some(Verification { findings: vec![finding], ..Verification::default() })
    }
}

impl Pool {
    /// Whether the object that the pool lies in is as long as the pool. Two system calls; no memory of the pool is touched
    /// that is not there, so it can be asked where somebody may have cut the file, which the kernel tells nobody of.
    ///
    /// A process that touches what was cut off ends by SIGBUS. Nobody can cut a [sealed](crate::PoolType::Sealed) pool;
    /// for memory there is nothing to be asked.
    ///
    /// # Errors
    /// [`Error::Truncated`]: what lay behind the end is lost, and the pool with it. [`Error::Os`].
    pub fn check_length(&self) -> Result<(), Error> {
        self.attachment().check_length()
    }
}
