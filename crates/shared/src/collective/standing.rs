//! Which generation of rounds it is, and why it is broken, if it is: one word.

use crate::Corrupt;

/// Why a group does nothing together any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rupture {
    /// Somebody aborted it.
    Aborted,
    /// A member ran out of time.
    TimedOut,
    /// A member died.
    Died,
    /// A member left.
    Left,
}

impl Rupture {
    const ALL: [Self; 4] = [Self::Aborted, Self::TimedOut, Self::Died, Self::Left];
}

/// The state of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How often it was begun anew, from 1 on; wraps.
    pub generation: u32,
    /// Why it is broken, and by which rank: whose death, or who left, ran out of time, or asked for it.
    pub broken: Option<(Rupture, u16)>,
}

impl Standing {
    pub(super) const FIRST: Self = Self { generation: 1, broken: None };

    pub(super) fn parse(bits: u64) -> Result<Self, Corrupt> {
        let (why, rank) = (bits >> 16 & 0xffff, bits as u16);
        let broken = match why {
            0 if rank == 0 => None,
            0 => return Err(Corrupt::new("state of a collective", 24)),
            code => {
                let why =
                    Rupture::ALL.get(code as usize - 1).ok_or(Corrupt::new("state of a collective", 24))?;
                Some((*why, rank))
            }
        };
        Ok(Self { generation: (bits >> 32) as u32, broken })
    }

    pub(super) const fn bits(self) -> u64 {
        let broken = match self.broken {
            None => 0,
            Some((why, rank)) => (why as u64 + 1) << 16 | rank as u64,
        };
        (self.generation as u64) << 32 | broken
    }

    pub(super) const fn next(self) -> Self {
        Self { generation: self.generation.wrapping_add(1), broken: None }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_what_it_was_written_as_and_others_are_corrupt() {
        let broken = Rupture::ALL.map(|why| Some((why, 65_535)));
        for broken in broken.into_iter().chain([None, Some((Rupture::Aborted, 0))]) {
            let standing = Standing { generation: u32::MAX, broken };
            assert_eq!(Standing::parse(standing.bits()), Ok(standing));
            assert_eq!(standing.next(), Standing { generation: 0, broken: None });
        }
        for bits in [5 << 16, 0xff << 16, 1 << 24, 1] {
            assert!(Standing::parse(bits).is_err(), "{bits:#x}");
        }
    }
}
