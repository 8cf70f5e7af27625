//! Collective channels: what a known group does together, bound to the channel when it is made.
//!
//! | file | concept |
//! | --- | --- |
//! | `collective` | what is bound: how many, of what type, which operation |
//! | `collective/element` | numbers as bytes, and what reductions do with them |
//! | `collective/member` | one of the group: joining, leaving, beginning anew |
//! | `collective/round` | one round: give, announce, wait for all |
//! | `collective/exchange` | barrier, broadcast and gather |
//! | `collective/reduction` | reduce, to one or to all |
//!
//! The words are those of `weyr_shared::collective`. They lie in the one slot of the channel, in which no message ever is:
//! whoever sends to such a channel or receives from it gets [`Error::NotForMessages`]. Those who wait sleep on the channel's
//! word for receivers.
//!
//! What it does not do: it knows one pool, hence one node; and no member waits for less than all the others.

pub(crate) mod element;
mod exchange;
pub(crate) mod member;
mod reduction;
mod round;

use std::num::NonZeroU64;

use weyr_managed::wire::{Fields, Wire};
use weyr_shared::collective::{Binding, ElementType, Operation};

use crate::{Channel, Error};
use element::Element;
pub use member::Member;

/// What a channel is bound to that a group uses together: how many they are, what they give, and what becomes of it.
///
/// ```
/// use weyr_channel::{Channel, ChannelAttributes, Collective, Operation};
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-collective-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let sums = Collective::reducing::<u64>(2, Operation::Sum, 1000);
/// let channel = Channel::create(&pool, &ChannelAttributes::new().collective(sums))?;
///
/// let there = Channel::attach(&channel.descriptor())?; // in any process
/// let other = std::thread::spawn(move || there.join(1)?.all_reduce(&mut [1_u64, 10]));
/// let mut values = [2_u64, 20];
/// channel.join(0)?.all_reduce(&mut values)?;
/// assert_eq!(values, [3, 30]);
/// # other.join().expect("no panic")?;
/// # channel.destroy()?;
/// # pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// Source: *Dragon channels*, notes, collective channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Collective(pub(crate) Binding);

impl Collective {
    /// Of `members`, from 1 to 4096, that wait for each other, broadcast and gather up to `bytes` bytes each, and reduce
    /// nothing.
    pub fn of_bytes(members: u32, bytes: u32) -> Self {
        Self(Binding { members, elements: bytes, ..Binding::BYTES })
    }

    /// Of `members` that give up to `elements` numbers each, of which reductions make `operation`.
    pub fn reducing<T: Element>(members: u32, operation: Operation, elements: u32) -> Self {
        let element_bytes = T::TYPE.bytes().unwrap_or_default();
        Self(Binding { members, element: T::TYPE, operation, element_bytes, elements, fingerprint: 0 })
    }

    /// Of `members` that give up to `elements` elements of `element_bytes` each, which their own function reduces:
    /// `fingerprint` says which, and each of them says it when it reduces.
    pub fn custom(members: u32, fingerprint: NonZeroU64, element_bytes: u32, elements: u32) -> Self {
        let (element, operation) = (ElementType::Custom, Operation::Custom);
        let fingerprint = fingerprint.get();
        Self(Binding { members, element, operation, element_bytes, elements, fingerprint })
    }

    /// How many members the group has.
    pub fn members(&self) -> u32 {
        self.0.members
    }

    /// Of what type their elements are.
    pub fn element(&self) -> ElementType {
        self.0.element
    }

    /// What reductions make of them.
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// Bytes of an element.
    pub fn element_bytes(&self) -> u32 {
        self.0.element_bytes
    }

    /// The most elements that a member gives at once.
    pub fn elements(&self) -> u32 {
        self.0.elements
    }

    /// The fingerprint of the users' own operation, where it is theirs.
    pub fn fingerprint(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.fingerprint)
    }

    /// Bytes of a block for it.
    ///
    /// # Errors
    /// [`Error::InvalidCollective`].
    pub(crate) fn block_bytes(&self) -> Result<u64, Error> {
        match self.0.fault() {
            Some(reason) => Err(Error::InvalidCollective { reason }),
            None => Ok(weyr_shared::Collective::bytes(&self.0)),
        }
    }
}

impl Channel {
    /// What is bound to the channel, if a group uses it. Does not block.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: what is bound to it cannot be.
    pub fn collective(&self) -> Result<Option<Collective>, Error> {
        Ok(self.ring().collective()?.map(|group| Collective(*group.binding())))
    }
}

/// Each field by itself.
impl Wire for Collective {
    fn write(&self, to: &mut Vec<u8>) {
        let Binding { members, element, operation, element_bytes, elements, fingerprint } = self.0;
        members.write(to);
        (element as u8).write(to);
        (operation as u8).write(to);
        element_bytes.write(to);
        elements.write(to);
        fingerprint.write(to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, weyr_managed::Error> {
        let members = u32::read(from)?;
        let (element, operation) = (u8::read(from)?, u8::read(from)?);
        let unknown = "it has a type of elements or an operation that this version does not know";
        Ok(Self(Binding {
            members,
            element: ElementType::of_code(element).ok_or_else(|| from.damaged(unknown))?,
            operation: Operation::of_code(operation).ok_or_else(|| from.damaged(unknown))?,
            element_bytes: u32::read(from)?,
            elements: u32::read(from)?,
            fingerprint: u64::read(from)?,
        }))
    }
}
