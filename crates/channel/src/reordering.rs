//! Order restored: parts of senders' streams that arrive over several paths, handed on in the order of each sender.
//!
//! A send handle numbers its messages ([`MessageAttributes`](crate::MessageAttributes)). Where they travel over several
//! paths, as through several gateways, they arrive out of turn. Who puts them into their channel asks a [`Reordering`]
//! first: it takes each part as it arrives and says which ones are due, of each sender exactly from the first number on
//! and without a gap. It decides and does nothing: it knows no channel, no path and no clock.
//!
//! Its memory is bounded by the bytes that it may hold. A part that does not fit is refused and given back: its path is to
//! keep it and offer it again, which holds that path up and no other. The part that is due next is never refused, so
//! paths that keep the order in which they were given their parts always get on.
//!
//! What it does not do: it waits for no part. A number that never comes holds its sender's later ones back until the
//! caller gives it up ([`Reordering::skip`]) or the sender ([`Reordering::forget`]).
//!
//! Source: *Dragon channels*, section Architecture: ordering is reconstructed through a process-generated sequence
//! number.

use std::collections::{BTreeMap, HashMap};

/// One message of a sender, on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// Id of the handle that sent it.
    pub sender: u128,
    /// Which message of that handle it is, from 1 on.
    pub sequence: u64,
    /// What is to be deposited.
    pub payload: T,
    /// Bytes for which it counts while it is held.
    pub bytes: u64,
}

/// Why a part was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedPart {
    /// The part is not due, and holding it would exceed the limit: its path is to offer it again.
    #[error("{held} bytes are held back already, of {limit}; offer the part again when others have arrived")]
    NoRoom {
        /// Bytes held.
        held: u64,
        /// Bytes that may be held.
        limit: u64,
    },
    /// That message arrived before: it is to be dropped.
    #[error("message {sequence} of its sender arrived before; drop this one")]
    Duplicate {
        /// Its number.
        sequence: u64,
    },
    /// Numbers begin at 1.
    #[error("no message has number 0")]
    NoNumber,
}

/// What one sender has sent and could not be handed on.
#[derive(Debug)]
struct Stream<T> {
    /// The number that is due next.
    next: u64,
    /// Later ones, by number.
    held: BTreeMap<u64, (T, u64)>,
}

impl<T> Default for Stream<T> {
    fn default() -> Self {
        Self { next: 1, held: BTreeMap::new() }
    }
}

/// Puts the parts of any number of senders' streams in order.
///
/// ```
/// use weyr_channel::{Part, Reordering};
/// let part = |sequence, payload| Part { sender: 7, sequence, payload, bytes: 8 };
/// let mut order = Reordering::new(1 << 20);
/// assert_eq!(order.arrive(part(2, "second")), Ok(vec![]));
/// assert_eq!(order.arrive(part(1, "first")), Ok(vec!["first", "second"]));
/// ```
#[derive(Debug)]
pub struct Reordering<T> {
    streams: HashMap<u128, Stream<T>>,
    limit: u64,
    held: u64,
}

impl<T> Reordering<T> {
    /// One that holds parts of at most `limit_bytes` together. Where paths do not keep the order in which they are given
    /// their parts, it must be enough for all that can be under way at once; where they do, any limit will do.
    pub fn new(limit_bytes: u64) -> Self {
        Self { streams: HashMap::new(), limit: limit_bytes, held: 0 }
    }

    /// Takes `part`, and says what is due now, in this order: often nothing, or several.
    ///
    /// # Errors
    /// The part, and why it was not taken. Nothing has changed.
    pub fn arrive(&mut self, part: Part<T>) -> Result<Vec<T>, (RefusedPart, Part<T>)> {
        match self.judge(&part) {
            Err(refused) => Err((refused, part)),
            Ok(()) => Ok(self.take(part)),
        }
    }

    fn judge(&self, part: &Part<T>) -> Result<(), RefusedPart> {
        let stream = self.streams.get(&part.sender);
        let next = stream.map_or(1, |stream| stream.next);
        let is_held = stream.is_some_and(|stream| stream.held.contains_key(&part.sequence));
        if part.sequence == 0 {
            return Err(RefusedPart::NoNumber);
        }
        if part.sequence < next || is_held {
            return Err(RefusedPart::Duplicate { sequence: part.sequence });
        }
        if part.sequence > next && self.held.saturating_add(part.bytes) > self.limit {
            return Err(RefusedPart::NoRoom { held: self.held, limit: self.limit });
        }
        Ok(())
    }

    fn take(&mut self, part: Part<T>) -> Vec<T> {
        let stream = self.streams.entry(part.sender).or_default();
        if part.sequence > stream.next {
            self.held += part.bytes;
            stream.held.insert(part.sequence, (part.payload, part.bytes));
            return Vec::new();
        }
        stream.next += 1;
        let mut due = vec![part.payload];
        self.held -= stream.follow(&mut due);
        due
    }

    /// Gives the next missing message of `sender` up, which will not come: what follows it is due now. Whoever sent it
    /// will be taken for having sent it twice should it come all the same.
    pub fn skip(&mut self, sender: u128) -> Vec<T> {
        let stream = self.streams.entry(sender).or_default();
        stream.next += 1;
        let mut due = Vec::new();
        self.held -= stream.follow(&mut due);
        due
    }

