//! Reductions: what all members give is folded, rank by rank.
//!
//! Where all get the result, each folds everything itself; where that is many bytes, each folds its share of the elements and
//! gives it to the others in a second round, so that nobody folds more than one n-th.

use std::num::NonZeroU64;
use std::ops::Range;

use weyr_shared::collective::{Announced, CallKind, Operation, Rupture};

use super::Member;
use super::element::Element;
use crate::Error;
use crate::defaults::Limit;

/// From so many bytes on each folds its share only.
const SHARED_FROM: usize = 64 << 10;
/// About so many bytes are folded at a time, so that they stay in the cache.
const CHUNK_BYTES: usize = 16 << 10;

/// Folds the second's elements into the first's.
type Fold<'f> = &'f mut dyn FnMut(&mut [u8], &[u8]);

/// Of numbers, by the channel's operation.
impl Member {
    /// Folds the `values` of all members, element by element in the order of their ranks, for `root`, which gets the
    /// result; the others get none. All give the same number of values. Waits as [`barrier`](Self::barrier) does.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast); and, before anybody was told, [`Error::OtherCollective`]: the channel's
    /// elements are of another type, or it has no such operation.
    pub fn reduce<T: Element>(&mut self, root: u32, values: &[T]) -> Result<Option<Vec<T>>, Error> {
        let operation = self.bound_operation::<T>()?;
        self.check_root(root)?;
        self.check_len(size_of_val(values))?;
        let mut fold = |into: &mut [u8], more: &[u8]| T::fold(operation, into, more);
        if !self.fold_for(Some(root), |given| T::write_le(values, given), &mut fold)? {
            return Ok(None);
        }
        let mut result = values.to_vec();
        T::read_le(&self.folded, &mut result);
        Ok(Some(result))
    }

    /// The same, where all get the result, in place of their `values`. All of them get the same bits.
    ///
    /// From 64 KiB on this is two rounds: each member folds a share of the elements and gives it to the others. The timeout
    /// is for both together.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce); `values` are unchanged then.
    pub fn all_reduce<T: Element>(&mut self, values: &mut [T]) -> Result<(), Error> {
        let operation = self.bound_operation::<T>()?;
        self.check_len(size_of_val(values))?;
        let mut fold = |into: &mut [u8], more: &[u8]| T::fold(operation, into, more);
        self.fold_for(None, |given| T::write_le(values, given), &mut fold)?;
        T::read_le(&self.folded, values);
        Ok(())
    }

    fn bound_operation<T: Element>(&self) -> Result<Operation, Error> {
        let binding = self.words.binding();
        let reason = match binding.operation {
            _ if binding.element != T::TYPE => "its elements are of another type",
            Operation::None => "it has no operation",
            Operation::Custom => "its operation is its users' own",
            operation => return Ok(operation),
        };
        Err(Error::OtherCollective { reason })
    }
}

/// Of elements of the users' own, by a function of theirs.
impl Member {
    /// As [`reduce`](Self::reduce), by `fold`, which folds the elements of its second argument into those of its first; it is
    /// called with whole elements, of as many as it pleases. `fingerprint` says which function it is: the one that the
    /// channel is bound to.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce); [`Error::OtherType`]: the channel is bound to another function;
    /// [`Error::OtherCollective`] also for bytes that are not whole elements.
    pub fn reduce_with(
        &mut self,
        fingerprint: NonZeroU64,
        root: u32,
        bytes: &[u8],
        mut fold: impl FnMut(&mut [u8], &[u8]),
    ) -> Result<Option<Vec<u8>>, Error> {
        self.check_custom(fingerprint, bytes.len())?;
        self.check_root(root)?;
        let is_root = self.fold_for(Some(root), |given| given.extend_from_slice(bytes), &mut fold)?;
        Ok(is_root.then(|| self.folded.clone()))
    }

    /// As [`all_reduce`](Self::all_reduce), by `fold`, as in [`reduce_with`](Self::reduce_with). It must do the same in all
    /// members, or they get different results. If it panics between two rounds, the group is broken, as by
    /// [`abort`](Self::abort); where there is but one, the others have their result.
    ///
    /// # Errors
    /// As [`reduce_with`](Self::reduce_with); `bytes` are unchanged then.
    pub fn all_reduce_with(
        &mut self,
        fingerprint: NonZeroU64,
        bytes: &mut [u8],
        mut fold: impl FnMut(&mut [u8], &[u8]),
    ) -> Result<(), Error> {
        self.check_custom(fingerprint, bytes.len())?;
        self.fold_for(None, |given| given.extend_from_slice(bytes), &mut fold)?;
        bytes.copy_from_slice(&self.folded);
        Ok(())
    }

