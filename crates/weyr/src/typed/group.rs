//! Members of a group that give values of a type of plain data, and fold them by a function of their own.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::time::Duration;

use weyr_channel::{Channel, Collective, WaitMode};
use zerocopy::IntoBytes as _;

use crate::plain::{Fit, refused};
use crate::{Error, Plain, fingerprint};

/// What a channel is to be bound to, so that `members` can [join](GroupChannel::join_typed) it that give up to `elements`
/// values of `T` each, which a function of theirs called `operation` folds.
pub fn collective<T: Plain>(members: u32, operation: &str, elements: u32) -> Collective {
    Collective::custom(members, fingerprint_of::<T>(operation), size_of::<T>() as u32, elements)
}

fn fingerprint_of<T>(operation: &str) -> NonZeroU64 {
    fingerprint::of::<T>(&format!("fold by {operation}"), (size_of::<T>(), align_of::<T>()))
}

/// Typed members of a collective channel.
pub trait GroupChannel {
    /// Joins the group as `rank`, with `fold`, which is `operation`: what it makes of two values, the first of them that of the
    /// lower ranks. It does the same in all members.
    ///
    /// ```
    /// use weyr::prelude::*;
    /// use weyr::typed::{self, GroupChannel};
    /// use weyr::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
    /// # let name = format!("doc-typed-group-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// #[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    /// #[repr(C)]
    /// struct Best { value: f64, rank: u64 }
    ///
    /// let group = typed::collective::<Best>(2, "best", 10);
    /// let channel = Channel::create(&pool, &ChannelAttributes::new().collective(group))?;
    /// let better = |a: &Best, b: &Best| if b.value > a.value { *b } else { *a };
    ///
    /// let there = channel.clone(); // in any process
    /// let other = std::thread::spawn(move || {
    ///     let mut member = there.join_typed(1, "best", better)?;
    ///     member.reduce(0, &[Best { value: 0.5, rank: 1 }])
    /// });
    /// let mut member = channel.join_typed(0, "best", better)?;
    /// let best = member.reduce(0, &[Best { value: 0.25, rank: 0 }])?;
    /// assert_eq!(best, Some(vec![Best { value: 0.5, rank: 1 }]));
    /// assert!(channel.join_typed(1, "worst", better).is_err()); // another operation
    /// # other.join().expect("no panic")?;
    /// # drop(member);
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Channel`] as [`Channel::join`], and with [`OtherType`](weyr_channel::Error::OtherType) where the channel is
    /// bound to another type or operation.
    fn join_typed<T: Plain, F: FnMut(&T, &T) -> T>(
        &self,
        rank: u32,
        operation: &str,
        fold: F,
    ) -> Result<Member<T, F>, Error>;
}

impl GroupChannel for Channel {
    fn join_typed<T: Plain, F: FnMut(&T, &T) -> T>(
        &self,
        rank: u32,
        operation: &str,
        fold: F,
    ) -> Result<Member<T, F>, Error> {
        let fingerprint = fingerprint_of::<T>(operation);
        let bound = self.collective()?.ok_or(weyr_channel::Error::NotCollective)?;
        let agreed = bound.fingerprint().map_or(0, NonZeroU64::get);
        if agreed != fingerprint.get() {
            return Err(weyr_channel::Error::OtherType { asked: fingerprint.get(), agreed }.into());
        }
        Ok(Member { member: self.join(rank)?, fingerprint, fold, values: PhantomData })
    }
}

/// One of a group that gives values of `T`. All that [`Member`](weyr_channel::Member) says holds for it.
pub struct Member<T, F> {
    member: weyr_channel::Member,
    fingerprint: NonZeroU64,
    fold: F,
    values: PhantomData<fn(&T) -> T>,
}

impl<T, F> fmt::Debug for Member<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.member).finish()
    }
}

impl<T, F> Member<T, F> {
    /// The member of bytes that it is made of.
    pub fn untyped(&mut self) -> &mut weyr_channel::Member {
        &mut self.member
    }

    /// Which of the group it is, from 0 on.
    pub fn rank(&self) -> u32 {
        self.member.rank()
    }

    /// How many the group has.
    pub fn members(&self) -> u32 {
        self.member.members()
    }

    /// How many ranks are taken by processes that are not known to be dead. Does not wait.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`joined`](weyr_channel::Member::joined).
    pub fn joined(&self) -> Result<u32, Error> {
        Ok(self.member.joined()?)
    }

    /// Whether the group is broken. Does not wait.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`is_broken`](weyr_channel::Member::is_broken).
    pub fn is_broken(&self) -> Result<bool, Error> {
        Ok(self.member.is_broken()?)
    }

    /// Breaks the group for all, until it is [begun anew](Self::reset). False if it was broken before. Does not wait.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`abort`](weyr_channel::Member::abort).
    pub fn abort(&self) -> Result<bool, Error> {
        Ok(self.member.abort()?)
    }

    /// Begins anew, with the ranks free of those that died or left; one member does this. Does not wait.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`reset`](weyr_channel::Member::reset).
    pub fn reset(&self) -> Result<(), Error> {
        Ok(self.member.reset()?)
    }

    /// How long its calls last at most, from the next one on: none is without limit.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.member.set_timeout(timeout);
    }

    /// The same member, waiting in another way.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.member = self.member.with_wait_mode(mode);
        self
    }

    /// The same member, whose calls last for at most `timeout`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.member = self.member.with_timeout(timeout);
        self
    }
}

impl<T: Plain, F: FnMut(&T, &T) -> T> Member<T, F> {
    /// Waits until all have called it.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`barrier`](weyr_channel::Member::barrier).
    pub fn barrier(&mut self) -> Result<(), Error> {
        Ok(self.member.barrier()?)
    }

    /// Makes `values` of every member those of `root`; all have as many.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`broadcast`](weyr_channel::Member::broadcast).
    pub fn broadcast(&mut self, root: u32, values: &mut [T]) -> Result<(), Error> {
        Ok(self.member.broadcast(root, values.as_mut_bytes())?)
    }

    /// Folds the `values` of all, place by place in the order of their ranks, for `root`.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`reduce_with`](weyr_channel::Member::reduce_with).
    pub fn reduce(&mut self, root: u32, values: &[T]) -> Result<Option<Vec<T>>, Error> {
        let fold = by(&mut self.fold);
        let folded = self.member.reduce_with(self.fingerprint, root, values.as_bytes(), fold)?;
        folded.as_deref().map(read).transpose()
    }

    /// The same for all, in place of their `values`.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce); `values` are unchanged then.
    pub fn all_reduce(&mut self, values: &mut [T]) -> Result<(), Error> {
        let fold = by(&mut self.fold);
        Ok(self.member.all_reduce_with(self.fingerprint, values.as_mut_bytes(), fold)?)
    }

    /// Gives `values`, of any number, to `root`, which gets those of all, by rank.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`gather`](weyr_channel::Member::gather); [`Error::WrongSize`]: a member of bytes gave what are
    /// no values.
    pub fn gather(&mut self, root: u32, values: &[T]) -> Result<Option<Vec<Vec<T>>>, Error> {
        let gathered = self.member.gather(root, values.as_bytes())?;
        gathered.map(|all| all.iter().map(|bytes| read(bytes)).collect()).transpose()
    }

    /// The same for all.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    pub fn all_gather(&mut self, values: &[T]) -> Result<Vec<Vec<T>>, Error> {
        let gathered = self.member.all_gather(values.as_bytes())?;
        gathered.iter().map(|bytes| read(bytes)).collect()
    }
}

fn size<T>() -> usize {
    size_of::<T>().max(1)
}

/// `fold` over bytes, which need not be aligned.
fn by<T: Plain>(fold: &mut impl FnMut(&T, &T) -> T) -> impl FnMut(&mut [u8], &[u8]) {
    |into, more| {
        for (into, more) in into.chunks_exact_mut(size::<T>()).zip(more.chunks_exact(size::<T>())) {
            // Any bytes of that size are a value.
            if let (Ok(first), Ok(second)) = (T::read_from_bytes(into), T::read_from_bytes(more)) {
                into.copy_from_slice(fold(&first, &second).as_bytes());
            }
        }
    }
}

fn read<T: Plain>(bytes: &[u8]) -> Result<Vec<T>, Error> {
    let len = bytes.len() as u64;
    <[T]>::check(len)?;
    let value = |bytes| T::read_from_bytes(bytes).map_err(|_| refused::<T>(len));
    bytes.chunks_exact(size::<T>()).map(value).collect()
}
