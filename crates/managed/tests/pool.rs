//! Pools as their users see them, in one process.

mod roomy;

use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;

use weyr_managed::layout::PoolHeader;
use weyr_managed::{Error, Growth, Mode, Pool, PoolAttributes, PoolDescriptor};
use weyr_shared::Layout;

/// A pool that is destroyed at the end of the test, however it ends.
struct Scratch(Pool);

impl Scratch {
    fn new(test: &str, bytes: u64) -> Self {
        Self::with(PoolAttributes::new(Self::name(test), bytes))
    }
    fn with(attributes: PoolAttributes) -> Self {
        Self(Pool::create(&attributes).unwrap())
    }
    fn name(test: &str) -> String {
        format!("test-{test}-{}", std::process::id())
    }
}

impl std::ops::Deref for Scratch {
    type Target = Pool;
    fn deref(&self) -> &Pool {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _destroyed_by_the_test = self.0.destroy();
    }
}

fn assert_empty(pool: &Pool) {
    let verification = pool.verify(Mode::Quiesced);
    assert!(verification.holds(), "{:#?}", verification.findings);
    assert_eq!(verification.blocks, 0);
}

#[test]
fn what_is_allocated_is_written_read_and_freed() {
    let pool = Scratch::new("roundtrip", 1 << 20);
    for bytes in [0, 1, 64, 65, 500, 4096, 5000, 100_000] {
        let mut memory = pool.alloc(bytes).unwrap();
        assert_eq!(memory.len(), bytes);
        let pattern: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
        memory.write(0, &pattern).unwrap();
        let mut back = vec![0; bytes as usize];
        memory.read(0, &mut back).unwrap();
        assert_eq!(back, pattern);
    }
    assert_empty(&pool);
}

#[test]
fn pools_and_what_they_give_go_between_threads() {
    fn assert_send_and_sync<T: Send + Sync + 'static>() {}
    assert_send_and_sync::<Pool>();
    assert_send_and_sync::<weyr_managed::Allocation>();
    assert_send_and_sync::<weyr_managed::Published>();
    assert_send_and_sync::<weyr_managed::Inspection>();
    assert_send_and_sync::<Error>();
}

#[test]
fn no_two_live_allocations_overlap() {
    let pool = Scratch::new("overlap", 1 << 20);
    let mut live = Vec::new();
    for round in 0..400u64 {
        if let Ok(memory) = pool.alloc(1 + round * 37 % 9000) {
            live.push(memory);
        }
        if round % 3 == 0 && !live.is_empty() {
            live.swap_remove((round as usize * 7) % live.len());
        }
        let mut ranges: Vec<(u64, u64)> = live
            .iter()
            .map(|memory| (memory.reference().offset, memory.reference().offset + memory.len()))
            .collect();
        ranges.sort();
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "round {round}");
    }
    assert!(pool.verify(Mode::Online).holds());
    drop(live);
    assert_empty(&pool);
}

#[test]
fn one_allocation_can_take_a_whole_fresh_pool() {
    for bytes in [32 << 10, 1 << 20, 1 << 30] {
        // One allocation backs all of it, and /dev/shm of a container may hold 64 MiB.
        let Some(directory) = roomy::directory("one_allocation_can_take_a_whole_fresh_pool", bytes * 5 / 4)
        else {
            return;
        };
        let attributes = PoolAttributes::new(Scratch::name("whole"), bytes).directory(directory.path());
        let pool = Scratch::with(attributes);
        let memory = pool.alloc(bytes).unwrap();
        assert!(matches!(pool.alloc(1), Err(Error::NoMemory { bytes: 1 })));
        drop(memory);
        assert_empty(&pool);
    }
}

#[test]
fn a_small_block_does_not_keep_a_pool_from_being_whole_again() {
    let pool = Scratch::new("again", 32 << 10);
    for _ in 0..3 {
        drop(pool.alloc(64).unwrap());
        drop(pool.alloc(32 << 10).unwrap());
    }
    assert_empty(&pool);
}

#[test]
fn more_than_the_pool_can_ever_hold_is_too_large() {
    let pool = Scratch::new("large", 64 << 10);
    assert!(matches!(pool.alloc((64 << 10) + 1), Err(Error::TooLarge { limit: 65_536, .. })));
    assert!(matches!(pool.alloc(u64::MAX), Err(Error::TooLarge { .. })));
    assert_empty(&pool);
}

