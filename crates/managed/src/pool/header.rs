//! The header of a pool: written by its creator, and believed by nobody before it is checked.

use weyr_atomic::Ordering;
use weyr_shared::{Corrupt, Field, Layout, ReadyRow};
use weyr_sys::host;

use crate::attributes::particulars::{Particulars, read_text};
use crate::geometry::{METADATA_CHUNK, Shape};
use crate::heap::manifest::HASH_MULTIPLIERS;
use crate::layout::{
    LAYOUT_VERSION, Lane, ManifestBucket, ManifestRecord, POOL_MAGIC, PageDescriptor, PoolHeader,
    ProcessSlot, STATE_DESTROYED, STATE_MAKING, STATE_READY,
};
use crate::{Error, PoolAttributes, PoolType};

/// Hash over everything that the bytes of a pool depend on (FNV-1a).
pub(crate) const fn layout_hash() -> u64 {
    const HASH: u64 = {
        let tables = [
            PoolHeader::FIELDS,
            ProcessSlot::FIELDS,
            Lane::FIELDS,
            PageDescriptor::FIELDS,
            ManifestBucket::FIELDS,
            ManifestRecord::FIELDS,
            ReadyRow::FIELDS,
        ];
        let (mut hash, mut table) = (0xcbf2_9ce4_8422_2325, 0);
        while table < tables.len() {
            let mut field = 0;
            while field < tables[table].len() {
                let Field { name, kind, offset, .. } = &tables[table][field];
                hash = add(add(hash, name.as_bytes()), kind.as_bytes());
                hash = add(hash, &(*offset as u64).to_le_bytes());
                field += 1;
            }
            table += 1;
        }
        let hash = add(hash, &METADATA_CHUNK.to_le_bytes());
        let hash = add(hash, &HASH_MULTIPLIERS[0].to_le_bytes());
        add(hash, &HASH_MULTIPLIERS[1].to_le_bytes())
    };
    HASH
}

const fn add(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x100_0000_01b3);
        index += 1;
    }
    hash
}

pub(crate) fn write(
    header: &PoolHeader,
    shape: &Shape,
    particulars: &Particulars,
    attributes: &PoolAttributes,
) {
    let uuid = host::random_u128();
    let words = [
        (&header.magic, POOL_MAGIC),
        (&header.uuid_low, uuid as u64),
        (&header.uuid_high, (uuid >> 64) as u64),
        (&header.host, host::id()),
        (&header.layout_hash, layout_hash()),
        (&header.initial_pages, shape.initial_pages),
        (&header.segment_pages, shape.segment_pages),
        (&header.maximum_pages, shape.maximum_pages),
        (&header.segments, 1),
        (&header.boot, host::id()),
        (&header.state, STATE_MAKING),
    ];
    words.iter().for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
    let halves = [
        (&header.layout_version, LAYOUT_VERSION),
        (&header.header_bytes, PoolHeader::SIZE as u32),
        (&header.page_shift, shape.page_shift),
        (&header.process_limit, shape.process_limit),
        (&header.lane_limit, shape.lane_limit),
        (&header.channel_limit, shape.channel_limit),
        (&header.manifest_limit, shape.manifest_limit),
        (&header.pool_type, attributes.kind as u32),
        (&header.user, host::user_id()),
        (&header.name_bytes, attributes.name.len() as u32),
    ];
    halves.iter().for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
    for (byte, value) in header.name.iter().zip(attributes.name.bytes()) {
        byte.store(value, Ordering::Relaxed);
    }
    particulars.write(header);
    header.identity_check.store(identity_check(header), Ordering::Relaxed);
    // Release: whoever sees READY sees all of the above.
    header.state.store(STATE_READY, Ordering::Release);
}

