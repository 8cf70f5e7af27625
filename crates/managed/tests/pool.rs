//! Pools as their users see them, in one process.

use std::sync::Barrier;

use weyr_managed::{Error, Growth, Mode, Pool, PoolAttributes, PoolDescriptor};

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
        let pool = Scratch::new("whole", bytes);
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
    assert!(matches!(pool.open(&wrong), Err(Error::OtherHost { .. })));
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
