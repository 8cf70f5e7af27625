//! Whatever stands in the words of a pool, every call returns: with a result or a named error, without a panic, a
//! signal or a hang.
//!
//! A few hundred rounds with a seed each; `WEYR_SWEEP=full` runs some thousands, `WEYR_SEED` begins elsewhere.
#![forbid(unsafe_code)]

mod scratch;

use rustix::process::{Resource, Rlimit, setrlimit};
use scratch::Line;
use scratch::made_of::{self, Bytes, Home, Made};
use weyr_kill::{Child, Outcome, child, is_few_writes, note};
use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::{Allocation, AllocationDescriptor, Growth, Mode, Pool, PoolAttributes, Published};
use weyr_shared::{BlockReference, Layout};

/// Seconds of processor time after which a child counts as hanging.
const PATIENCE: u64 = 120;

/// Source: Steele, Lea, Flood, *Fast splittable pseudorandom number generators* (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The pools of the rounds: a small one, and one that grows, of a number of pages that fills no word of hints.
fn shape(growing: bool) -> Shape {
    Shape {
        page_shift: 12,
        initial_pages: if growing { 40 } else { 100 },
        segment_pages: 20,
        maximum_pages: 100,
        process_limit: 6,
        lane_limit: 10,
        channel_limit: 4,
        manifest_limit: 20,
    }
}

fn attributes(growing: bool) -> PoolAttributes {
    let shape = shape(growing);
    let bytes = |pages: u64| pages << shape.page_shift;
    let growth = if growing { Growth::UpTo(bytes(shape.maximum_pages)) } else { Growth::None };
    PoolAttributes::new("spoilt", bytes(shape.initial_pages))
        .page_size(bytes(1))
        .growth(growth)
        .segment_size(bytes(shape.segment_pages))
        .processes(shape.process_limit)
        .lanes(shape.lane_limit)
        .channels(shape.channel_limit)
        .manifest_entries(shape.manifest_limit)
}

/// The words that are overwritten: name, first byte, number. Not the header's identity, which is read once, by who
/// attaches; and not the payload.
fn tables(geometry: &Geometry) -> Vec<(&'static str, u64, u64)> {
    let (at, shape) = (geometry.offsets, geometry.shape);
    let bits = geometry.page_bit_words();
    let lane_words = u64::from(shape.lane_limit) * weyr_managed::layout::Lane::SIZE as u64 / 8;
    let slot_words = u64::from(shape.process_limit) * weyr_managed::layout::ProcessSlot::SIZE as u64 / 8;
    let descriptor_words = shape.maximum_pages * weyr_managed::layout::PageDescriptor::SIZE as u64 / 8;
    vec![
        ("header", 136, 1),
        ("header hints", 192, 12),
        ("process slots", at.processes, slot_words),
        ("lanes", at.lanes, lane_words),
        ("channel table", at.channels, shape.channel_limit.into()),
        ("page words", at.page_words, shape.maximum_pages),
        ("used", at.used, bits),
        ("orphan", at.orphan, bits),
        ("pending", at.pending, bits),
        ("descriptors", at.descriptors, descriptor_words),
        ("tier 0", at.tiers[0], geometry.tier_words(0)),
        ("tier 2", at.tiers[2], geometry.tier_words(2)),
        ("tier 3", at.tiers[3], geometry.tier_words(3)),
        ("long", at.long, geometry.long_words()),
        ("manifest", at.manifest, geometry.manifest_buckets() * 32),
        ("manifest index", at.manifest_index, geometry.manifest_places() / 2),
        ("backed metadata", at.metadata_backed, 1),
        ("backed data", at.data_backed, 1),
    ]
}

