//! The bytes of an encoded value with its buffers.
//!
//! | from byte | what | bytes |
//! | --- | --- | --- |
//! | 0 | version, 1 | 2 |
//! | 2 | reserved, zero | 2 |
//! | 4 | buffers | 4 |
//! | 8 | bytes of the encoding | 8 |
//! | 16 | first byte of each buffer, and its bytes | buffers x 16 |
//! | behind that | the encoding | |
//! | multiples of 64 behind that | the buffers | |
//!
//! All numbers are little-endian; offsets count from the start of the message. A message without buffers is one that
//! may lie in a slot. What a frame says of itself is an allegation: each range is checked before anything is read there.

use std::ops::Range;

use weyr_managed::Allocation;

use super::buffer::Buffer;
use crate::Error;

const VERSION: u16 = 1;
const HEAD_BYTES: u64 = 16;
const ENTRY_BYTES: u64 = 16;
const ALIGNMENT: u64 = 64;

/// A value that was encoded, to be written somewhere.
#[derive(Debug)]
pub(super) struct Frame {
    /// All that comes before the buffers.
    head: Vec<u8>,
    buffers: Vec<Buffer>,
    /// First byte of each.
    offsets: Vec<u64>,
    len: u64,
}

impl Frame {
    pub(super) fn new(encoding: &[u8], buffers: Vec<Buffer>) -> Self {
        let head_len = HEAD_BYTES + ENTRY_BYTES * buffers.len() as u64 + encoding.len() as u64;
        let mut end = head_len;
        let offsets: Vec<u64> = buffers.iter().map(|buffer| place(&mut end, buffer.len() as u64)).collect();
        let mut head = Vec::with_capacity(head_len as usize);
        head.extend(VERSION.to_le_bytes());
        head.extend([0; 2]);
        head.extend((buffers.len() as u32).to_le_bytes());
        head.extend((encoding.len() as u64).to_le_bytes());
        for (buffer, offset) in buffers.iter().zip(&offsets) {
            head.extend(offset.to_le_bytes());
            head.extend((buffer.len() as u64).to_le_bytes());
        }
        head.extend(encoding);
        Self { head, buffers, offsets, len: end }
    }

    /// Bytes of the whole.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The whole, if it has no buffers.
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        self.buffers.is_empty().then_some(&self.head)
    }

    /// Writes it to the start of `memory`, which has room for it.
    pub(super) fn write(&self, memory: &mut Allocation) -> Result<(), Error> {
        memory.write(0, &self.head)?;
        let mut buffers = self.buffers.iter().zip(&self.offsets);
        buffers.try_for_each(|(buffer, offset)| buffer.copy_to(memory, *offset))
    }
}

/// The first byte of the next buffer, behind `end`, which is its own end then.
fn place(end: &mut u64, bytes: u64) -> u64 {
    let offset = end.next_multiple_of(ALIGNMENT);
    *end = offset + bytes;
    offset
}

/// What a message says of itself, checked against the bytes that it has.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) encoding: Range<usize>,
    pub(super) buffers: Vec<Range<usize>>,
}

/// The parts of a message of `len` bytes, which `read` copies from; what is wrong with them, else.
pub(super) fn parse(
    len: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), Error>,
) -> Result<Result<Parts, &'static str>, Error> {
    if len < HEAD_BYTES {
        return Ok(Err("it is shorter than the head of a frame"));
    }
    let mut head = [0; HEAD_BYTES as usize];
    read(0, &mut head)?;
    if number(&head[..2]) != u64::from(VERSION) || number(&head[2..4]) != 0 {
        return Ok(Err("another version of weyr sent it, or it is no frame"));
    }
    let (count, encoding_len) = (number(&head[4..8]), number(&head[8..]));
    let encoding_at = HEAD_BYTES + ENTRY_BYTES * count;
    let Some(encoding) = range(encoding_at, encoding_len, len) else {
        return Ok(Err("the encoding is longer than the message"));
    };
    let mut table = vec![0; (ENTRY_BYTES * count) as usize];
    read(HEAD_BYTES, &mut table)?;
    let entries = table.chunks_exact(ENTRY_BYTES as usize);
    let buffers = entries.map(|entry| range(number(&entry[..8]), number(&entry[8..]), len)).collect();
    Ok(Option::map(buffers, |buffers| Parts { encoding, buffers })
        .ok_or("a buffer is outside of the message"))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// `bytes` bytes from `offset` on, if a message of `len` bytes has them.
fn range(offset: u64, bytes: u64, len: u64) -> Option<Range<usize>> {
    let end = offset.checked_add(bytes).filter(|end| *end <= len)?;
    Some(offset as usize..end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_bytes(bytes: &[u8]) -> Result<Parts, &'static str> {
        let read = |at: u64, into: &mut [u8]| {
            into.copy_from_slice(&bytes[at as usize..at as usize + into.len()]);
            Ok(())
        };
        parse(bytes.len() as u64, read).unwrap()
    }

    fn frame(encoding: &[u8], buffers: &[usize]) -> (Frame, Vec<u8>) {
        let buffers = buffers.iter().map(|len| vec![1; *len].into()).collect();
        let frame = Frame::new(encoding, buffers);
        let mut bytes = frame.head.clone();
        bytes.resize(frame.len() as usize, 0);
        (frame, bytes)
    }

    #[test]
    fn the_bytes_are_these() {
        let (frame, bytes) = frame(b"abc", &[5, 0, 64]);
        let mut expected = vec![1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        for (offset, len) in [(128_u64, 5_u64), (192, 0), (192, 64)] {
            expected.extend(offset.to_le_bytes());
            expected.extend(len.to_le_bytes());
        }
        expected.extend(b"abc");
        assert_eq!((frame.head.as_slice(), frame.len()), (&expected[..], 256));
        let parts = parse_bytes(&bytes).unwrap();
        assert_eq!((parts.encoding, parts.buffers), (64..67, vec![128..133, 192..192, 192..256]));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused_or_stays_inside() {
        let (_, bytes) = frame(b"abc", &[5, 64]);
        for len in 0..bytes.len() {
            assert!(parse_bytes(&bytes[..len]).is_err(), "{len}");
        }
        for index in 0..48 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut spoilt = bytes.clone();
                spoilt[index] = value;
                let Ok(parts) = parse_bytes(&spoilt) else { continue };
                assert!(parts.encoding.end <= bytes.len());
                assert!(parts.buffers.iter().all(|range| range.end <= bytes.len()));
            }
        }
    }
}
