//! Structures in shared memory, used by one thread: a bitset, a hash table and a priority heap, beside those of the
//! standard library in private memory. Processor time of one operation and its opposite.

use std::collections::{BinaryHeap, HashMap};
use std::hint::black_box;

use weyr_managed::Pool;
use weyr_shared::{Bitset, HashTable, PriorityHeap, Region};

use crate::Result;
use crate::clock::processor_time;
use crate::process::alone;
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples};
use crate::scratch::Scratch;

const GROUP: &str = "structures";
const SAMPLES: u64 = 7;
const OPERATIONS: u64 = 100_000;
const POOL_BYTES: u64 = 4 << 20;
/// Entries that are there all the time.
const HELD: u64 = 1000;
const STANDARD: &str = "standard library";

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let here = processors[0];
    vec![
        Row::new(GROUP, "set and reset a bit")
            .with("weyr", move |effort| alone(here, || shared(effort, Bitset::size(HELD)?, bits)))
            .with(STANDARD, move |effort| alone(here, || timed(effort, private_bits()))),
        Row::new(GROUP, "insert and remove, 1,000 in a hash table")
            .with("weyr", move |effort| {
                alone(here, || shared(effort, HashTable::size(2 * HELD, 1, 1)?, table))
            })
            .with(STANDARD, move |effort| alone(here, || timed(effort, private_table()))),
        Row::new(GROUP, "push and pop, 1,000 in a priority heap")
            .with("weyr", move |effort| {
                alone(here, || shared(effort, PriorityHeap::size(4, 2 * HELD, 1)?, heap))
            })
            .with(STANDARD, move |effort| alone(here, || timed(effort, private_heap()))),
    ]
}

type Operation = Box<dyn FnMut(u64) -> Result<()>>;

/// In an allocation of a pool of so many bytes.
fn shared(effort: &Effort, bytes: u64, make: fn(&Region) -> Result<Operation>) -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("structures", POOL_BYTES))?;
    let memory = pool.alloc_zeroed(bytes, 64)?.publish()?;
    timed(effort, make(&memory.region()?)?)
}

fn timed(effort: &Effort, mut operation: Operation) -> Result<Samples> {
    let operations = effort.operations(OPERATIONS);
    let mut all = || (0..operations).try_for_each(&mut operation);
    all()?;
    (0..SAMPLES).map(|_| processor_time(operations, &mut all)).collect()
}

fn bits(region: &Region) -> Result<Operation> {
    let bits = Bitset::init(region, HELD)?;
    Ok(Box::new(move |number| {
        let fresh = bits.set(number % HELD)? != bits.reset(number % HELD)?;
        if fresh { Ok(()) } else { Err("a bit was not what it was set to".into()) }
    }))
}

fn private_bits() -> Operation {
    let mut bits = vec![false; HELD as usize];
    Box::new(move |number| {
        let bit = black_box(&mut bits[(number % HELD) as usize]);
        *bit = true;
        *black_box(bit) = false;
        Ok(())
    })
}

/// Numbers that are spread over all.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn table(region: &Region) -> Result<Operation> {
    let table = HashTable::init(region, 2 * HELD, 1, 1)?;
    (0..HELD).try_for_each(|number| table.insert(&[spread(number)], &[number]))?;
    Ok(Box::new(move |number| {
        let key = [spread(number + HELD)];
        table.insert(&key, &[number])?;
        Ok(table.remove(&key)?)
    }))
}

fn private_table() -> Operation {
    let mut table: HashMap<u64, u64> = (0..HELD).map(|number| (spread(number), number)).collect();
    Box::new(move |number| {
        let key = spread(number + HELD);
        table.insert(key, number);
        table.remove(&key).map(drop).ok_or_else(|| "an entry is gone".into())
    })
}

fn heap(region: &Region) -> Result<Operation> {
    let heap = PriorityHeap::init(region, 4, 2 * HELD, 1)?;
    (0..HELD).try_for_each(|number| heap.push(&[number], spread(number + 1)))?;
    let mut values = [0];
    Ok(Box::new(move |number| {
        heap.push(&[number], spread(number + 1))?;
        black_box(heap.pop(&mut values)?);
        Ok(())
    }))
}

fn private_heap() -> Operation {
    let mut heap: BinaryHeap<u64> = (0..HELD).map(spread).collect();
    Box::new(move |number| {
        heap.push(spread(number));
        black_box(heap.pop()).map(drop).ok_or_else(|| "the heap is empty".into())
    })
}
