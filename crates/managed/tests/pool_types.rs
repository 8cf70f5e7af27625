//! What holds for a pool holds whatever it is made of: one suite, a line for each type.
#![forbid(unsafe_code)]

mod scratch;

use scratch::made_of::{Home, Made, Place};
use scratch::{Line, after, assert_sound, assert_whole, attributes, kill};
use weyr_kill::{Outcome, child, note_skipped};
use weyr_managed::{Error, Growth, Pool, PoolAttributes};

/// A pool of one type, and what must outlive it.
struct World {
    pool: Pool,
    /// Whether other processes can use it, and whether it grows.
    shared: bool,
    grows: bool,
    _home: Home,
}

impl Drop for World {
    fn drop(&mut self) {
        let _destroyed_by_the_test = self.pool.destroy();
    }
}

const BYTES: u64 = 1 << 20;

fn growing(test: &str) -> PoolAttributes {
    attributes(test, BYTES).growth(Growth::UpTo(4 * BYTES)).segment_size(BYTES)
}

fn world(test: &str, made: Made) -> World {
    try_world(test, made).unwrap()
}

fn try_world(test: &str, made: Made) -> Result<World, Error> {
    let (pool, home) = made.try_create(&growing(test))?;
    Ok(World { pool, shared: made.is_shared(), grows: made.grows(), _home: home })
}

/// None, and a note, where the file system that it needs cannot be mounted, or the kernel has no huge pages to give.
fn mounted(test: &str, made: Made) -> Option<World> {
    let (kind, options) = made.file_system();
    if let Err(errno) = Place::mounted(kind, options) {
        note_skipped(test, format_args!("no {kind} can be mounted here ({errno})"));
        return None;
    }
    match try_world(test, made) {
        Err(Error::FilesystemFull { .. } | Error::Os { .. } | Error::TooLarge { .. })
            if made == Made::Hugetlbfs =>
        {
            note_skipped(test, format_args!("no huge page is free here (/proc/sys/vm/nr_hugepages)"));
            None
        }
        world => Some(world.unwrap()),
    }
}

fn shared_memory(test: &str) -> Option<World> {
    Some(world(test, Made::SharedMemory))
}

fn file(test: &str) -> Option<World> {
    Some(world(test, Made::File))
}

fn private(test: &str) -> Option<World> {
    Some(world(test, Made::Private))
}

fn sealed(test: &str) -> Option<World> {
    Some(world(test, Made::Sealed))
}

fn huge_tmpfs(test: &str) -> Option<World> {
    mounted(test, Made::HugeTmpfs)
}

fn hugetlbfs(test: &str) -> Option<World> {
    mounted(test, Made::Hugetlbfs)
}

/// In memory that the test maps by itself, shared with its children.
fn lent(test: &str) -> Option<World> {
    Some(world(test, Made::Lent))
}

/// All that follows, for one type.
macro_rules! suite {
    ($($kind:ident),*) => { $(mod $kind {
        suite! { @tests $kind: memory_comes_and_goes, bytes_are_where_they_were_put, types_and_ids_are_found,
            threads_use_it_at_once, who_waits_is_served, it_grows_as_far_as_it_may, zeroed_memory_is_zero,
            what_a_killed_member_had_comes_back, a_forked_child_uses_it_or_is_told, a_descriptor_leads_back_to_it,
            a_destroyed_pool_gives_nothing }
    })* };
    (@tests $kind:ident: $($case:ident),*) => { $(
        #[test]
        fn $case() {
            let test = concat!(stringify!($kind), "-", stringify!($case));
            if let Some(world) = super::$kind(test) {
                super::$case(&world);
            }
        }
    )* };
}

suite! { shared_memory, file, private, sealed, huge_tmpfs, hugetlbfs, lent }

fn memory_comes_and_goes(world: &World) {
    let pool = &world.pool;
    let mut held = Vec::new();
    for bytes in [1, 64, 1000, 4096, 20_000, 100_000, 300_000] {
        held.push(pool.alloc(bytes).unwrap());
    }
    assert_sound(pool, 7);
    held.retain(|allocation| allocation.len() > 1000);
    assert_sound(pool, 4);
    drop(held);
    if world.grows {
        drop(pool.alloc(pool.maximum_size()).unwrap());
    }
    assert_whole(pool);
}

fn bytes_are_where_they_were_put(world: &World) {
    let pattern: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
    let mut memory = world.pool.alloc(pattern.len() as u64).unwrap();
    memory.write(0, &pattern).unwrap();
    let published = memory.publish().unwrap();
    let mut found = vec![0; pattern.len()];
    world.pool.open(&published.descriptor()).unwrap().read(0, &mut found).unwrap();
    assert!(found == pattern);
    published.free().unwrap();
}