#[test]
fn a_capped_pool_grows_and_one_allocation_spans_the_boundary() {
    let name = Scratch::name("growth");
    let pool =
        Scratch::with(PoolAttributes::new(name, 1 << 20).growth(Growth::UpTo(8 << 20)).segment_size(1 << 20));
    assert_eq!(pool.size(), 1 << 20);
    let memory = pool.alloc(3 << 20).unwrap();
    assert_eq!(pool.size(), 3 << 20);
    drop(memory);
    let all = pool.alloc(8 << 20).unwrap();
    assert_eq!(pool.size(), 8 << 20);
    assert!(matches!(pool.alloc(1), Err(Error::NoMemory { .. })));
    drop(all);
    assert_empty(&pool);
}

#[test]
fn a_pool_full_of_small_blocks_gives_all_of_them_back() {
    let pool = Scratch::new("full", 1 << 20);
    let mut live = Vec::new();
    while let Ok(memory) = pool.alloc(64) {
        live.push(memory);
    }
    assert_eq!(live.len(), (1 << 20) / 64);
    assert!(pool.verify(Mode::Online).holds());
    drop(live);
    drop(pool.alloc(1 << 20).unwrap());
    assert_empty(&pool);
}

#[test]
fn blocks_freed_by_other_threads_come_back_to_their_owner() {
    let pool = Scratch::new("remote", 1 << 20);
    for _ in 0..20 {
        let mut live = Vec::new();
        while let Ok(memory) = pool.alloc(512) {
            live.push(memory);
        }
        assert!(live.len() >= 2000, "{}", live.len());
        std::thread::scope(|scope| {
            scope.spawn(|| drop(live));
        });
    }
    drop(pool.alloc(1 << 20).unwrap());
    assert_empty(&pool);
}

#[test]
fn an_idle_thread_does_not_strand_what_it_freed() {
    let pool = Scratch::new("idle", 32 << 10);
    let (freed, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(pool.alloc(64).unwrap());
            freed.wait();
            done.wait();
            // Its lists are stale now, and it finds its way.
            drop(pool.alloc(64).unwrap());
        });
        freed.wait();
        let whole = pool.alloc(32 << 10);
        drop(whole.unwrap());
        done.wait();
    });
    drop(pool.alloc(32 << 10).unwrap());
    assert_empty(&pool);
}

#[test]
fn many_threads_allocate_and_free_each_others_blocks() {
    let pool = Scratch::new("threads", 4 << 20);
    let (send, receive) = std::sync::mpsc::channel::<weyr_managed::Allocation>();
    let receive = std::sync::Mutex::new(receive);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (pool, send, receive) = (&pool, send.clone(), &receive);
            scope.spawn(move || {
                for round in 0..3000u64 {
                    let bytes = 1 + (round * 7919 + thread * 104_729) % 6000;
                    if let Ok(mut memory) = pool.alloc(bytes) {
                        memory.fill(thread as u8).unwrap();
                        send.send(memory).unwrap();
                    }
                    let other = receive.lock().unwrap().try_recv();
                    if round % 2 == 0 {
                        drop(other);
                    } else if let Ok(other) = other {
                        send.send(other).unwrap();
                    }
                }
            });
        }
    });
    drop((send, receive));
    assert_empty(&pool);
    drop(pool.alloc(4 << 20).unwrap());
}

#[test]
fn attaching_again_and_detaching_leave_one_member_or_none() {
    let pool = Scratch::new("members", 64 << 10);
    let again = Pool::attach(pool.name()).unwrap();
    assert_eq!((again.uuid(), again.members().len()), (pool.uuid(), 1));
    let path = pool.path().to_owned();
    drop(again);
    let inspection = Pool::inspect(&path).unwrap();
    assert_eq!(inspection.members().len(), 1);
    let descriptor = pool.descriptor();
    assert!(Pool::attach_descriptor(&descriptor).is_ok());
    // This thread has a part in it, which goes with the last handle.
    drop(pool.alloc(100).unwrap());
    drop(pool);
    assert_eq!(inspection.members().len(), 0);
    assert!(matches!(Pool::attach_descriptor(&descriptor), Err(Error::NoSuchPool { .. })));
}

#[test]
fn an_allocation_outlives_the_last_handle_of_its_pool() {
    let pool = Scratch::new("outlive", 64 << 10);
    let path = pool.path().to_owned();
    let inspection = Pool::inspect(&path).unwrap();
    let mut memory = pool.alloc(100).unwrap();
    drop(pool);
    memory.write(0, b"still here").unwrap();
    assert_eq!(inspection.usage().total.blocks, 1);
    drop(memory);
    assert_eq!((inspection.usage().total.blocks, inspection.members().len()), (0, 0));
}

