//! How a handle finds the tail or the head, from where it last was.
//!
//! Each handle remembers a position, and goes on from there by what the slot words say. A word in lap m says that the
//! position one lap before it is over for senders; the head is never more than one lap behind the tail, because
//! FILLING and FULL hold senders up, so it says that the position two laps before it is over for receivers. A walk
//! looks at the shared hint once, and believes it only if the position before it is over: what stands there may have
//! been written by anybody.

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{Corrupt, Level, Position, SlotWord};

/// Which end of a level's ring a walk looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Where senders claim.
    Tail,
    /// Where receivers take.
    Head,
}

impl End {
    /// How many laps the position that a word proves over is behind the word's.
    fn lag(self) -> u64 {
        match self {
            Self::Tail => 1,
            Self::Head if fault::is(Fault::HeadFollowsLikeTail) => 1,
            Self::Head => 2,
        }
    }

    #[inline(always)]
    fn hint(self, level: Level<'_>) -> &AtomicU64 {
        match self {
            Self::Tail => level.tail(),
            Self::Head => level.head(),
        }
    }

    fn is_past(self, level: Level<'_>, position: Position) -> Result<bool, Corrupt> {
        match self {
            Self::Tail => level.is_before_tail(position),
            Self::Head => level.is_before_head(position),
        }
    }
}

/// One search, bounded to twice round the ring.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    level: Level<'a>,
    end: End,
    /// Where it stands; never after the end that it looks for.
    pub(crate) place: Position,
    looks_left: u64,
    hint_seen: bool,
    /// What the first look finds, where it was done already.
    seen: Option<SlotWord>,
}

impl<'a> Walk<'a> {
    #[inline]
    pub(crate) fn new(level: Level<'a>, end: End, from: &AtomicU64) -> Self {
        // Acquire: a thread that shares the handle may have put it there (Release in `remember`).
        let place = Position::from_bits(from.load(Ordering::Acquire));
        let looks_left = 2 * u64::from(level.capacity()) + 2;
        Self { level, end, place, looks_left, hint_seen: false, seen: None }
    }

    /// The same, behind a look at a place where the handle stood.
    pub(crate) fn behind(self, look: Option<(Position, SlotWord)>) -> Self {
        match look {
            Some((place, word)) => Self { place, seen: Some(word), ..self },
            None => self,
        }
    }

    /// The word at the place, unless the bound is reached.
    #[inline]
    pub(crate) fn look(&mut self) -> Result<Option<SlotWord>, Corrupt> {
        if self.looks_left == 0 {
            return Ok(None);
        }
        self.looks_left -= 1;
        if let Some(word) = self.seen.take() {
            return Ok(Some(word));
        }
        self.level.load(self.place).map(Some)
    }

    /// Leaves a place of which `word` says that it is over.
    pub(crate) fn go_on(&mut self, word: SlotWord) -> Result<(), Corrupt> {
        let proven = Position::new(word.lap.plus(self.end.lag().wrapping_neg()), self.place.index());
        let capacity = self.level.capacity();
        self.place = self.place.next(capacity).later(proven.next(capacity));
        self.look_at_hint()
    }

    fn look_at_hint(&mut self) -> Result<(), Corrupt> {
        if std::mem::replace(&mut self.hint_seen, true) || fault::is(Fault::WithoutHints) {
            return Ok(());
        }
        // Acquire pairs with the Release of `remember`: who stored it had seen all positions before it end.
        let hint = Position::from_bits(self.end.hint(self.level).load(Ordering::Acquire));
        let capacity = self.level.capacity();
        let possible = hint.index() < capacity && hint.is_after(self.place);
        if possible && self.end.is_past(self.level, hint.previous(capacity))? {
            self.place = hint;
        }
        Ok(())
    }

    /// Keeps the place in the handle.
    #[inline]
    pub(crate) fn keep(&self, handle: &AtomicU64) {
        handle.store(self.place.bits(), Ordering::Release);
    }

    /// Goes behind the place, which the caller has claimed, and tells the others.
    #[inline(always)]
    pub(crate) fn advance(&mut self, handle: &AtomicU64) {
        self.place = Self::pass(self.level, self.end, self.place, handle);
    }

    /// The same without a walk.
    #[inline(always)]
    pub(crate) fn pass(level: Level<'a>, end: End, place: Position, handle: &AtomicU64) -> Position {
        let next = place.next(level.capacity());
        handle.store(next.bits(), Ordering::Release);
        if !fault::is(Fault::WithoutHints) {
            end.hint(level).store(next.bits(), Ordering::Release);
        }
        next
    }
}