/// Overwrites some words with what might stand there, or with anything.
fn spoil(bytes: &Bytes, geometry: &Geometry, random: &mut Random) {
    let tables = tables(geometry);
    for _ in 0..1 + random.below(40) {
        let (_, start, words) = tables[random.below(tables.len() as u64) as usize];
        // The words in front are those in use.
        let range = if random.below(2) == 0 { words } else { words.min(24) };
        let place = start + random.below(range) * 8;
        let read = |place: u64| bytes.word_at(place);
        let now = read(place);
        let value = match random.below(7) {
            0 => random.next(),
            1 => now ^ 1 << random.below(64),
            2 => (now & !15) | random.below(16),
            3 => read(start + random.below(words) * 8),
            4 => [0, 1, u64::MAX, 1 << 63, u64::MAX >> 1][random.below(5) as usize],
            5 => random.below(256) << 4 | random.below(7) | (now & !0xfff),
            _ => now.wrapping_add(random.below(5)).wrapping_sub(2),
        };
        bytes.write_at(&value.to_le_bytes(), place);
    }
}

/// Every public operation. What it says is not looked at; that it says something is.
fn everything(pool: &Pool, held: &mut Vec<Allocation>, random: &mut Random) {
    for _ in 0..60 {
        let bytes = [0, 64, 100, 500, 2000, 5000, 9000, 40_000, 300_000][random.below(9) as usize];
        if let Ok(mut memory) = pool.alloc(bytes) {
            let _said = memory.fill(1);
            let _said = memory.read(0, &mut [0; 64]);
            held.push(memory);
        }
        while held.len() > 12 {
            let index = random.below(held.len() as u64) as usize;
            let memory = held.swap_remove(index);
            match random.below(8) {
                4 | 5 => typed(pool, memory, random),
                0 => publish(pool, memory.publish().ok(), random),
                1 => publish(pool, memory.freeze().ok(), random),
                2 => transfer(pool, memory),
                3 => channel(pool, memory),
                _ => drop(memory),
            }
        }
        look(pool, random);
    }
}

fn publish(pool: &Pool, published: Option<Published>, random: &mut Random) {
    let Some(published) = published else { return };
    let _said = (published.exists(), published.write(0, b"x"), published.read(0, &mut [0; 8]));
    let _said = published.clone_view(1, 2).map(|view| view.read(0, &mut [0; 2]));
    let reference = BlockReference {
        offset: random.below(1 << 20) & !63,
        generation: published.reference().generation ^ random.below(2),
    };
    let strange = AllocationDescriptor { reference, view_bytes: 1, ..published.descriptor() };
    if let Ok(opened) = pool.open(&strange) {
        let _said = (opened.read(0, &mut [0; 1]), opened.free());
    }
    if let Ok(opened) = pool.open(&published.descriptor()) {
        let _said = (opened.free(), published.free());
    }
}

fn typed(pool: &Pool, memory: Allocation, random: &mut Random) {
    let (type_id, id) = (1 + random.below(2) as u32, random.below(30));
    publish(pool, memory.publish_as(type_id, id).ok(), random);
    let _said = (pool.exists(type_id, id), pool.manifest_of_type(type_id).count(), pool.allocations().len());
    if let Ok(found) = pool.find(type_id, id).or_else(|_| pool.find_by_id(random.below(1 << 20))) {
        let _said = (found.read(0, &mut [0; 8]), pool.open(&found.descriptor()).is_ok(), found.free());
    }
}

fn transfer(pool: &Pool, memory: Allocation) {
    let (reference, bytes) = (memory.reference(), memory.len());
    if pool.begin_transfer(reference).is_ok() {
        let _said = pool.is_in_flight(reference);
        let _said = (pool.take_transfer(reference, bytes), pool.revert_transfer(reference));
        let _said = pool.end_transfer(memory);
    }
}

fn channel(pool: &Pool, memory: Allocation) {
    match pool.make_channel(memory) {
        Ok(block) => {
            let _said = (pool.channel_block(block.reference), pool.channel_blocks().len());
            let _said = pool.free_channel(block.reference);
        }
        Err(refused) => drop(refused),
    }
}

