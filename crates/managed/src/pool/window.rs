//! What a process sees of a pool: its whole maximum, or as much as its address space allows.

use std::sync::Arc;

use weyr_shared::Region;
use weyr_sys::Errno;
use weyr_sys::mapping::Mapping;
use weyr_sys::object::{Access, Object};

use crate::Error;
use crate::geometry::{DATA_CHUNK, Geometry, LARGEST_PAGE};

/// Maps the whole window of an object, or as much as this process's address space allows: `least` bytes at least.
pub(crate) fn map(object: &Object, bytes: u64, least: u64, access: Access) -> Result<Arc<Mapping>, Error> {
    let window = largest(bytes, least)?;
    let page = object.page_size() as u64;
    let alignment = alignment(bytes).max(page) as usize;
    // Whole pages of the object, also where the address space ends within one.
    let window = (window - window % page).max(least) as usize;
    explained(Mapping::shared_aligned(object, window, access, alignment), least)
}

/// As [`map`], memory of this process alone.
pub(crate) fn map_private(bytes: u64, least: u64) -> Result<Arc<Mapping>, Error> {
    let window = largest(bytes, least)? as usize;
    explained(Mapping::anonymous_aligned(window, alignment(bytes) as usize), least)
}

/// So that what is aligned in one process is so in the others, and huge pages of the object are huge in memory.
fn alignment(bytes: u64) -> u64 {
    if bytes >= DATA_CHUNK { DATA_CHUNK } else { LARGEST_PAGE }
}

fn largest(bytes: u64, least: u64) -> Result<u64, Error> {
    let window = weyr_sys::address_space::largest_window(bytes);
    if window < least { Err(Error::TooLarge { bytes: least, limit: window }) } else { Ok(window) }
}

fn explained(mapping: Result<Mapping, Errno>, least: u64) -> Result<Arc<Mapping>, Error> {
    mapping.map(Arc::new).map_err(|errno| match errno {
        Errno::NOMEM => {
            Error::TooLarge { bytes: least, limit: weyr_sys::address_space::largest_window(least) }
        }
        errno => Error::Os { operation: "mapping the pool", errno },
    })
}

/// The data area of a pool in `region`, as far as it is mapped.
pub(crate) fn data_of(region: &Region, geometry: &Geometry) -> Result<Region, Error> {
    let start = geometry.offsets.data;
    let bytes = region.len().saturating_sub(start).min(geometry.maximum_bytes());
    Ok(region.part(start.min(region.len()), bytes)?)
}
