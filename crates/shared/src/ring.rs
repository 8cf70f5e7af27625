//! A channel in shared memory: its bytes, who is attached to it, and its repair after a death.
//!
//! | from byte | what | bytes |
//! | --- | --- | --- |
//! | 0 | header, five lines of 64 | 320 |
//! | 320 | listeners, one word each; zero is free | 16 x 8 |
//! | 448 | attachments, one word a process slot of the pool | processes x 8 |
//! | behind them | counts of sleepers, half a word a process slot | processes x 4 |
//! | the next multiple of 64 | headers of the priority levels above the lowest | (levels - 1) x 128 |
//! | behind them | the buffer pool, in channels whose flag says so | 512 |
//! | behind that | slots, a multiple of 64 each, level by level | slots x stride |
//!
//! A slot is `word 8, description 8, payload block`, and its last 48 bytes are message attributes where the channel's
//! flag says so. **Slot words are the truth**; tail and head are hints, stored plainly, which may be old but are never ahead.
//!
//! Messages move by the steps in `weyr-channel`. This file holds what every process of the pool must be able to do
//! for a channel that it may never have used: open it, repair it for a dead process, list the blocks in it, drain it.
//! Whoever does any of that attaches first, so that the memory cannot be freed under its feet.
//!
//! Crash argument: each step is one compare-exchange of one word from the exact value that was judged, so dying
//! between two of them leaves a channel that the next one repairs, and no repairer excludes another.

mod attachment;
mod barrier;
mod buffers;
mod collective;
mod extension;
mod flow;
mod foreign;
mod geometry;
mod level;
mod likeness;
mod lock;
mod map;
mod message_type;
mod name;
mod opening;
mod order;
mod quiesce;
mod repair;
mod settings;
mod sleepers;
mod use_of;
mod waiting;

use weyr_atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, Zeroed, publish_then_look};
use weyr_sys::mapping::Mapping;

use crate::{
    BlockReference, Corrupt, Description, Event, Futex, Interest, Listeners, MAX_LISTENERS, MessageKind,
    Position, Region, SLOT_HEAD_BYTES, Slot, SlotWord, Strided, Table,
};
pub use attachment::AttachError;
use attachment::Attachment;
pub use buffers::{BUFFER_POOL_LIMIT, BufferPoolRecord};
pub use extension::{MessageAttributes, SlotExtension};
pub use flow::{FlowControl, Shares, Wish};
pub use foreign::{FOREIGN_HEAD_BYTES, ForeignRight};
pub use geometry::Geometry;
pub use level::{Level, LevelHeader, MAX_LEVELS};
pub use likeness::Likeness;
pub use lock::{Bar, LockWord, RingLock};
pub use map::Part;
pub use name::{RING_NAME_BYTES, RingName};
pub use opening::RingOpenError;
pub use quiesce::Quiesce;
pub use settings::RingRecord;
pub use sleepers::{Sleeper, Sleepers};
pub use use_of::RingUse;
pub use waiting::Waiting;

