//! A barrier as a use of a channel: so many parties wait until all have come.
//!
//! It is a channel of one slot, in which no message ever lies: in its place is the barrier (`weyr_shared::barrier`). So
//! it is made, named by a descriptor, attached to, destroyed and freed as any channel, and those who wait sleep on the
//! channel's word for receivers. A bit of the channel's state says that it is one, and keeps messages away; both are there
//! before anybody else knows the channel, so a creator that dies leaves a whole one or none.
//!
//! What it does not do: it does not know who is to come. One that dies before it came is waited for, until somebody runs
//! out of time or aborts.

use std::time::{Duration, Instant};

use weyr_managed::{Pool, PoolFutex};
use weyr_shared::barrier::{Arrival, Broken, Outcome};
use weyr_shared::{Event, RingUse, Sleeper, barrier};

use crate::attached::Attached;
use crate::defaults::{Defaults, Limit};
use crate::host::Host as _;
use crate::pool_host::PoolHost;
use crate::wait::Waiter;
use crate::{Channel, ChannelAttributes, ChannelDescriptor, Error, WaitMode};

/// The most parties that one can have.
const MAX_PARTIES: u32 = 65_535;

/// A barrier: each of its parties waits until all have come; then all go, and it is ready for the next round.
///
/// A party is whoever waits: a process, or a thread of one. Which of them come is left to the program; if there are more
/// than the barrier has parties, each round is of those that come first.
///
/// **Who dies.** A round ends well only when all have come to it. A party that died before it came is waited for. One that
/// came and died counts as come; but where others wait for more to come and notice the death, they break the barrier,
/// as for one that runs out of time. A broken barrier tells everybody why ([`Error::BarrierBroken`]), those who wait and
/// those who come later, until somebody [resets](Self::reset) it. A party that is stopped holds nobody up but by not coming.
///
/// ```
/// use weyr_channel::Barrier;
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-barrier-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let here = Barrier::create(&pool, 2)?;
/// let there = Barrier::attach(&here.descriptor())?; // in any process
///
/// let other = std::thread::spawn(move || there.wait());
/// let first = here.wait()?; // both have come
/// let second = other.join().expect("no panic")?;
/// assert_eq!(first + second, 1); // each has a number of its own, 0 and 1
///
/// here.abort();
/// assert!(here.wait().is_err());
/// here.reset();
/// # here.destroy()?;
/// # pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: *Dragon channels*, barriers: `DRAGON_CHANNEL_POLLBARRIER_WAIT` and its like.
#[derive(Debug)]
pub struct Barrier {
    channel: Channel,
    words: barrier::Barrier,
    defaults: Defaults,
}

/// Its life.
impl Barrier {
    /// Creates one for `parties`, in an allocation of `pool`, and attaches this process.
    ///
    /// # Errors
    /// [`Error::InvalidParties`]; as [`Channel::create`].
    pub fn create(pool: &Pool, parties: u32) -> Result<Self, Error> {
        Self::over(Channel::create_furnished(pool, &attributes(parties)?, &make)?)
    }

    /// Attaches this process to the barrier that `descriptor` names, and to its pool.
    ///
    /// # Errors
    /// [`Error::NotABarrier`]; as [`Channel::attach`].
    pub fn attach(descriptor: &ChannelDescriptor) -> Result<Self, Error> {
        Self::over(Channel::attach(descriptor)?)
    }

    /// Attaches this process to the barrier of `pool` that `descriptor` names.
    ///
    /// # Errors
    /// [`Error::NotABarrier`]; as [`Channel::attach_in`].
    pub fn attach_in(pool: &Pool, descriptor: &ChannelDescriptor) -> Result<Self, Error> {
        Self::over(Channel::attach_in(pool, descriptor)?)
    }

    fn over(channel: Channel) -> Result<Self, Error> {
        if channel.ring().used_as() != Some(RingUse::Barrier) {
            return Err(Error::NotABarrier);
        }
        let words = channel.ring().barrier()?;
        Ok(Self { channel, words, defaults: Defaults::default() })
    }

    /// Creates one for `parties` that is called `name`, and attaches this process; as [`Channel::create_named`], whose names
    /// these are: a name is that of a channel, or of what a channel is used as.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::InvalidName`]; as [`create`](Self::create).
    pub fn create_named(pool: &Pool, name: &str, parties: u32) -> Result<Self, Error> {
        Self::over(Channel::create_new(pool, name, &attributes(parties)?, &make)?)
    }

    /// Attaches this process to the barrier of `pool` that is called `name`.
    ///
    /// # Errors
    /// [`Error::NotABarrier`] when something else is called so; as [`Channel::attach_named`].
    pub fn attach_named(pool: &Pool, name: &str) -> Result<Self, Error> {
        Self::over(Channel::attach_named(pool, name)?)
    }

    /// The barrier of `pool` called `name`, created for `parties` if there is none. One that is there stays as it is.
    ///
    /// # Errors
    /// [`Error::NotABarrier`]; as [`create_named`](Self::create_named), but for `NameTaken`.
    pub fn attach_or_create_named(pool: &Pool, name: &str, parties: u32) -> Result<Self, Error> {
        Self::over(Channel::attach_or_furnish(pool, name, &attributes(parties)?, &make)?)
    }

    /// What it is called, if it was given a name.
    pub fn name(&self) -> Option<String> {
        self.channel.name()
    }

    /// Names it to other processes of this host.
    pub fn descriptor(&self) -> ChannelDescriptor {
        self.channel.descriptor()
    }

