//! Channels of values that serde encodes, whose large buffers travel beside the encoding.
//!
//! A value is encoded by postcard, a small and stable format. Each [`Buffer`] in it is left out of the encoding: its
//! bytes lie behind it in the same message, which is one allocation of the channel's pool then, and the receiver's
//! buffers are views of that allocation. So a buffer is copied once, into the pool, and never out of it.
//!
//! ```
//! use weyr::prelude::*;
//! use weyr::Buffer;
//! # let name = format!("doc-encoded-{}", std::process::id());
//! # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Frame { camera: String, tags: Vec<u32>, pixels: Buffer }
//!
//! let channel = Channel::create(&pool, &ChannelAttributes::new())?;
//! let sender = channel.encoded_sender::<Frame>()?;
//! sender.send(&Frame { camera: "door".into(), tags: vec![1, 2], pixels: vec![7; 100_000].into() })?;
//!
//! let frame = channel.encoded_receiver::<Frame>()?.receive()?;
//! assert_eq!((frame.camera.as_str(), frame.pixels.len()), ("door", 100_000)); // no pixel was copied out of the pool
//! let mut corner = [0; 2];
//! frame.pixels.read(99_998, &mut corner)?; // a copy of two; `as_slice` copies none, in a cooperative pool
//! assert_eq!(corner, [7, 7]);
//! # drop(frame);
//! # channel.destroy()?;
//! # pool.destroy()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it does not do: it does not describe types. Both ends must have the same one, as [`typed`](crate::typed) says;
//! postcard is no format to keep for years.

mod buffer;
mod channel;
mod frame;
mod receiver;
mod sender;

pub use crate::iterators::{IntoIter, Iter, Receive, TryIter};
pub use buffer::Buffer;
pub use channel::EncodedChannel;
pub use receiver::Receiver;
pub use sender::Sender;
