//! Responses to requests, and what becomes of them where the request was made.

use std::fmt;

use crate::Error;
use crate::frame::{self, Frame};
use crate::request::operation::{Answer, Outcome, RequestKind, read_outcome, write_outcome};
use crate::request::wire::Wire;
use crate::request::{Request, check_length, damaged};

static FRAME: Frame = Frame { magic: b"WYRS", version: 1, wrong_kind: "it is no response", damaged };

/// What came of a request, where it was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    id: u128,
    kind: RequestKind,
    outcome: Outcome,
}

impl Response {
    pub(crate) fn new(request: &Request, outcome: Outcome) -> Self {
        Self { id: request.id, kind: request.kind(), outcome }
    }

    /// A response to `request` without executing it: it fails with `error`.
    pub fn refusal(request: &Request, error: Error) -> Self {
        Self::new(request, Err(error))
    }

    /// The request that it answers.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// What it answers.
    pub fn kind(&self) -> RequestKind {
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
        frame::close(bytes)
    }

    /// From bytes. Looks at nothing else.
    ///
    /// # Errors
    /// [`Error::DamagedRequest`], and [`Error::DamagedDescriptor`] for a descriptor within, when they are not what
    /// [`to_bytes`](Self::to_bytes) makes. The former also when this process was sent more different words in errors
    /// than it keeps (512), which no weyr has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        check_length(bytes)?;
        let mut fields = FRAME.open(bytes)?;
        let id = Wire::read(&mut fields)?;
        let (kind, outcome) = read_outcome(&mut fields)?;
        fields.end()?;
        Ok(Self { id, kind, outcome })
    }
}

/// What makes a request complete once its response is here.
#[must_use = "without it the response to the request cannot be read"]
pub struct Completion<T> {
    id: u128,
    kind: RequestKind,
    take: fn(&Answer) -> Option<T>,
}

impl<T> Completion<T> {
    pub(crate) fn new(request: &Request, take: fn(&Answer) -> Option<T>) -> Self {
        Self { id: request.id, kind: request.kind(), take }
    }

    /// The request that it completes.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// What the executing process got for the request: its value, or its error, as itself.
    ///
    /// # Errors
    /// Those of the direct call; [`Error::OtherRequest`] and [`Error::OtherKind`] for a response that is not to this
    /// request: it may still be waited for.
    pub fn complete(&self, response: &Response) -> Result<T, Error> {
        if response.id != self.id {
            return Err(Error::OtherRequest { found: response.id, expected: self.id });
        }
        let other = || Error::OtherKind { found: response.kind.name(), expected: self.kind.name() };
        if response.kind != self.kind {
            return Err(other());
        }
        let answer = response.outcome.as_ref().map_err(Error::clone)?;
        (self.take)(answer).ok_or_else(other)
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = format_args!("{:032x}", self.id);
        f.debug_struct("Completion").field("id", &id).field("kind", &self.kind).finish()
    }
}