crate::layout! {
    /// The header of a channel; the first line is read by every operation and hardly ever written.
    pub struct RingHeader: 320, align 64 {
        /// "weyrchan" once all else is in place, stored last (Release); written by the creator.
        0 => magic: AtomicU64,
        /// Version of this layout; written by the creator.
        8 => version: AtomicU32,
        /// Bit 0: slots have 48 bytes of message attributes behind the block; bit 1: senders copy what is larger than a
        /// block into allocations; bit 2: these lie in another pool; bits 8 and 9: flow control, none 0, resources 1,
        /// memory 2, messages 3; written by the creator.
        12 => flags: AtomicU32,
        /// Payload bytes of a slot, at least 48; written by the creator.
        16 => block_size: AtomicU32,
        /// Number of messages of all levels together, and slots of the lowest, at least 1; written by the creator.
        20 => capacity: AtomicU32,
        /// Bytes from slot to slot, a multiple of 64; written by the creator.
        24 => slot_stride: AtomicU32,
        /// Priority levels, at least 1; written by the creator.
        28 => levels: AtomicU32,
        /// Number of attachment words; written by the creator.
        32 => processes: AtomicU32,
        /// Bits: 1 and 2 a write or read lock was ever used, 4 quiesced, 8 destroyed, 16 named, 32 at rest, 64 a group's, 128 a
        /// barrier, 256 a semaphore; from bit 16 on
        /// how often it was quiesced, which wraps; changed by any process; zero: in use.
        36 => state: AtomicU32,
        /// How often a message was given back; raised by who gave it, and by every repair; wraps.
        40 => returned_made: AtomicU32,
        /// The `returned_made` for which all slots were searched; set by receivers that found nothing.
        44 => returned_seen: AtomicU32,
        /// The write lock, `held:1 | number:39 | process:16 | epoch:8`; changed by who takes or releases it, and by anybody
        /// when its holder is dead; zero: nobody's.
        48 => lock: AtomicU64,
        /// Generation of the block in which the channel lies; written by the creator.
        56 => generation: AtomicU64,
        /// Hint: a position that is not after the tail; stored by senders; zero is the first position.
        64 => tail: AtomicU64,
        /// Hint: a sender that waits, `place | process slot + 1 : 17`; set by it where zero, cleared by it, or by who has let it
        /// go first for long enough; zero: none.
        72 => wish: AtomicU64,
        /// Reserved, zero.
        80 => reserved_tail: [AtomicU64; 6],
        /// Hint: a position that is not after the head; stored by receivers; zero is the first position.
        128 => head: AtomicU64,
        /// Reserved, zero.
        136 => reserved_head: [AtomicU64; 6],
        /// Limit of flow control, in messages or bytes; written by the creator; zero where there is none.
        184 => flow_limit: AtomicU64,
        /// Event on which receivers sleep; changed by receivers that arm it and senders that signal it.
        192 => to_receivers: AtomicU32,
        /// Event on which those sleep who poll; changed by them, and by signals of the other two that find those armed.
        196 => to_pollers: AtomicU32,
        /// The read lock, as the write lock.
        200 => read_lock: AtomicU64,
        /// What can be changed, `count:32 | spinners:32`; spinners: number of waiters that may spin, which nothing depends
        /// on; the count is raised by every quiesce, and wraps; changed by any process.
        208 => settings: AtomicU64,
        /// Process id of the creator, in its pid namespace; written by the creator; zero: not known.
        216 => creator: AtomicU32,
        /// `kind of lock asked for:8`, bit 8: may have existed before; written by the creator.
        220 => notes: AtomicU32,
        /// Reserved, zero.
        224 => reserved_receivers: [AtomicU32; 6],
        /// Fingerprint of the type of which messages are; set once, by the first handle that says one; zero: none.
        248 => message_type: AtomicU64,
        /// Event on which senders sleep; changed by senders that arm it and receivers that signal it.
        256 => to_senders: AtomicU32,
        /// The name that the channel has, or is a candidate for, zeros behind it; written by the creator; zero: none.
        260 => name: [AtomicU8; 60],
    }
}

/// "weyrchan" in the order of the bytes.
pub const RING_MAGIC: u64 = u64::from_le_bytes(*b"weyrchan");
/// The layout that this version writes and reads.
pub const RING_VERSION: u32 = 2;
/// Largest number of slots.
pub const MAX_CAPACITY: u32 = 1 << 24;
/// Smallest payload block, in bytes: with the slot's head it fills one cache line.
/// Source: *Dragon channels*, `DRAGON_CHANNEL_MINIMUM_BYTES_PER_BLOCK`.
pub const MIN_BLOCK_SIZE: u32 = 48;
/// Largest payload block.
pub const MAX_BLOCK_SIZE: u32 = 1 << 30;

const HEADER_BYTES: u64 = 320;
const LISTENER_BYTES: u64 = 8 * MAX_LISTENERS as u64;
const ATTACHMENTS_AT: u64 = HEADER_BYTES + LISTENER_BYTES;
const ATTRIBUTE_BYTES: u64 = 48;
const STATE_DESTROYED: u32 = 8;
/// How often a slot is read again while it changes under the reader.
const UNSTABLE_READS: u32 = 1 << 16;

const _: () = assert!(MAX_CAPACITY <= Position::MAX_CAPACITY);

