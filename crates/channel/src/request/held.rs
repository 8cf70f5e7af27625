//! Locks that this process has because it was asked to: each until it is asked to end it.

use std::sync::{Mutex, PoisonError};

use crate::{ChannelDescriptor, Error, ReadLock, WriteLock};

/// A lock that was asked for.
#[derive(Debug)]
pub(super) enum Held {
    Write(WriteLock),
    Read(ReadLock),
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Write,
    Read,
}

impl Held {
    fn kind(&self) -> Kind {
        match self {
            Self::Write(_) => Kind::Write,
            Self::Read(_) => Kind::Read,
        }
    }

    /// The lock, where it was refused to end.
    fn unlock(self) -> Result<(), (Error, Self)> {
        match self {
            Self::Write(lock) => lock.unlock().map_err(|refused| (refused.error, Self::Write(refused.lock))),
            Self::Read(lock) => lock.unlock().map_err(|refused| (refused.error, Self::Read(refused.lock))),
        }
    }
}

/// A lock is in it once: the channel has no second one. Held for no longer than a look.
static HELD: Mutex<Vec<(ChannelDescriptor, Held)>> = Mutex::new(Vec::new());

fn with<T>(look: impl FnOnce(&mut Vec<(ChannelDescriptor, Held)>) -> T) -> T {
    look(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Keeps a lock until [`unlock`]. One of the same channel that is in the table has ended without this process: it is gone.
pub(super) fn keep(channel: &ChannelDescriptor, lock: Held) {
    let ended = take(channel, lock.kind());
    with(|held| held.push((channel.clone(), lock)));
    drop(ended);
}

fn take(channel: &ChannelDescriptor, kind: Kind) -> Option<Held> {
    with(|held| {
        let place = held.iter().position(|(of, lock)| of == channel && lock.kind() == kind)?;
        Some(held.swap_remove(place).1)
    })
}

/// Ends the lock that is kept.
///
/// # Errors
/// [`Error::NotLocked`]; those of unlocking: it is kept then.
pub(super) fn unlock(channel: &ChannelDescriptor, kind: Kind) -> Result<(), Error> {
    let lock = take(channel, kind).ok_or(Error::NotLocked)?;
    lock.unlock().map_err(|(error, lock)| {
        with(|held| held.push((channel.clone(), lock)));
        error
    })
}
