//! Bytes that travel beside an encoded value instead of in it.
//!
//! The idea: while a value is encoded for a channel, each buffer in it puts itself on a list of this thread and encodes
//! to its place there; while one is decoded, each takes the view at that place. Outside of these a buffer is bytes to
//! serde, as any other.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use weyr_managed::Allocation;

use crate::Error;

/// Bytes, private or in an allocation that a message brought. Cloning it copies nothing.
///
/// The last view of an allocation to go frees it. Two buffers are equal if their bytes are.
#[derive(Clone)]
pub struct Buffer {
    place: Place,
    range: Range<usize>,
}

#[derive(Clone)]
enum Place {
    Private(Arc<Vec<u8>>),
    Pool(Arc<Allocation>),
}

/// Bytes that are compared, or copied from one allocation to another, at once.
const CHUNK: usize = 8192;

impl Buffer {
    /// A view of `memory`, whose range was checked.
    pub(super) fn in_pool(memory: &Arc<Allocation>, range: Range<usize>) -> Self {
        Self { place: Place::Pool(Arc::clone(memory)), range }
    }

    /// The same of private memory.
    pub(super) fn in_private(bytes: &Arc<Vec<u8>>, range: Range<usize>) -> Self {
        Self { place: Place::Private(Arc::clone(bytes)), range }
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Whether it lies in a pool: no copy of it was made at the receiver.
    pub fn is_in_pool(&self) -> bool {
        matches!(self.place, Place::Pool(_))
    }

    /// Its bytes in place. Does not block.
    ///
    /// # Errors
    /// [`Error::Pool`] for one in a pool that is not [cooperative](weyr_managed::Pool::cooperative), or in a forked
    /// child.
    pub fn as_slice(&self) -> Result<&[u8], Error> {
        let bytes = match &self.place {
            Place::Private(bytes) => bytes.as_slice(),
            Place::Pool(memory) => memory.as_slice()?,
        };
        Ok(bytes.get(self.range.clone()).unwrap_or_default())
    }

    /// Copies from byte `offset` into the whole of `bytes`. Does not block.
    ///
    /// # Errors
    /// [`Error::NoElement`] when there are fewer bytes; [`Error::Pool`] in a forked child.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let end = offset.checked_add(bytes.len()).filter(|end| *end <= self.len());
        let end =
            end.ok_or(Error::NoElement { index: offset.saturating_add(bytes.len()), len: self.len() })?;
        match &self.place {
            Place::Private(own) => {
                bytes.copy_from_slice(&own[self.range.start + offset..self.range.start + end]);
            }
            Place::Pool(memory) => memory.read((self.range.start + offset) as u64, bytes)?,
        }
        Ok(())
    }

    /// A private copy of its bytes.
    ///
    /// # Errors
    /// [`Error::Pool`] in a forked child.
    pub fn to_vec(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.len()];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies its bytes to byte `at` of `memory`.
    pub(super) fn copy_to(&self, memory: &mut Allocation, at: u64) -> Result<(), Error> {
        if let Ok(bytes) = self.as_slice() {
            return Ok(memory.write(at, bytes)?);
        }
        self.for_chunks(|offset, chunk| Ok(memory.write(at + offset as u64, chunk)?))
    }

    fn for_chunks(&self, mut each: impl FnMut(usize, &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut chunk = [0; CHUNK];
        (0..self.len()).step_by(CHUNK).try_for_each(|offset| {
            let chunk = &mut chunk[..CHUNK.min(self.len() - offset)];
            self.read(offset, chunk)?;
            each(offset, chunk)
        })
    }
}

impl From<Vec<u8>> for Buffer {
    /// Copies nothing.
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { place: Place::Private(Arc::new(bytes)), range }
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        let mut theirs = [0; CHUNK];
        let same = |offset: usize, ours: &[u8]| {
            let theirs = &mut theirs[..ours.len()];
            other.read(offset, theirs)?;
            if theirs == ours { Ok(()) } else { Err(Error::NoAllocation) }
        };
        self.len() == other.len() && self.for_chunks(same).is_ok()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_in_pool() { "in a pool" } else { "private" };
        write!(f, "Buffer({} bytes, {place})", self.len())
    }
}

thread_local! {
    /// Lists of the values that this thread is encoding or decoding, the innermost last.
    static LISTS: RefCell<Vec<List>> = const { RefCell::new(Vec::new()) };
}

/// Buffers of one value.
#[derive(Debug)]
enum List {
    Collected(Vec<Buffer>),
    Offered(Vec<Buffer>),
}

/// A list of this thread, for as long as this lives.
struct Listed;

impl Listed {
    fn new(list: List) -> Self {
        LISTS.with_borrow_mut(|lists| lists.push(list));
        Self
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // Dropped outside of the borrow: a buffer's end may free memory.
        let ended = LISTS.try_with(|lists| lists.borrow_mut().pop());
        drop(ended);
    }
}

/// What `encode` makes, and the buffers that were left out of it.
pub(super) fn collecting<T>(encode: impl FnOnce() -> T) -> (T, Vec<Buffer>) {
    let _listed = Listed::new(List::Collected(Vec::new()));
    let encoded = encode();
    let collected = LISTS.with_borrow_mut(|lists| match lists.last_mut() {
        Some(List::Collected(buffers)) => std::mem::take(buffers),
        _ => Vec::new(),
    });
    (encoded, collected)
}

/// What `decode` makes, with these buffers to be had.
pub(super) fn offering<T>(buffers: Vec<Buffer>, decode: impl FnOnce() -> T) -> T {
    let _listed = Listed::new(List::Offered(buffers));
    decode()
}

/// The place of `buffer` in the list that is collected, if one is.
fn collect(buffer: &Buffer) -> Option<u32> {
    LISTS.with_borrow_mut(|lists| match lists.last_mut()? {
        List::Collected(buffers) => {
            buffers.push(buffer.clone());
            u32::try_from(buffers.len() - 1).ok()
        }
        List::Offered(_) => None,
    })
}

/// Whether buffers are offered, and which is at `place`.
fn offered<T>(look: impl FnOnce(&[Buffer]) -> T) -> Option<T> {
    LISTS.with_borrow(|lists| match lists.last()? {
        List::Offered(buffers) => Some(look(buffers)),
        List::Collected(_) => None,
    })
}

impl Serialize for Buffer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match collect(self) {
            Some(place) => serializer.serialize_u32(place),
            None => serializer.serialize_bytes(&self.to_vec().map_err(serde::ser::Error::custom)?),
        }
    }
}

impl<'de> Deserialize<'de> for Buffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if offered(|_| ()).is_none() {
            return deserializer.deserialize_byte_buf(Whole);
        }
        let place = u32::deserialize(deserializer)?;
        let found = offered(|buffers| buffers.get(place as usize).cloned()).flatten();
        found.ok_or_else(|| D::Error::custom(format!("there is no buffer {place}")))
    }
}

/// The bytes themselves, where nothing else is offered.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Buffer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Buffer, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Buffer, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Buffer, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}
