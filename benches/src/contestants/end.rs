//! What every way from one process to another can do here: send and receive numbered messages.

use crate::Result;

/// What one process has of a link: it sends to the other, and receives from it.
pub(crate) trait End {
    /// Sends a message that carries `number`, waiting for room.
    fn send(&mut self, number: u64) -> Result<()>;

    /// The number of the next message, waiting for one.
    fn receive(&mut self) -> Result<u64>;

    /// Sends the next message back.
    #[inline]
    fn answer(&mut self) -> Result<()> {
        let number = self.receive()?;
        self.send(number)
    }
}

/// A link between two processes, made before they start. Each then takes its end.
pub(crate) trait Link {
    type End: End;

    fn asker(&self) -> Result<Self::End>;

    fn answerer(&self) -> Result<Self::End>;
}

/// Messages of `bytes` bytes that may wait in a link at once: all links have room for as many, where they count them.
pub(crate) fn capacity(bytes: usize) -> usize {
    ((8 << 20) / bytes).clamp(4, 100)
}

/// Puts `number` at both ends of `message`.
#[inline]
pub(crate) fn mark(message: &mut [u8], number: u64) {
    let last = message.len() - 8;
    message[..8].copy_from_slice(&number.to_ne_bytes());
    message[last..].copy_from_slice(&number.to_ne_bytes());
}

/// The number at both ends of `message`.
#[inline]
pub(crate) fn marked(message: &[u8]) -> Result<u64> {
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes);
    let (first, last) = (number(&message[..8])?, number(&message[message.len() - 8..])?);
    if first == last {
        Ok(first)
    } else {
        Err(format!("a message begins with {first} and ends with {last}").into())
    }
}
