//! Descriptors: bytes that any process can turn back into a pool or an allocation, or into a clear error.
//!
//! Fixed fields, little-endian, with a version in front and a CRC-32 at the end. A descriptor says what is meant; what
//! is there is checked when it is opened.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use weyr_shared::BlockReference;

use crate::Error;

const POOL_MAGIC: &[u8; 4] = b"WYRP";
const ALLOCATION_MAGIC: &[u8; 4] = b"WYRA";
const VERSION: u16 = 1;
const FLAG_ORIGINAL: u16 = 1;
const CRC_BYTES: usize = 4;

/// Names a pool to any process of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolDescriptor {
    /// Host that it lies on.
    pub host: u64,
    /// Its random identity.
    pub uuid: u128,
    /// Path of its object.
    pub path: PathBuf,
}

/// Names an allocation of a pool, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocationDescriptor {
    /// Whether it stands for the allocation itself, and so may free it; a clone or view may not.
    pub original: bool,
    /// Host of the pool.
    pub host: u64,
    /// Identity of the pool.
    pub uuid: u128,
    /// The block and the use of it that is meant.
    pub reference: BlockReference,
    /// First byte of the view, from the start of the allocation.
    pub view_offset: u64,
    /// Bytes of the view.
    pub view_bytes: u64,
    /// Type of the allocation; 0 has none.
    pub type_id: u32,
    /// Id within the type.
    pub id: u64,
}

/// Takes fields from the front of a descriptor whose end was checked.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, bytes: usize) -> Result<&'b [u8], Error> {
        let (front, rest) = self.0.split_at_checked(bytes).ok_or(damaged("it is too short"))?;
        self.0 = rest;
        Ok(front)
    }
    fn number<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(|_| damaged("it is too short"))
    }
    fn u16(&mut self) -> Result<u16, Error> {
        self.number().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Result<u32, Error> {
        self.number().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Result<u64, Error> {
        self.number().map(u64::from_le_bytes)
    }
    fn u128(&mut self) -> Result<u128, Error> {
        self.number().map(u128::from_le_bytes)
    }
    fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged("it has bytes too many")) }
    }
}

const fn damaged(reason: &'static str) -> Error {
    Error::DamagedDescriptor { reason }
}

/// Checks frame, kind and version; what lies between is returned.
fn open_frame<'b>(bytes: &'b [u8], magic: &[u8; 4]) -> Result<Fields<'b>, Error> {
    let end = bytes.len().checked_sub(CRC_BYTES).ok_or(damaged("it is too short"))?;
    let (body, crc) = bytes.split_at(end);
    if !body.starts_with(magic) {
        return Err(damaged("it is no descriptor of this kind"));
    }
    if crc != crc32fast::hash(body).to_le_bytes() {
        return Err(damaged("its checksum does not match"));
    }
    let mut fields = Fields(&body[magic.len()..]);
    if fields.u16()? != VERSION {
        return Err(damaged("it is of another version of weyr"));
    }
    Ok(fields)
}

fn close_frame(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

impl PoolDescriptor {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let path = self.path.as_os_str().as_bytes();
        let mut bytes = POOL_MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.host.to_le_bytes());
        bytes.extend(self.uuid.to_le_bytes());
        bytes.extend((path.len() as u16).to_le_bytes());
        bytes.extend(path);
        close_frame(bytes)
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`Error::DamagedDescriptor`] when they are not what [`to_bytes`](Self::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = open_frame(bytes, POOL_MAGIC)?;
        let (host, uuid) = (fields.u64()?, fields.u128()?);
        let length = fields.u16()?;
        let path = Path::new(OsStr::from_bytes(fields.take(length.into())?)).to_owned();
        fields.end()?;
        Ok(Self { host, uuid, path })
    }
}

