//! When a send returns, and what it says when it has failed by then.
//!
//! | mode | on one node | through a gateway |
//! | --- | --- | --- |
//! | immediately, when buffered, when deposited | the message is in the channel | as their names say; kept for then |
//! | when received | and its receiver is through with it: `receipt.rs` | the same |
//! | none | [`SendCompletion`](crate::SendCompletion): a payload given by value, which goes when there is room | the same |
//!
//! On one node there is nothing between the caller and the channel: a message is buffered by being deposited, and
//! returning earlier would mean to keep the caller's buffer, which only the last mode may.
//!
//! Source: *Dragon channels*, `dragonChannelSendReturnWhen_t`, `dragonSendBlocking_t`.

use crate::Error;
use crate::defaults::Limit;
use crate::pool_host::PoolHost;
use crate::receipt::Awaited;
use crate::send::Outgoing;
use crate::sender::{Manner, Sender};

/// When a send returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReturnWhen {
    /// As soon as the message is on its way, whose buffer is the caller's again. On one node: when it is in the channel.
    Immediately,
    /// When the payload was copied, or has left with the message, so that the caller's buffer is its own again. On one
    /// node: when it is in the channel.
    #[default]
    Buffered,
    /// When the message is in the channel.
    Deposited,
    /// When somebody has received it: taken it, or ended its lease as done. If its receiver dies before that, the
    /// message is delivered again, and the send waits on.
    Received,
}

/// A send that failed.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) error: Error,
    /// Whether the message is in the channel all the same, or was.
    pub(crate) sent: bool,
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Self {
        Self { error, sent: false }
    }
}

impl From<Unfinished> for Error {
    fn from(unfinished: Unfinished) -> Self {
        unfinished.error
    }
}

impl Unfinished {
    /// What waiting for a receipt came to.
    fn unreceived(error: Error) -> Self {
        let error = match error {
            Error::Timeout => Error::NotReceived,
            Error::Destroyed => Error::ReceiptLost,
            error => error,
        };
        Self { error, sent: true }
    }
}

impl Sender {
    /// Sends `message` with all that goes with it, and returns when it is to.
    pub(crate) fn post_until<M>(&self, message: &M, limit: Limit, manner: Manner) -> Result<(), Unfinished>
    where
        M: Outgoing<PoolHost>,
    {
        match manner.return_when {
            ReturnWhen::Received => self.post_awaited(message, limit, manner.drawn),
            _ => self.post_counted(message, limit, manner.drawn),
        }
    }

    fn post_counted<M>(&self, message: &M, limit: Limit, drawn: bool) -> Result<(), Unfinished>
    where
        M: Outgoing<PoolHost>,
    {
        match self.amount_of(0).filter(|_| !drawn) {
            Some(amount) => self.send_metered(amount, limit, |limit| Ok(self.post(message, limit)?)),
            None => Ok(self.post(message, limit)?),
        }
    }

    /// One deadline for slot and receipt.
    #[cold]
    fn post_awaited<M>(&self, message: &M, limit: Limit, drawn: bool) -> Result<(), Unfinished>
    where
        M: Outgoing<PoolHost>,
    {
        let deadline = self.defaults.deadline(limit);
        let awaited = Awaited::new(message);
        self.post_counted(&awaited, deadline.map_or(Limit::Now, Limit::Until), drawn)?;
        let Some(sent) = awaited.sent() else { return Ok(()) };
        let attached = &self.shared().attached;
        let received = match deadline {
            Some(deadline) => attached.await_receipt(&sent, self.defaults.mode, deadline),
            None => attached
                .is_received_by_somebody(&sent, crate::wait::Attempt::AT_ONCE)
                .and_then(|received| if received { Ok(()) } else { Err(Error::Timeout) }),
        };
        received.map_err(Unfinished::unreceived)
    }
}
