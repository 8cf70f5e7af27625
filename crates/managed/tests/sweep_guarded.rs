//! Death, and a stop, at the machine instructions of what is done to a hash table and a priority heap under a lock: who
//! has the lock next is told of the death, recovers both, and finds each entry whole or not at all.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod swept;

use swept::{Ground, kill_and_stop, open};
use weyr_kill::{Moment, Point};
use weyr_managed::{Growth, Pool, PoolParticipant};
use weyr_shared::lock::{GreedyLock, Lock as _};
use weyr_shared::{HashTable, HashTableError, PriorityHeap, PriorityHeapError, Table};

const CAPACITY: u64 = 8;
/// The lock, the table and the heap, each on pages of its own.
const TABLE_AT: u64 = 4096;
const HEAP_AT: u64 = 2 * 4096;
const BYTES: u64 = 3 * 4096;
/// There before and behind each operation.
const OLD: u64 = 5;
/// What the operation is about.
const NEW: u64 = 7;

struct Guarded {
    pool: Pool,
    me: PoolParticipant,
    locks: Table<GreedyLock>,
    table: HashTable,
    heap: PriorityHeap,
}

impl Guarded {
    fn of(ground: &Ground, made: bool) -> Self {
        let pool = ground.attach();
        let published = open(&pool, ground.published[0]).unwrap();
        let region = |from: u64| published.region().unwrap().part(from, 4096).unwrap();
        let (table, heap) = if made {
            (HashTable::attach(&region(TABLE_AT)).unwrap(), PriorityHeap::attach(&region(HEAP_AT)).unwrap())
        } else {
            let table = HashTable::init(&region(TABLE_AT), CAPACITY, 1, 2).unwrap();
            (table, PriorityHeap::init(&region(HEAP_AT), 4, CAPACITY, 2).unwrap())
        };
        let (me, locks) = (pool.participant().unwrap(), published.atomics(0, 1).unwrap());
        Self { pool, me, locks, table, heap }
    }

    /// Does something under the lock, behind what a death left.
    fn with<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        let mut guard = self.locks[0].acquire(&self.me).unwrap();
        if guard.owner_died() {
            self.table.recover().unwrap();
            self.heap.recover().unwrap();
            guard.mark_consistent();
        }
        let done = act(self);
        guard.release().unwrap();
        done
    }

    /// Whether the entry is in the table, and what was in the heap, which is empty then; nothing is there in part.
    fn assert_whole(&self) -> (bool, Vec<u64>) {
        assert_eq!((self.table.verify(), self.heap.verify()), (vec![], vec![]));
        assert_eq!(self.table.get(&[OLD]), Ok(vec![OLD, OLD]));
        let kept = match self.table.get(&[NEW]) {
            Ok(value) => {
                assert!(value == [NEW, NEW] || value == [NEW + 1, NEW + 1], "{value:?}");
                true
            }
            Err(error) => {
                assert_eq!(error, HashTableError::KeyNotFound);
                false
            }
        };
        assert_eq!(self.table.len(), 1 + u64::from(kept));
        let mut values = [0; 2];
        let mut held = Vec::new();
        while let Ok(priority) = self.heap.pop(&mut values) {
            assert_eq!(values, [priority, priority]);
            held.push(priority);
        }
        assert_eq!(self.heap.pop(&mut values), Err(PriorityHeapError::Empty));
        assert!(held.is_sorted() && held.iter().all(|priority| [OLD, NEW].contains(priority)), "{held:?}");
        (kept, held)
    }

    /// Puts all back as it was; none of it is there twice.
    fn reset(&self, with_new: bool) {
        let (kept, mut held) = self.assert_whole();
        let count = held.len();
        held.dedup();
        assert_eq!(held.len(), count, "an entry is there twice");
        let before: &[u64] = if with_new { &[OLD, NEW] } else { &[OLD] };
        before.iter().for_each(|&priority| self.heap.push(&[priority; 2], priority).unwrap());
        if kept != with_new {
            let done = if kept { self.table.remove(&[NEW]) } else { self.table.insert(&[NEW], &[NEW; 2]) };
            done.unwrap();
        }
        if kept && with_new {
            self.table.replace(&[NEW], &[NEW; 2]).unwrap();
        }
    }
}

/// With the old entry in both, and the new one if `with_new`.
fn ground(name: &str, with_new: bool) -> Ground {
    let mut ground = Ground::new(name, Growth::None);
    let pool = ground.attach();
    let mut memory = pool.alloc(BYTES).unwrap();
    memory.fill(0).unwrap();
    let published = memory.publish().unwrap();
    ground.published.push((published.reference(), BYTES));
    drop(pool);
    let guarded = Guarded::of(&ground, false);
    guarded.table.insert(&[OLD], &[OLD; 2]).unwrap();
    guarded.heap.push(&[OLD; 2], OLD).unwrap();
    if with_new {
        guarded.table.insert(&[NEW], &[NEW; 2]).unwrap();
        guarded.heap.push(&[NEW; 2], NEW).unwrap();
    }
    ground
}

fn sweep(name: &str, with_new: bool, floor: usize, operate: impl Fn(&Guarded)) {
    let ground = ground("guarded", with_new);
    let look = |point: &Point| {
        // Who stands still has the lock, or has not: either way it is waited for, and not here.
        if point.moment == Moment::Stopped {
            let guarded = Guarded::of(&ground, true);
            if let Ok(guard) = guarded.locks[0].try_acquire(&guarded.me) {
                assert!(!guard.owner_died());
                guard.release().unwrap();
            }
            return Ok(());
        }
        let guarded = Guarded::of(&ground, true);
        guarded.with(|guarded| guarded.reset(with_new));
        guarded.pool.recover();
        assert_eq!((guarded.locks[0].verify(), guarded.pool.members().len()), (vec![], 1));
        Ok(())
    };
    let operate = |guarded: &mut Guarded| guarded.with(&operate);
    kill_and_stop(name, &ground, floor, |ground| Guarded::of(ground, true), operate, look);
}

#[test]
fn entries_of_a_hash_table() {
    sweep("guarded, insert", false, 8, |guarded| guarded.table.insert(&[NEW], &[NEW; 2]).unwrap());
    sweep("guarded, replace", true, 10, |guarded| {
        guarded.table.replace(&[NEW], &[NEW + 1; 2]).unwrap();
    });
    sweep("guarded, remove", true, 8, |guarded| guarded.table.remove(&[NEW]).unwrap());
}

#[test]
fn entries_of_a_priority_heap() {
    sweep("guarded, push", false, 10, |guarded| guarded.heap.push(&[NEW; 2], NEW).unwrap());
    sweep("guarded, pop", true, 8, |guarded| {
        let mut values = [0; 2];
        let priority = guarded.heap.pop(&mut values).unwrap();
        assert_eq!((priority, values), (OLD, [OLD; 2]));
    });
}
