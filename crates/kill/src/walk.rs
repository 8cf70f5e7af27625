//! A traced process and the shared bytes: which step changed them.

use std::collections::HashSet;

use crate::{
    Error, Place, Segment,
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
    /// The step would have changed it, and was taken back.
    Undone,
    /// An instruction changed it of which that was not known.
    Strayed,
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
        self.assert_short()?;
        if self.traced.step()? == Step::AtEnd {
            return Ok(Walked::AtEnd);
        }
        Ok(if self.has_changed()? { Walked::Changed } else { Walked::Unchanged })
    }

    fn assert_short(&self) -> Result<(), Error> {
        if self.traced.steps() >= self.limit_steps {
            return Err(Error::TooLong { limit: self.limit_steps });
        }
        Ok(())
    }

    /// Whether the bytes are others than when this was last asked.
    fn has_changed(&mut self) -> Result<bool, Error> {
        let bytes = self.fingerprint()?;
        Ok(std::mem::replace(&mut self.bytes, bytes) != bytes)
    }

    /// Goes the way of an earlier run to a place on it: through exactly its writes, step by step. Looks at the segment
    /// at the writes only, because a look costs more than a step when the segment is large. False if it is another way.
    pub(crate) fn retrace(&mut self, place: Place, writes: &[Write]) -> Result<bool, Error> {
        match place {
            Place::Behind { write, steps } => Ok(self.through(&writes[..write])? && self.quietly(steps)?),
            Place::Before { write } => {
                let next = &writes[write - 1];
                let before = next.step - 1 - writes[..write - 1].last().map_or(0, |former| former.step);
                let arrived = self.through(&writes[..write - 1])? && self.quietly(before)?;
                Ok(arrived && self.traced.next_instruction()? == next.address)
            }
            Place::BeforeFirst | Place::AfterLast => Ok(false),
        }
    }

    fn through(&mut self, writes: &[Write]) -> Result<bool, Error> {
        for write in writes {
            if !self.blindly_to(write.step - 1)? || self.traced.next_instruction()? != write.address {
                return Ok(false);
            }
            if self.step()? != Walked::Changed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn quietly(&mut self, steps: u64) -> Result<bool, Error> {
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

    /// Goes to a place between the first instruction and the last, however many steps lie between the writes of this
    /// run. Looks at the segment at `writers` only: the instructions known to change it. False if there is no such
    /// place on the way, or if others changed it.
    pub(crate) fn seek(&mut self, place: Place, writers: &HashSet<u64>) -> Result<bool, Error> {
        let (writes, steps) = match place {
            Place::Behind { write, steps } => (write, Some(steps)),
            Place::Before { write } => (write - 1, None),
            Place::BeforeFirst | Place::AfterLast => return Ok(false),
        };
        for _ in 0..writes {
            if self.behind_next_write(writers)? != Walked::Changed {
                return Ok(false);
            }
        }
        let arrived = match self.before_next_write(steps, writers)? {
            Walked::Unchanged | Walked::Undone => true,
            Walked::AtEnd => steps.is_some(),
            Walked::Changed | Walked::Strayed => false,
        };
        Ok(arrived && !self.has_changed()?)
    }

    fn behind_next_write(&mut self, writers: &HashSet<u64>) -> Result<Walked, Error> {
        loop {
            let walked = if self.is_at(writers)? { self.watched()? } else { self.unwatched()? };
            if walked != Walked::Unchanged {
                return Ok(walked);
            }
        }
    }

    /// As far as the next write, or so many steps if they are fewer.
    fn before_next_write(&mut self, steps: Option<u64>, writers: &HashSet<u64>) -> Result<Walked, Error> {
        let mut made = 0;
        while steps.is_none_or(|steps| made < steps) {
            let walked = if self.is_at(writers)? { self.unless_it_writes()? } else { self.unwatched()? };
            if walked != Walked::Unchanged {
                return Ok(walked);
            }
            made += 1;
        }
        Ok(Walked::Unchanged)
    }

    fn is_at(&self, writers: &HashSet<u64>) -> Result<bool, Error> {
        Ok(writers.contains(&self.traced.next_instruction()?))
    }

    fn unwatched(&mut self) -> Result<Walked, Error> {
        self.assert_short()?;
        Ok(if self.traced.step()? == Step::AtEnd { Walked::AtEnd } else { Walked::Unchanged })
    }

    /// One step, from bytes that nobody changed unseen.
    fn watched(&mut self) -> Result<Walked, Error> {
        if self.has_changed()? { Ok(Walked::Strayed) } else { self.step() }
    }

    /// One step, which is taken back if it changes the segment: an instruction changes nothing but memory and these
    /// registers, and a system call that changes the segment gives the same when it is made again.
    fn unless_it_writes(&mut self) -> Result<Walked, Error> {
        let (registers, bytes) = (self.traced.registers()?, self.bytes);
        let image = self.segment.save().map_err(Error::io("save the segment"))?;
        let walked = self.watched()?;
        if walked != Walked::Changed {
            return Ok(walked);
        }
        self.traced.set_registers(&registers)?;
        self.segment.restore(&image).map_err(Error::io("put the segment back"))?;
        self.bytes = self.fingerprint()?;
        Ok(if self.bytes == bytes { Walked::Undone } else { Walked::Strayed })
    }
}
