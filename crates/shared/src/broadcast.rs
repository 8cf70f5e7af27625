//! An event that processes share: any number wait for it, and a trigger releases one of them, some, or all, each with a
//! copy of what the trigger has to say.
//!
//! (Not the internal event word of channels and locks, on which one sleeps; each place here has one of those.)
//!
//! The ideas: **a waiter has a place, and one word of it says whether it waits.** One exchange of that word is its
//! release; there is no state between the two in which a waiter could be lost. **A payload is written once**, into a
//! *record* that the word of each who is released points to; so a trigger waits for nobody to read it, and the record is
//! used again when nobody points to it any more. A trigger of all says in its record up to which ticket it releases; one
//! that died there is finished by whoever comes, the next trigger or a waiter that looks around.
//!
//! | who dies or stands still | the others |
//! | --- | --- |
//! | a waiter, anywhere | do not notice: triggers pass over the dead, and release the living instead; the place is taken again once its death is known |
//! | a trigger, before it released anybody | do not notice |
//! | a trigger of all, in the middle | finish it once it is dead; any trigger that comes meanwhile releases who is left |
//! | a trigger of some, in the middle | those released are, and no more |
//! | a trigger, between a release and its wake | the one released looks by itself, within 10 ms |
//!
//! The argument, step by step, is in `docs/broadcast.md`.
//!
//! Source: Dragon, `bcast.h`. What it does not do: it keeps no trigger for who comes later, for what is kept is a message
//! and there are channels; a process that waits twice is released twice.

mod error;
mod notification;
mod record;
mod registration;
#[doc(hidden)]
pub mod shape;
mod state;
#[doc(hidden)]
pub mod trigger;
#[doc(hidden)]
pub mod wait;
#[doc(hidden)]
pub mod word;
#[doc(hidden)]
pub mod words;

use std::time::Instant;

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, publish_then_look};

pub use error::BroadcastError;
pub use notification::{Notification, Notified};
pub use registration::Registration;
pub use shape::{BroadcastAttributes, SyncType};
pub use state::BroadcastState;
pub use trigger::Triggered;

use crate::lock::{Participant, Until};
use crate::{Corrupt, Event, Region, Table, WaitMode};
use shape::{HEADER_BYTES, Shape};
use trigger::Count;
use word::Why;
use words::Words;

/// First word of an event.
const MAGIC: u64 = u64::from_le_bytes(*b"WEYREVT1");
/// Lives of an event.
#[doc(hidden)]
pub const IN_USE: u64 = 1;
const DESTROYED: u64 = 2;

crate::layout! {
    /// What stands before an event. Behind it: the places, the records, and a payload a record.
    pub struct BroadcastHeader: 128, align 8 {
        /// `WEYREVT1`; written last, by who makes it. Anything else: no event.
        0 => magic: AtomicU64,
        /// Bytes of a payload at most, 0 to 2^30; written once, by who makes it.
        8 => payload: AtomicU64,
        /// Places, 1 to 32768; written once, by who makes it.
        16 => waiters: AtomicU64,
        /// Places of those who spin, before the others, 0 to all; written once, by who makes it.
        24 => spinners: AtomicU64,
        /// Triggers at once, 1 to 1024; written once, by who makes it. There are so many records, and one a place.
        32 => triggers: AtomicU64,
        /// How many a trigger waits for, 1 to all; zero: it does not. Written once, by who makes it.
        40 => sync: AtomicU64,
        /// 1: in use; 2: destroyed, for good, by whoever destroys it.
        48 => life: AtomicU64,
        /// The ticket of who waits next, upwards from 1; each who enters adds one.
        56 => next_ticket: AtomicU64,
        /// Event word of triggers that wait for waiters.
        64 => arrivals: AtomicU32,
        /// Event word of triggers that wait for a record.
        68 => room: AtomicU32,
        /// The record that was taken last: a hint where to look for the next.
        72 => last_record: AtomicU32,
        /// Zero.
        76 => reserved: [AtomicU32; 13],
    }
}

