//! The pool whose metadata is overwritten, as its bytes were, and the overwrites.

use std::ops::Range;

use weyr_channel::{Channel, ChannelAttributes, ChannelDescriptor};
use weyr_kill::{Child, Rendezvous, child};
use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::layout::{Lane, PageDescriptor, PoolHeader, ProcessSlot};
use weyr_managed::{AllocationDescriptor, Error, Growth, Inspection, Pool, PoolAttributes};
use weyr_shared::{Geometry as RingGeometry, Layout};

use crate::made_of::{self, Bytes, Home};
use crate::random::Random;

pub(crate) const SHAPE: Shape = Shape {
    page_shift: 12,
    initial_pages: 60,
    segment_pages: 20,
    maximum_pages: 100,
    process_limit: 6,
    lane_limit: 10,
    channel_limit: 4,
    manifest_limit: 12,
};
pub(crate) const RING: RingGeometry =
    RingGeometry { block_size: 64, capacity: 5, processes: SHAPE.process_limit, ..RingGeometry::PLAIN };

/// A pool in use by one process, which stands while its bytes are overwritten.
pub(crate) struct Ground {
    directory: tempfile::TempDir,
    pub(crate) home: Home,
    pub(crate) geometry: Geometry,
    pub(crate) channel: ChannelDescriptor,
    /// First byte of the channel in the object.
    pub(crate) ring_at: u64,
    pub(crate) published: AllocationDescriptor,
    bytes: Bytes,
    /// All bytes, as they were.
    image: Vec<u8>,
    _owner: Child,
}

/// The bytes are put back after each round, with their number: what cannot be made shorter may not grow.
fn shape() -> Shape {
    let grows = made_of::chosen().can_be_shortened();
    Shape { maximum_pages: if grows { SHAPE.maximum_pages } else { SHAPE.initial_pages }, ..SHAPE }
}

fn attributes() -> PoolAttributes {
    let bytes = |pages: u64| pages << SHAPE.page_shift;
    let maximum = shape().maximum_pages;
    let growth = if maximum > SHAPE.initial_pages { Growth::UpTo(bytes(maximum)) } else { Growth::None };
    PoolAttributes::new("overwritten", bytes(SHAPE.initial_pages))
        .page_size(bytes(1))
        .growth(growth)
        .segment_size(bytes(SHAPE.segment_pages))
        .processes(SHAPE.process_limit)
        .lanes(SHAPE.lane_limit)
        .channels(SHAPE.channel_limit)
        .manifest_entries(SHAPE.manifest_limit)
}

/// Blocks of all kinds, a channel with messages of all kinds, and a lease; then it stands for ever.
fn own(home: &Home, directory: &std::path::Path, told: &Rendezvous) {
    let pool = home.attach().unwrap();
    let channel = ChannelAttributes::new().block_size(RING.block_size.into()).capacity(RING.capacity.into());
    let channel = Channel::create(&pool, &channel).unwrap();
    let held = [64, 100, 100, 700, 3000, 9000, 20_000].map(|bytes| pool.alloc(bytes).unwrap());
    let published = pool.alloc(500).unwrap().publish().unwrap();
    let frozen = pool.alloc(9000).unwrap().freeze().unwrap();
    drop(pool.alloc(5000).unwrap());
    let sender = channel.sender();
    sender.send(b"leased").unwrap();
    let lease = channel.lease().unwrap();
    sender.send_allocation(pool.alloc(300).unwrap()).unwrap();
    sender.send(b"bytes").unwrap();
    sender.send_allocation(pool.alloc(6000).unwrap()).unwrap();
    std::fs::write(directory.join("channel"), channel.descriptor().to_bytes()).unwrap();
    std::fs::write(directory.join("published"), published.descriptor().to_bytes()).unwrap();
    told.post().unwrap();
    std::mem::forget((held, published, frozen, lease));
    loop {
        std::thread::park();
    }
}

