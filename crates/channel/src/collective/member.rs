//! One of a group: joining it, leaving it, and beginning anew.

use std::time::Duration;

use weyr_managed::PoolFutex;
use weyr_shared::collective::{Announced, Rupture, SeatError, Standing};
use weyr_shared::{Actor, Event, barrier};

use crate::defaults::Defaults;
use crate::host::Host as _;
use crate::{Channel, Collective, Error, WaitMode};

/// One of the group that uses a collective channel, by its rank.
///
/// All members call the same, in the same order: each call returns when all have called it. A member whose call is
/// another, or has another root or length, is told to all of them by its rank, as [`Error::OtherCall`]; then nothing was
/// exchanged, and the next call counts.
///
/// **Who dies.** One that died, whether before it came or in the midst of a call, is noticed by those who wait for it, and the
/// group is broken: every member is told by [`Error::MemberDied`], at once and from then on. The same holds for one that
/// left ([`Error::MemberLeft`]), that ran out of time, and for an [`abort`](Self::abort) ([`Error::CollectiveBroken`]). A
/// call for which all had come by then gives its result all the same. To go on, others [join](Channel::join) the ranks
/// that are free, and one member [begins anew](Self::reset). A rank that nobody has joined yet is waited for, as is one that is
/// stopped.
///
/// A [large](Self::all_reduce) `all_reduce` is two rounds: who dies between them, behind its first announcement, is missed in
/// the second, and nobody's values are changed.
///
/// Dropping it leaves the group. In a forked child it is of no use ([`Error::Forked`]): the rank stays the parent's.
#[derive(Debug)]
pub struct Member {
    pub(super) channel: Channel,
    pub(super) words: weyr_shared::Collective,
    pub(super) rank: u32,
    actor: Actor,
    /// Of the process that joined.
    nonce: u64,
    /// The last round that it announced.
    pub(super) at: Announced,
    pub(super) defaults: Defaults,
    /// Bytes on their way, kept so that not every call allocates.
    pub(super) scratch: Vec<u8>,
    pub(super) folded: Vec<u8>,
    pub(super) folding: Vec<u8>,
}

impl Channel {
    /// Joins the group of this collective channel as `rank`, from 0 on. Does not wait for the others.
    ///
    /// A rank whose holder is dead is taken over. That breaks the group, if it was not broken yet; the same holds for one that was
    /// left after it took part: [`Member::reset`] begins anew.
    ///
    /// # Errors
    /// [`Error::NotCollective`], [`Error::InvalidRank`]; [`Error::RankTaken`]: a living process has it;
    /// [`Error::Destroyed`], [`Error::Corrupt`], or the pool's.
    pub fn join(&self, rank: u32) -> Result<Member, Error> {
        let attached = self.attached();
        attached.check_usable()?;
        let actor = attached.actor()?;
        let words = self.ring().collective()?.ok_or(Error::NotCollective)?;
        let members = words.binding().members;
        let refused = |error| match error {
            SeatError::NoSuchRank => Error::InvalidRank { rank, members },
            SeatError::Taken => Error::RankTaken { rank },
            SeatError::Corrupt(corrupt) => corrupt.into(),
        };
        let is_dead = |other| self.is_dead(other);
        let is_broken = words.join(rank, actor, is_dead).map_err(refused)?;
        let member = Member {
            nonce: attached.host().nonce(),
            channel: self.clone(),
            rank,
            actor,
            at: Announced { generation: words.standing()?.generation, round: 0 },
            words,
            defaults: Defaults::default(),
            scratch: Vec::new(),
            folded: Vec::new(),
            folding: Vec::new(),
        };
        if is_broken {
            member.tell();
        }
        Ok(member)
    }
}

/// Its life.
impl Member {
    /// Which of the group it is, from 0 on.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// How many the group has.
    pub fn members(&self) -> u32 {
        self.words.binding().members
    }

    /// What is bound to the channel.
    pub fn collective(&self) -> Collective {
        Collective(*self.words.binding())
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The same member, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.defaults.mode = mode;
        self
    }

    /// The same member, whose calls last for at most `timeout`; without limit unless said otherwise. One that runs out of time
    /// breaks the group, for the others cannot know whether it will come again.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.timeout = Some(timeout);
        self
    }

    /// The same of a member that is in use: none is without limit.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.defaults.timeout = timeout;
    }

    /// How many ranks are taken by processes that are not known to be dead. Does not wait.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn joined(&self) -> Result<u32, Error> {
        Ok(self.words.joined(|other| self.channel.is_dead(other))?)
    }

    /// Breaks the group: all members get [`Error::CollectiveBroken`], those who wait at once, until it is
    /// [begun anew](Self::reset). False if it was broken before. Does not wait.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Corrupt`].
    pub fn abort(&self) -> Result<bool, Error> {
        self.check_own()?;
        let generation = self.words.standing()?.generation;
        let changed = self.words.break_up(generation, Rupture::Aborted, self.rank)?;
        self.tell();
        Ok(changed)
    }

    /// Begins anew, whether the group is broken or not: from now on the first call of each member is the first. Ranks of
    /// those that died or left are free. Members that wait get [`Error::CollectiveBroken`], and so does one that reads just then. One member
    /// does this, when the others know: of several at once one does, but one behind the other begins anew twice.
    /// Does not wait.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Destroyed`], [`Error::Corrupt`].
    pub fn reset(&self) -> Result<(), Error> {
        self.check_own()?;
        self.channel.attached().check_usable()?;
        self.words.reset(self.rank, |other| self.channel.is_dead(other))?;
        self.tell();
        Ok(())
    }

    /// Whether the group is broken.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn is_broken(&self) -> Result<bool, Error> {
        Ok(self.words.standing()?.broken.is_some())
    }

    /// # Errors
    /// [`Error::Forked`].
    #[inline]
    pub(super) fn check_own(&self) -> Result<(), Error> {
        let same = self.channel.attached().host().nonce() == self.nonce;
        if same { Ok(()) } else { Err(Error::Forked) }
    }

    #[inline]
    pub(super) fn event(&self) -> Event<'_, PoolFutex> {
        let attached = self.channel.attached();
        attached.ring().to_receivers(attached.host().futex())
    }

    /// Wakes all who wait.
    #[inline]
    pub(super) fn tell(&self) {
        self.event().signal_all();
    }

    pub(super) fn inspect(&self, round: Announced) -> Result<bool, Error> {
        Ok(self.words.inspect(round, |other| self.channel.is_dead(other))?)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Nobody can be told of words that cannot be; whoever waits for this rank finds them, too.
        if self.check_own().is_ok() && self.words.leave(self.rank, self.actor) == Ok(true) {
            self.tell();
        }
    }
}

/// Why nothing is done together any more.
pub(super) fn broken(standing: Standing) -> Result<(), Error> {
    let Some((why, rank)) = standing.broken else { return Ok(()) };
    let rank = rank.into();
    Err(match why {
        Rupture::Died => Error::MemberDied { rank },
        Rupture::Left => Error::MemberLeft { rank },
        Rupture::Aborted => Error::CollectiveBroken { why: barrier::Broken::Aborted },
        Rupture::TimedOut => Error::CollectiveBroken { why: barrier::Broken::TimedOut },
    })
}

/// The same in words that end a sentence.
pub(crate) fn reason(why: barrier::Broken) -> &'static str {
    match why {
        barrier::Broken::Aborted => "it was aborted",
        barrier::Broken::TimedOut => "a member ran out of time",
        barrier::Broken::Died => "a member died",
        barrier::Broken::Reset => "it was begun anew meanwhile",
    }
}