/// What a message in a slot refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageReference {
    /// The block, whose ownership goes with the message.
    pub block: BlockReference,
    /// First byte of the block that belongs to the message.
    pub view_offset: u64,
    /// Bytes of the block that belong to the message.
    pub view_len: u64,
}

/// A channel in shared memory, as one process sees it; sizes were checked when it was opened and are never re-read.
#[derive(Debug, Clone)]
pub struct Ring {
    header: Table<RingHeader>,
    listeners: Table<AtomicU64>,
    attachments: Table<AtomicU64>,
    sleepers: Table<AtomicU32>,
    /// Headers of the levels above the lowest; none in a channel of one level.
    upper: Option<Table<LevelHeader>>,
    /// Where the buffers lie; none in a channel whose buffers lie in its own pool.
    buffers: Option<Table<BufferPoolRecord>>,
    slots: Strided<Slot>,
    payload: Region,
    /// Byte of `payload` at which the block of slot 0 lies.
    blocks_at: u64,
    geometry: Geometry,
    /// Of the geometry, which would compute them at each use.
    stride: u64,
    slot_count: u32,
    tag: u32,
}

impl Ring {
    /// Makes a channel of `geometry` in `region`, whose block is `reference`. Overwrites what was there; nobody else
    /// may know the memory yet. Commit point: the magic number.
    ///
    /// # Errors
    /// [`Corrupt`] when the region is too small or not on a boundary of 64 bytes, or the geometry is out of range.
    pub fn format(region: &Region, geometry: &Geometry, reference: BlockReference) -> Result<Self, Corrupt> {
        let ring = Self::laid_over(region, geometry, tag_of(reference))?;
        ring.write_header(geometry, reference.generation);
        ring.header().magic.store(RING_MAGIC, Ordering::Release);
        Ok(ring)
    }

    /// A channel in private memory of its own, for models and tests.
    ///
    /// # Errors
    /// [`Corrupt`] when the geometry is out of range, or there is no memory.
    pub fn private(geometry: &Geometry) -> Result<Self, Corrupt> {
        let reference = BlockReference { offset: 0, generation: 1 };
        let ring = Self::over_vectors(geometry, tag_of(reference))?;
        ring.write_header(geometry, reference.generation);
        ring.header().magic.store(RING_MAGIC, Ordering::Release);
        Ok(ring)
    }

    fn laid_over(region: &Region, geometry: &Geometry, tag: u32) -> Result<Self, Corrupt> {
        check_geometry(geometry)?;
        let slots_at = geometry.slots_at();
        Ok(Self {
            header: region.table(0, 1, "channel header")?,
            listeners: region.table(HEADER_BYTES, MAX_LISTENERS as u64, "channel listeners")?,
            attachments: region.table(ATTACHMENTS_AT, geometry.processes.into(), "channel attachments")?,
            sleepers: region.table(geometry.sleepers_at(), geometry.processes.into(), "channel sleepers")?,
            upper: match u64::from(geometry.levels - 1) {
                0 => None,
                upper => Some(region.table(geometry.levels_at(), upper, "channel levels")?),
            },
            buffers: match geometry.buffer_pool {
                true => Some(region.table(geometry.buffer_pool_at(), 1, "channel buffer pool")?),
                false => None,
            },
            slots: region.strided(
                slots_at,
                geometry.stride(),
                geometry.slot_count().into(),
                "channel slots",
            )?,
            payload: region.clone(),
            blocks_at: slots_at + SLOT_HEAD_BYTES,
            geometry: *geometry,
            stride: geometry.stride(),
            slot_count: geometry.slot_count(),
            tag,
        })
    }

