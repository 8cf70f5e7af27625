//! How a pool comes to be, and how its object is checked before it is believed.

use std::path::Path;
use std::sync::Arc;

use weyr_atomic::Ordering;
use weyr_shared::{Corrupt, Field, Layout, Lender, Region};
use weyr_sys::object::{Access, Object, Unpublished};
use weyr_sys::{Errno, host};

use crate::attachment::Attachment;
use crate::geometry::{Geometry, METADATA_CHUNK, Shape};
use crate::heap::Heap;
use crate::heap::backing::Store;
use crate::heap::manifest::HASH_MULTIPLIERS;
use crate::layout::{
    LAYOUT_VERSION, Lane, ManifestBucket, ManifestRecord, OPTION_HUGE_PAGES, OPTION_ZEROING, POOL_MAGIC,
    PageDescriptor, PoolHeader, ProcessSlot, STATE_MAKING, STATE_READY,
};
use crate::pool::{map, path_error};
use crate::{Error, PoolAttributes, name};

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

/// Makes a pool that nobody can see, then gives it its name.
pub(crate) fn create(attributes: &PoolAttributes) -> Result<Arc<Lender<Attachment>>, Error> {
    let shape = attributes.shape()?;
    let directory = attributes.directory.clone().unwrap_or_else(name::default_directory);
    let path = name::pool_path(&directory, &attributes.name)?;
    let failed = |errno| match errno {
        Errno::NOSPC | Errno::DQUOT => full(&directory, METADATA_CHUNK),
        errno => path_error(&path, &attributes.name, errno),
    };
    let unpublished = Unpublished::create(&directory, attributes.mode).map_err(failed)?;
    let geometry = Geometry::new(shape);
    let object = unpublished.object();
    object.set_len(geometry.object_bytes(shape.initial_pages)).map_err(failed)?;
    let first = geometry.first_metadata();
    object.back(0, first).map_err(failed)?;
    let (window, least) =
        (geometry.object_bytes(shape.maximum_pages), geometry.object_bytes(shape.initial_pages));
    let mapping = map(object, window, least, Access::ReadWrite)?;
    let region = Region::new(mapping);
    write_header(region.view(0)?, &shape, attributes);
    let mut heap = Heap::new(geometry, &region, Store::Present)?;
    // Before others can look: they take what is not marked for empty.
    heap.backing.note_metadata(first);
    let object = Arc::new(unpublished.publish(&path).map_err(failed)?);
    heap.backing.store = Store::Object(Arc::clone(&object));
    let data = data_of(&region, &heap.geometry)?;
    let attachment = Attachment::new(heap, data, object, attributes.name.clone(), path);
    if (attributes.commit || attributes.prefault)
        && let Err(error) = commit(&attachment, attributes.prefault)
    {
        // Nobody has it yet, so nothing of it is kept.
        attachment.unlink()?;
        return Err(error);
    }
    Ok(attachment)
}

fn full(directory: &Path, bytes: u64) -> Error {
    let free = host::free_bytes(directory).unwrap_or(0);
    Error::FilesystemFull { directory: directory.display().to_string(), bytes, free }
}

fn options(attributes: &PoolAttributes) -> u32 {
    let bits = [(attributes.zeroing, OPTION_ZEROING), (attributes.huge_pages, OPTION_HUGE_PAGES)];
    bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()
}

fn write_header(header: &PoolHeader, shape: &Shape, attributes: &PoolAttributes) {
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
        (&header.state, STATE_MAKING),
    ];
    words.iter().for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
    let halves = [
        (&header.layout_version, LAYOUT_VERSION),
        (&header.header_bytes, PoolHeader::SIZE as u32),
        (&header.page_shift, shape.page_shift),
        (&header.growth, u32::from(shape.maximum_pages > shape.initial_pages)),
        (&header.process_limit, shape.process_limit),
        (&header.lane_limit, shape.lane_limit),
        (&header.channel_limit, shape.channel_limit),
        (&header.manifest_limit, shape.manifest_limit),
        (&header.options, options(attributes)),
        (&header.user, host::user_id()),
        (&header.name_bytes, attributes.name.len() as u32),
    ];
    halves.iter().for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
    for (byte, value) in header.name.iter().zip(attributes.name.bytes()) {
        byte.store(value, Ordering::Relaxed);
    }
    header.identity_check.store(identity_check(header), Ordering::Relaxed);
    // Release: whoever sees READY sees all of the above.
    header.state.store(STATE_READY, Ordering::Release);
}

