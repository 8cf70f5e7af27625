//! One channel in a set.
//!
//! A member is **quiet**, which means that its channel's bit was set and the channel looked at behind that, so that
//! whatever changes is told; or it is **queued**, to be looked at when a wait comes to it.

use weyr_shared::Listener;
use weyr_shared::fault::{self, Fault};

use super::Ready;
use super::listening::{Listened, interest_of};
use crate::Error;
use crate::poll::{PollEvents, PollSide};
use crate::wait::{Attempt, Tried};

/// So often a member is looked at in vain, by one that polls, before its channel is made to tell: who is active will
/// be so again soon.
const WATCHED_LOOKS: u16 = 1000;

/// One channel in a set.
#[derive(Debug)]
pub(super) struct Member<C> {
    pub(super) channel: C,
    side: PollSide,
    pub(super) events: PollEvents,
    pub(super) token: u64,
    /// Its entry in the channel's table.
    pub(super) listener: Listener,
    /// Which of the set's places it is told in.
    pub(super) place: usize,
    pub(super) queued: bool,
    /// Looks in vain since it was ready.
    fruitless: u16,
    /// Whether the next look is to be at every slot.
    pub(super) inspect: bool,
    pub(super) trigger: Trigger,
}

/// When a member is reported that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// In each wait.
    Level,
    /// When it was told of; when nobody told, but for the channel as it was when it was reported last.
    Change { told: bool, reported: Option<Seen> },
}

impl Trigger {
    pub(super) const CHANGE: Self = Self::Change { told: true, reported: None };
}

/// A channel at one moment: positions left behind, and messages waiting.
type Seen = (u64, u32);

/// What came of a look.
#[derive(Debug)]
pub(super) enum Look {
    Ready(Ready),
    /// Nothing, and it stays in the queue.
    Again(Rest),
    /// To be reported, and then quiet.
    Changed(Ready),
    Quiet,
}

/// What a pass leaves in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rest {
    /// Nothing: all are told.
    Quiet,
    /// Members in whose way somebody is whom patience will overcome; they are told, too.
    Hindered,
    /// Members that are not told.
    Watched,
}

impl<C: Listened> Member<C> {
    pub(super) fn new(channel: C, events: PollEvents, token: u64, listener: Listener, place: usize) -> Self {
        let (side, queued, fruitless, inspect) = (PollSide::default(), false, 0, false);
        let trigger = Trigger::Level;
        Self { channel, side, events, token, listener, place, queued, fruitless, inspect, trigger }
    }

    /// Looks whether the channel is what it is waited for. Where it is not, the channel is made to tell and looked at
    /// again, unless the caller will `watch` it.
    pub(super) fn look(&mut self, watch: bool, attempt: Attempt) -> Look {
        let inspect = std::mem::take(&mut self.inspect);
        if let Trigger::Change { told, reported } = self.trigger {
            return self.look_for_change(told, reported, Attempt { inspect, ..attempt });
        }
        match self.poll(Attempt { inspect, ..attempt }) {
            Err(ready) => return Look::Ready(ready),
            Ok(false) if watch && self.fruitless < WATCHED_LOOKS => {
                self.fruitless += 1;
                return Look::Again(Rest::Watched);
            }
            Ok(_) => {}
        }
        self.channel.attached().listen(self.events);
        if fault::is(Fault::LookBeforeListening) {
            return Look::Quiet;
        }
        match self.poll(attempt) {
            Err(ready) => Look::Ready(ready),
            Ok(true) => Look::Again(Rest::Hindered),
            Ok(false) => Look::Quiet,
        }
    }

    /// The look of one that is reported by changes: the channel is made to tell in any case, and looked at behind that.
    fn look_for_change(&mut self, told: bool, reported: Option<Seen>, attempt: Attempt) -> Look {
        self.channel.attached().listen(self.events);
        let seen = self.seen();
        let ready = match self.poll(attempt) {
            Err(ready) => ready,
            Ok(hindered) => {
                self.trigger = Trigger::Change { told: false, reported: None };
                return if hindered { Look::Again(Rest::Hindered) } else { Look::Quiet };
            }
        };
        self.trigger = Trigger::Change { told: false, reported: seen };
        if told || reported.is_none() || reported != seen { Look::Changed(ready) } else { Look::Quiet }
    }

    fn seen(&self) -> Option<Seen> {
        let ring = self.channel.attached().ring();
        Some((ring.passed().ok()?, ring.waiting().ok()?))
    }

    /// It was told of.
    pub(super) fn tell(&mut self) {
        if let Trigger::Change { told, .. } = &mut self.trigger {
            *told = true;
        }
    }

    /// Err: what is to be reported. Ok: nothing; whether somebody is in the way whom patience will overcome.
    fn poll(&mut self, attempt: Attempt) -> Result<bool, Ready> {
        let (events, error) = match self.channel.attached().try_poll(&self.side, self.events, attempt) {
            Ok(Tried::Blocked { hindered }) => return Ok(hindered),
            Ok(Tried::Done(found)) => (found, None),
            Err(error) => (PollEvents::NONE, Some(error)),
        };
        self.fruitless = 0;
        Err(Ready { token: self.token, events, error })
    }

    /// Waits for other events from now on.
    ///
    /// # Errors
    /// [`Error::TooManyListeners`]: its entry was lost, and the table is full.
    pub(super) fn modify(&mut self, events: PollEvents) -> Result<(), Error> {
        let (attached, from) = (self.channel.attached(), self.listener);
        let to = from.interested_in(interest_of(events));
        if !attached.ring().listeners().replace(from, to) {
            attached.add_listener(to)?;
        }
        (self.listener, self.events) = (to, events);
        self.tell();
        Ok(())
    }

    /// Enters it again if its entry is gone, which nobody alive does.
    pub(super) fn keep_entry(&self) {
        let attached = self.channel.attached();
        if !attached.ring().listeners().has(self.listener) {
            let _full_until_the_next_time = attached.add_listener(self.listener);
        }
    }

    /// Listens no more. What was being told meanwhile is told in vain.
    pub(super) fn leave(&self) {
        let _gone_already = self.channel.attached().ring().listeners().remove(self.listener);
    }

    /// What the next look depends on, for models.
    pub(super) fn remembered(&self) -> u64 {
        self.side.positions() << 2 | u64::from(self.inspect) << 1 | u64::from(self.queued)
    }
}