fn types_and_ids_are_found(world: &World) {
    let memory = world.pool.alloc_typed(100, 7, 42).unwrap();
    memory.write(0, b"typed").unwrap();
    let mut found = [0; 5];
    world.pool.find(7, 42).unwrap().read(0, &mut found).unwrap();
    assert_eq!(&found, b"typed");
    assert!(matches!(world.pool.find(7, 43), Err(Error::NotInManifest { .. })));
    memory.free().unwrap();
    assert_sound(&world.pool, 0);
}

fn threads_use_it_at_once(world: &World) {
    let rounds = 300;
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let pool = &world.pool;
            scope.spawn(move || {
                for round in 0..rounds {
                    let mut memory = pool.alloc(64 << ((round + thread) % 8)).unwrap();
                    memory.write(0, &thread.to_le_bytes()).unwrap();
                    let mut seen = [0; 8];
                    memory.read(0, &mut seen).unwrap();
                    assert_eq!(u64::from_le_bytes(seen), thread);
                }
            });
        }
    });
    assert_sound(&world.pool, 0);
}

fn who_waits_is_served(world: &World) {
    let pool = &world.pool;
    let whole = pool.alloc(pool.maximum_size()).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.alloc_blocking(64).unwrap().len());
        while pool.waiters() == 0 {
            std::thread::yield_now();
        }
        drop(whole);
        assert_eq!(waiter.join().unwrap(), 64);
    });
}

fn it_grows_as_far_as_it_may(world: &World) {
    let pool = &world.pool;
    let before = pool.size();
    let held: Vec<_> = std::iter::from_fn(|| pool.alloc(100_000).ok()).collect();
    assert!(held.len() as u64 * 100_000 <= pool.maximum_size());
    assert_eq!(pool.size() > before, world.grows);
    assert_eq!(pool.size(), pool.maximum_size());
    drop(held);
    assert_sound(pool, 0);
}

fn zeroed_memory_is_zero(world: &World) {
    let is_zero = |bytes: u64| {
        let memory = world.pool.alloc_zeroed(bytes, 64).unwrap();
        let mut seen = vec![1; bytes as usize];
        memory.read(0, &mut seen).unwrap();
        seen.iter().all(|byte| *byte == 0)
    };
    assert!(is_zero(300_000));
    let mut dirty = world.pool.alloc(world.pool.size()).unwrap();
    dirty.write(0, &vec![0xff; dirty.len() as usize]).unwrap();
    drop(dirty);
    assert!(is_zero(300_000) && is_zero(5000) && is_zero(100));
}

fn what_a_killed_member_had_comes_back(world: &World) {
    if !world.shared {
        return;
    }
    let line = Line::new();
    let (child, blocks) = after(&line.to_parent, || {
        let held: Vec<_> = (0..20).map(|index| world.pool.alloc(100 << (index % 10)).unwrap()).collect();
        std::mem::forget(held);
        world.pool.usage().total.blocks
    });
    assert_eq!((blocks, world.pool.members().len()), (20, 2));
    kill(child);
    let recovered = world.pool.recover();
    assert_eq!((recovered.processes, recovered.blocks), (1, 20));
    assert_whole(&world.pool);
}

fn a_forked_child_uses_it_or_is_told(world: &World) {
    let kept = world.pool.alloc(100).unwrap();
    let outcome = child::spawn(|| match world.pool.alloc(100) {
        Ok(memory) => {
            assert!(world.shared);
            memory.publish().unwrap().free().unwrap();
        }
        Err(Error::Forked) => assert!(!world.shared),
        Err(error) => panic!("{error}"),
    });
    assert_eq!(outcome.unwrap().wait().unwrap(), Outcome::Exited(0));
    world.pool.recover();
    assert_sound(&world.pool, 1);
    drop(kept);
}

fn a_descriptor_leads_back_to_it(world: &World) {
    let descriptor = world.pool.descriptor();
    let same = Pool::attach_descriptor(&descriptor).unwrap();
    assert_eq!((same.uuid(), same.pool_type()), (world.pool.uuid(), world.pool.pool_type()));
    assert_eq!(same.members().len(), 1);
}

fn a_destroyed_pool_gives_nothing(world: &World) {
    let kept = world.pool.alloc(100).unwrap();
    world.pool.destroy().unwrap();
    assert_eq!(world.pool.alloc(100).unwrap_err(), Error::Destroyed);
    let mut byte = [1];
    kept.read(99, &mut byte).unwrap();
    let path = world.pool.path();
    assert!(path.as_os_str().is_empty() || !path.exists());
}
