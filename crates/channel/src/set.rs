//! Channel sets: waiting for many channels at once, in one sleep.
//!
//! A set enters itself into the table of listeners of each of its channels, and sleeps on a word of its own process,
//! which whoever changes a channel tells it by (`shared/src/event.rs`, `ready.rs`). So a wait costs what became ready, not
//! what is in the set. It takes nothing, and uses up no wake of a receiver or sender.
//!
//! | module | concept |
//! | --- | --- |
//! | `listening` | what a set asks of pools and channels |
//! | `place` | where it is told, pool by pool |
//! | `member` | one channel in it |
//! | `notification` | who is told without waiting |
//! | `gathering` | all of them, and who is looked at next |
//! | `wait` | spinning, sleeping, doubting |
//! | `waker` | ending a wait from outside |

mod gate;
pub(crate) mod gathering;
pub(crate) mod listening;
mod member;
mod notification;
mod place;
mod wait;
mod waker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use weyr_sys::fork;

use crate::channel::Shared;
use crate::defaults::{Defaults, Limit};
use crate::{Channel, Error, PollEvents, WaitMode};
use gathering::Gathering;
use notification::Notifier;
pub use notification::{SetNotice, SetNotification};
pub use waker::SetWaker;

/// How many channels one wait reports unless said otherwise.
const MOST: usize = 256;

/// A channel in a set, for [`ChannelSet::modify`] and [`ChannelSet::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetKey {
    index: u32,
    serial: u32,
}

/// A channel in a set.
#[derive(Debug, Clone)]
pub struct SetMember {
    /// By which it is changed and taken out.
    pub key: SetKey,
    /// What was given to [`ChannelSet::add`].
    pub token: u64,
    /// By which it is waited for.
    pub events: PollEvents,
    /// The channel.
    pub channel: Channel,
}

/// What a wait says of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// What was given to [`ChannelSet::add`].
    pub token: u64,
    /// Which of the events it was added for the channel is; none where there is an error.
    pub events: PollEvents,
    /// [`Error::Destroyed`], or what else keeps the channel from being used. It is said again in each wait until the
    /// channel is removed.
    pub error: Option<Error>,
}

/// Channels, of one pool or of several, that one thread waits for together.
///
/// What it says is said again as long as it is so (level-triggered): who was told of a message need not receive it at
/// once. Reports are fair: a channel that is always ready comes once in each round of those that are. Like a
/// [`Poller`](crate::Poller) it takes nothing; what it has seen may be another's by the time it says so.
///
/// ```
/// use weyr_channel::{Channel, ChannelAttributes, ChannelSet, PollEvents};
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-set-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let (requests, letters) =
///     (Channel::create(&pool, &ChannelAttributes::new())?, Channel::create(&pool, &ChannelAttributes::new())?);
///
/// let mut set = ChannelSet::new();
/// set.add(&requests, PollEvents::IN, 1)?;
/// set.add(&letters, PollEvents::IN, 2)?;
/// letters.send(b"hello")?;
/// let mut ready = Vec::new();
/// set.wait(&mut ready)?;
/// assert_eq!((ready[0].token, ready[0].events), (2, PollEvents::IN));
/// # drop(set);
/// # requests.destroy()?;
/// # letters.destroy()?;
/// pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In a forked child a set is refused with [`Error::Forked`]; the child makes one of its own. Dropping a set waits for
/// nobody. Source: *Dragon channels*, `dragon_channelset_create`.
#[derive(Debug)]
pub struct ChannelSet {
    members: Gathering<Arc<Shared>>,
    defaults: Defaults,
    most: usize,
    nonce: u64,
    notifier: Option<Notifier>,
}

impl Default for ChannelSet {
    fn default() -> Self {
        Self::new()
    }
}

/// How it waits.
impl ChannelSet {
    /// An empty set.
    pub fn new() -> Self {
        let (members, defaults) = (Gathering::default(), Defaults::default());
        Self { members, defaults, most: MOST, nonce: fork::nonce(), notifier: None }
    }

