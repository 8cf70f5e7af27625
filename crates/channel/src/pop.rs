//! Taking a message out of its channel without looking at it.

use std::time::Instant;

use weyr_shared::SlotState;

use crate::defaults::Limit;
use crate::{Error, Receiver};

impl Receiver {
    /// Takes the message that would be received next out of the channel, if one waits, and copies nothing. Memory that
    /// it brought is freed; frozen memory is only let go. An allocation of another pool is freed if this process can attach
    /// that pool, and else stays published there; the message is over either way. Does not wait.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-pop-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// channel.send(b"long and of no use")?;
    /// channel.send(b"wanted")?;
    /// let receiver = channel.receiver();
    /// if receiver.try_peek()?.len() > 10 {
    ///     receiver.try_pop()?;
    /// }
    /// assert_eq!(channel.receive()?.into_bytes()?, b"wanted");
    /// # drop(receiver);
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive).
    /// Source: *Dragon channels*, `dragon_chrecv_pop_msg`.
    pub fn try_pop(&self) -> Result<(), Error> {
        self.pop_within(Limit::Now)
    }

    /// The same, waiting for a message without limit, or as long as its [timeout](Self::with_timeout) allows.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn pop(&self) -> Result<(), Error> {
        self.pop_within(Limit::Default)
    }

    /// The same, waiting for a message until `deadline`.
    ///
    /// # Errors
    /// As [`receive_until`](Self::receive_until).
    pub fn pop_until(&self, deadline: Instant) -> Result<(), Error> {
        self.pop_within(Limit::Until(Some(deadline)))
    }

    fn pop_within(&self, limit: Limit) -> Result<(), Error> {
        let taken = self.take(SlotState::Taking, limit)?;
        match self.shared().kind_and_len(&taken) {
            Ok((kind, _)) => self.shared().finish_unkept(self.side(), kind, taken),
            Err(error) => Err(self.shared().discard(taken, error)),
        }
    }
}
