//! What the processes of a demo tell each other, as bytes.

use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

use super::tally::{ChunkDigest, Histogram};
use crate::failure::Failure;

/// Bytes of a [`Header`].
pub(crate) const HEADER_BYTES: u64 = size_of::<Header>() as u64;
/// Bytes of the longest reply.
pub(crate) const REPLY_BYTES: u64 = size_of::<Answer>() as u64;

/// What stands before the bytes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Header {
    /// Number of the chunk, from 0.
    pub(crate) chunk: u64,
    /// When it was sent, as nanoseconds of CLOCK_MONOTONIC.
    pub(crate) sent_at_ns: u64,
    /// To a cache line.
    pub(crate) unused: [u64; 6],
}

impl Header {
    pub(crate) fn new(chunk: u64, sent_at_ns: u64) -> Self {
        Self { chunk, sent_at_ns, unused: [0; 6] }
    }

    /// A message's header and its chunk.
    pub(crate) fn split(message: &[u8]) -> Result<(Self, &[u8]), Failure> {
        Self::read_from_prefix(message).map_err(|_| Failure::Wrong("a chunk without a header came in".into()))
    }
}

/// A worker's answer for one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Answer {
    kind: u64,
    /// Number of the worker, from 0.
    pub(crate) worker: u64,
    pub(crate) chunk: u64,
    /// As in the [`Header`].
    pub(crate) sent_at_ns: u64,
    /// Bytes of the chunk.
    pub(crate) bytes: u64,
    /// 1 when another worker had it before.
    pub(crate) delivered_again: u64,
    /// Payload bytes that the worker's receiver has copied so far.
    pub(crate) bytes_copied: u64,
    pub(crate) digest: ChunkDigest,
    pub(crate) histogram: Histogram,
}

/// Somebody has stopped in the middle of its work and waits to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Holding {
    kind: u64,
    /// Process id.
    pub(crate) pid: u64,
    /// The chunk that it has.
    pub(crate) chunk: u64,
}

/// The reader has sent everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Farewell {
    kind: u64,
    /// Messages sent.
    pub(crate) sent: u64,
    /// Payload bytes that its sender has copied.
    pub(crate) bytes_copied: u64,
}

const ANSWER: u64 = 1;
const HOLDING: u64 = 2;
const FAREWELL: u64 = 3;

/// What the parent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A chunk is done.
    Answer(Box<Answer>),
    /// Somebody waits to be killed.
    Holding(Holding),
    /// The reader has finished.
    Farewell(Farewell),
}

impl Answer {
    /// An answer without results.
    pub(crate) fn new(worker: u32, header: Header, bytes: u64) -> Self {
        Self {
            kind: ANSWER,
            worker: worker.into(),
            chunk: header.chunk,
            sent_at_ns: header.sent_at_ns,
            bytes,
            ..Self::new_zeroed()
        }
    }
}

impl Holding {
    /// This process has `chunk`.
    pub(crate) fn new(chunk: u64) -> Self {
        Self { kind: HOLDING, pid: std::process::id().into(), chunk }
    }
}

impl Farewell {
    pub(crate) fn new(sent: u64, bytes_copied: u64) -> Self {
        Self { kind: FAREWELL, sent, bytes_copied }
    }
}

impl Reply {
    /// From a message's bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let kind = u64::read_from_prefix(bytes).map(|(kind, _)| kind);
        let parsed = match kind {
            Ok(ANSWER) => Answer::read_from_bytes(bytes).ok().map(|answer| Self::Answer(Box::new(answer))),
            Ok(HOLDING) => Holding::read_from_bytes(bytes).ok().map(Self::Holding),
            Ok(FAREWELL) => Farewell::read_from_bytes(bytes).ok().map(Self::Farewell),
            _ => None,
        };
        parsed.ok_or_else(|| {
            Failure::Wrong(format!("a reply of {} bytes came in that makes no sense", bytes.len()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_back_as_they_were() {
        let answer = Answer { digest: [3; 32], ..Answer::new(1, Header::new(2, 5), 4) };
        assert_eq!(Reply::parse(answer.as_bytes()).unwrap(), Reply::Answer(Box::new(answer)));
        let (holding, farewell) = (Holding::new(1), Farewell::new(1, 2));
        assert_eq!(Reply::parse(holding.as_bytes()).unwrap(), Reply::Holding(holding));
        assert_eq!(Reply::parse(farewell.as_bytes()).unwrap(), Reply::Farewell(farewell));
    }

    #[test]
    fn bytes_that_are_no_reply_are_refused() {
        let answer = Answer::new(1, Header::new(2, 5), 4);
        assert!(Reply::parse(&answer.as_bytes()[1..]).is_err());
        assert!(Reply::parse(&answer.as_bytes()[..100]).is_err());
        assert!(Reply::parse(&[]).is_err());
    }

    #[test]
    fn a_header_is_a_cache_line_before_the_chunk() {
        let message = [Header::new(7, 9).as_bytes(), b"chunk"].concat();
        assert_eq!(Header::split(&message).unwrap(), (Header::new(7, 9), b"chunk".as_slice()));
        assert_eq!(HEADER_BYTES, 64);
        assert!(Header::split(&message[..63]).is_err());
    }
}