impl Ground {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let told = Rendezvous::new().unwrap();
        let (_, home) = made_of::chosen().create(&attributes());
        let owner = child::spawn(|| own(&home, directory.path(), &told)).unwrap();
        told.wait_from(&owner).unwrap();
        let said = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
        let channel = ChannelDescriptor::from_bytes(&said("channel")).unwrap();
        let published = AllocationDescriptor::from_bytes(&said("published")).unwrap();
        let geometry = Geometry::new(shape());
        let bytes = Bytes::of_file(&home.bytes());
        let image = std::fs::read(home.bytes()).unwrap();
        let ring_at = geometry.offsets.data + channel.reference().offset;
        Self { directory, home, geometry, channel, ring_at, published, bytes, image, _owner: owner }
    }

    /// All bytes as they were, and as many.
    pub(crate) fn restore(&self) {
        self.bytes.set_len(self.image.len() as u64);
        self.bytes.write_at(&self.image, 0);
    }

    /// The pool for who only looks: where it has no name, a copy as it is now, which nobody else writes to.
    pub(crate) fn inspect(&self) -> Result<Inspection, Error> {
        if made_of::chosen().pool_type().is_named() {
            return Pool::inspect(&self.home.bytes());
        }
        let copy = tempfile::NamedTempFile::new_in(self.directory.path()).unwrap();
        std::fs::copy(self.home.bytes(), copy.path()).unwrap();
        Pool::inspect(copy.path())
    }

    /// All words of the tables and of the data as they are; those of the data are the channel's.
    pub(crate) fn metadata(&self) -> Vec<u64> {
        let mut bytes = vec![0; self.image.len()];
        self.bytes.read_at(&mut bytes, 0).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
    }

    pub(crate) fn apply(&self, overwrite: &Overwrite) {
        self.bytes.write_at(&overwrite.bytes, overwrite.at);
    }

    /// Where a word of some kind lies that the pool depends on.
    fn truth_word(&self, random: &mut Random) -> u64 {
        let at = &self.geometry.offsets;
        let (kind, any) = (random.below(7), |count: u64, random: &mut Random| random.below(count));
        match kind {
            0 => at.processes + any(SHAPE.process_limit.into(), random) * ProcessSlot::SIZE as u64,
            1 => at.lanes + any(4, random) * Lane::SIZE as u64,
            2 => at.page_words + any(32, random) * 8,
            3 => self.ring_at + RING.slots_at() + any(RING.capacity.into(), random) * RING.stride(),
            4 => self.ring_at + RING.slots_at() + any(RING.bytes() - RING.slots_at(), random) / 8 * 8,
            _ => self.used_block_word(random),
        }
    }

    /// Where the word of a block lies that is or was in use.
    fn used_block_word(&self, random: &mut Random) -> u64 {
        let tiers = self.geometry.offsets.tiers[0] / 8..self.geometry.offsets.long / 8;
        let words: Vec<u64> = self.metadata();
        let used: Vec<u64> = tiers.filter(|index| words[*index as usize] != 0).collect();
        used[random.below(used.len() as u64) as usize] * 8
    }

    /// Bytes of each table, and of the channel.
    fn tables(&self) -> Vec<Range<u64>> {
        let (geometry, at) = (&self.geometry, &self.geometry.offsets);
        let words = |start: u64, count: u64| start..start + count * 8;
        let rows = |start: u64, count: u32, bytes: usize| start..start + u64::from(count) * bytes as u64;
        let bits = geometry.page_bit_words();
        let mut tables = vec![
            0..PoolHeader::SIZE as u64,
            0..320,
            words(at.metadata_backed, 1),
            words(at.data_backed, 1),
            rows(at.processes, SHAPE.process_limit, ProcessSlot::SIZE),
            rows(at.lanes, SHAPE.lane_limit, Lane::SIZE),
            words(at.channels, SHAPE.channel_limit.into()),
            words(at.page_words, geometry.shape.maximum_pages),
            words(at.page_words, 40),
            words(at.used, bits),
            words(at.orphan, bits),
            words(at.pending, bits),
            rows(at.descriptors, 40, PageDescriptor::SIZE),
            words(at.long, geometry.long_words()),
            self.ring_at..self.ring_at + RING.bytes(),
            self.ring_at..self.ring_at + 64,
            self.ring_at + RING.slots_at()..self.ring_at + RING.bytes(),
        ];
        tables.extend((0..4).map(|tier| words(at.tiers[tier], geometry.tier_words(tier))));
        tables.extend([0, 0, 1, 2].map(|tier| words(at.tiers[tier], geometry.tier_words(tier) / 3)));
        tables
    }
}

/// Bytes, and where they are put.
#[derive(Clone)]
pub(crate) struct Overwrite {
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

impl std::fmt::Debug for Overwrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = &self.bytes[..self.bytes.len().min(8)];
        write!(f, "{} bytes {first:02x?} at {:#x}", self.bytes.len(), self.at)
    }
}

impl Overwrite {
    pub(crate) fn is_of_one_word(&self) -> bool {
        self.bytes.len() == 8
    }

    /// Whether it can make the living look dead: then others repair what they are at, and they find it changed.
    pub(crate) fn is_of_who_somebody_is(&self, ground: &Ground) -> bool {
        let at = &ground.geometry.offsets;
        self.at < at.channels && self.at + self.bytes.len() as u64 > at.processes
    }

    /// A bit or a word of some table, or a page of the metadata.
    pub(crate) fn draw(ground: &Ground, random: &mut Random) -> Self {
        if random.one_in(8) {
            return Self::page(ground, random);
        }
        let tables = ground.tables();
        let table = &tables[random.below(tables.len() as u64) as usize];
        let at = if random.one_in(2) {
            table.start + random.below((table.end - table.start) / 8) * 8
        } else {
            ground.truth_word(random)
        };
        let read = |at: u64| ground.bytes.word_at(at);
        let now = read(at);
        let other = table.start + random.below((table.end - table.start) / 8) * 8;
        let value = match random.below(9) {
            0..4 => now ^ 1 << random.below(64),
            4 => random.next(),
            5 => (now & !15) | random.below(16),
            6 => read(other),
            7 => [0, 1, u64::MAX, 1 << 63, u64::MAX >> 1][random.below(5) as usize],
            _ => now.wrapping_add(random.below(5)).wrapping_sub(2),
        };
        Self { at, bytes: value.to_le_bytes().to_vec() }
    }

    fn page(ground: &Ground, random: &mut Random) -> Self {
        let pages = ground.geometry.offsets.metadata_end.div_ceil(4096);
        let in_channel = random.one_in(6);
        let (at, len) =
            if in_channel { (ground.ring_at, RING.bytes()) } else { (random.below(pages) * 4096, 4096) };
        let same = random.next().to_le_bytes();
        let bytes = match random.below(4) {
            0 => vec![0; len as usize],
            1 => vec![0xff; len as usize],
            2 => same.iter().copied().cycle().take(len as usize).collect(),
            _ => (0..len).map(|_| random.next() as u8).collect(),
        };
        Self { at, bytes }
    }
}