    fn over_vectors(geometry: &Geometry, tag: u32) -> Result<Self, Corrupt> {
        check_geometry(geometry)?;
        let bytes = geometry.stride() * u64::from(geometry.slot_count());
        let mapping =
            Mapping::anonymous(bytes as usize).map_err(|_| Corrupt::new("private channel", bytes))?;
        Ok(Self {
            header: Table::from_vec(vec![RingHeader::zeroed()]),
            listeners: Table::from_vec((0..MAX_LISTENERS).map(|_| AtomicU64::zeroed()).collect()),
            attachments: Table::from_vec((0..geometry.processes).map(|_| AtomicU64::zeroed()).collect()),
            sleepers: Table::from_vec((0..geometry.processes).map(|_| AtomicU32::zeroed()).collect()),
            upper: (geometry.levels > 1)
                .then(|| Table::from_vec((1..geometry.levels).map(|_| LevelHeader::zeroed()).collect())),
            buffers: geometry.buffer_pool.then(|| Table::from_vec(vec![BufferPoolRecord::zeroed()])),
            slots: Strided::from_vec((0..geometry.slot_count()).map(|_| Slot::zeroed()).collect()),
            payload: Region::new(mapping.into()),
            blocks_at: SLOT_HEAD_BYTES,
            geometry: *geometry,
            stride: geometry.stride(),
            slot_count: geometry.slot_count(),
            tag,
        })
    }

    fn write_header(&self, geometry: &Geometry, generation: u64) {
        let header = self.header();
        header.version.store(RING_VERSION, Ordering::Relaxed);
        header.flags.store(geometry.flags(), Ordering::Relaxed);
        header.block_size.store(geometry.block_size, Ordering::Relaxed);
        header.capacity.store(geometry.capacity, Ordering::Relaxed);
        header.slot_stride.store(geometry.stride() as u32, Ordering::Relaxed);
        header.levels.store(geometry.levels, Ordering::Relaxed);
        header.flow_limit.store(geometry.flow_control.limit(), Ordering::Relaxed);
        header.processes.store(geometry.processes, Ordering::Relaxed);
        header.generation.store(generation, Ordering::Relaxed);
        self.clear_changing_words();
    }

    /// What changes in use starts at zero; payload is not cleared.
    fn clear_changing_words(&self) {
        let header = self.header();
        let truths = [&header.lock, &header.read_lock, &header.settings, &header.message_type];
        for word in truths.into_iter().chain([&header.tail, &header.head, &header.wish]) {
            word.store(0, Ordering::Relaxed);
        }
        let small = [&header.state, &header.returned_made, &header.returned_seen];
        let events = [&header.to_receivers, &header.to_senders, &header.to_pollers];
        let said = [&header.creator, &header.notes];
        for word in small.into_iter().chain(events).chain(said).chain(self.sleepers.iter()) {
            word.store(0, Ordering::Relaxed);
        }
        self.clear_levels();
        self.set_buffer_pool(&[]);
        header.name.iter().for_each(|byte| byte.store(0, Ordering::Relaxed));
        self.listeners.iter().for_each(|entry| entry.store(0, Ordering::Relaxed));
        for attachment in self.attachments.iter() {
            attachment.store(Attachment::new(self.tag, 0, 0).0, Ordering::Relaxed);
        }
        for slot in self.each_slot() {
            slot.word.store(0, Ordering::Relaxed);
            slot.description.store(0, Ordering::Relaxed);
        }
    }

    fn each_slot(&self) -> impl Iterator<Item = &Slot> {
        (0..self.slots.count()).filter_map(|index| self.slots.get(index))
    }
}

/// What an operation on one slot needs.
impl Ring {
    /// The header, whose fields the operations load and store by name.
    #[inline]
    pub fn header(&self) -> &RingHeader {
        &self.header[0]
    }