crate::layout! {
    /// A place of one that waits for an event, on a cache line of its own where the event begins on one.
    pub struct BroadcastPlace: 64, align 8 {
        /// Who waits here and why not any more: `state:2 | zero:2 | why:16 | ticket:44`, or `state:2 | zero:6 | process:16 | epoch:28 | zero:12`; zero: nobody. Changed by compare-exchange: by its holder, by who releases it, and by anybody once the holder is dead.
        0 => word: AtomicU64,
        /// Who waits here, as in the word of one that enters; written by the holder before it waits, and means nothing while the place is free.
        8 => holder: AtomicU64,
        /// Event word on which the holder sleeps.
        16 => call: AtomicU32,
        /// Zero.
        20 => reserved: [AtomicU32; 11],
    }
}

crate::layout! {
    /// A trigger at work, or its payload as long as somebody reads it.
    pub struct BroadcastRecord: 32, align 8 {
        /// Who is at work with it: `state:2 | zero:6 | process:16 | epoch:28 | zero:12`; zero: nobody. Changed by compare-exchange, by who takes it and, once that one is dead, by anybody.
        0 => word: AtomicU64,
        /// The first ticket that a trigger of all leaves alone; written by who has the record, before it says so.
        8 => horizon: AtomicU64,
        /// Bytes of the payload; written by who has the record.
        16 => length: AtomicU32,
        /// Zero.
        20 => reserved: [AtomicU32; 3],
    }
}

/// An event in a region, which it keeps mapped. Clones are the same event. See the [module](self) for what it promises.
///
/// Who waits or triggers is a [`Participant`], as with locks: a member of a pool has one at hand
/// (`Pool::participant`, or all in one: `Pool::create_broadcast`).
///
/// ```
/// use std::sync::Arc;
/// use weyr_shared::{Broadcast, BroadcastAttributes, BroadcastError, Region, WaitMode};
/// # use weyr_shared::{Actor, KernelFutex, lock::Participant};
/// # use weyr_sys::mapping::Mapping;
/// # struct Thread(u16);
/// # impl Participant for Thread {
/// #     type Futex = KernelFutex;
/// #     fn me(&self) -> Option<Actor> { Some(Actor { process: self.0, epoch: 0 }) }
/// #     fn is_dead(&self, _: Actor) -> bool { false }
/// #     fn futex(&self) -> &KernelFutex { &KernelFutex }
/// # }
///
/// # let (me, other) = (Thread(1), Thread(2));
/// # let mapping = Arc::new(Mapping::anonymous(16384).unwrap());
/// let region = Region::new(mapping); // of memory that others map, too
/// let event = Broadcast::init(&region, &BroadcastAttributes::new().max_payload(64))?;
/// assert_eq!(event.trigger_all(&me, b"nobody listens"), Err(BroadcastError::NoWaiters));
///
/// let registered = event.register(&other, WaitMode::Adaptive)?; // from here on no trigger is missed
/// let got = std::thread::scope(|scope| {
///     let waiter = scope.spawn(|| registered.wait());
///     event.trigger_all(&me, b"go")?;
///     waiter.join().unwrap()
/// })?;
/// assert_eq!(got, b"go");
/// # Ok::<(), BroadcastError>(())
/// ```
/// Source: Dragon, `dragonBCastDescr_t`.
#[derive(Debug, Clone)]
pub struct Broadcast {
    header: Table<BroadcastHeader>,
    places: Table<BroadcastPlace>,
    records: Table<BroadcastRecord>,
    payloads: Table<AtomicU64>,
    shape: Shape,
}

impl Broadcast {
    /// Bytes that an event of these attributes needs.
    ///
    /// # Errors
    /// [`BroadcastError::InvalidAttribute`].
    /// Source: Dragon, `dragon_bcast_size`.
    pub fn size(attributes: &BroadcastAttributes) -> Result<u64, BroadcastError> {
        Ok(Shape::new(attributes)?.bytes())
    }

