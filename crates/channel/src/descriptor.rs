//! Descriptors of channels: bytes, or text, that any process of the host can turn back into the channel.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `WYRC` |
//! | 2 | version, 1 |
//! | 8, 8 | offset and generation of the channel's block |
//! | 2, n | length of the pool's descriptor, and that |
//! | 4 | CRC-32 of all before |
//!
//! Little-endian. A descriptor says what is meant; what is there is checked when the channel is attached to.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weyr_shared::BlockReference;

use crate::Error;

const MAGIC: &[u8; 4] = b"WYRC";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 24;
const CRC_BYTES: usize = 4;

/// Names a channel to any process of its host.
///
/// Its text form is base64 without padding, fit for a command line, an environment variable or a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChannelDescriptor {
    pool: Vec<u8>,
    reference: BlockReference,
}

const fn damaged(reason: &'static str) -> Error {
    Error::DamagedDescriptor { reason }
}

impl ChannelDescriptor {
    /// The channel in the block `reference` of the pool with descriptor `pool`.
    pub(crate) fn new(pool: Vec<u8>, reference: BlockReference) -> Self {
        Self { pool, reference }
    }

    /// The pool's descriptor, as bytes.
    pub fn pool(&self) -> &[u8] {
        &self.pool
    }

    /// The block in which the channel lies.
    pub fn reference(&self) -> BlockReference {
        self.reference
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.reference.offset.to_le_bytes());
        bytes.extend(self.reference.generation.to_le_bytes());
        bytes.extend((self.pool.len() as u16).to_le_bytes());
        bytes.extend(&self.pool);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// From bytes. Loads nothing from shared memory.
    ///
    /// # Errors
    /// [`Error::DamagedDescriptor`] when they are not what [`to_bytes`](Self::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let body = checked_body(bytes)?;
        let (head, pool) = body.split_at_checked(HEAD_BYTES).ok_or(damaged("it is too short"))?;
        if head[4..6] != VERSION.to_le_bytes() {
            return Err(damaged("it is of another version of weyr"));
        }
        if head[22..24] != (pool.len() as u16).to_le_bytes() || pool.len() > usize::from(u16::MAX) {
            return Err(damaged("its length is wrong"));
        }
        let reference = BlockReference { offset: number(&head[6..14]), generation: number(&head[14..22]) };
        Ok(Self { pool: pool.to_vec(), reference })
    }
}

fn checked_body(bytes: &[u8]) -> Result<&[u8], Error> {
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(damaged("it is too short"))?;
    if !body.starts_with(MAGIC) {
        return Err(damaged("it is no descriptor of a channel"));
    }
    if *crc != crc32fast::hash(body).to_le_bytes() {
        return Err(damaged("its checksum does not match"));
    }
    Ok(body)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl fmt::Display for ChannelDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for ChannelDescriptor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| damaged("it is not base64"))?;
        Self::from_bytes(&bytes)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    fn descriptor() -> ChannelDescriptor {
        let reference = BlockReference { offset: 0x0102_0304_0506_0708, generation: 9 };
        ChannelDescriptor::new(b"pool".to_vec(), reference)
    }

    #[test]
    fn the_bytes_are_those_of_version_1() {
        let bytes = descriptor().to_bytes();
        assert_eq!(&bytes[..28], b"WYRC\x01\x00\x08\x07\x06\x05\x04\x03\x02\x01\x09\0\0\0\0\0\0\0\x04\0pool");
        assert_eq!(bytes.len(), 32);
    }

    #[test]
    fn descriptors_come_back_as_they_were() {
        assert_eq!(ChannelDescriptor::from_bytes(&descriptor().to_bytes()), Ok(descriptor()));
        assert_eq!(format!("{}\n", descriptor()).parse(), Ok(descriptor()));
    }

    #[test]
    fn every_changed_or_missing_byte_is_found() {
        let bytes = descriptor().to_bytes();
        for len in 0..bytes.len() {
            assert!(ChannelDescriptor::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
        }
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x10;
            assert!(ChannelDescriptor::from_bytes(&changed).is_err(), "byte {index}");
        }
        assert!("no base64!".parse::<ChannelDescriptor>().is_err());
    }

    #[test]
    fn a_length_that_disagrees_is_damaged_even_under_a_right_checksum() {
        let mut bytes = descriptor().to_bytes();
        bytes.truncate(28);
        bytes[22] = 5;
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(ChannelDescriptor::from_bytes(&bytes), Err(damaged("its length is wrong")));
    }
}