    /// The same set, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.defaults.mode = mode;
        self
    }

    /// The same set, whose [`wait`](Self::wait) waits for at most `timeout`; without limit unless said otherwise.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.timeout = Some(timeout);
        self
    }

    /// The same set, of which one wait reports at most `channels`, 256 unless said otherwise; at least one.
    #[must_use]
    pub fn with_most(mut self, channels: usize) -> Self {
        self.most = channels.max(1);
        self
    }

    /// What ends a wait of this set from another thread.
    pub fn waker(&self) -> SetWaker {
        SetWaker(Arc::clone(&self.members.alarm))
    }

    fn check_own(&self) -> Result<(), Error> {
        if self.nonce == fork::nonce() { Ok(()) } else { Err(Error::Forked) }
    }
}

/// What is in it.
impl ChannelSet {
    /// Adds a channel, to be reported as `token` when it is one of `events`: at once in the next wait if it is already.
    /// With no events only its end is reported. The set keeps this process attached to the channel. A channel may be in
    /// a set twice, and in up to 16 sets.
    ///
    /// # Errors
    /// [`Error::TooManyListeners`], [`Error::TooManySets`], [`Error::Forked`], [`Error::Destroyed`],
    /// [`Error::NotForMessages`], [`Error::Pool`]; [`Error::Reactor`] where somebody is to be [notified](Self::notify).
    pub fn add(&mut self, channel: &Channel, events: PollEvents, token: u64) -> Result<SetKey, Error> {
        let key = self.add_shared(Arc::clone(channel.shared()), events, token)?;
        self.notified_of(key, channel, events, token)
    }

    /// Adds a channel, to be reported as `token` when something has happened behind which it is one of `events`, and not
    /// each time that it is (edge-triggered): the first time if it is already. Several things that happen may be one
    /// report. Who is told of a message receives until the channel is empty. Else as [`add`](Self::add).
    ///
    /// # Errors
    /// As there.
    pub fn add_changes(
        &mut self,
        channel: &Channel,
        events: PollEvents,
        token: u64,
    ) -> Result<SetKey, Error> {
        let key = self.add_shared_changes(Arc::clone(channel.shared()), events, token)?;
        self.notified_of(key, channel, events, token)
    }

    fn notified_of(
        &mut self,
        key: SetKey,
        channel: &Channel,
        events: PollEvents,
        token: u64,
    ) -> Result<SetKey, Error> {
        let Some(notifier) = &mut self.notifier else { return Ok(key) };
        if let Err(error) = notifier.add(key, Arc::clone(channel.shared()), events, token) {
            self.members.remove(key)?;
            return Err(error);
        }
        Ok(key)
    }

    pub(crate) fn add_shared_changes(
        &mut self,
        channel: Arc<Shared>,
        events: PollEvents,
        token: u64,
    ) -> Result<SetKey, Error> {
        let key = self.add_shared(channel, events, token)?;
        self.members.report_changes(key)?;
        Ok(key)
    }

    pub(crate) fn add_shared(
        &mut self,
        channel: Arc<Shared>,
        events: PollEvents,
        token: u64,
    ) -> Result<SetKey, Error> {
        self.check_own()?;
        channel.attached.check_use()?;
        self.members.add(channel, events, token)
    }

    /// Waits for other events of a channel from now on.
    ///
    /// # Errors
    /// [`Error::NotInSet`], [`Error::Forked`]; [`Error::TooManyListeners`] where somebody has overwritten the channel.
    /// Source: *Dragon channels*, `dragon_channelset_set_event_mask`.
    pub fn modify(&mut self, key: SetKey, events: PollEvents) -> Result<(), Error> {
        self.check_own()?;
        self.members.modify(key, events)?;
        self.notifier.iter().for_each(|notifier| notifier.modify(key, events));
        Ok(())
    }

    /// Takes a channel out.
    ///
    /// # Errors
    /// [`Error::NotInSet`], [`Error::Forked`].
    pub fn remove(&mut self, key: SetKey) -> Result<(), Error> {
        self.check_own()?;
        self.members.remove(key)?;
        self.notifier.iter_mut().for_each(|notifier| notifier.remove(key));
        Ok(())
    }

