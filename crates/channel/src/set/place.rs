//! Where a set is told: the row of this process in one pool, and the registrations there that are the set's.

use weyr_shared::{Element, REGISTRATIONS, ReadyRow, RegistrationMask};

use super::listening::ListeningPool;
use crate::Error;

/// The part of a row that is one set's.
#[derive(Debug)]
pub(super) struct Place<P> {
    pub(super) pool: P,
    pub(super) row: Element<ReadyRow>,
    /// Whose row it is.
    process: u16,
    /// The set's registrations.
    mask: RegistrationMask,
    /// How many they are.
    held: u32,
    /// Members by registration, as far as there are any.
    members: Vec<Vec<u32>>,
    count: usize,
    /// The registration that is shared next when no more can be had.
    shared_next: u16,
}

impl<P: ListeningPool> Place<P> {
    pub(super) fn new(pool: P, process: u16) -> Result<Self, Error> {
        let row = pool.row()?;
        Ok(Self { pool, row, process, mask: [0; 16], held: 0, members: Vec::new(), count: 0, shared_next: 0 })
    }

    pub(super) fn is_of(&self, pool: &P, process: u16) -> bool {
        self.process == process && self.pool.identity() == pool.identity()
    }

    fn has(&self, registration: u16) -> bool {
        self.mask[usize::from(registration / 64)] >> (registration % 64) & 1 == 1
    }

    /// A registration for one more member: its own, or one that it shares with others of the set.
    ///
    /// # Errors
    /// [`Error::TooManySets`], or the pool's.
    pub(super) fn registration(&mut self) -> Result<u16, Error> {
        if let Some(registration) = self.pool.take_registration(self.held)? {
            self.mask[usize::from(registration / 64)] |= 1 << (registration % 64);
            self.held += 1;
            return Ok(registration);
        }
        let all = (0..REGISTRATIONS).map(|number| (self.shared_next + number) % REGISTRATIONS);
        let registration = all.into_iter().find(|number| self.has(*number)).ok_or(Error::TooManySets)?;
        self.shared_next = registration + 1;
        Ok(registration)
    }

    pub(super) fn add(&mut self, registration: u16, member: u32) {
        let at = usize::from(registration);
        if self.members.len() <= at {
            self.members.resize_with(at + 1, Vec::new);
        }
        self.members[at].push(member);
        self.count += 1;
    }

    /// Takes a member out; its registration is given back when it was the last that had it.
    pub(super) fn remove(&mut self, registration: u16, member: u32) {
        if let Some(members) = self.members.get_mut(usize::from(registration)) {
            let before = members.len();
            members.retain(|other| *other != member);
            self.count -= before - members.len();
        }
        self.release_unused(registration);
    }

    /// Gives a registration back that no member has.
    pub(super) fn release_unused(&mut self, registration: u16) {
        let members = self.members.get(usize::from(registration));
        if members.is_some_and(|members| !members.is_empty()) || !self.has(registration) {
            return;
        }
        let (word, bit) = (usize::from(registration / 64), 1 << (registration % 64));
        let mut given = [0; 16];
        given[word] = bit;
        self.mask[word] &= !bit;
        self.held -= 1;
        self.pool.give_back(&given);
    }

    /// Gives all back.
    pub(super) fn leave(&mut self) {
        self.pool.give_back(&self.mask);
        (self.mask, self.held) = ([0; 16], 0);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.count == 0
    }

    /// Hands every member to `each` that was told something.
    #[inline]
    pub(super) fn take_told(&self, mut each: impl FnMut(u32)) {
        self.row.take(&self.mask, |registration| {
            let members = self.members.get(usize::from(registration));
            members.into_iter().flatten().for_each(|member| each(*member));
        });
    }

    /// Whether a member was told something.
    pub(super) fn is_told(&self) -> bool {
        self.row.is_any(&self.mask)
    }
}