    /// Forgets `sender`, which sends no more; gives what was held of it back, in order, with its numbers.
    pub fn forget(&mut self, sender: u128) -> Vec<Part<T>> {
        let held = self.streams.remove(&sender).map(|stream| stream.held).unwrap_or_default();
        self.held -= held.values().map(|(_, bytes)| bytes).sum::<u64>();
        let part = |(sequence, (payload, bytes))| Part { sender, sequence, payload, bytes };
        held.into_iter().map(part).collect()
    }

    /// Senders with a gap, and the number that each is waited for with.
    pub fn gaps(&self) -> impl Iterator<Item = (u128, u64)> {
        let waiting = self.streams.iter().filter(|(_, stream)| !stream.held.is_empty());
        waiting.map(|(sender, stream)| (*sender, stream.next))
    }

    /// Bytes of the parts that are held back.
    pub fn held_bytes(&self) -> u64 {
        self.held
    }
}

impl<T> Stream<T> {
    /// Moves what is due to `due`, and says how many bytes that were.
    fn follow(&mut self, due: &mut Vec<T>) -> u64 {
        let mut freed = 0;
        while let Some((payload, bytes)) = self.held.remove(&self.next) {
            freed += bytes;
            due.push(payload);
            self.next += 1;
        }
        freed
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(sender: u128, sequence: u64) -> Part<(u128, u64)> {
        Part { sender, sequence, payload: (sender, sequence), bytes: 1 + sequence % 3 }
    }

    /// The plainest thing that does it: all that arrived, searched anew each time.
    #[derive(Default)]
    struct Plain {
        arrived: Vec<(u128, u64)>,
        due: HashMap<u128, u64>,
    }

    impl Plain {
        fn arrive(&mut self, sender: u128, sequence: u64) -> Vec<(u128, u64)> {
            self.arrived.push((sender, sequence));
            let mut due = Vec::new();
            loop {
                let next = self.due.get(&sender).copied().unwrap_or(1);
                if !self.arrived.contains(&(sender, next)) {
                    return due;
                }
                due.push((sender, next));
                self.due.insert(sender, next + 1);
            }
        }

        fn held(&self) -> u64 {
            let waits =
                |(sender, sequence): &&(u128, u64)| *sequence >= self.due.get(sender).copied().unwrap_or(1);
            self.arrived.iter().filter(waits).map(|&(sender, sequence)| part(sender, sequence).bytes).sum()
        }
    }

    proptest! {
        #[test]
        fn every_part_comes_out_once_and_in_its_senders_order(
            arrivals in proptest::collection::vec((0..3_u128, 0..12_u64), 0..120),
            limit in 0..20_u64,
        ) {
            let (mut order, mut plain) = (Reordering::new(limit), Plain::default());
            for (sender, sequence) in arrivals {
                let expected_next = plain.due.get(&sender).copied().unwrap_or(1);
                let bytes = part(sender, sequence).bytes;
                let refused = match sequence {
                    0 => Some(RefusedPart::NoNumber),
                    _ if plain.arrived.contains(&(sender, sequence)) => Some(RefusedPart::Duplicate { sequence }),
                    _ if sequence > expected_next && plain.held() + bytes > limit => {
                        Some(RefusedPart::NoRoom { held: plain.held(), limit })
                    }
                    _ => None,
                };
                let outcome = order.arrive(part(sender, sequence));
                match refused {
                    Some(refused) => prop_assert_eq!(outcome, Err((refused, part(sender, sequence)))),
                    None => prop_assert_eq!(outcome, Ok(plain.arrive(sender, sequence))),
                }
                prop_assert_eq!(order.held_bytes(), plain.held());
                prop_assert!(order.held_bytes() <= limit);
            }
        }
    }

    #[test]
    fn what_is_given_up_lets_the_rest_go_on() {
        let mut order = Reordering::new(100);
        for sequence in [2, 3, 5] {
            assert_eq!(order.arrive(part(1, sequence)), Ok(vec![]));
        }
        assert_eq!(order.gaps().collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(order.skip(1), [(1, 2), (1, 3)]);
        assert_eq!(order.arrive(part(1, 1)).unwrap_err().0, RefusedPart::Duplicate { sequence: 1 });
        assert_eq!((order.gaps().next(), order.held_bytes()), (Some((1, 4)), part(1, 5).bytes));
        assert_eq!(order.forget(1), [part(1, 5)]);
        assert_eq!((order.gaps().next(), order.held_bytes()), (None, 0));
        assert_eq!(order.arrive(part(1, 1)), Ok(vec![(1, 1)]));
    }

    #[test]
    fn the_part_that_is_due_is_taken_however_little_may_be_held() {
        let mut order = Reordering::new(0);
        for sequence in 1..10 {
            assert!(matches!(order.arrive(part(1, sequence + 1)), Err((RefusedPart::NoRoom { .. }, _))));
            assert_eq!(order.arrive(part(1, sequence)), Ok(vec![(1, sequence)]));
        }
    }
}
