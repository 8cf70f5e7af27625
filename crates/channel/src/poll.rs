//! Waiting for what a channel is like, without sending or receiving.
//!
//! Who polls is no obstacle to anybody: it takes nothing, and sleeps on a word of its own (`Event::watched`), so no
//! wake that a receiver or sender must get is spent on it. Since a wake for a poller ends the sleep of all pollers,
//! none has one to pass on.
//!
//! It overcomes whoever is dead or slow in its way as a receiver or a sender would, for else it would wait for ever for
//! what they can have.

use std::fmt;
use std::ops::BitOr;
use std::time::{Duration, Instant};

use weyr_atomic::Ordering;
use weyr_shared::{Armed, Awake, Corrupt, Event, Futex, Ring, RingLock};

use crate::attached::Attached;
use crate::host::Host;
use crate::receive::{self, ReceiveSide};
use crate::send::{self, Obstacle, SendSide};
use crate::wait::{Attempt, Sleep, Tried, Waiter};
use crate::walk::{End, Walk};
use crate::{Error, WaitMode};

/// What a channel is polled for, and what it was found to be: a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PollEvents(u8);

impl PollEvents {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A message can be received.
    pub const IN: Self = Self(1);
    /// A message can be sent, at the lowest priority level.
    pub const OUT: Self = Self(2);
    /// No message waits. One that is leased does not wait; it does again when its lease is given up.
    pub const EMPTY: Self = Self(4);
    /// There is no room for a message at the lowest priority level, leaving aside what patience with slow receivers would give.
    pub const FULL: Self = Self(8);

    const NAMES: [(Self, &'static str); 4] =
        [(Self::IN, "IN"), (Self::OUT, "OUT"), (Self::EMPTY, "EMPTY"), (Self::FULL, "FULL")];

    /// Both; the same as `|`, in constants too.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `events` are in it.
    pub const fn contains(self, events: Self) -> bool {
        self.0 & events.0 == events.0
    }

    /// The set as a number: 1 IN, 2 OUT, 4 EMPTY, 8 FULL.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn without(self, events: Self) -> Self {
        Self(self.0 & !events.0)
    }

    pub(crate) const fn meets(self, events: Self) -> bool {
        self.0 & events.0 != 0
    }
}

impl BitOr for PollEvents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl fmt::Debug for PollEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(event, _)| self.contains(*event)).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}

/// What one polling handle remembers, in private memory.
#[derive(Debug, Default)]
pub struct PollSide {
    receive: ReceiveSide,
    send: SendSide,
}

impl PollSide {
    pub(crate) fn positions(&self) -> u64 {
        self.receive.position() ^ self.send.position().rotate_left(32)
    }
}

/// The sleep of those who poll: armed at their own event, then at those that announce what they wait for.
pub(crate) struct Onlooker<'a, F> {
    own: Event<'a, F>,
    announced_by: [Option<Event<'a, F>>; 2],
}

impl<'a, F: Futex> Onlooker<'a, F> {
    pub(crate) fn new(ring: &'a Ring, futex: &'a F, events: PollEvents) -> Self {
        // A message arrives and makes the channel full; one goes and makes it empty.
        let arrivals = events.meets(PollEvents::IN | PollEvents::FULL).then(|| ring.to_receivers(futex));
        let departures = events.meets(PollEvents::OUT | PollEvents::EMPTY).then(|| ring.to_senders(futex));
        Self { own: ring.to_pollers(futex), announced_by: [arrivals, departures] }
    }
}

impl<F: Futex> Sleep for Onlooker<'_, F> {
    fn arm(&self) -> Armed {
        let armed = self.own.arm();
        for event in self.announced_by.iter().flatten() {
            let _announced = event.arm();
        }
        armed
    }

    fn sleep(&self, armed: Armed, time: Duration) -> Awake {
        self.own.sleep(armed, time)
    }

    fn pass_on(&self) {}
}

impl<H: Host> Attached<H> {
    /// Which of `events` the channel is now; blocked when it is none.
    ///
    /// # Errors
    /// [`Error::Destroyed`], [`Error::Corrupt`], or the pool's.
    pub fn try_poll(
        &self,
        side: &PollSide,
        events: PollEvents,
        attempt: Attempt,
    ) -> Result<Tried<PollEvents>, Error> {
        self.me()?;
        self.check_usable()?;
        self.check_use()?;
        let (events, locked_up) = self.open_events(side, events, attempt)?;
        let mut tried = self.look_for(side, events, attempt)?;
        if let Tried::Blocked { hindered } = &mut tried {
            *hindered |= locked_up;
        }
        let inspect = || attempt.inspect || self.is_inspection_due(&side.receive);
        if matches!(tried, Tried::Blocked { .. }) && inspect() {
            self.bury_all()?;
            // What was given back and not counted is found by who looks at every slot.
            let waits = events.meets(PollEvents::IN) && self.ring.waiting_again()?;
            return if waits { Ok(Tried::Done(PollEvents::IN)) } else { Ok(tried) };
        }
        Ok(tried)
    }

    /// Those of `events` that no lock or quiesce forbids; and whether to come back when patience has run out.
    fn open_events(
        &self,
        side: &PollSide,
        events: PollEvents,
        attempt: Attempt,
    ) -> Result<(PollEvents, bool), Error> {
        let kinds = [
            (RingLock::Read, PollEvents::IN, &side.receive.place(0).hindrance),
            (RingLock::Write, PollEvents::OUT, &side.send.hindrance),
        ];
        let (mut open, mut hindered) = (events, false);
        for (lock, event, hindrance) in kinds {
            if events.meets(event)
                && self.ring.may_be_barred(lock)
                && let Some(Tried::Blocked { hindered: here }) =
                    self.held_up::<()>(lock, hindrance, attempt)?
            {
                open = open.without(event);
                hindered |= here;
            }
        }
        Ok((open, hindered))
    }