    /// Makes an event at the start of `region`. One does so, before others know of it.
    ///
    /// Commit point: the magic, written last. Who dies before it leaves no event.
    ///
    /// # Errors
    /// [`BroadcastError::InvalidAttribute`], [`BroadcastError::TooSmall`], [`BroadcastError::AlreadyInitialised`] when
    /// there is one that nobody has destroyed; [`BroadcastError::Corrupt`] when the region is misaligned (it must begin
    /// at a multiple of 8).
    /// Source: Dragon, `dragon_bcast_create_at`.
    pub fn init(region: &Region, attributes: &BroadcastAttributes) -> Result<Self, BroadcastError> {
        let shape = Shape::new(attributes)?;
        let (needed, there) = (shape.bytes(), region.len());
        if there < needed {
            return Err(BroadcastError::TooSmall { needed, there });
        }
        let event = Self::view(region, shape)?;
        let header = event.header();
        let is_one = header.magic.load(Ordering::Acquire) == MAGIC;
        if is_one && header.life.load(Ordering::Acquire) != DESTROYED {
            return Err(BroadcastError::AlreadyInitialised);
        }
        event.clear();
        // Release: pairs with the Acquire of `attach`.
        header.magic.store(MAGIC, Ordering::Release);
        Ok(event)
    }

    fn clear(&self) {
        let header = self.header();
        header.magic.store(0, Ordering::Relaxed);
        for place in self.places.iter() {
            place.word.store(0, Ordering::Relaxed);
            place.holder.store(0, Ordering::Relaxed);
            place.call.store(0, Ordering::Relaxed);
        }
        for record in self.records.iter() {
            record.word.store(0, Ordering::Relaxed);
            record.length.store(0, Ordering::Relaxed);
        }
        self.shape.write(header);
        header.next_ticket.store(1, Ordering::Relaxed);
        header.arrivals.store(0, Ordering::Relaxed);
        header.room.store(0, Ordering::Relaxed);
        header.last_record.store(0, Ordering::Relaxed);
        header.life.store(IN_USE, Ordering::Relaxed);
    }

