//! How the object of a pool is checked before it is believed.

use std::path::Path;
use std::sync::Arc;

use weyr_atomic::Ordering;
use weyr_shared::{Layout, Lender, Region};
use weyr_sys::mapping::Mapping;
use weyr_sys::object::{Access, Object};

use crate::attributes::particulars::Particulars;
use crate::geometry::Geometry;
use crate::heap::Heap;
use crate::heap::backing::Store;
use crate::heap::growth::SegmentsWord;
use crate::layout::{PoolHeader, STATE_DESTROYED};
use crate::membership::attachment::Attachment;
use crate::pool::creation::{check_memory, path_error};
use crate::pool::medium::{Medium, whole_pages};
use crate::{Error, PoolType, name, pool::header, pool::window};

/// Opens the object of a pool.
pub(crate) fn open(path: &Path, access: Access) -> Result<Object, Error> {
    Object::open(path, access).map_err(|errno| path_error(path, &short_name(path), errno))
}

/// The pool's name as its path has it.
fn short_name(path: &Path) -> String {
    let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    file.strip_prefix(&name::file_prefix()).map(str::to_owned).unwrap_or(file)
}

/// Believes an object's header as far as it can be checked, and maps the pool. `path` is empty without a name.
pub(crate) fn attach(object: Object, path: &Path, access: Access) -> Result<Arc<Lender<Attachment>>, Error> {
    let name = short_name(path);
    let bytes = object.len().map_err(|errno| path_error(path, &name, errno))?;
    let header_bytes = PoolHeader::SIZE as u64;
    if bytes < header_bytes {
        return Err(Error::NotAPool { name });
    }
    // As much as there is: all of it, unless the pool is one that grows.
    let mapping = window::map(&object, bytes, header_bytes, access)?;
    let believed = Believed::read(&mapping, bytes, &name)?.ready()?;
    let Believed { kind, geometry, .. } = &believed;
    let bytes_of = |pages| whole_pages(&object, geometry.object_bytes(pages));
    let window = bytes_of(geometry.shape.maximum_pages);
    let mapping = if (mapping.len() as u64) < window {
        // First, for address space may be short.
        drop(mapping);
        window::map(&object, window, bytes_of(1), access)?
    } else {
        mapping
    };
    let object = Arc::new(object);
    let store = Store::Object(Arc::clone(&object));
    if access == Access::ReadWrite {
        believed.particulars.allow_execution(&mapping, access)?;
    }
    let medium = Medium::of_object(*kind, object, path.to_owned(), access);
    let attachment = attach_mapped(mapping, believed, store, medium, name)?;
    attachment.heap.reaches(bytes);
    Ok(attachment)
}

/// Attaches the pool that somebody made in `memory`.
pub(crate) fn attach_in(memory: Arc<Mapping>, access: Access) -> Result<Arc<Lender<Attachment>>, Error> {
    check_memory(&memory, access)?;
    let (name, bytes) = ("memory".to_owned(), memory.len() as u64);
    let believed = Believed::read(&memory, bytes, &name)?.ready()?;
    if believed.kind != PoolType::Lent {
        return Err(Error::NotAPool { name });
    }
    attach_mapped(memory, believed, Store::Memory, Medium::of_memory(PoolType::Lent, access), name)
}

/// Whether a pool can be made in `memory` without taking anything from anybody.
///
/// # Errors
/// [`Error::InvalidAttribute`] when a pool lies there, [`Error::InUse`] when one was destroyed that somebody still has
/// attached; what [`attach_in`] says of one that is damaged or of another version.
pub(crate) fn require_vacant(memory: &Arc<Mapping>) -> Result<(), Error> {
    check_memory(memory, Access::ReadWrite)?;
    let name = "memory".to_owned();
    let believed = match Believed::read(memory, memory.len() as u64, &name) {
        Err(Error::NotAPool { .. }) => return Ok(()),
        believed => believed?,
    };
    let is_destroyed = believed.is_destroyed;
    let medium = Medium::of_memory(PoolType::Lent, Access::ReadOnly);
    let there = attach_mapped(Arc::clone(memory), believed, Store::Memory, medium, name)?;
    let processes = there.members().iter().filter(|member| !member.dead).count();
    let name = there.name.clone();
    match (is_destroyed, processes) {
        (true, 0) => Ok(()),
        (true, processes) => Err(Error::InUse { name, processes }),
        (false, _) => {
            let reason = format!("it holds {name:?} already; attach that, or destroy it first");
            Err(Error::InvalidAttribute { attribute: "memory", reason })
        }
    }
}

fn attach_mapped(
    mapping: Arc<Mapping>,
    believed: Believed,
    store: Store,
    medium: Medium,
    name: String,
) -> Result<Arc<Lender<Attachment>>, Error> {
    let Believed { geometry, particulars, .. } = believed;
    let len = mapping.len() as u64;
    let region =
        Region::new(mapping).part(0, geometry.object_bytes(geometry.shape.maximum_pages).min(len))?;
    let data = window::data_of(&region, &geometry)?;
    let heap = Heap::new(geometry, &region, store)?;
    let name = header::read_name(heap.header()).unwrap_or(name);
    Ok(Attachment::new(heap, data, medium, name, particulars))
}

/// What a header says that could be true.
struct Believed {
    kind: PoolType,
    geometry: Geometry,
    particulars: Particulars,
    is_destroyed: bool,
}

impl Believed {
    /// # Errors
    /// [`Error::Destroyed`].
    fn ready(self) -> Result<Self, Error> {
        if self.is_destroyed { Err(Error::Destroyed) } else { Ok(self) }
    }

    fn read(mapping: &Arc<Mapping>, bytes: u64, name: &str) -> Result<Believed, Error> {
        if bytes < PoolHeader::SIZE as u64 {
            return Err(Error::NotAPool { name: name.to_owned() });
        }
        let region = Region::new(Arc::clone(mapping));
        let header: &PoolHeader = region.view(0)?;
        let (shape, particulars, state) = header::read(header, name)?;
        let geometry = Geometry::new(shape);
        // Acquire: pairs with the grower's, behind which the object is long enough.
        let segments = SegmentsWord(header.segments.load(Ordering::Acquire)).segments();
        let expected = geometry.object_bytes(geometry.pages(segments));
        if bytes < expected {
            return Err(Error::Truncated { name: name.to_owned(), bytes, expected });
        }
        let is_destroyed = state == STATE_DESTROYED;
        Ok(Believed { kind: header::read_type(header)?, geometry, particulars, is_destroyed })
    }
}
