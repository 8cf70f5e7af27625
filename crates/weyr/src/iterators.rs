//! Messages one after another.
//!
//! An error that is about one message is an item, and the next message comes behind it; any other error is the last
//! item, but that the channel was destroyed, which is the end.

use crate::Error;

/// What takes messages: a typed receiver.
pub trait Receive {
    /// What a message is turned into.
    type Item;
    /// Takes a message, waiting for one as long as the receiver's timeout allows.
    ///
    /// # Errors
    /// Those of the receiver.
    fn receive_next(&self) -> Result<Self::Item, Error>;
    /// Takes a message, if one waits.
    ///
    /// # Errors
    /// Those of the receiver.
    fn try_receive_next(&self) -> Result<Self::Item, Error>;
}

/// Messages as they come, until the channel is destroyed; waits for each as its receiver does.
#[derive(Debug)]
pub struct Iter<'r, R> {
    receiver: &'r R,
    ended: bool,
}

/// Messages that wait; ends when none does, and may be asked again then.
#[derive(Debug)]
pub struct TryIter<'r, R> {
    receiver: &'r R,
    ended: bool,
}

/// As [`Iter`], with the receiver in it.
#[derive(Debug)]
pub struct IntoIter<R> {
    receiver: R,
    ended: bool,
}

impl<'r, R> Iter<'r, R> {
    pub(crate) fn new(receiver: &'r R) -> Self {
        Self { receiver, ended: false }
    }
}

impl<'r, R> TryIter<'r, R> {
    pub(crate) fn new(receiver: &'r R) -> Self {
        Self { receiver, ended: false }
    }
}

impl<R> IntoIter<R> {
    pub(crate) fn new(receiver: R) -> Self {
        Self { receiver, ended: false }
    }
}

impl<R: Receive> Iterator for Iter<'_, R> {
    type Item = Result<R::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.ended, || self.receiver.receive_next())
    }
}

impl<R: Receive> Iterator for TryIter<'_, R> {
    type Item = Result<R::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = step(&mut self.ended, || self.receiver.try_receive_next());
        next.filter(|item| !matches!(item, Err(Error::Channel(weyr_channel::Error::Empty))))
    }
}

impl<R: Receive> Iterator for IntoIter<R> {
    type Item = Result<R::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.ended, || self.receiver.receive_next())
    }
}

fn step<T>(ended: &mut bool, next: impl FnOnce() -> Result<T, Error>) -> Option<Result<T, Error>> {
    if *ended {
        return None;
    }
    let next = next();
    *ended = next.as_ref().is_err_and(|error| !is_of_one_message(error));
    match next {
        Err(Error::Channel(weyr_channel::Error::Destroyed)) => None,
        next => Some(next),
    }
}

/// Whether the message behind it may be received all the same.
fn is_of_one_message(error: &Error) -> bool {
    use weyr_channel::Error as Channel;
    match error {
        Error::WrongSize { .. } | Error::InvalidValue { .. } | Error::Undecodable { .. } => true,
        Error::Channel(error) => matches!(error, Channel::Empty | Channel::Corrupt(_) | Channel::Stale),
        _ => false,
    }
}
