//! Descriptors: bytes that any process can turn back into a pool or an allocation, or into a clear error.
//!
//! Fixed fields, little-endian, with a version in front and a CRC-32 at the end. A descriptor says what is meant; what
//! is there is checked when it is opened. Byte by byte: `docs/wire.md`.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weyr_shared::BlockReference;
use weyr_sys::host;

use crate::Error;
use crate::frame::{self, Frame};

static POOL: Frame = Frame { magic: b"WYRP", version: 1, wrong_kind: WRONG_KIND, damaged };
static ALLOCATION: Frame = Frame { magic: b"WYRA", version: 1, wrong_kind: WRONG_KIND, damaged };
const WRONG_KIND: &str = "it is no descriptor of this kind";
const FLAG_ORIGINAL: u16 = 1;

/// Names a pool to any process of its host.
///
/// Its text form is base64 without padding, fit for a command line, an environment variable or a file name.
///
/// ```
/// # use weyr_managed::{Pool, PoolAttributes, PoolDescriptor};
/// # let name = format!("doc-descriptor-{}", std::process::id());
/// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let text = pool.descriptor().to_string();
/// let descriptor: PoolDescriptor = text.parse()?;
/// assert!(descriptor.is_local());
/// assert_eq!((descriptor.uuid, descriptor.path.as_path()), (pool.uuid(), pool.path()));
/// # pool.destroy()?;
/// # Ok::<(), weyr_managed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolDescriptor {
    /// Host that it lies on.
    /// Source: Dragon managed memory, `dragon_memory_pool_get_hostid`.
    pub host: u64,
    /// Its random identity.
    /// Source: Dragon managed memory, `dragon_memory_pool_get_uid_fname`, as of the path.
    pub uuid: u128,
    /// Path of its object; empty for a pool without a name.
    pub path: PathBuf,
}

/// Names an allocation of a pool, or a part of it.
///
/// Its text form is that of [`PoolDescriptor`].
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

const fn damaged(reason: &'static str) -> Error {
    Error::DamagedDescriptor { reason }
}

/// What [`Display`](fmt::Display) wrote, as bytes.
fn bytes_of(text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| damaged("it is not base64"))
}

impl fmt::Display for PoolDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for PoolDescriptor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_bytes(&bytes_of(text)?)
    }
}

impl fmt::Display for AllocationDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for AllocationDescriptor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_bytes(&bytes_of(text)?)
    }
}

impl PoolDescriptor {
    /// Whether the pool lies on this host, so that its memory can be reached from here.
    /// Source: Dragon managed memory, `dragon_memory_pool_is_local`.
    pub fn is_local(&self) -> bool {
        self.host == host::id()
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let path = self.path.as_os_str().as_bytes();
        let mut bytes = POOL.begin();
        bytes.extend(self.host.to_le_bytes());
        bytes.extend(self.uuid.to_le_bytes());
        bytes.extend((path.len() as u16).to_le_bytes());
        bytes.extend(path);
        frame::close(bytes)
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`Error::DamagedDescriptor`] when they are not what [`to_bytes`](Self::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = POOL.open(bytes)?;
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
        let mut bytes = ALLOCATION.begin();
        bytes.extend(if self.original { FLAG_ORIGINAL } else { 0 }.to_le_bytes());
        bytes.extend(self.host.to_le_bytes());
        bytes.extend(self.uuid.to_le_bytes());
        for field in [self.reference.offset, self.reference.generation, self.view_offset, self.view_bytes] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(self.type_id.to_le_bytes());
        bytes.extend(self.id.to_le_bytes());
        frame::close(bytes)
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`Error::DamagedDescriptor`] when they are not what [`to_bytes`](Self::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = ALLOCATION.open(bytes)?;
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
    use crate::frame::CRC_BYTES;

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

    #[test]
    fn descriptors_come_back_from_their_text() {
        assert_eq!(format!("{}\n", pool()).parse(), Ok(pool()));
        assert_eq!(allocation().to_string().parse(), Ok(allocation()));
        assert_eq!("no base64!".parse::<PoolDescriptor>(), Err(damaged("it is not base64")));
        assert_eq!(
            pool().to_string().parse::<AllocationDescriptor>(),
            Err(damaged("it is no descriptor of this kind"))
        );
    }

    #[test]
    fn the_bytes_are_those_of_version_1() {
        let bytes = PoolDescriptor { host: 0x0102_0304_0506_0708, uuid: 9, path: "/p".into() }.to_bytes();
        let expected =
            b"WYRP\x01\x00\x08\x07\x06\x05\x04\x03\x02\x01\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0/p";
        assert_eq!((&bytes[..34], bytes.len()), (&expected[..], 38));
        let bytes = allocation().to_bytes();
        assert_eq!(bytes.len(), 80);
        let field = |at: usize, bytes_of: usize| &bytes[at..at + bytes_of];
        assert_eq!((field(0, 4), field(4, 2), field(6, 2)), (&b"WYRA"[..], &[1, 0][..], &[1, 0][..]));
        assert_eq!((field(8, 2), field(28, 2)), (&[1, 0][..], &[32, 0][..]));
        assert_eq!((field(32, 2), field(40, 2)), (&[0, 16][..], &[77, 0][..]));
        assert_eq!((field(48, 2), field(56, 2), field(64, 12)), (&[5, 0][..], &[6, 0][..], &[0; 12][..]));
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
        let sealed = |body: &[u8]| frame::close(body.to_vec());
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