impl AllocationDescriptor {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = ALLOCATION_MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(if self.original { FLAG_ORIGINAL } else { 0 }.to_le_bytes());
        bytes.extend(self.host.to_le_bytes());
        bytes.extend(self.uuid.to_le_bytes());
        for field in [self.reference.offset, self.reference.generation, self.view_offset, self.view_bytes] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(self.type_id.to_le_bytes());
        bytes.extend(self.id.to_le_bytes());
        close_frame(bytes)
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`Error::DamagedDescriptor`] when they are not what [`to_bytes`](Self::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = open_frame(bytes, ALLOCATION_MAGIC)?;
        let flags = fields.u16()?;
        if flags & !FLAG_ORIGINAL != 0 {
            return Err(damaged("it has flags that this version does not know"));
        }
        let descriptor = Self {
            original: flags & FLAG_ORIGINAL != 0,
            host: fields.u64()?,
            uuid: fields.u128()?,
            reference: BlockReference { offset: fields.u64()?, generation: fields.u64()? },
            view_offset: fields.u64()?,
            view_bytes: fields.u64()?,
            type_id: fields.u32()?,
            id: fields.u64()?,
        };
        fields.end()?;
        Ok(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation() -> AllocationDescriptor {
        AllocationDescriptor {
            original: true,
            host: 1,
            uuid: 2 << 100,
            reference: BlockReference { offset: 4096, generation: 77 },
            view_offset: 5,
            view_bytes: 6,
            type_id: 0,
            id: 0,
        }
    }

    #[test]
    fn descriptors_come_back_as_they_were() {
        assert_eq!(PoolDescriptor::from_bytes(&pool().to_bytes()), Ok(pool()));
        assert_eq!(AllocationDescriptor::from_bytes(&allocation().to_bytes()), Ok(allocation()));
    }

    fn pool() -> PoolDescriptor {
        PoolDescriptor { host: 9, uuid: 1 << 127, path: "/dev/shm/weyr.0.x".into() }
    }

    /// What a descriptor of `bytes` is refused for, cut short, with any byte changed, and with one byte more.
    fn assert_every_change_is_found<D: std::fmt::Debug>(bytes: &[u8], open: fn(&[u8]) -> Result<D, Error>) {
        let refusal = |bytes: &[u8]| match open(bytes) {
            Err(Error::DamagedDescriptor { reason }) => reason,
            other => panic!("{bytes:?}: {other:?}"),
        };
        for length in 0..bytes.len() {
            let reason = match length {
                0..CRC_BYTES => "it is too short",
                CRC_BYTES..8 => "it is no descriptor of this kind",
                _ => "its checksum does not match",
            };
            assert_eq!(refusal(&bytes[..length]), reason, "{length} bytes");
        }
        for (index, bit) in (0..bytes.len()).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
            let mut changed = bytes.to_vec();
            changed[index] ^= 1 << bit;
            let kind = "it is no descriptor of this kind";
            let reason = if index < 4 { kind } else { "its checksum does not match" };
            assert_eq!(refusal(&changed), reason, "byte {index}, bit {bit}");
        }
        assert_eq!(refusal(&[bytes, &[0]].concat()), "its checksum does not match");
    }

    #[test]
    fn every_changed_or_missing_byte_is_found() {
        assert_every_change_is_found(&allocation().to_bytes(), AllocationDescriptor::from_bytes);
        assert_every_change_is_found(&pool().to_bytes(), PoolDescriptor::from_bytes);
    }

    #[test]
    fn what_is_sealed_and_makes_no_sense_is_refused_with_its_reason() {
        let sealed = |body: &[u8]| close_frame(body.to_vec());
        let body = |bytes: Vec<u8>| bytes[..bytes.len() - CRC_BYTES].to_vec();
        let (of_pool, of_block) = (body(pool().to_bytes()), body(allocation().to_bytes()));
        let pool_refusal = |body: &[u8]| PoolDescriptor::from_bytes(&sealed(body)).unwrap_err();
        let block_refusal = |body: &[u8]| AllocationDescriptor::from_bytes(&sealed(body)).unwrap_err();
        let [kind, version] = ["it is no descriptor of this kind", "it is of another version of weyr"];
        let [short, long] = ["it is too short", "it has bytes too many"];
        assert_eq!(pool_refusal(&of_block), damaged(kind));
        assert_eq!(block_refusal(&of_pool), damaged(kind));
        let changed = |body: &[u8], index: usize| {
            let mut body = body.to_vec();
            body[index] ^= 2;
            body
        };
        assert_eq!(pool_refusal(&changed(&of_pool, 4)), damaged(version));
        assert_eq!(block_refusal(&changed(&of_block, 4)), damaged(version));
        let flags = "it has flags that this version does not know";
        assert_eq!(block_refusal(&changed(&of_block, 6)), damaged(flags));
        for length in 4..of_pool.len() {
            assert_eq!(pool_refusal(&of_pool[..length]), damaged(short), "{length} bytes");
        }
        for length in 4..of_block.len() {
            assert_eq!(block_refusal(&of_block[..length]), damaged(short), "{length} bytes");
        }
        assert_eq!(pool_refusal(&[&of_pool[..], &[0]].concat()), damaged(long));
        assert_eq!(block_refusal(&[&of_block[..], &[0]].concat()), damaged(long));
    }
}