    /// Number of messages of all levels together, and slots of the lowest.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.geometry.capacity
    }

    /// Payload bytes of a slot.
    #[inline]
    pub fn block_size(&self) -> u32 {
        self.geometry.block_size
    }

    /// Its sizes, as they were when it was opened.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Bytes of the whole channel.
    pub fn bytes(&self) -> u64 {
        self.geometry.bytes()
    }

    /// Whether what is larger than a block is sent as a copy in an allocation.
    pub fn side_loads(&self) -> bool {
        self.geometry.side_loading
    }

    /// Byte of the channel at which the first slot lies, and bytes from slot to slot.
    pub fn slots_at(&self) -> (u64, u64) {
        (self.blocks_at - SLOT_HEAD_BYTES, self.stride)
    }

    /// Byte of the channel at which the attachments lie, and how many there are.
    pub fn attachments_at(&self) -> (u64, u64) {
        (ATTACHMENTS_AT, self.attachments.len() as u64)
    }

    /// Whether the channel was destroyed: no message may be sent or received any more.
    #[inline]
    pub fn is_destroyed(&self) -> bool {
        self.header().state.load(Ordering::Acquire) & STATE_DESTROYED != 0
    }

    /// Forbids all further messages. True for the one that did it.
    pub fn destroy<F: Futex>(&self, futex: &F) -> bool {
        let before = self.header().state.fetch_or(STATE_DESTROYED, Ordering::SeqCst);
        self.wake_everybody(futex);
        before & STATE_DESTROYED == 0
    }

    /// The event on which receivers sleep.
    #[inline]
    pub fn to_receivers<'a, F: Futex>(&'a self, futex: &'a F) -> Event<'a, F> {
        let event = Event::new(&self.header().to_receivers, futex).watched(&self.header().to_pollers);
        event.heard(self.listeners(), Interest::ARRIVALS)
    }

    /// The event on which senders sleep.
    #[inline]
    pub fn to_senders<'a, F: Futex>(&'a self, futex: &'a F) -> Event<'a, F> {
        // Senders of different levels wait for different slots: one that is woken in vain must not use up the wake.
        let sleepers = if self.geometry.levels == 1 { 1 } else { u32::MAX };
        let event = Event::new(&self.header().to_senders, futex).waking(sleepers);
        event.watched(&self.header().to_pollers).heard(self.listeners(), Interest::DEPARTURES)
    }

    /// The event on which those sleep who poll. Whoever arms it then arms one of the other two, or both: see
    /// [`Event::watched`].
    pub fn to_pollers<'a, F: Futex>(&'a self, futex: &'a F) -> Event<'a, F> {
        Event::new(&self.header().to_pollers, futex)
    }

    /// Those who listen to the two events above.
    #[inline]
    pub fn listeners(&self) -> Listeners<'_> {
        Listeners::new(&self.listeners)
    }

    /// One word of their table, for models.
    pub fn listener_word(&self, index: usize) -> Option<&AtomicU64> {
        self.listeners.get(index)
    }

    fn wake_everybody<F: Futex>(&self, futex: &F) {
        self.to_receivers(futex).raise();
        self.to_senders(futex).raise();
    }

    /// The word of slot `index` (Acquire).
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or no such word.
    #[inline]
    pub fn load(&self, index: u32) -> Result<SlotWord, Corrupt> {
        SlotWord::parse(self.slot(index)?.word.load(Ordering::Acquire), self.word_at(index))
    }

    /// The word of slot `index` as it stands there, unchecked (Acquire). None: no such slot.
    #[inline(always)]
    pub fn word(&self, index: u32) -> Option<u64> {
        Some(self.slots.get(index as usize)?.word.load(Ordering::Acquire))
    }

    /// What [`word`](Self::word) said of slot `index`.
    ///
    /// # Errors
    /// [`Corrupt`]: no such word.
    pub fn parsed(&self, index: u32, word: u64) -> Result<SlotWord, Corrupt> {
        SlotWord::parse(word, self.word_at(index))
    }

    /// Changes slot `index` from exactly `from` to `to`: claims, takes, revokes, repairs. Says whether it did.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    #[inline]
    pub fn claim(&self, index: u32, from: SlotWord, to: SlotWord) -> Result<bool, Corrupt> {
        let word = &self.slot(index)?.word;
        // SeqCst: who claims to send or to receive looks behind it whether there is a lock. On x86 and aarch64 it is the
        // instruction of an AcqRel exchange.
        Ok(word.compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::Acquire).is_ok())
    }

    /// As [`claim`](Self::claim), and what the caller loads next is at least as new as what a sleeper changed that
    /// does not see this: for every change after which an event is signalled.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    #[inline]
    pub fn publish(&self, index: u32, from: SlotWord, to: SlotWord) -> Result<bool, Corrupt> {
        Ok(publish_then_look(&self.slot(index)?.word, from.bits(), to.bits()).is_ok())
    }

    /// Writes the bytes of a message into slot `index`, which the caller, process slot `sender`, holds in FILLING.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or more bytes than a block has.
    #[inline]
    pub fn write_inline(&self, index: u32, sender: u16, bytes: &[u8]) -> Result<(), Corrupt> {
        let at = self.block_at(index, bytes.len() as u64)?;
        self.payload.copy_in(at, bytes)?;
        self.describe(index, sender, Description { len: bytes.len() as u32, kind: MessageKind::Inline })
    }

    /// Writes a reference into slot `index`, which the caller, process slot `sender`, holds in FILLING.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    #[inline]
    pub fn write_reference(
        &self,
        index: u32,
        sender: u16,
        message: &MessageReference,
    ) -> Result<(), Corrupt> {
        self.write_place(index, message)?;
        self.describe(index, sender, Description { len: 32, kind: MessageKind::Reference })
    }

    #[inline]
    fn write_place(&self, index: u32, message: &MessageReference) -> Result<(), Corrupt> {
        let slot = self.slot(index)?;
        slot.offset.store(message.block.offset, Ordering::Relaxed);
        slot.generation.store(message.block.generation, Ordering::Relaxed);
        slot.view_offset.store(message.view_offset, Ordering::Relaxed);
        slot.view_len.store(message.view_len, Ordering::Relaxed);
        Ok(())
    }

    #[inline]
    fn describe(&self, index: u32, sender: u16, description: Description) -> Result<(), Corrupt> {
        self.slot(index)?.description.store(description.bits(sender), Ordering::Relaxed);
        Ok(())
    }

    /// What the message in slot `index` is; its length lies within the block.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, unknown kind, or a length beyond the block.
    #[inline]
    pub fn description(&self, index: u32) -> Result<Description, Corrupt> {
        let at = self.word_at(index) + 8;
        let description = Description::parse(self.slot(index)?.description.load(Ordering::Relaxed), at)?;
        if description.len > self.geometry.block_size {
            return Err(Corrupt::new("message length", at));
        }
        Ok(description)
    }

    /// The process slot of who sent the message in slot `index`: an allegation, and perhaps its successor's by now.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    #[inline]
    pub fn sender(&self, index: u32) -> Result<u16, Corrupt> {
        Ok(Description::sender_in(self.slot(index)?.description.load(Ordering::Relaxed)))
    }

    /// Copies the start of the message in slot `index`, which the caller holds, into the whole of `bytes`.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or more bytes than a block has.
    #[inline]
    pub fn read_inline(&self, index: u32, bytes: &mut [u8]) -> Result<(), Corrupt> {
        let at = self.block_at(index, bytes.len() as u64)?;
        self.payload.copy_out(at, bytes)
    }

    /// The reference in slot `index`; means something only while the word says that a reference is there.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn reference(&self, index: u32) -> Result<MessageReference, Corrupt> {
        let slot = self.slot(index)?;
        let block = BlockReference {
            offset: slot.offset.load(Ordering::Relaxed),
            generation: slot.generation.load(Ordering::Relaxed),
        };
        let view_offset = slot.view_offset.load(Ordering::Relaxed);
        Ok(MessageReference { block, view_offset, view_len: slot.view_len.load(Ordering::Relaxed) })
    }

    /// Raises the count of messages given back, after one was.
    pub fn count_returned(&self) {
        self.header().returned_made.fetch_add(1, Ordering::SeqCst);
    }

    /// Slot `index`.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    #[inline]
    pub fn slot(&self, index: u32) -> Result<&Slot, Corrupt> {
        self.slots.get(index as usize).ok_or_else(|| Corrupt::new("slot index", index.into()))
    }

    /// For messages to people: the byte of the channel at which the word lies.
    fn word_at(&self, index: u32) -> u64 {
        self.blocks_at - SLOT_HEAD_BYTES + self.stride * u64::from(index)
    }

    #[inline]
    fn block_at(&self, index: u32, len: u64) -> Result<u64, Corrupt> {
        let at = self.blocks_at + self.stride * u64::from(index);
        if index < self.slot_count && len <= u64::from(self.geometry.block_size) {
            Ok(at)
        } else {
            Err(Corrupt::new("message length", at))
        }
    }
}

/// Any number that other channels and other uses of the same memory will hardly have.
fn tag_of(reference: BlockReference) -> u32 {
    let mixed = (reference.generation ^ reference.offset.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32 | 1
}

fn check_geometry(geometry: &Geometry) -> Result<(), Corrupt> {
    if geometry.is_valid() { Ok(()) } else { Err(Corrupt::new("channel sizes", 16)) }
}
