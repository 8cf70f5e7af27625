//! Pools for one test, and what must be true of a pool when all is over.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../made_of/mod.rs"]
pub(crate) mod made_of;

use made_of::{Home, Made};
use weyr_atomic::{AtomicU64, Ordering};
use weyr_kill::{Child, Rendezvous, child};
use weyr_managed::{AllocationDescriptor, Mode, Pool, PoolAttributes, Published};
use weyr_shared::BlockReference;

/// A pool that is destroyed at the end of the test, however it ends.
pub(crate) struct Scratch {
    pool: Option<Pool>,
    /// Where it lies, unless that is where pools lie by default.
    home: Option<Home>,
}

impl Scratch {
    pub(crate) fn new(test: &str, bytes: u64) -> Self {
        Self::with(attributes(test, bytes))
    }

    /// Made of what this run's pools are made of.
    pub(crate) fn with(attributes: PoolAttributes) -> Self {
        match made_of::chosen() {
            Made::SharedMemory => Self { pool: Some(Pool::create(&attributes).unwrap()), home: None },
            made => {
                let (pool, home) = made.create(&attributes);
                Self { pool: Some(pool), home: Some(home) }
            }
        }
    }

    /// The file of the pool's bytes.
    pub(crate) fn bytes(&self) -> std::path::PathBuf {
        self.home.as_ref().map_or_else(|| self.path().to_owned(), Home::bytes)
    }

    /// The pool, without its destruction.
    pub(crate) fn into_pool(mut self) -> Pool {
        self.pool.take().expect("there until it is given away")
    }
}

/// Attributes of a pool whose name no other test has.
pub(crate) fn attributes(test: &str, bytes: u64) -> PoolAttributes {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let words = test.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    PoolAttributes::new(format!("test-{words}-{}-{number}", std::process::id()), bytes)
}

impl std::ops::Deref for Scratch {
    type Target = Pool;
    fn deref(&self) -> &Pool {
        self.pool.as_ref().expect("there until it is given away")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _destroyed_by_the_test = self.pool.take().map(|pool| pool.destroy());
    }
}

/// What a parent and one child tell each other.
pub(crate) struct Line {
    pub(crate) to_child: Rendezvous,
    pub(crate) to_parent: Rendezvous,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { to_child: Rendezvous::new().unwrap(), to_parent: Rendezvous::new().unwrap() }
    }
}

/// A child that does `work`, says so, and lives until it is killed. Returns when it has said so, and what.
pub(crate) fn after<'w>(met: &'w Rendezvous, work: impl FnOnce() -> u64 + 'w) -> (Child, u64) {
    let child = child::spawn(|| {
        met.send(work()).unwrap();
        wait_for_death();
    });
    let child = child.unwrap();
    let said = met.wait_from(&child).unwrap();
    (child, said)
}

/// Does not return.
pub(crate) fn wait_for_death() -> ! {
    loop {
        std::thread::park();
    }
}

/// Kills a child, and returns when it is dead and reaped.
pub(crate) fn kill(mut child: Child) {
    child.kill().unwrap();
    assert!(child.wait().unwrap().was_killed());
}

/// Nobody acts: the invariants hold, and as many blocks are there as the test knows of.
pub(crate) fn assert_sound(pool: &Pool, blocks: u64) {
    let verification = pool.verify(Mode::Quiesced);
    assert!(verification.holds(), "{:#?}", verification.findings);
    assert_eq!((verification.blocks, pool.usage().total.blocks), (blocks, blocks));
}

/// Nothing is left, and nothing is lost: the pool can be had in one piece, and in its smallest.
pub(crate) fn assert_whole(pool: &Pool) {
    assert_sound(pool, 0);
    drop(pool.alloc(pool.size()).expect("the pool in one piece"));
    let smallest: Vec<_> = std::iter::from_fn(|| pool.alloc(64).ok()).collect();
    assert_eq!(smallest.len() as u64, pool.maximum_size() / 64);
    drop(smallest);
    drop(pool.alloc(pool.maximum_size()).expect("the pool in one piece again"));
    assert_sound(pool, 0);
}

/// A published block of which another process told offset, generation and bytes.
pub(crate) fn open(
    pool: &Pool,
    offset: u64,
    generation: u64,
    bytes: u64,
) -> Result<Published, weyr_managed::Error> {
    let sample = pool.alloc(64)?.publish()?;
    let reference = BlockReference { offset, generation };
    let descriptor =
        AllocationDescriptor { reference, view_offset: 0, view_bytes: bytes, ..sample.descriptor() };
    sample.free()?;
    pool.open(&descriptor)
}
