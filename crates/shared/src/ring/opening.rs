//! Opening a channel that is there: what its header alleges is checked before it is believed.

use weyr_atomic::Ordering;

use super::{Geometry, RING_MAGIC, RING_VERSION, Ring, RingHeader, check_geometry, tag_of};
use crate::{BlockReference, Corrupt, Region};

/// Why bytes could not be opened as a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingOpenError {
    /// The magic number is not there.
    #[error("there is no channel at this place")]
    NotAChannel,
    /// Another version of weyr wrote it.
    #[error(
        "the channel has layout version {found}, this program knows version {RING_VERSION}; use one version of weyr"
    )]
    Version {
        /// Version in the header.
        found: u32,
    },
    /// A header field is out of its range.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

impl Ring {
    /// Opens the channel in `region`, whose block is `reference`. Loads only.
    ///
    /// # Errors
    /// [`RingOpenError`]: no magic number, another version, or a field out of its range.
    pub fn open(region: &Region, reference: BlockReference) -> Result<Self, RingOpenError> {
        let header = region.view::<RingHeader>(0)?;
        if header.magic.load(Ordering::Acquire) != RING_MAGIC {
            return Err(RingOpenError::NotAChannel);
        }
        let found = header.version.load(Ordering::Relaxed);
        if found != RING_VERSION {
            return Err(RingOpenError::Version { found });
        }
        let mut geometry = Geometry::stored_in(header);
        geometry.read_urgent(region)?;
        check_header(header, &geometry, reference)?;
        Ok(Self::laid_over(region, &geometry, tag_of(reference))?)
    }
}

fn check_header(header: &RingHeader, geometry: &Geometry, reference: BlockReference) -> Result<(), Corrupt> {
    check_geometry(geometry)?;
    let expected = [
        (u64::from(header.flags.load(Ordering::Relaxed)), u64::from(geometry.flags()), "channel flags", 12),
        (u64::from(header.slot_stride.load(Ordering::Relaxed)), geometry.stride(), "channel slot stride", 24),
        (header.generation.load(Ordering::Relaxed), reference.generation, "channel generation", 56),
    ];
    for (found, wanted, what, offset) in expected {
        if found != wanted {
            return Err(Corrupt::new(what, offset));
        }
    }
    Ok(())
}