#[test]
fn a_destroyed_pool_gives_nothing_new_and_takes_nothing_away() {
    let pool = Scratch::new("destroyed", 64 << 10);
    let mut memory = pool.alloc(100).unwrap();
    pool.destroy().unwrap();
    assert_eq!(pool.alloc(1).unwrap_err(), Error::Destroyed);
    assert_eq!(pool.destroy().unwrap_err(), Error::Destroyed);
    memory.write(0, b"mine").unwrap();
    assert!(matches!(Pool::attach(pool.name()), Err(Error::NoSuchPool { .. })));
    drop(memory);
    assert_empty(&pool);
}

#[test]
fn a_published_allocation_outlives_its_handle_and_is_freed_once() {
    let pool = Scratch::new("published", 64 << 10);
    let mut memory = pool.alloc(1000).unwrap();
    memory.write(0, b"for everybody").unwrap();
    let descriptor = memory.publish().unwrap().descriptor();
    let opened = pool.open(&descriptor).unwrap();
    let mut bytes = [0; 13];
    opened.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"for everybody");
    let view = opened.clone_view(4, 9).unwrap();
    assert_eq!((opened.len(), view.len()), (1000, 9));
    assert!(!view.is_original() && opened.is_original());
    assert_eq!(pool.open(&view.descriptor()).unwrap().free(), Err(Error::NotOriginal));
    assert!(matches!(opened.clone_view(990, 11), Err(Error::OutOfRange { limit: 1000, .. })));
    let second = pool.open(&descriptor).unwrap();
    opened.free().unwrap();
    assert!(matches!(second.free(), Err(Error::DoubleFree { .. })));
    assert!(!view.exists());
    assert!(matches!(pool.open(&descriptor), Err(Error::DoubleFree { .. })));
    assert_empty(&pool);
}

#[test]
fn each_wrong_descriptor_has_its_own_error() {
    let pool = Scratch::new("wrong", 64 << 10);
    let other = Scratch::new("wrong-other", 64 << 10);
    let published = pool.alloc(64).unwrap().publish().unwrap();
    let good = published.descriptor();
    assert!(matches!(other.open(&good), Err(Error::WrongPool { .. })));
    let mut wrong = good;
    wrong.host ^= 1;
    // The pool is known by its identity: what was made in it on another host, or before the last start, holds.
    assert!(pool.open(&wrong).is_ok());
    assert!(matches!(other.open(&wrong), Err(Error::OtherHost { .. })));
    wrong = good;
    wrong.reference.offset = 1 << 40;
    assert!(matches!(pool.open(&wrong), Err(Error::OutOfRange { .. })));
    wrong = good;
    wrong.reference.offset += 1;
    assert!(matches!(pool.open(&wrong), Err(Error::NotABlock { .. })));
    wrong = good;
    wrong.reference.generation += 1;
    assert!(matches!(pool.open(&wrong), Err(Error::Stale { .. })));
    wrong = good;
    wrong.view_bytes = 65;
    assert!(matches!(pool.open(&wrong), Err(Error::OutOfRange { .. })));
    let owned = pool.alloc(64).unwrap();
    wrong = good;
    wrong.reference = owned.reference();
    assert!(matches!(pool.open(&wrong), Err(Error::WrongState { .. })));
    published.free().unwrap();
    let reused = pool.alloc(64).unwrap();
    assert_eq!(reused.reference().offset, good.reference.offset);
    assert!(matches!(pool.open(&good), Err(Error::Stale { .. })));
    drop((owned, reused));
    assert_empty(&pool);
}

