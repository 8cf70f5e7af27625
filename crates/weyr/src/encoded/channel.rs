//! Channels of encoded values.

use serde::Serialize;
use serde::de::DeserializeOwned;
use weyr_channel::Channel;

use super::{Receiver, Sender};
use crate::{Error, fingerprint};

/// Handles of a channel that encode and decode.
pub trait EncodedChannel {
    /// A handle that sends encoded values.
    ///
    /// # Errors
    /// [`Error::Channel`] with [`OtherType`](weyr_channel::Error::OtherType) when the users of the channel agreed on
    /// another type.
    fn encoded_sender<T: Serialize>(&self) -> Result<Sender<T>, Error>;

    /// A handle that receives encoded values.
    ///
    /// # Errors
    /// As [`encoded_sender`](Self::encoded_sender).
    fn encoded_receiver<T: DeserializeOwned>(&self) -> Result<Receiver<T>, Error>;
}

impl EncodedChannel for Channel {
    fn encoded_sender<T: Serialize>(&self) -> Result<Sender<T>, Error> {
        agree::<T>(self)?;
        Ok(Sender::new(self.sender(), self.block_size()))
    }

    fn encoded_receiver<T: DeserializeOwned>(&self) -> Result<Receiver<T>, Error> {
        agree::<T>(self)?;
        Ok(Receiver::new(self.receiver()))
    }
}

fn agree<T>(channel: &Channel) -> Result<(), Error> {
    Ok(channel.agree_on_type(fingerprint::of::<T>("postcard", (0, 0)))?)
}