fn look(pool: &Pool, random: &mut Random) {
    match random.below(12) {
        0 => drop(pool.usage()),
        1 => drop(pool.verify(Mode::Online)),
        2 => drop(pool.verify(Mode::Quiesced)),
        3 => drop(pool.members()),
        4 => {
            let _said = (pool.recover(), pool.size(), pool.is_destroyed(), pool.actor());
        }
        5 => {
            let inspection = Pool::inspect(pool.path());
            let _said = inspection.map(|pool| (pool.usage(), pool.verify(Mode::Online), pool.members()));
        }
        6 => std::thread::scope(|scope| drop(scope.spawn(|| drop(pool.alloc(100))))),
        _ => {}
    }
}

fn limit_time() {
    setrlimit(Resource::Cpu, Rlimit { current: Some(PATIENCE), maximum: Some(PATIENCE) }).unwrap();
}

/// One who was there before the words were spoilt, one who comes behind, and one who is dead: the first alone where
/// nobody else can have the pool.
fn round(made: Made, seed: u64) {
    let mut random = Random(seed);
    let growing = seed.is_multiple_of(2) && made.grows();
    let geometry = Geometry::new(shape(growing));
    let home = made.is_shared().then(|| made.create(&attributes(growing)).1);
    let line = Line::new();
    let mut first = child::spawn(|| {
        limit_time();
        let (mut random, mut held) = (Random(seed ^ 1), Vec::new());
        let (pool, _home) = match &home {
            Some(home) => (home.attach().unwrap(), None),
            None => {
                let (pool, home) = made.create(&attributes(growing));
                (pool, Some(home))
            }
        };
        everything(&pool, &mut held, &mut random);
        line.to_parent.send(pool.region().address() - geometry.offsets.data).unwrap();
        line.to_child.wait().unwrap();
        everything(&pool, &mut held, &mut random);
        drop((held, pool));
    })
    .unwrap();
    let address = line.to_parent.wait_from(&first).expect("sound words are no hindrance");
    let bytes = match &home {
        Some(home) => Bytes::of_file(&home.bytes()),
        None => Bytes::of_process(first.id(), address),
    };
    let come = |seed, leaving| home.as_ref().map(|home| newcomer(home, seed, leaving));
    let dead = come(seed ^ 2, true);
    dead.into_iter().for_each(|mut dead| assert_eq!(dead.wait().unwrap(), Outcome::Exited(0)));
    spoil(&bytes, &geometry, &mut random);
    line.to_child.post().unwrap();
    let mut second = come(seed ^ 3, false);
    // And while they are at it, as long as they are there.
    if second.is_some() {
        (0..5).for_each(|_| spoil(&bytes, &geometry, &mut random));
    }
    for (name, child) in [("the first", Some(&mut first)), ("the newcomer", second.as_mut())] {
        let Some(child) = child else { continue };
        assert_eq!(child.wait().unwrap(), Outcome::Exited(0), "WEYR_SEED={seed}: {name}");
    }
}

/// Attaches and does everything; `leaving` blocks behind without a word, or leaving properly.
fn newcomer(home: &Home, seed: u64, leaving: bool) -> Child {
    let work = move || {
        limit_time();
        let (mut random, mut held) = (Random(seed), Vec::new());
        if let Ok(pool) = home.attach() {
            everything(&pool, &mut held, &mut random);
            if leaving {
                std::mem::forget((pool, held));
            }
        }
    };
    child::spawn(work).unwrap()
}

#[test]
fn whatever_stands_in_the_words_every_call_returns() {
    let full = std::env::var("WEYR_SWEEP").is_ok_and(|choice| choice == "full");
    let first = std::env::var("WEYR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
    let rounds = if full {
        5000
    } else if is_few_writes() {
        40
    } else {
        300
    };
    let made = made_of::chosen();
    let mut failed = Vec::new();
    for seed in first..first + rounds {
        if std::panic::catch_unwind(|| round(made, seed)).is_err() {
            failed.push(seed);
        }
    }
    let (name, count) = (made.name(), failed.len());
    note(format_args!("corruption of a pool of {name}: {rounds} rounds from seed {first}, {count} failed"));
    assert!(failed.is_empty(), "seeds {failed:?}");
}