/// The numbers of the pool and what else its creator decided, as far as they can be true, and its `STATE_*`, which is
/// READY or DESTROYED.
///
/// # Errors
/// [`Error::NotAPool`], [`Error::WrongVersion`], [`Error::Corrupt`].
pub(crate) fn read(header: &PoolHeader, name: &str) -> Result<(Shape, Particulars, u64), Error> {
    if header.magic.load(Ordering::Relaxed) != POOL_MAGIC {
        return Err(Error::NotAPool { name: name.to_owned() });
    }
    let (version, hash) =
        (header.layout_version.load(Ordering::Relaxed), header.layout_hash.load(Ordering::Relaxed));
    if (version, hash) != (LAYOUT_VERSION, layout_hash()) {
        return Err(Error::WrongVersion {
            name: name.to_owned(),
            found: format!("{version}.{hash:016x}"),
            expected: format!("{LAYOUT_VERSION}.{:016x}", layout_hash()),
        });
    }
    let shape = Shape {
        page_shift: header.page_shift.load(Ordering::Relaxed),
        initial_pages: header.initial_pages.load(Ordering::Relaxed),
        segment_pages: header.segment_pages.load(Ordering::Relaxed),
        maximum_pages: header.maximum_pages.load(Ordering::Relaxed),
        process_limit: header.process_limit.load(Ordering::Relaxed),
        lane_limit: header.lane_limit.load(Ordering::Relaxed),
        channel_limit: header.channel_limit.load(Ordering::Relaxed),
        manifest_limit: header.manifest_limit.load(Ordering::Relaxed),
    };
    shape.check().map_err(|what| Corrupt::new(what, 0))?;
    let particulars = Particulars::read(header, &shape)?;
    // Behind it: what is wrong is then named.
    check_identity(header)?;
    // Acquire: pairs with the creator's Release, or with whoever destroyed it.
    match header.state.load(Ordering::Acquire) {
        STATE_READY => Ok((shape, particulars, STATE_READY)),
        STATE_MAKING => Err(Error::NotAPool { name: name.to_owned() }),
        _ => Ok((shape, particulars, STATE_DESTROYED)),
    }
}

/// CRC-32 of what the creator wrote into the header and nobody changes.
fn identity_check(header: &PoolHeader) -> u64 {
    let words = [
        &header.magic,
        &header.uuid_low,
        &header.uuid_high,
        &header.host,
        &header.layout_hash,
        &header.initial_pages,
        &header.segment_pages,
        &header.maximum_pages,
    ];
    let halves = [
        &header.layout_version,
        &header.header_bytes,
        &header.page_shift,
        &header.growth,
        &header.process_limit,
        &header.lane_limit,
        &header.channel_limit,
        &header.options,
        &header.user,
        &header.name_bytes,
        &header.manifest_limit,
        &header.pool_type,
        &header.lock_kind,
        &header.manifest_name_bytes,
    ];
    let sizes = [&header.minimum_block, &header.data_alignment, &header.preallocated_kinds];
    let lists = [&header.numa_nodes, &header.preallocated_bytes, &header.preallocated_counts];
    let mut crc = crc32fast::Hasher::new();
    words.iter().for_each(|word| crc.update(&word.load(Ordering::Relaxed).to_le_bytes()));
    halves.iter().for_each(|half| crc.update(&half.load(Ordering::Relaxed).to_le_bytes()));
    let more = sizes.into_iter().chain(lists.into_iter().flatten());
    more.for_each(|word| crc.update(&word.load(Ordering::Relaxed).to_le_bytes()));
    header.manifest_name.iter().for_each(|byte| crc.update(&[byte.load(Ordering::Relaxed)]));
    crc.finalize().into()
}

/// Whether the header's identity is what its creator wrote.
///
/// # Errors
/// [`Corrupt`] when somebody else wrote there.
pub(crate) fn check_identity(header: &PoolHeader) -> Result<(), Corrupt> {
    let sound = header.identity_check.load(Ordering::Relaxed) == identity_check(header);
    if sound { Ok(()) } else { Err(Corrupt::new("header identity", 0)) }
}

/// The name that the pool was created with.
pub(crate) fn read_name(header: &PoolHeader) -> Option<String> {
    read_text(&header.name, header.name_bytes.load(Ordering::Relaxed))
}

/// What it is made of.
///
/// # Errors
/// [`Corrupt`] when no such kind is known.
pub(crate) fn read_type(header: &PoolHeader) -> Result<PoolType, Corrupt> {
    PoolType::of(header.pool_type.load(Ordering::Relaxed)).ok_or(Corrupt::new("pool type", 0))
}
