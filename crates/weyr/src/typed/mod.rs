//! Typed memory and typed channels.
//!
//! A value of plain data is its bytes: it is sent by copying them into a slot of the channel, or, where they do not fit,
//! into an allocation, which its receiver can have in place. An [`Owned`](crate::Owned) value is sent as it lies.
//!
//! | sent | goes as | [`Receiver::receive`] | [`Receiver::receive_owned`] |
//! | --- | --- | --- | --- |
//! | a value that fits a block | bytes in the slot | a copy | a copy, in the pool |
//! | a larger one | an allocation, filled by the sender | a copy; it is freed | that allocation, in place |
//! | [`Sender::send_owned`] | the owned memory | a copy; it is freed | that memory, in place |
//!
//! The first typed handle on a channel says of which type its messages are ([`Channel::agree_on_type`]); one of another
//! type is refused. Bytes can be sent through the same channel by whoever has no typed handle, so each message is looked
//! at as well: one that is no `T` is an error, and it is gone, so that the next can be received.
//!
//! Members of a [group](GroupChannel) give each other values of plain data, and fold them by functions of theirs.
//!
//! [`Channel::agree_on_type`]: crate::Channel::agree_on_type

mod channel;
mod group;
mod memory;
mod receiver;
mod sender;

pub use crate::iterators::{IntoIter, Iter, Receive, TryIter};
pub use channel::{Checked, TypedChannel};
pub use group::{GroupChannel, Member, collective};
pub use memory::{TypedMessage, TypedPool};
pub use receiver::Receiver;
pub use sender::Sender;