#[test]
fn each_wrong_descriptor_of_a_pool_has_its_own_error() {
    let pool = Scratch::new("wrong-pool", 64 << 10);
    let other = Scratch::new("wrong-pool-other", 64 << 10);
    let good = pool.descriptor();
    let attach = |descriptor: &PoolDescriptor| Pool::attach_descriptor(descriptor).map(|pool| pool.uuid());
    assert_eq!(attach(&good), Ok(pool.uuid()));
    let elsewhere = PoolDescriptor { host: good.host ^ 1, ..good.clone() };
    assert_eq!(attach(&elsewhere), Err(Error::OtherHost { found: good.host ^ 1, expected: good.host }));
    let replaced = PoolDescriptor { path: other.path().to_owned(), ..good.clone() };
    assert_eq!(attach(&replaced), Err(Error::WrongPool { found: pool.uuid(), expected: other.uuid() }));
    let nowhere = PoolDescriptor { path: pool.path().with_extension("gone"), ..good.clone() };
    assert!(matches!(attach(&nowhere), Err(Error::NoSuchPool { .. })));
    let no_path = PoolDescriptor { path: "/dev/shm/not-a-pools-name".into(), ..good.clone() };
    assert!(matches!(attach(&no_path), Err(Error::NoSuchPool { .. })));
    // A pool of the same name that was made since.
    let (name, path) = (pool.name().to_owned(), pool.path().to_owned());
    pool.destroy().unwrap();
    assert!(matches!(attach(&good), Err(Error::NoSuchPool { .. })));
    let anew = Scratch::with(PoolAttributes::new(name, 64 << 10));
    assert_eq!(anew.path(), path);
    assert_eq!(attach(&good), Err(Error::WrongPool { found: good.uuid, expected: anew.uuid() }));
}

#[test]
fn frozen_memory_is_read_in_place_and_written_by_nobody() {
    let pool = Scratch::new("frozen", 64 << 10);
    // SAFETY: only this test opens the pool.
    let pool_with_word = pool.clone().cooperative(unsafe { weyr_managed::Cooperative::assume() });
    let mut memory = pool_with_word.alloc(5).unwrap();
    memory.as_mut_slice().unwrap().copy_from_slice(b"solid");
    let frozen = memory.freeze().unwrap();
    assert_eq!(frozen.as_slice().unwrap(), b"solid");
    assert!(matches!(frozen.write(0, b"x"), Err(Error::WrongState { .. })));
    let opened = pool.open(&frozen.descriptor()).unwrap();
    assert!(opened.is_frozen());
    assert!(matches!(opened.as_slice(), Err(Error::Payload(_))));
    opened.free().unwrap();
    assert_empty(&pool);
}

#[test]
fn references_need_the_word_of_the_user() {
    let pool = Scratch::new("word", 64 << 10);
    let memory = pool.alloc(5).unwrap();
    assert!(matches!(memory.as_slice(), Err(Error::Payload(weyr_shared::PayloadError::NotCooperative))));
}

/// Bytes that the filesystem has promised to the pool's object, and its length.
fn backed(pool: &Pool) -> (u64, u64) {
    let object = std::fs::metadata(pool.path()).unwrap();
    (object.blocks() * 512, object.len())
}

/// Bytes of the pool that this process has in its page table. Its mapping is older than its name: the inode tells.
fn resident(pool: &Pool) -> u64 {
    let inode = std::fs::metadata(pool.path()).unwrap().ino().to_string();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut of_pool, mut kib) = (false, 0);
    for words in maps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        match words[..] {
            ["Rss:", number, _] if of_pool => kib += number.parse::<u64>().unwrap(),
            [range, _, _, _, number, ..] if range.contains('-') => of_pool = number == inode,
            _ => {}
        }
    }
    kib << 10
}

#[test]
fn what_is_committed_is_backed_and_what_is_prefaulted_is_there() {
    const BYTES: u64 = 8 << 20;
    let with = |test: &str, shape: fn(PoolAttributes) -> PoolAttributes| {
        Scratch::with(shape(PoolAttributes::new(Scratch::name(test), BYTES)))
    };
    let lazy = with("lazy", |attributes| attributes);
    assert!(backed(&lazy).0 < BYTES && resident(&lazy) < BYTES, "{:?}", backed(&lazy));
    let committed = with("commit", |attributes| attributes.commit(true));
    let (promised, length) = backed(&committed);
    assert!(promised >= BYTES && promised <= length.next_multiple_of(4096), "{promised} of {length}");
    let prefaulted = with("prefault", |attributes| attributes.prefault(true));
    assert!(backed(&prefaulted).0 >= BYTES);
    assert!(resident(&prefaulted) >= BYTES, "{}", resident(&prefaulted));
    for pool in [&lazy, &committed, &prefaulted] {
        drop(pool.alloc(BYTES).unwrap());
        assert_empty(pool);
    }
}

