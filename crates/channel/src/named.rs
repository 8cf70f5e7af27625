//! Channels found by name within their pool.

use std::borrow::Borrow;

use weyr_managed::Pool;
use weyr_shared::{BlockReference, RING_NAME_BYTES, Ring, RingName};

use crate::attached::Attached;
use crate::channel::{AS_IT_IS, Furnish};
use crate::naming::{Namesakes, settle};
use crate::pool_host::PoolHost;
use crate::{Channel, ChannelAttributes, Error};

impl Borrow<Ring> for Attached<PoolHost> {
    fn borrow(&self) -> &Ring {
        self.ring()
    }
}

/// The channels of a pool with a name, each attached to while it is looked at.
struct OfPool<'p> {
    pool: &'p Pool,
    name: RingName,
}

impl Namesakes for OfPool<'_> {
    type Channel = Attached<PoolHost>;
    type Error = Error;

    fn look(&self) -> Result<Vec<(u64, Self::Channel)>, Error> {
        let mut found = Vec::new();
        for block in self.pool.channel_blocks() {
            match self.attach(block.reference) {
                Ok(Some(channel)) => found.push((block.reference.offset, channel)),
                // Another name; gone meanwhile; or damaged, so that nobody can use it under its name.
                Ok(None) | Err(Error::Destroyed | Error::Stale | Error::NotAChannel | Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

impl OfPool<'_> {
    fn attach(&self, reference: BlockReference) -> Result<Option<Attached<PoolHost>>, Error> {
        let ring = PoolHost::new(self.pool).open_channel(reference)?;
        if ring.name() != Some(self.name) {
            return Ok(None);
        }
        // Attached, so that its words are still its own when they are changed.
        let host = PoolHost::of_channel(self.pool, &ring, reference)?;
        let attached = Attached::new(ring, reference, host)?;
        Ok((attached.ring().name() == Some(self.name)).then_some(attached))
    }
}

/// Channels with names.
impl Channel {
    /// Creates a channel called `name`, and attaches this process. Others of this pool find it with
    /// [`attach_named`](Self::attach_named); the name is free again when it is destroyed. Where attributes say
    /// [not exclusive](ChannelAttributes::exclusive) it is [`attach_or_create`](Self::attach_or_create). Of several that create the
    /// same name at once exactly one succeeds.
    ///
    /// Takes time with the number of channels in the pool; waits for nobody.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes, Error};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let pool_name = format!("doc-named-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&pool_name, 1 << 20))?;
    /// let letters = Channel::create_named(&pool, "letters", &ChannelAttributes::new())?;
    /// letters.send(b"hello")?;
    /// // In any process that has the pool:
    /// assert_eq!(Channel::attach_named(&pool, "letters")?.receive()?.into_bytes()?, b"hello");
    /// letters.destroy()?;
    /// assert!(matches!(Channel::attach_named(&pool, "letters"), Err(Error::NoSuchChannel { .. })));
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NameTaken`]; [`Error::InvalidName`] for other names than 1 to 60 of letters, digits, `.`, `-` and `_`
    /// that do not start with `.`; as [`create`](Self::create).
    pub fn create_named(pool: &Pool, name: &str, attributes: &ChannelAttributes) -> Result<Self, Error> {
        if attributes.is_exclusive() {
            Self::create_new(pool, name, attributes, AS_IT_IS)
        } else {
            Self::attach_or_create(pool, name, attributes)
        }
    }

    pub(crate) fn create_new(
        pool: &Pool,
        name: &str,
        attributes: &ChannelAttributes,
        furnish: Furnish<'_>,
    ) -> Result<Self, Error> {
        let namesakes = OfPool { pool, name: checked(name)? };
        let taken = || Error::NameTaken { name: name.to_owned() };
        if settle(&namesakes, pool.futex())?.is_some() {
            return Err(taken());
        }
        let allocation = pool.alloc(attributes.bytes(pool.process_limit())?)?;
        let candidate = Self::create_with(pool, allocation, attributes, Some(&namesakes.name), furnish)?;
        let winner = settle(&namesakes, pool.futex());
        let own = candidate.descriptor().reference().offset;
        let is_own = matches!(&winner, Ok(Some((at, _))) if *at == own);
        // Not destroyed by others, the candidate may have its name: then it is this caller's after all.
        if is_own || !candidate.ring().refuse(pool.futex()) {
            return Ok(candidate);
        }
        winner?;
        Err(taken())
    }

    /// Attaches this process to the channel of `pool` that is called `name`.
    ///
    /// Takes time with the number of channels in the pool; waits for nobody.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`], [`Error::InvalidName`]; as [`attach_in`](Self::attach_in).
    pub fn attach_named(pool: &Pool, name: &str) -> Result<Self, Error> {
        let found = settle(&OfPool { pool, name: checked(name)? }, pool.futex())?;
        let missing = || Error::NoSuchChannel { name: name.to_owned(), pool: pool.name().to_owned() };
        found.map(|(_, attached)| Self::over(attached)).ok_or_else(missing)
    }

    /// The channel of `pool` called `name`, created with `attributes` if there is none.
    ///
    /// # Errors
    /// As [`create_named`](Self::create_named), but for `NameTaken`.
    pub fn attach_or_create(pool: &Pool, name: &str, attributes: &ChannelAttributes) -> Result<Self, Error> {
        Self::attach_or_furnish(pool, name, attributes, AS_IT_IS)
    }

    pub(crate) fn attach_or_furnish(
        pool: &Pool,
        name: &str,
        attributes: &ChannelAttributes,
        furnish: Furnish<'_>,
    ) -> Result<Self, Error> {
        loop {
            match Self::attach_named(pool, name) {
                Err(Error::NoSuchChannel { .. }) => {}
                settled => return settled,
            }
            match Self::create_new(pool, name, attributes, furnish) {
                // Another was first, and perhaps is gone already.
                Err(Error::NameTaken { .. }) => {}
                settled => return settled,
            }
        }
    }

    /// What it is called, if it was given a name.
    pub fn name(&self) -> Option<String> {
        self.ring().name().map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
    }
}

fn checked(name: &str) -> Result<RingName, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let valid = !name.starts_with('.') && name.bytes().all(allowed);
    let invalid = || Error::InvalidName { name: name.to_owned(), largest: RING_NAME_BYTES };
    RingName::new(name.as_bytes()).filter(|_| valid).ok_or_else(invalid)
}