    fn check_custom(&self, asked: NonZeroU64, len: usize) -> Result<(), Error> {
        let (binding, asked) = (self.words.binding(), asked.get());
        self.check_len(len)?;
        match binding.operation {
            Operation::Custom if binding.fingerprint != asked => {
                Err(Error::OtherType { asked, agreed: binding.fingerprint })
            }
            Operation::Custom if len.is_multiple_of(self.element_bytes()) => Ok(()),
            Operation::Custom => {
                Err(Error::OtherCollective { reason: "that is not a whole number of its elements" })
            }
            _ => Err(Error::OtherCollective { reason: "its operation is not its users' own" }),
        }
    }
}

/// Both.
impl Member {
    fn element_bytes(&self) -> usize {
        self.words.binding().element_bytes.max(1) as usize
    }

    /// Gives what `write` writes, and folds what all gave into `self.folded`: for `root`, or for all. Whether it is for
    /// this member.
    fn fold_for(
        &mut self,
        root: Option<u32>,
        write: impl FnOnce(&mut Vec<u8>),
        fold: Fold<'_>,
    ) -> Result<bool, Error> {
        let mut given = std::mem::take(&mut self.scratch);
        given.clear();
        write(&mut given);
        let mut folded = std::mem::take(&mut self.folded);
        folded.clear();
        folded.resize(given.len(), 0);
        let outcome = self.fold_given(root, &given, &mut folded, fold);
        (self.scratch, self.folded) = (given, folded);
        outcome
    }

    fn fold_given(
        &mut self,
        root: Option<u32>,
        given: &[u8],
        folded: &mut [u8],
        fold: Fold<'_>,
    ) -> Result<bool, Error> {
        let Some(root) = root else {
            self.fold_for_all(given, folded, fold)?;
            return Ok(true);
        };
        let round = self.round(CallKind::Reduce, root, (0, given))?;
        if root == self.rank {
            self.fold_range(round, 0..folded.len(), folded, fold)?;
        }
        Ok(root == self.rank)
    }

    fn fold_for_all(&mut self, given: &[u8], folded: &mut [u8], fold: Fold<'_>) -> Result<(), Error> {
        if folded.len() < SHARED_FROM || self.members() == 1 {
            let round = self.round(CallKind::AllReduce, 0, (0, given))?;
            return self.fold_range(round, 0..folded.len(), folded, fold);
        }
        // Both rounds are one call.
        let limit = self.defaults.deadline(Limit::Default).map_or(Limit::Now, Limit::Until);
        let round = self.round_within(limit, CallKind::AllReduce, 0, (0, given))?;
        let own = self.share(self.rank, folded.len());
        let round = self.share_folded(round, limit, own, folded, fold)?;
        for rank in (0..self.members()).filter(|rank| *rank != self.rank) {
            let share = self.share(rank, folded.len());
            self.words.read(rank, round, share.start as u64, &mut folded[share])?;
        }
        self.confirm(round)
    }

    /// Folds bytes `own` of what all gave in `round`, and gives them to all in the next one. Who does not come so far, whose
    /// `fold` panics for one, breaks the group: its next call would be taken for another one in place of that round.
    fn share_folded(
        &mut self,
        round: Announced,
        limit: Limit,
        own: Range<usize>,
        folded: &mut [u8],
        fold: Fold<'_>,
    ) -> Result<Announced, Error> {
        let mut between = Between { member: self, round };
        between.member.fold_range(round, own.clone(), folded, fold)?;
        let member = &mut between.member;
        member.round_within(limit, CallKind::Share, 0, (own.start as u64, &folded[own]))
    }

    /// The bytes of `len` that `rank` folds: whole elements.
    fn share(&self, rank: u32, len: usize) -> Range<usize> {
        let (element, members) = (self.element_bytes(), self.members() as usize);
        let edge = |rank: usize| (len / element) * rank / members * element;
        edge(rank as usize)..edge(rank as usize + 1)
    }

    /// Folds bytes `range` of what all gave into the same bytes of `folded`.
    fn fold_range(
        &mut self,
        round: Announced,
        range: Range<usize>,
        folded: &mut [u8],
        fold: Fold<'_>,
    ) -> Result<(), Error> {
        let step = (CHUNK_BYTES / self.element_bytes()).max(1) * self.element_bytes();
        let mut kept = std::mem::take(&mut self.folding);
        kept.resize(step.min(range.len()), 0);
        for from in range.clone().step_by(step) {
            let into = &mut folded[from..range.end.min(from + step)];
            let more = &mut kept[..into.len()];
            self.words.read(0, round, from as u64, into)?;
            for rank in 1..self.members() {
                self.words.read(rank, round, from as u64, more)?;
                fold(into, more);
            }
        }
        self.folding = kept;
        self.confirm(round)
    }
}

/// A member between the two rounds of a call. One that has not announced the second when it goes breaks the group.
struct Between<'m> {
    member: &'m mut Member,
    /// The first.
    round: Announced,
}

impl Drop for Between<'_> {
    fn drop(&mut self) {
        let Self { member, round } = self;
        if member.at == *round {
            // State that cannot be is found by the others, too.
            let _ = member.words.break_up(round.generation, Rupture::Aborted, member.rank);
            member.tell();
        }
    }
}