    /// The event at the start of `region`.
    ///
    /// # Errors
    /// [`BroadcastError::Destroyed`]; [`BroadcastError::Corrupt`] when there is none, or it does not lie inside the
    /// region.
    /// Source: Dragon, `dragon_bcast_attach_at`.
    pub fn attach(region: &Region) -> Result<Self, BroadcastError> {
        let header = region.view::<BroadcastHeader>(0)?;
        // Acquire: pairs with the Release of `init`.
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(Corrupt::new("magic of an event", 0).into());
        }
        let event = Self::view(region, Shape::read(header)?)?;
        event.words().check_life()?;
        Ok(event)
    }

    fn view(region: &Region, shape: Shape) -> Result<Self, BroadcastError> {
        let (records, words) = (shape.records(), shape.payload_words());
        Ok(Self {
            header: region.table(0, 1, "header of an event")?,
            places: region.table(HEADER_BYTES, shape.attributes().waiters, "places of an event")?,
            records: region.table(shape.records_at(), records, "records of an event")?,
            payloads: region.table(shape.payloads_at(), records * words, "payloads of an event")?,
            shape,
        })
    }

    fn header(&self) -> &BroadcastHeader {
        &self.header[0]
    }

    #[inline]
    fn words(&self) -> Words<'_> {
        Words {
            header: self.header(),
            places: &self.places,
            records: &self.records,
            payloads: &self.payloads,
            shape: self.shape,
        }
    }

    /// What it was made for.
    pub fn attributes(&self) -> &BroadcastAttributes {
        self.shape.attributes()
    }

    /// Waits until a trigger releases this waiter, as long as it takes; returns a copy of the trigger's payload.
    ///
    /// Of two triggers that come one right behind the other the second may find nobody: who was released does not wait,
    /// until it waits anew. Who must not miss one that comes before it sleeps, [registers](Self::register) first.
    ///
    /// # Errors
    /// [`BroadcastError::Full`], [`BroadcastError::LetGo`], [`BroadcastError::Destroyed`], [`BroadcastError::Forked`],
    /// [`BroadcastError::Corrupt`].
    /// Source: Dragon, `dragon_bcast_wait`.
    pub fn wait(&self, by: &impl Participant, mode: WaitMode) -> Result<Vec<u8>, BroadcastError> {
        self.register(by, mode)?.wait()
    }

    /// As [`wait`](Self::wait), up to `deadline`. One released in the last moment has the payload, and no error.
    ///
    /// # Errors
    /// [`BroadcastError::Timeout`]; as [`wait`](Self::wait).
    pub fn wait_until(
        &self,
        by: &impl Participant,
        mode: WaitMode,
        deadline: Instant,
    ) -> Result<Vec<u8>, BroadcastError> {
        self.register(by, mode)?.wait_until(deadline)
    }

    /// Takes a place among those who wait, without waiting yet: a trigger from now on releases it, whenever it waits then.
    ///
    /// With [`WaitMode::Spin`], one that finds as many spinners as the event has room for waits as an adaptive one. Does
    /// not block.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn register<'b, P: Participant>(
        &'b self,
        by: &'b P,
        mode: WaitMode,
    ) -> Result<Registration<'b, P>, BroadcastError> {
        let seat = self.words().enter(by, mode)?;
        Ok(Registration::new(self, by, seat, mode))
    }

    /// Releases who has waited longest of the living. As [`trigger_all`](Self::trigger_all) in all else.
    ///
    /// Commit point: the waiter's word says RELEASED.
    ///
    /// # Errors
    /// As [`trigger_all`](Self::trigger_all).
    /// Source: Dragon, `dragon_bcast_trigger_one`.
    pub fn trigger_one(&self, by: &impl Participant, payload: &[u8]) -> Result<Triggered, BroadcastError> {
        self.words().trigger(by, Count::Some(1), payload, Until::Now)
    }

    /// Releases up to `count` of the living, who has waited longest first; all, where there are not so many.
    ///
    /// Each release is by itself: one that dies in between has released those that it had come to.
    ///
    /// # Errors
    /// [`BroadcastError::InvalidCount`] for 0; as [`trigger_all`](Self::trigger_all).
    /// Source: Dragon, `dragon_bcast_trigger_some`.
    pub fn trigger_some(
        &self,
        by: &impl Participant,
        count: u64,
        payload: &[u8],
    ) -> Result<Triggered, BroadcastError> {
        self.words().trigger(by, Count::Some(count), payload, Until::Now)
    }

    /// Releases everybody who waits now, each with a copy of `payload`; one that waits anew meanwhile is not released
    /// twice. Waits for nobody; asks whether those who wait are alive.
    ///
    /// Commit point: the record says RELEASING_ALL. From then on all are released, whoever dies: by the next trigger, or
    /// by those who wait.
    ///
    /// # Errors
    /// [`BroadcastError::NoWaiters`] with a payload and [`BroadcastError::NoWaitersNonCritical`] without where nobody
    /// waits, [`BroadcastError::DeadWaiter`] where only dead did; [`BroadcastError::InsufficientWaiters`] where fewer
    /// wait than the event is [synchronised](SyncType) with; [`BroadcastError::PayloadTooLarge`],
    /// [`BroadcastError::Busy`], [`BroadcastError::Destroyed`], [`BroadcastError::Forked`], [`BroadcastError::Corrupt`].
    /// Source: Dragon, `dragon_bcast_trigger_all`.
    pub fn trigger_all(&self, by: &impl Participant, payload: &[u8]) -> Result<Triggered, BroadcastError> {
        self.words().trigger(by, Count::All, payload, Until::Now)
    }

    /// As [`trigger_one`](Self::trigger_one), and waits up to `deadline` for those whom the event is
    /// [synchronised](SyncType) with, and where as many triggers are at work as there is room for.
    ///
    /// # Errors
    /// [`BroadcastError::Timeout`] instead of `InsufficientWaiters` and `Busy`; as [`trigger_all`](Self::trigger_all).
    pub fn trigger_one_until(
        &self,
        by: &impl Participant,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Triggered, BroadcastError> {
        self.words().trigger(by, Count::Some(1), payload, Until::At(deadline))
    }

    /// As [`trigger_some`](Self::trigger_some), and waits as [`trigger_one_until`](Self::trigger_one_until) does.
    ///
    /// # Errors
    /// As these.
    pub fn trigger_some_until(
        &self,
        by: &impl Participant,
        count: u64,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Triggered, BroadcastError> {
        self.words().trigger(by, Count::Some(count), payload, Until::At(deadline))
    }

    /// As [`trigger_all`](Self::trigger_all), and waits as [`trigger_one_until`](Self::trigger_one_until) does.
    ///
    /// # Errors
    /// As these.
    pub fn trigger_all_until(
        &self,
        by: &impl Participant,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Triggered, BroadcastError> {
        self.words().trigger(by, Count::All, payload, Until::At(deadline))
    }

    /// How many wait in this instant, the dead of whom nobody knows yet included. Does not block.
    ///
    /// Source: Dragon, `dragon_bcast_num_waiting`.
    pub fn num_waiting(&self) -> u64 {
        self.words().waiting()
    }

    /// Puts the event back to where nobody waits: what the dead left is put right, and who waits is let go with
    /// [`BroadcastError::LetGo`]. Returns how many that were. Who comes meanwhile may wait on. Does not block.
    ///
    /// Each is let go by itself: a death in between leaves the others waiting, and the event sound.
    ///
    /// # Errors
    /// [`BroadcastError::Destroyed`], [`BroadcastError::Forked`], [`BroadcastError::Corrupt`].
    /// Source: Dragon, `dragon_bcast_reset`.
    pub fn reset(&self, by: &impl Participant) -> Result<u64, BroadcastError> {
        self.recover(by)?;
        Ok(self.words().let_go(by, Why::LetGo))
    }

    /// Puts right what the dead have left, as triggers and waiters do in passing: a trigger of all is finished, records
    /// and places are freed. Returns how many words named the dead. Does not block.
    ///
    /// # Errors
    /// [`BroadcastError::Destroyed`], [`BroadcastError::Forked`], [`BroadcastError::Corrupt`].
    pub fn recover(&self, by: &impl Participant) -> Result<u64, BroadcastError> {
        let words = self.words();
        Words::name(by)?;
        words.check_life()?;
        Ok(words.finish_for_the_dead(by) + words.rest_for_the_dead(by) + words.reap_all(by))
    }

    /// Ends the event: nobody attaches, waits or triggers any more, and who waits is let go with
    /// [`BroadcastError::Destroyed`]. Does not block. The memory may serve other things once [`is_left`](Self::is_left).
    ///
    /// Commit point: its life says so. Who waits looks at that within 10 ms, whoever dies.
    ///
    /// # Errors
    /// [`BroadcastError::Destroyed`] when it was before, by another; [`BroadcastError::Forked`],
    /// [`BroadcastError::Corrupt`].
    /// Source: Dragon, `dragon_bcast_destroy`.
    pub fn destroy(&self, by: &impl Participant) -> Result<u64, BroadcastError> {
        Words::name(by)?;
        // SeqCst: the look at the places comes behind it; pairs with `enter`.
        if publish_then_look(&self.header().life, IN_USE, DESTROYED).is_err() {
            self.words().check_life()?;
        }
        Ok(self.words().let_go(by, Why::Destroyed))
    }

    /// Whether nobody is inside any more, after it was destroyed: no living waiter, and no living trigger. Frees what the
    /// dead left. Does not block.
    pub fn is_left(&self, by: &impl Participant) -> bool {
        let words = self.words();
        words.reap_all(by);
        words.rest_for_the_dead(by);
        words.finish_for_the_dead(by);
        let state = words.state();
        state.waiting + state.entering + state.released + state.triggers == 0
    }

    /// Waits up to `deadline` until [nobody is inside](Self::is_left) any more, with a look every 10 ms; whether that is so.
    pub fn is_left_until(&self, by: &impl Participant, deadline: Instant) -> bool {
        let event = Event::new(&self.header().room, by.futex());
        loop {
            let armed = event.arm();
            if self.is_left(by) {
                return true;
            }
            let Some(slice) = Until::At(deadline).slice(by) else { return false };
            event.sleep(armed, slice.time);
        }
    }

    /// What it is at, to be read or displayed. Does not block.
    ///
    /// Source: Dragon, `dragon_bcast_state`.
    pub fn state(&self) -> BroadcastState {
        self.words().state()
    }

    /// What is wrong with the words: each that nobody writes, with its offset. Empty for an event that is sound, whoever
    /// is in the middle of what, or died there. Does not block.
    pub fn verify(&self) -> Vec<Corrupt> {
        let header = self.header();
        let is_one = header.magic.load(Ordering::Acquire) == MAGIC;
        let magic = (!is_one).then_some(Corrupt::new("magic of an event", 0));
        let is_same = Shape::read(header).is_ok_and(|shape| shape == self.shape);
        let shape = (!is_same).then_some(Corrupt::new("shape of an event", 8));
        magic.into_iter().chain(shape).chain(self.words().verify()).collect()
    }
}