    /// Destroys it: those who wait get [`Error::Destroyed`]. Its memory is freed when the last process has detached.
    ///
    /// # Errors
    /// As [`Channel::destroy`].
    pub fn destroy(self) -> Result<(), Error> {
        self.channel.destroy()
    }

    /// The same barrier, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.defaults.mode = mode;
        self
    }

    /// The same barrier, whose [`wait`](Self::wait) lasts for at most `timeout`; without limit unless said otherwise.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.timeout = Some(timeout);
        self
    }
}

fn attributes(parties: u32) -> Result<ChannelAttributes, Error> {
    if !(1..=MAX_PARTIES).contains(&parties) {
        return Err(Error::InvalidParties { parties, largest: MAX_PARTIES });
    }
    Ok(ChannelAttributes::new().capacity(1).block_size(barrier::Barrier::bytes(parties)))
}

/// Makes a barrier of a channel that nobody else knows yet.
fn make(attached: &Attached<PoolHost>) -> Result<(), Error> {
    attached.ring().barrier()?.make();
    attached.ring().set_use(RingUse::Barrier);
    Ok(())
}

/// Its use.
impl Barrier {
    /// Comes, and waits until all have, without limit or as long as its [timeout](Self::with_timeout) allows. Returns
    /// which party of the round this is, from 0 on: another number for each.
    ///
    /// # Errors
    /// [`Error::BarrierBroken`], with why; [`Error::Timeout`]: this party gave up, which has broken the barrier, for the
    /// others cannot know whether it will come again; [`Error::Destroyed`]; [`Error::Pool`] when a forked child cannot
    /// join the pool.
    pub fn wait(&self) -> Result<u32, Error> {
        self.wait_within(Limit::Default)
    }

    /// The same, waiting until `deadline`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_until(&self, deadline: Instant) -> Result<u32, Error> {
        self.wait_within(Limit::Until(Some(deadline)))
    }

    /// Breaks it: those who wait, and those who come, get [`Error::BarrierBroken`] until it is [reset](Self::reset).
    /// False if it was broken before. Does not wait.
    pub fn abort(&self) -> bool {
        let changed = self.words.abort();
        self.tell();
        changed
    }

    /// Lets those go who wait, as if all had come, and begins the next round. False, and nothing is done, if it is
    /// broken. Does not wait.
    pub fn release(&self) -> bool {
        let changed = self.words.release();
        self.tell();
        changed
    }

    /// Makes it whole again, and begins a round; those who wait get [`Error::BarrierBroken`]. Does not wait.
    pub fn reset(&self) {
        self.words.reset();
        self.tell();
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.words.broken().is_some()
    }

    /// How many parties it has.
    pub fn parties(&self) -> u32 {
        self.words.parties()
    }

    /// How many wait just now.
    pub fn waiting(&self) -> u32 {
        self.words.waiting(|actor| self.channel.is_dead(actor))
    }

    fn wait_within(&self, limit: Limit) -> Result<u32, Error> {
        let attached = self.channel.attached();
        attached.check_usable()?;
        let me = attached.actor()?;
        let arrival = self.words.come(me, || self.tell()).map_err(|why| Error::BarrierBroken { why })?;
        let deadline = self.defaults.deadline(limit);
        let waited = match deadline {
            Some(deadline) => self.wait_for(arrival, Waiter::new(self.defaults.mode, deadline)),
            None => self.ended(arrival).unwrap_or(Err(Error::Timeout)),
        };
        if waited == Err(Error::Timeout) {
            return self.give_up(arrival);
        }
        waited
    }

    fn wait_for(&self, arrival: Arrival, mut waiter: Waiter) -> Result<u32, Error> {
        let event = self.channel.attached().counted(Sleeper::Receiver, self.event());
        loop {
            if let Some(ended) = self.ended(arrival) {
                return ended;
            }
            self.channel.attached().check_usable()?;
            if waiter.is_inspection_due() && self.words.help(|actor| self.channel.is_dead(actor)) {
                self.tell();
                continue;
            }
            waiter.pause(&event, false)?;
        }
    }

    /// How the round ended, if it has.
    fn ended(&self, arrival: Arrival) -> Option<Result<u32, Error>> {
        match self.words.outcome(arrival) {
            Outcome::Waiting => None,
            Outcome::Passed => Some(Ok(arrival.place)),
            Outcome::Broken(why) => Some(Err(Error::BarrierBroken { why })),
        }
    }

    /// Breaks the round, unless it has ended meanwhile.
    fn give_up(&self, arrival: Arrival) -> Result<u32, Error> {
        if self.words.give_up(arrival) {
            self.tell();
            return Err(Error::Timeout);
        }
        self.ended(arrival).unwrap_or(Err(Error::Timeout))
    }

    fn event(&self) -> Event<'_, PoolFutex> {
        let attached = self.channel.attached();
        attached.ring().to_receivers(attached.host().futex())
    }

    /// Wakes all who wait: the round has ended, or is broken.
    fn tell(&self) {
        self.event().signal_all();
    }
}

impl Clone for Barrier {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), words: self.words.clone(), defaults: self.defaults }
    }
}

/// Why a barrier is broken, in words that end a sentence.
pub(crate) fn reason(why: Broken) -> &'static str {
    match why {
        Broken::Aborted => "it was aborted",
        Broken::TimedOut => "a party ran out of time",
        Broken::Died => "a party died while it waited",
        Broken::Reset => "it was reset while this party waited",
    }
}