#[test]
fn an_unlimited_pool_grows_as_long_as_it_is_asked_to() {
    let name = Scratch::name("unlimited");
    let attributes = PoolAttributes::new(name, 1 << 20).growth(Growth::Unlimited).segment_size(1 << 20);
    let pool = Scratch::with(attributes);
    assert_eq!(pool.size(), 1 << 20);
    assert!(pool.maximum_size() >= 1 << 30, "{}", pool.maximum_size());
    let mut held = Vec::new();
    for mebibytes in 1..=12 {
        let mut memory = pool.alloc(1 << 20).unwrap();
        memory.fill(mebibytes).unwrap();
        held.push(memory);
        assert_eq!(pool.size(), u64::from(mebibytes) << 20);
    }
    for (memory, mebibytes) in held.iter().zip(1..) {
        let mut bytes = [0; 64];
        memory.read((1 << 20) - 64, &mut bytes).unwrap();
        assert_eq!(bytes, [mebibytes; 64]);
    }
    drop(held);
    // One allocation over every boundary there was, and further.
    pool.alloc(16 << 20).unwrap().fill(1).unwrap();
    assert!(pool.size() >= 16 << 20);
    assert_empty(&pool);
}

#[test]
fn a_zeroing_pool_hands_out_zeros() {
    let pool = Scratch::with(PoolAttributes::new(Scratch::name("zeroing"), 64 << 10).zeroing(true));
    pool.alloc(64).unwrap().fill(0xaa).unwrap();
    let mut bytes = [1; 64];
    pool.alloc(64).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 64]);
}

#[test]
fn names_are_taken_missing_or_invalid_with_their_own_errors() {
    let pool = Scratch::new("names", 64 << 10);
    let taken = Pool::create(&PoolAttributes::new(pool.name(), 64 << 10));
    assert_eq!(taken.unwrap_err(), Error::NameTaken { name: pool.name().to_owned() });
    assert!(matches!(Pool::attach("no-such-pool"), Err(Error::NoSuchPool { .. })));
    assert!(matches!(Pool::attach("../etc"), Err(Error::InvalidAttribute { attribute: "name", .. })));
}

#[test]
fn more_processes_or_threads_than_the_tables_hold() {
    let name = Scratch::name("tables");
    let pool = Scratch::with(PoolAttributes::new(name, 256 << 10).processes(1).lanes(2));
    // One lane is the process's, one the first thread's; the rest share.
    let start = Barrier::new(5);
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..500 {
                    drop(pool.alloc(100).unwrap());
                }
            });
        }
    });
    assert_empty(&pool);
}

#[test]
fn objects_that_are_no_pools_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, b"short").unwrap();
    assert!(matches!(Pool::attach_path(&path), Err(Error::NotAPool { .. })));
    std::fs::write(&path, vec![0; 8192]).unwrap();
    assert!(matches!(Pool::attach_path(&path), Err(Error::NotAPool { .. })));
}

/// The bytes of a field of a header.
fn field(name: &str) -> std::ops::Range<usize> {
    let field = PoolHeader::FIELDS.iter().find(|field| field.name == name).unwrap();
    let bytes = match field.kind {
        "AtomicU32" => 4,
        "AtomicU64" => 8,
        "[AtomicU64; 16]" => 128,
        "[AtomicU8; 256]" => 256,
        kind => panic!("{kind}"),
    };
    field.offset..field.offset + bytes
}

/// The object with a header whose checksum fits what else it says.
fn sealed(mut object: Vec<u8>) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    for name in [
        "magic",
        "uuid_low",
        "uuid_high",
        "host",
        "layout_hash",
        "initial_pages",
        "segment_pages",
        "maximum_pages",
        "layout_version",
        "header_bytes",
        "page_shift",
        "growth",
        "process_limit",
        "lane_limit",
        "channel_limit",
        "options",
        "user",
        "name_bytes",
        "manifest_limit",
        "pool_type",
        "lock_kind",
        "manifest_name_bytes",
        "minimum_block",
        "data_alignment",
        "preallocated_kinds",
        "numa_nodes",
        "preallocated_bytes",
        "preallocated_counts",
        "manifest_name",
    ] {
        crc.update(&object[field(name)]);
    }
    object[field("identity_check")].copy_from_slice(&u64::from(crc.finalize()).to_le_bytes());
    object
}