    /// What is in it, in no order.
    /// Source: *Dragon channels*, `dragon_channelset_get_channels`.
    pub fn members(&self) -> impl Iterator<Item = SetMember> {
        self.members.members().map(|(key, member)| SetMember {
            key,
            token: member.token,
            events: member.events,
            channel: Channel::with(Arc::clone(&member.channel)),
        })
    }

    /// By which events a channel is waited for.
    ///
    /// # Errors
    /// [`Error::NotInSet`]. Source: *Dragon channels*, `dragon_channelset_get_event_mask`.
    pub fn events(&self, key: SetKey) -> Result<PollEvents, Error> {
        self.members.member(key).map(|member| member.events).ok_or(Error::NotInSet)
    }

    /// How many channels are in it.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// Being told without waiting.
impl ChannelSet {
    /// Has somebody notified each time something happens after which a channel of the set is one of the events that it is
    /// in the set for, at once if it is already, and when it is destroyed; also of channels that are added later. It
    /// replaces what was to be notified before. The set can be waited for all the same. Each channel has one more place in
    /// its table of listeners taken. Does not wait.
    ///
    /// What is notified of changes is told of them once: who hears of a message receives until the channel is empty.
    ///
    /// # Errors
    /// [`Error::Reactor`], [`Error::InvalidSignal`], [`Error::Forked`]: nobody is notified.
    /// Source: *Dragon channels*, `dragon_channelset_notify_callback`, `dragon_channelset_notify_signal`.
    pub fn notify(&mut self, notification: SetNotification) -> Result<(), Error> {
        self.check_own()?;
        self.notifier = None;
        let mut notifier = Notifier::new(notification)?;
        for (key, member) in self.members.members() {
            notifier.add(key, Arc::clone(&member.channel), member.events, member.token)?;
        }
        self.notifier = Some(notifier);
        Ok(())
    }

    /// Has nobody notified any more. A callback that runs just now may still end; none begins.
    pub fn silence(&mut self) {
        self.notifier = None;
    }

    /// Why nobody is notified of a channel any more, as [`Watch::ended`](crate::Watch::ended) says it; none while
    /// somebody is, and where nobody was to be.
    pub fn notification_ended(&self, key: SetKey) -> Option<Error> {
        self.notifier.as_ref()?.ended(key)
    }
}

/// Waiting.
impl ChannelSet {
    /// Replaces what is in `ready` by the channels that are ready, none perhaps, and says how many. Does not wait.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn try_wait(&mut self, ready: &mut Vec<Ready>) -> Result<usize, Error> {
        self.check_own()?;
        ready.clear();
        self.members.try_wait(ready, self.most);
        Ok(ready.len())
    }

    /// The same, waiting until there is one: without limit, or as long as its [timeout](Self::with_timeout) allows. None
    /// are reported where the set's [waker](Self::waker) ended the wait.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Forked`]. Source: *Dragon channels*, `dragon_channelset_poll`.
    pub fn wait(&mut self, ready: &mut Vec<Ready>) -> Result<usize, Error> {
        self.wait_within(ready, Limit::Default)
    }

    /// As [`wait`](Self::wait), waiting until `deadline`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_until(&mut self, ready: &mut Vec<Ready>, deadline: Instant) -> Result<usize, Error> {
        self.wait_within(ready, Limit::Until(Some(deadline)))
    }

    fn wait_within(&mut self, ready: &mut Vec<Ready>, limit: Limit) -> Result<usize, Error> {
        self.check_own()?;
        ready.clear();
        let deadline = match self.defaults.deadline(limit) {
            Some(deadline) => deadline,
            None => Some(Instant::now()),
        };
        self.members.wait_until(ready, self.most, self.defaults.mode, deadline)?;
        Ok(ready.len())
    }
}

impl Drop for ChannelSet {
    fn drop(&mut self) {
        // A forked child has nothing here: the entries and the registrations are its parent's.
        if self.check_own().is_ok() {
            self.members.leave();
        }
    }
}
