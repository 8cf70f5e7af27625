//! Which of several channels has a name.
//!
//! A channel is made with the name in its header, as a candidate. Whoever wants the name, to use it or to look for
//! it, settles all candidates: refuses (destroys) all but the one that comes first, and confirms that one. Both are
//! exchanges of the candidate's own state word, so each is confirmed or refused, never both.
//!
//! At most one is confirmed at a time. A candidate C is confirmed only after a look that *began when C could be
//! seen*, that found none confirmed, and after all others that it found were refused. Let X and Y both be confirmed so.
//! If the look for X missed Y, then Y appeared behind the start of that look, hence behind X; so the look for Y saw X,
//! and refused it or found it confirmed. Nobody waits: who fails to refuse or confirm one was overtaken by another
//! that settled it.
//!
//! Death: before the block becomes a channel, the sweep frees it. Behind that the candidate is there for the next one
//! who settles, who may confirm it: a channel whose creator died. Beside one that is confirmed it is refused. A refused
//! one is a destroyed channel, which recovery frees like any other.

use std::borrow::Borrow;

use weyr_atomic::{Ordering, fence};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{Futex, Ring};

/// The channels of one pool with one name.
pub trait Namesakes {
    /// One of them, which stays what it is as long as this value lives.
    type Channel: Borrow<Ring>;
    /// Why one could not be looked at.
    type Error;

    /// All that are not destroyed, in an order that is the same for everybody; looks anew each time.
    ///
    /// # Errors
    /// What hinders the look.
    fn look(&self) -> Result<Vec<(u64, Self::Channel)>, Self::Error>;
}

/// The channel that has the name when this returns; none, if there was none and no candidate.
///
/// # Errors
/// What hinders a look.
pub fn settle<N: Namesakes, F: Futex>(
    namesakes: &N,
    futex: &F,
) -> Result<Option<(u64, N::Channel)>, N::Error> {
    let mut first = None;
    loop {
        // SeqCst: who has just made a candidate looks behind that, in one order with the looks of others.
        fence(Ordering::SeqCst);
        let mut found = namesakes.look()?;
        if let Some(named) = found.iter().position(|(_, channel)| channel.borrow().is_named()) {
            let named = found.swap_remove(named);
            // Else one whose creator died before it looked would stay, and have the name behind this one.
            let _refused = refuse_all(&found, futex);
            return Ok(Some(named));
        }
        let Some(least) = found.iter().map(|(at, _)| *at).min() else { return Ok(None) };
        // Only the second look at it began when it could be seen.
        let seen_before = first.replace(least) == Some(least) || fault::is(Fault::ConfirmedAtFirstSight);
        if !seen_before {
            continue;
        }
        let (others, mut chosen): (Vec<_>, Vec<_>) = found.into_iter().partition(|(at, _)| *at != least);
        let refused = refuse_all(&others, futex);
        drop(others);
        match chosen.pop() {
            Some(chosen) if refused && chosen.1.borrow().confirm() => return Ok(Some(chosen)),
            _ => {}
        }
    }
}

/// Whether none of them can have the name any more. One that has it keeps it.
fn refuse_all<C: Borrow<Ring>, F: Futex>(candidates: &[(u64, C)], futex: &F) -> bool {
    candidates.iter().all(|(_, candidate)| candidate.borrow().refuse(futex))
}
