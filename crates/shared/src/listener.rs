//! Who listens to a channel without sleeping on its words: one word each, in a table of the channel.
//!
//! A listener sleeps on a word of its own, which many channels tell it by. It sets the LISTENED bit of the channel's
//! events (`event.rs`) and looks; a signal that finds the bit takes it away and tells every listener in the table that
//! is interested. Told means: the channel is to be looked at again, for whatever reason, perhaps for none.
//!
//! | bits | meaning | who changes it |
//! | --- | --- | --- |
//! | 0 to 23 | low bits of the listening process's epoch | |
//! | 24 to 31 | interest: 1 arrivals, 2 departures, 128 in every entry | the listener |
//! | 32 to 47 | registration: by which bit of its [`ReadyRow`](crate::ReadyRow) it is told | |
//! | 48 to 63 | its process slot | |
//!
//! All bits zero is a free entry. An entry changes as a whole, from the exact value that was judged: by its listener,
//! and to zero by whoever repairs the channel for a dead one.
//!
//! Crash argument: an entry whose listener is dead costs those who signal some idle tellings until it is cleared; a
//! teller that comes late, with an entry that it read before, tells somebody else to look in vain.

use weyr_atomic::{AtomicU64, Ordering, publish_then_look};

use crate::Actor;

/// Most that can listen to one channel.
pub const MAX_LISTENERS: usize = 16;

/// What of a channel somebody wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// Nothing but that the channel was repaired or destroyed.
    pub const NONE: Self = Self(128);
    /// What a receiver waits for.
    pub const ARRIVALS: Self = Self(128 | 1);
    /// What a sender waits for.
    pub const DEPARTURES: Self = Self(128 | 2);

    /// Both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they have something in common.
    #[inline]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 & !Self::NONE.0 != 0
    }
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener(u64);

impl Listener {
    /// `actor` listens, and is told by bit `registration` of its row.
    pub const fn new(actor: Actor, registration: u16, interest: Interest) -> Self {
        let (process, number) = ((actor.process as u64) << 48, (registration as u64) << 32);
        Self(process | number | (interest.0 as u64) << 24 | Self::epoch_of(actor))
    }

    const fn epoch_of(actor: Actor) -> u64 {
        actor.epoch as u64 & 0xff_ffff
    }

    /// Its process slot.
    pub const fn process(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The bit by which it is told.
    pub const fn registration(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// What it wants to be told.
    pub const fn interest(self) -> Interest {
        Interest((self.0 >> 24) as u8)
    }

    /// The same listener, for something else.
    #[must_use]
    pub const fn interested_in(self, interest: Interest) -> Self {
        Self(self.0 & !(0xff << 24) | (interest.0 as u64) << 24)
    }

    /// Low 24 bits of its process's epoch.
    pub const fn epoch(self) -> u32 {
        self.0 as u32 & 0xff_ffff
    }

    /// Whether it is this life of a process.
    pub const fn is_of(self, actor: Actor) -> bool {
        self.process() == actor.process && self.0 & 0xff_ffff == Self::epoch_of(actor)
    }
}

/// The table of a channel.
#[derive(Debug, Clone, Copy)]
pub struct Listeners<'a>(&'a [AtomicU64]);

impl<'a> Listeners<'a> {
    /// The table in `entries`.
    pub const fn new(entries: &'a [AtomicU64]) -> Self {
        Self(entries)
    }

    /// Who listens.
    pub fn all(self) -> impl Iterator<Item = Listener> + use<'a> {
        // SeqCst: behind the taking of the LISTENED bit, which pairs with `enter` and what follows it.
        self.0.iter().map(|entry| Listener(entry.load(Ordering::SeqCst))).filter(|entry| entry.0 != 0)
    }

    /// Enters a listener; false when the table is full. It listens from when it has set the bit and looked.
    pub fn enter(self, listener: Listener) -> bool {
        self.exchange_one(0, listener.0)
    }

    /// Makes one entry another one; false when the first is not there.
    pub fn replace(self, from: Listener, to: Listener) -> bool {
        self.exchange_one(from.0, to.0)
    }

    /// Takes an entry out; false when it is not there.
    pub fn remove(self, listener: Listener) -> bool {
        self.exchange_one(listener.0, 0)
    }

    /// Whether the entry is there.
    pub fn has(self, listener: Listener) -> bool {
        self.all().any(|entry| entry == listener)
    }

    fn exchange_one(self, from: u64, to: u64) -> bool {
        // The look is at the LISTENED bit: who then finds it set by another is in the table for whoever takes it away.
        let exchange = |entry: &AtomicU64| publish_then_look(entry, from, to).is_ok();
        self.0.iter().any(|entry| entry.load(Ordering::SeqCst) == from && exchange(entry))
    }

    /// Takes every entry out that `is_dead` names, asked behind the look at the entry. Any number may do this at once.
    pub fn clear(self, is_dead: impl Fn(Listener) -> bool) -> u32 {
        let dead = self.all().filter(|listener| is_dead(*listener));
        dead.map(|listener| u32::from(self.remove(listener))).sum()
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    const ACTOR: Actor = Actor { process: 0xfedc, epoch: 0x0123_4567 };

    fn table() -> [AtomicU64; MAX_LISTENERS] {
        Default::default()
    }

    #[test]
    fn an_entry_says_who_listens_how_and_for_what() {
        let listener = Listener::new(ACTOR, 0xab, Interest::DEPARTURES);
        assert_eq!(listener.0, 0xfedc_00ab_8223_4567);
        assert_eq!((listener.process(), listener.registration()), (0xfedc, 0xab));
        assert!(listener.interest().meets(Interest::DEPARTURES));
        assert!(!listener.interest().meets(Interest::ARRIVALS) && !Interest::NONE.meets(Interest::NONE));
        assert!(listener.is_of(ACTOR) && !listener.is_of(Actor { epoch: 1, ..ACTOR }));
        assert_ne!(Listener::new(Actor { process: 0, epoch: 0 }, 0, Interest::NONE).0, 0);
    }

    #[test]
    fn a_full_table_refuses_until_an_entry_is_taken_out_exactly() {
        let (words, entry) = (table(), |number| Listener::new(ACTOR, number, Interest::ARRIVALS));
        let listeners = Listeners::new(&words);
        assert!((0..16).all(|number| listeners.enter(entry(number))) && !listeners.enter(entry(16)));
        assert!(!listeners.remove(entry(16)) && listeners.remove(entry(7)) && !listeners.remove(entry(7)));
        assert!(listeners.enter(entry(16)) && listeners.has(entry(16)) && !listeners.has(entry(7)));
        let other = Listener::new(ACTOR, 16, Interest::NONE);
        assert!(listeners.replace(entry(16), other) && !listeners.replace(entry(16), other));
    }

    #[test]
    fn the_dead_are_cleared_and_the_others_stay() {
        let (words, dead) = (table(), Actor { process: 3, epoch: 9 });
        let listeners = Listeners::new(&words);
        let (gone, next) = (Listener::new(dead, 1, Interest::ARRIVALS), Actor { epoch: 10, ..dead });
        let stays = Listener::new(next, 1, Interest::ARRIVALS);
        assert!(listeners.enter(gone) && listeners.enter(stays));
        assert_eq!(listeners.clear(|listener| listener.is_of(dead)), 1);
        assert!(listeners.all().eq([stays]));
    }
}
