//! A traced process and the shared bytes: which step changed them.

use crate::{
    Error, Segment,
    path::Write,
    trace::{Step, Traced},
};

/// A child on its way through the operation, and the segment's bytes at its last step.
pub(crate) struct Walk<'a> {
    pub(crate) traced: Traced,
    segment: &'a dyn Segment,
    bytes: u64,
    limit_steps: u64,
}

/// What a step did to the segment.
#[derive(PartialEq, Eq)]
pub(crate) enum Walked {
    Unchanged,
    Changed,
    AtEnd,
}

impl<'a> Walk<'a> {
    /// `traced` stands before its first instruction.
    pub(crate) fn new(traced: Traced, segment: &'a dyn Segment, limit_steps: u64) -> Result<Self, Error> {
        let mut walk = Self { traced, segment, bytes: 0, limit_steps };
        walk.bytes = walk.fingerprint()?;
        Ok(walk)
    }

    fn fingerprint(&self) -> Result<u64, Error> {
        self.segment.fingerprint().map_err(Error::io("read the segment"))
    }

    /// One step, and whether it changed the segment.
    pub(crate) fn step(&mut self) -> Result<Walked, Error> {
        if self.traced.steps() >= self.limit_steps {
            return Err(Error::TooLong { limit: self.limit_steps });
        }
        if self.traced.step()? == Step::AtEnd {
            return Ok(Walked::AtEnd);
        }
        Ok(if self.has_changed()? { Walked::Changed } else { Walked::Unchanged })
    }

    /// Whether the bytes are others than when this was last asked.
    fn has_changed(&mut self) -> Result<bool, Error> {
        let bytes = self.fingerprint()?;
        Ok(std::mem::replace(&mut self.bytes, bytes) != bytes)
    }

    /// Goes the way of an earlier run: through exactly these writes, and `steps` further. Looks at the segment at
    /// the writes only, because a look costs more than a step when the segment is large. False if it is another way.
    pub(crate) fn retrace(&mut self, writes: &[Write], steps: u64) -> Result<bool, Error> {
        for write in writes {
            if !self.blindly_to(write.step - 1)? || self.traced.next_instruction()? != write.address {
                return Ok(false);
            }
            if self.step()? != Walked::Changed {
                return Ok(false);
            }
        }
        let last = self.traced.steps();
        Ok(self.blindly_to(last + steps)? && !self.has_changed()?)
    }

    fn blindly_to(&mut self, steps: u64) -> Result<bool, Error> {
        while self.traced.steps() < steps {
            if self.traced.step()? == Step::AtEnd {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks after every step, and goes on until the bytes have changed `writes` times, and `steps` further. False if it ended, or wrote, before.
    pub(crate) fn behind(&mut self, writes: usize, steps: u64) -> Result<bool, Error> {
        let mut seen = 0;
        while seen < writes {
            match self.step()? {
                Walked::Unchanged => {}
                Walked::Changed => seen += 1,
                Walked::AtEnd => return Ok(false),
            }
        }
        for _ in 0..steps {
            if self.step()? != Walked::Unchanged {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
