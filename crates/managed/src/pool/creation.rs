//! How a pool comes to be: nobody sees it before it is complete.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weyr_shared::{Lender, Payload, Region};
use weyr_sys::mapping::{Mapping, page_size};
use weyr_sys::object::{Access, Object, Unpublished};
use weyr_sys::{Errno, host};

use crate::attributes::particulars::Particulars;
use crate::geometry::{Geometry, METADATA_CHUNK, Shape};
use crate::heap::Heap;
use crate::heap::backing::Store;
use crate::membership::attachment::Attachment;
use crate::pool::medium::{Medium, whole_pages};
use crate::{Error, PoolAttributes, PoolType, name, pool::header, pool::window};

/// Makes a pool of any type but lent memory.
pub(crate) fn create(attributes: &PoolAttributes) -> Result<Arc<Lender<Attachment>>, Error> {
    attributes.check_type()?;
    let attachment = match attributes.kind {
        PoolType::SharedMemory | PoolType::File | PoolType::HugePages => create_named(attributes),
        PoolType::Sealed => create_sealed(attributes),
        PoolType::Private => create_private(attributes),
        PoolType::Lent => return Err(attributes.lent_without_memory()),
    }?;
    let prefault = attributes.prefault || !attributes.numa_nodes.is_empty();
    if (attributes.commit || prefault)
        && let Err(error) = commit(&attachment, prefault)
    {
        // Nobody has it yet, so nothing of it is kept.
        attachment.unlink()?;
        return Err(error);
    }
    Ok(attachment)
}

/// A pool that nobody can see, which gets its name last.
fn create_named(attributes: &PoolAttributes) -> Result<Arc<Lender<Attachment>>, Error> {
    let shape = attributes.shape()?;
    let directory = attributes.directory.clone().unwrap_or_else(name::default_directory);
    let path = name::pool_path(&directory, &attributes.name)?;
    let failed = |errno| creation_error(&directory, &path, &attributes.name, errno);
    let mode = attributes.mode.unwrap_or(DEFAULT_MODE);
    let unpublished = Unpublished::create(&directory, mode).map_err(failed)?;
    attributes.check_page_size(unpublished.object(), &directory)?;
    if attributes.user.is_some() || attributes.group.is_some() {
        unpublished.object().set_owner(attributes.user, attributes.group).map_err(failed)?;
    }
    let made = Made::in_object(unpublished.object(), shape, attributes, failed)?;
    let object = Arc::new(unpublished.publish(&path).map_err(failed)?);
    made.attachment(attributes, Store::Object(Arc::clone(&object)), |kind| {
        Medium::of_object(kind, object, path, Access::ReadWrite)
    })
}

/// A pool without a name, whose length is sealed.
fn create_sealed(attributes: &PoolAttributes) -> Result<Arc<Lender<Attachment>>, Error> {
    let shape = attributes.shape()?;
    let failed = |errno| creation_error(Path::new("memfd"), Path::new(""), &attributes.name, errno);
    let object = Object::memory(&attributes.name).map_err(failed)?;
    object.set_mode(attributes.mode.unwrap_or(DEFAULT_MODE)).map_err(failed)?;
    let made = Made::in_object(&object, shape, attributes, failed)?;
    object.seal_size(shape.maximum_pages > shape.initial_pages).map_err(failed)?;
    let object = Arc::new(object);
    let store = Store::Object(Arc::clone(&object));
    made.attachment(attributes, store, |kind| {
        Medium::of_object(kind, object, PathBuf::new(), Access::ReadWrite)
    })
}

fn create_private(attributes: &PoolAttributes) -> Result<Arc<Lender<Attachment>>, Error> {
    let shape = attributes.shape()?;
    let geometry = Geometry::new(shape);
    let bytes = |pages| geometry.object_bytes(pages);
    let mapping = window::map_private(bytes(shape.maximum_pages), bytes(shape.initial_pages))?;
    let particulars = Particulars::of(attributes, &geometry)?;
    particulars.place(&mapping, &geometry, page_size())?;
    let made = Made::in_memory(mapping, geometry, particulars, attributes)?;
    made.attachment(attributes, Store::Memory, |kind| Medium::of_memory(kind, Access::ReadWrite))
}

/// Makes a pool in memory that somebody has already; what was in it is gone.
pub(crate) fn create_in(
    memory: Arc<Mapping>,
    attributes: &PoolAttributes,
) -> Result<Arc<Lender<Attachment>>, Error> {
    let attributes = attributes.clone().pool_type(PoolType::Lent);
    attributes.check_type()?;
    check_memory(&memory, Access::ReadWrite)?;
    let geometry = Geometry::new(attributes.shape_within(memory.len() as u64)?);
    let particulars = Particulars::of(&attributes, &geometry)?;
    // Truth words and hints are zero in memory that nobody has used.
    Payload::new(&Region::new(Arc::clone(&memory)), 0, geometry.offsets.data, None)?.fill(0);
    let made = Made::in_memory(memory, geometry, particulars, &attributes)?;
    made.attachment(&attributes, Store::Memory, |kind| Medium::of_memory(kind, Access::ReadWrite))
}