fn data_of(region: &Region, geometry: &Geometry) -> Result<Region, Error> {
    let start = geometry.offsets.data;
    let bytes = region.len().saturating_sub(start).min(geometry.maximum_bytes());
    Ok(region.part(start.min(region.len()), bytes)?)
}

/// Backs all of the first segment, and has the kernel provide its pages if `populate`.
fn commit(attachment: &Attachment, populate: bool) -> Result<(), Error> {
    let heap = &attachment.heap;
    let (at, pages) = (&heap.geometry.offsets, heap.geometry.shape.initial_pages);
    let bytes = pages * heap.geometry.page_bytes();
    let directory = attachment.path.parent().unwrap_or(Path::new("/"));
    let backed = heap.backing.metadata(0, at.page_words).and_then(|()| heap.back_tables(0, pages));
    backed.and_then(|()| heap.back_data(0, pages)).map_err(|errno| match errno {
        Errno::NOSPC | Errno::DQUOT => full(directory, bytes),
        errno => Error::Os { operation: "committing the pool's memory", errno },
    })?;
    if populate {
        let start = at.data as usize;
        let mapping = attachment.mapping();
        match mapping.populate(start..start + bytes as usize) {
            // Kernels before 5.14 provide the pages at first use; they are committed anyway.
            Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(Error::Os { operation: "prefaulting the pool's memory", errno }),
        }
    }
    Ok(())
}

/// Opens the object of a pool.
pub(crate) fn open(path: &Path, access: Access) -> Result<Object, Error> {
    Object::open(path, access).map_err(|errno| path_error(path, &short_name(path), errno))
}

/// The pool's name as its path has it.
fn short_name(path: &Path) -> String {
    let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    file.strip_prefix(&name::file_prefix()).map(str::to_owned).unwrap_or(file)
}

/// Believes an object's header as far as it can be checked, and maps the pool.
pub(crate) fn attach(object: Object, path: &Path, access: Access) -> Result<Arc<Lender<Attachment>>, Error> {
    let name = short_name(path);
    let bytes = object.len().map_err(|errno| path_error(path, &name, errno))?;
    let header_bytes = PoolHeader::SIZE as u64;
    if bytes < header_bytes {
        return Err(Error::NotAPool { name });
    }
    // As much as there is: all of it, unless the pool is one that grows.
    let mapping = map(&object, bytes, header_bytes, access)?;
    let header = Region::new(Arc::clone(&mapping));
    let shape = read_shape(header.view(0)?, &name)?;
    let geometry = Geometry::new(shape);
    let segments = header.view::<PoolHeader>(0)?.segments.load(Ordering::Acquire);
    let expected = geometry.object_bytes(geometry.pages(segments));
    if bytes < expected {
        return Err(Error::Truncated { name, bytes, expected });
    }
    let (window, least) = (geometry.object_bytes(shape.maximum_pages), geometry.object_bytes(1));
    drop(header);
    let mapping = if (mapping.len() as u64) < window {
        // First, for address space may be short.
        drop(mapping);
        map(&object, window, least, access)?
    } else {
        mapping
    };
    let len = mapping.len() as u64;
    let region = Region::new(mapping).part(0, window.min(len))?;
    let object = Arc::new(object);
    let data = data_of(&region, &geometry)?;
    let heap = Heap::new(geometry, &region, Store::Object(Arc::clone(&object)))?;
    heap.reaches(bytes);
    let name = read_name(heap.header()).unwrap_or(name);
    Ok(Attachment::new(heap, data, object, name, path.to_owned()))
}

fn read_shape(header: &PoolHeader, name: &str) -> Result<Shape, Error> {
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
    // Behind it: what is wrong is then named.
    check_identity(header)?;
    // Acquire: pairs with the creator's Release, or with whoever destroyed it.
    match header.state.load(Ordering::Acquire) {
        STATE_READY => Ok(shape),
        STATE_MAKING => Err(Error::NotAPool { name: name.to_owned() }),
        _ => Err(Error::Destroyed),
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
        &header.reserved_limit,
    ];
    let mut crc = crc32fast::Hasher::new();
    words.iter().for_each(|word| crc.update(&word.load(Ordering::Relaxed).to_le_bytes()));
    halves.iter().for_each(|half| crc.update(&half.load(Ordering::Relaxed).to_le_bytes()));
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

fn read_name(header: &PoolHeader) -> Option<String> {
    let length = header.name_bytes.load(Ordering::Relaxed) as usize;
    let bytes = header.name.get(..length)?.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    String::from_utf8(bytes).ok()
}