    fn look_for(
        &self,
        side: &PollSide,
        events: PollEvents,
        attempt: Attempt,
    ) -> Result<Tried<PollEvents>, Error> {
        let (mut found, mut hindered) = (PollEvents::NONE, false);
        let mut note = |event: PollEvents, tried: Tried<()>| match tried {
            Tried::Done(()) => found = found | event,
            Tried::Blocked { hindered: held_up } => hindered |= held_up,
        };
        if events.meets(PollEvents::IN) {
            let seen = self.find_message(&side.receive, Some(attempt))?;
            note(PollEvents::IN, seen.map(|_| ()));
        }
        if events.meets(PollEvents::OUT) {
            note(PollEvents::OUT, self.find_room(&side.send, Some(attempt))?);
        }
        if events.meets(PollEvents::EMPTY) && self.is_empty(&side.receive)? {
            note(PollEvents::EMPTY, Tried::Done(()));
        }
        if events.meets(PollEvents::FULL) && self.is_full(&side.send)? {
            note(PollEvents::FULL, Tried::Done(()));
        }
        Ok(if found.is_empty() { Tried::Blocked { hindered } } else { Tried::Done(found) })
    }

    /// Whether a sender finds a slot. Without an attempt nobody is overcome, but held slots count as passed by.
    fn find_room(&self, side: &SendSide, attempt: Option<Attempt>) -> Result<Tried<()>, Error> {
        if self.ring.levels() > 1
            && let Tried::Blocked { hindered } = self.find_capacity(side, attempt)?
        {
            return Ok(Tried::Blocked { hindered });
        }
        let level = self.ring.lowest();
        let mut walk = Walk::new(level, End::Tail, &side.position);
        let mut outcome = Tried::EMPTY;
        while let Some(word) = walk.look()? {
            match send::view(word, walk.place) {
                send::View::Free => {
                    outcome = Tried::Done(());
                    break;
                }
                send::View::Over => walk.go_on(word)?,
                send::View::Held | send::View::Full => {
                    let judged = match attempt {
                        Some(attempt) => self.judge_obstacle(level, side, walk.place, word, attempt)?,
                        None if word.state.may_be_passed() && send::is_room_behind(level, walk.place)? => {
                            Obstacle::Passable
                        }
                        None => Obstacle::Stays { hindered: false },
                    };
                    outcome = match judged {
                        Obstacle::Gone => continue,
                        Obstacle::Passable => Tried::Done(()),
                        Obstacle::Stays { hindered } => Tried::Blocked { hindered },
                    };
                    break;
                }
                send::View::Impossible => {
                    return Err(Corrupt::new("lap of a slot", walk.place.index().into()).into());
                }
            }
        }
        walk.keep(&side.position);
        Ok(outcome)
    }

    fn is_full(&self, side: &SendSide) -> Result<bool, Error> {
        Ok(matches!(self.find_room(side, None)?, Tried::Blocked { .. }))
    }

    /// Whether no message waits: at one moment where the head itself says so, and else by one look at each slot.
    fn is_empty(&self, side: &ReceiveSide) -> Result<bool, Error> {
        let header = self.ring.header();
        let made = header.returned_made.load(Ordering::Acquire);
        if self.ring.levels() > 1 || made != header.returned_seen.load(Ordering::Acquire) {
            return Ok(self.ring.waiting()? == 0);
        }
        let mut walk = Walk::new(self.ring.lowest(), End::Head, &side.place(0).position);
        while let Some(word) = walk.look()? {
            match receive::view(word, walk.place) {
                receive::View::Ready => return Ok(false),
                receive::View::Over => walk.go_on(word)?,
                // Behind one who still writes there may be messages; behind a place that nobody has claimed there is
                // none.
                receive::View::Empty if !word.state.is_returned() => return Ok(true),
                _ => break,
            }
        }
        Ok(self.ring.waiting()? == 0)
    }

    /// Which of `events` the channel is, waiting until it is one of them.
    ///
    /// # Errors
    /// As [`try_poll`](Self::try_poll), and [`Error::Timeout`].
    pub fn poll_until(
        &self,
        side: &PollSide,
        events: PollEvents,
        mode: WaitMode,
        deadline: Option<Instant>,
    ) -> Result<PollEvents, Error> {
        let mut waiter = Waiter::new(mode, deadline);
        let onlooker = Onlooker::new(&self.ring, self.host.futex(), events);
        loop {
            self.host.before_try(waiter.remembered(side.positions()));
            match self.try_poll(side, events, waiter.attempt())? {
                Tried::Done(found) => return Ok(found),
                Tried::Blocked { hindered } => waiter.pause(&onlooker, hindered)?,
            }
        }
    }

    /// After a lease was taken: the channel may be empty now, which its end would otherwise announce.
    pub(crate) fn tell_pollers_of_lease(&self) {
        // Pairs with the barrier of who arms: it sees the lease, or this sees its bit.
        weyr_atomic::fence(Ordering::SeqCst);
        self.ring.to_senders(self.host.futex()).signal_onlookers();
    }
}