/// Pages of the pool are pages of the memory, and this process may do with it what it is going to do.
pub(crate) fn check_memory(memory: &Mapping, access: Access) -> Result<(), Error> {
    let address = memory.as_ptr().addr();
    let reason = if !address.is_multiple_of(MEMORY_ALIGNMENT) {
        format!("it begins at {address:#x}, which is no multiple of {MEMORY_ALIGNMENT}")
    } else if !memory.allows(access) {
        let right = if access == Access::ReadOnly { "read" } else { "read and write" };
        format!("this process may not {right} all of it; map it with those rights")
    } else {
        return Ok(());
    };
    Err(Error::InvalidAttribute { attribute: "memory", reason })
}

/// Where memory for a pool begins.
const MEMORY_ALIGNMENT: usize = 4096;

const DEFAULT_MODE: u32 = 0o600;

/// A pool that is complete, but has no name yet.
struct Made {
    region: Region,
    heap: Heap,
    particulars: Particulars,
}

impl Made {
    fn in_object(
        object: &Object,
        shape: Shape,
        attributes: &PoolAttributes,
        failed: impl Fn(Errno) -> Error,
    ) -> Result<Made, Error> {
        let geometry = Geometry::new(shape);
        let particulars = Particulars::of(attributes, &geometry)?;
        let bytes = |pages| whole_pages(object, geometry.object_bytes(pages));
        object.set_len(bytes(shape.initial_pages)).map_err(&failed)?;
        object.back(0, geometry.first_metadata()).map_err(&failed)?;
        let (window, least) = (bytes(shape.maximum_pages), bytes(shape.initial_pages));
        let mapping = window::map(object, window, least, Access::ReadWrite)?;
        particulars.place(&mapping, &geometry, object.page_size())?;
        Made::in_memory(mapping, geometry, particulars, attributes)
    }

    /// `mapping` has its first metadata, which is zero.
    fn in_memory(
        mapping: Arc<Mapping>,
        geometry: Geometry,
        particulars: Particulars,
        attributes: &PoolAttributes,
    ) -> Result<Made, Error> {
        particulars.allow_execution(&mapping, Access::ReadWrite)?;
        let region = Region::new(mapping);
        header::write(region.view(0)?, &geometry.shape, &particulars, attributes);
        let first = geometry.first_metadata();
        let heap = Heap::new(geometry, &region, Store::Present)?;
        // Before others can look: they take what is not marked for empty.
        heap.backing.note_metadata(first);
        Ok(Made { region, heap, particulars })
    }

    fn attachment(
        mut self,
        attributes: &PoolAttributes,
        store: Store,
        medium: impl FnOnce(PoolType) -> Medium,
    ) -> Result<Arc<Lender<Attachment>>, Error> {
        self.heap.backing.store = store;
        let data = window::data_of(&self.region, &self.heap.geometry)?;
        let medium = medium(attributes.kind);
        Ok(Attachment::new(self.heap, data, medium, attributes.name.clone(), self.particulars))
    }
}

/// What the kernel says about an object to be made, in words of pools.
pub(crate) fn creation_error(directory: &Path, path: &Path, name: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOSPC | Errno::DQUOT => full(directory, METADATA_CHUNK),
        errno => path_error(path, name, errno),
    }
}

fn full(directory: &Path, bytes: u64) -> Error {
    let free = host::free_bytes(directory).unwrap_or(0);
    Error::FilesystemFull { directory: directory.display().to_string(), bytes, free }
}

/// What the kernel says about a path of a pool, in words of pools.
pub(crate) fn path_error(path: &Path, name: &str, errno: Errno) -> Error {
    let name = name.to_owned();
    match errno {
        Errno::NOENT => Error::NoSuchPool {
            name,
            directory: path.parent().unwrap_or(Path::new("/")).display().to_string(),
        },
        Errno::ACCESS | Errno::PERM => Error::PermissionDenied { name },
        Errno::EXIST => Error::NameTaken { name },
        errno => Error::Os { operation: "opening the pool's object", errno },
    }
}

/// Backs all of the first segment, and has the kernel provide its pages if `populate`.
fn commit(attachment: &Attachment, populate: bool) -> Result<(), Error> {
    let heap = &attachment.heap;
    let (at, pages) = (&heap.geometry.offsets, heap.geometry.shape.initial_pages);
    let bytes = pages * heap.geometry.page_bytes();
    let backed = heap.backing.metadata(0, at.page_words).and_then(|()| heap.back_tables(0, pages));
    backed.and_then(|()| heap.back_data(0, pages)).map_err(|errno| match errno {
        Errno::NOSPC | Errno::DQUOT => full(attachment.medium.directory(), bytes),
        errno => Error::Os { operation: "committing the pool's memory", errno },
    })?;
    // What an object has promised is there; memory is when it was touched.
    if populate || attachment.medium.object().is_none() {
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
