//! Responses to requests, and what becomes of them where the request was made.

use std::fmt;

use weyr_managed::Error as PoolError;
use weyr_managed::wire::{self, Frame, Wire};

use super::operation::{Answer, ChannelRequestKind, Outcome, read_outcome, write_outcome};
use crate::{ChannelRequest, Error};

static FRAME: Frame = Frame {
    magic: b"WYCS",
    version: 1,
    wrong_kind: "it is no response to a request on a channel",
    damaged: wire::damaged,
};

/// What came of a request, where it was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelResponse {
    id: u128,
    kind: ChannelRequestKind,
    outcome: Outcome,
}

impl ChannelResponse {
    pub(super) fn new(request: &ChannelRequest, outcome: Outcome) -> Self {
        Self { id: request.id(), kind: request.kind(), outcome }
    }

    /// A response to `request` without executing it: it fails with `error`.
    pub fn refusal(request: &ChannelRequest, error: Error) -> Self {
        Self::new(request, Err(error))
    }

    /// The request that it answers.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// What it answers.
    pub fn kind(&self) -> ChannelRequestKind {
        self.kind
    }

    /// What went wrong, if something did.
    pub fn error(&self) -> Option<&Error> {
        self.outcome.as_ref().err()
    }

    /// As bytes, to be carried to who asked.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FRAME.begin();
        self.id.write(&mut bytes);
        write_outcome(self.kind, &self.outcome, &mut bytes);
        wire::close(bytes)
    }

    /// From bytes. Looks at nothing else.
    ///
    /// # Errors
    /// As [`ChannelRequest::from_bytes`]; also when this process was sent more different words in errors than it keeps
    /// (512), which no weyr has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        wire::check_length(bytes)?;
        let mut fields = FRAME.open(bytes)?;
        let id = Wire::read(&mut fields)?;
        let (kind, outcome) = read_outcome(&mut fields)?;
        fields.end()?;
        Ok(Self { id, kind, outcome })
    }
}

/// What makes a request complete once its response is here.
#[must_use = "without it the response to the request cannot be read"]
pub struct ChannelCompletion<T> {
    id: u128,
    kind: ChannelRequestKind,
    take: fn(&Answer) -> Option<T>,
}

impl<T> ChannelCompletion<T> {
    pub(super) fn new(request: &ChannelRequest, take: fn(&Answer) -> Option<T>) -> Self {
        Self { id: request.id(), kind: request.kind(), take }
    }

    /// The request that it completes.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// What the executing process got for the request: its value, or its error, as itself.
    ///
    /// # Errors
    /// Those of the direct call; [`Error::Pool`] with [`OtherRequest`](PoolError::OtherRequest) or
    /// [`OtherKind`](PoolError::OtherKind) for a response that is not to this request: it may still be waited for.
    /// Source: *Dragon channels*, `dragon_channel_create_cmplt` and those like it.
    pub fn complete(&self, response: &ChannelResponse) -> Result<T, Error> {
        if response.id != self.id {
            return Err(PoolError::OtherRequest { found: response.id, expected: self.id }.into());
        }
        let other = || PoolError::OtherKind { found: response.kind.name(), expected: self.kind.name() };
        if response.kind != self.kind {
            return Err(other().into());
        }
        let answer = response.outcome.as_ref().map_err(Error::clone)?;
        Ok((self.take)(answer).ok_or_else(other)?)
    }
}

impl<T> fmt::Debug for ChannelCompletion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = format_args!("{:032x}", self.id);
        f.debug_struct("ChannelCompletion").field("id", &id).field("kind", &self.kind).finish()
    }
}