#[test]
fn a_header_that_no_pool_can_have_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let attributes = PoolAttributes::new("spoilt", 1 << 20).directory(directory.path());
    let pool = Pool::create(&attributes).unwrap();
    let good = std::fs::read(pool.path()).unwrap();
    assert!(sealed(good.clone()) == good);
    let path = directory.path().join("copy");
    for (name, values) in [
        ("page_shift", [11, 17]),
        ("maximum_pages", [0, 1 << 25]),
        ("initial_pages", [0, 1 << 24]),
        ("segment_pages", [0, 1 << 25]),
        ("process_limit", [0, 65_535]),
        ("lane_limit", [0, 65_535]),
        ("channel_limit", [0, (1 << 20) + 1]),
        ("manifest_limit", [(1 << 24) + 1, u64::from(u32::MAX)]),
        ("growth", [3, u64::from(u32::MAX)]),
        ("options", [64, u64::from(u32::MAX)]),
        ("minimum_block", [(1 << 20) + 1, u64::MAX]),
        ("data_alignment", [96, 4 << 20]),
        ("lock_kind", [3, u64::from(u32::MAX)]),
        ("manifest_name_bytes", [257, u64::from(u32::MAX)]),
        ("preallocated_kinds", [17, u64::MAX]),
    ] {
        for value in values {
            let mut spoilt = good.clone();
            let bytes = field(name);
            spoilt[bytes.clone()].copy_from_slice(&u64::to_le_bytes(value)[..bytes.len()]);
            for object in [spoilt.clone(), sealed(spoilt)] {
                std::fs::write(&path, &object).unwrap();
                let expected = Error::Corrupt(weyr_shared::Corrupt::new(name, 0));
                assert_eq!(Pool::attach_path(&path).map(drop), Err(expected.clone()), "{name} {value}");
                assert_eq!(Pool::inspect(&path).map(drop), Err(expected), "{name} {value}");
            }
        }
    }
    // What a pool could have, and this one had not when it was made.
    for name in [
        "uuid_high",
        "host",
        "user",
        "options",
        "process_limit",
        "minimum_block",
        "lock_kind",
        "numa_nodes",
        "preallocated_bytes",
        "preallocated_counts",
        "manifest_name",
    ] {
        let mut changed = good.clone();
        changed[field(name).start] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let expected = Error::Corrupt(weyr_shared::Corrupt::new("header identity", 0));
        assert_eq!(Pool::attach_path(&path).map(drop), Err(expected), "{name}");
    }
    std::fs::write(&path, &good).unwrap();
    assert!(Pool::inspect(&path).is_ok());
}

#[test]
fn a_truncated_or_foreign_object_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let attributes = PoolAttributes::new("cut", 1 << 20).directory(directory.path());
    let path = Pool::create(&attributes).unwrap().path().to_owned();
    let bytes = std::fs::read(&path).unwrap();
    let cut = directory.path().join("cut");
    std::fs::write(&cut, &bytes[..bytes.len() - 4096]).unwrap();
    assert!(matches!(Pool::attach_path(&cut), Err(Error::Truncated { .. })));
    let mut other = bytes;
    other[8] += 1;
    std::fs::write(&cut, &other).unwrap();
    assert!(matches!(Pool::attach_path(&cut), Err(Error::WrongVersion { .. })));
}

#[test]
fn atomics_lie_inside_what_is_published_and_can_be_changed() {
    let pool = Scratch::new("atomics", 1 << 20);
    let published = pool.alloc(64).unwrap().publish().unwrap();
    published.write(0, &[0; 64]).unwrap();
    let words = published.atomics::<weyr_atomic::AtomicU64>(8, 7).unwrap();
    words[6].fetch_add(5, weyr_atomic::Ordering::Relaxed);
    let mut byte = [0];
    published.read(56, &mut byte).unwrap();
    assert_eq!((words.len(), byte), (7, [5]));
    let refused = |offset, count| published.atomics::<weyr_atomic::AtomicU64>(offset, count).map(drop);
    assert_eq!(refused(8, 8), Err(Error::OutOfRange { offset: 8, bytes: 64, limit: 64 }));
    assert!(matches!(refused(u64::MAX, 1), Err(Error::OutOfRange { .. })));
    assert!(matches!(refused(0, u64::MAX), Err(Error::OutOfRange { .. })));
    assert!(matches!(refused(4, 1), Err(Error::Corrupt(_))));
    published.free().unwrap();
    let frozen = pool.alloc(64).unwrap().freeze().unwrap();
    let refused = frozen.atomics::<weyr_atomic::AtomicU64>(0, 1).map(drop);
    assert!(matches!(refused, Err(Error::WrongState { .. })));
    frozen.free().unwrap();
}
