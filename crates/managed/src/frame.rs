//! The frame around bytes that leave this process: a magic number and a version in front, a CRC-32 at the end.

use crate::Error;

/// Bytes of the checksum at the end.
pub(crate) const CRC_BYTES: usize = 4;

/// One kind of bytes that leave this process.
#[derive(Debug)]
pub struct Frame {
    /// First four bytes.
    pub magic: &'static [u8; 4],
    /// Version of what lies within.
    pub version: u16,
    /// What other bytes are not.
    pub wrong_kind: &'static str,
    /// Makes an error of what is wrong with some bytes.
    pub damaged: fn(&'static str) -> Error,
}

impl Frame {
    /// The front of a frame.
    pub fn begin(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes
    }

    /// Checks frame, kind and version; what lies between is left to be taken.
    ///
    /// # Errors
    /// That of the frame, with what is wrong.
    pub fn open<'b>(&'static self, bytes: &'b [u8]) -> Result<Fields<'b>, Error> {
        let damaged = self.damaged;
        let end = bytes.len().checked_sub(CRC_BYTES).ok_or(damaged("it is too short"))?;
        let (body, crc) = bytes.split_at(end);
        if !body.starts_with(self.magic) {
            return Err(damaged(self.wrong_kind));
        }
        if crc != crc32fast::hash(body).to_le_bytes() {
            return Err(damaged("its checksum does not match"));
        }
        let mut fields = Fields { rest: &body[self.magic.len()..], damaged };
        if fields.u16()? != self.version {
            return Err(damaged("it is of another version of weyr"));
        }
        Ok(fields)
    }
}

/// Ends a frame with its checksum.
pub fn close(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Takes fields from the front of bytes whose end was checked. All numbers are little-endian.
#[derive(Debug)]
pub struct Fields<'b> {
    rest: &'b [u8],
    damaged: fn(&'static str) -> Error,
}

impl<'b> Fields<'b> {
    /// What is wrong with them, as an error.
    pub fn damaged(&self, reason: &'static str) -> Error {
        (self.damaged)(reason)
    }

    /// So many bytes.
    ///
    /// # Errors
    /// That of the frame, when they are not there.
    pub fn take(&mut self, bytes: usize) -> Result<&'b [u8], Error> {
        let (front, rest) =
            self.rest.split_at_checked(bytes).ok_or_else(|| self.damaged("it is too short"))?;
        self.rest = rest;
        Ok(front)
    }

    /// The bytes of a number.
    ///
    /// # Errors
    /// That of the frame, when they are not there.
    pub fn number<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (number, rest) = self.rest.split_first_chunk().ok_or_else(|| self.damaged("it is too short"))?;
        self.rest = rest;
        Ok(*number)
    }

    /// A number.
    ///
    /// # Errors
    /// That of the frame, when they are not there.
    pub fn u16(&mut self) -> Result<u16, Error> {
        self.number().map(u16::from_le_bytes)
    }

    /// A number.
    ///
    /// # Errors
    /// That of the frame, when they are not there.
    pub fn u32(&mut self) -> Result<u32, Error> {
        self.number().map(u32::from_le_bytes)
    }

    /// A number.
    ///
    /// # Errors
    /// That of the frame, when they are not there.
    pub fn u64(&mut self) -> Result<u64, Error> {
        self.number().map(u64::from_le_bytes)
    }

    /// A number.
    ///
    /// # Errors
    /// That of the frame, when they are not there.
    pub fn u128(&mut self) -> Result<u128, Error> {
        self.number().map(u128::from_le_bytes)
    }

    /// Nothing must be left.
    ///
    /// # Errors
    /// That of the frame.
    pub fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("it has bytes too many")) }
    }
}
