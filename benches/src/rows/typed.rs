//! Memory with a type and an id: processor time of one such allocation and its free, beside those without.

use std::hint::black_box;

use weyr_managed::Pool;

use crate::Result;
use crate::clock::processor_time;
use crate::contestants::weyr_pool::sound;
use crate::process::alone;
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples, Target};
use crate::rows::POOL_BYTES;
use crate::scratch::Scratch;

const SAMPLES: u64 = 7;
const OPERATIONS: u64 = 200_000;
const BYTES: u64 = 64;
const TYPE: u32 = 7;
const UNTYPED: &str = "without type and id";

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let here = processors[0];
    let row = Row::new("allocate", "64 B with type and id")
        .with("weyr", move |effort| alone(here, || measured(effort, typed)))
        .with(UNTYPED, move |effort| alone(here, || measured(effort, untyped)))
        .with("published without them", move |effort| alone(here, || measured(effort, published)))
        .must(Target::Above(100.0, UNTYPED.into()));
    vec![row]
}

fn measured(effort: &Effort, pair: fn(&Pool, u64) -> Result<()>) -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("typed", POOL_BYTES))?;
    let operations = effort.operations(OPERATIONS);
    let pairs = || (0..operations).try_for_each(|id| pair(&pool, id));
    pairs()?;
    let samples = (0..SAMPLES).map(|_| processor_time(operations, pairs)).collect();
    if pool.manifest().next().is_some() || pool.usage().total.blocks != 0 {
        return Err("something is left in the pool".into());
    }
    sound(&pool)?;
    samples
}

fn typed(pool: &Pool, id: u64) -> Result<()> {
    let block = pool.alloc_typed(BYTES, TYPE, id)?;
    black_box(&block);
    Ok(block.free()?)
}

fn untyped(pool: &Pool, _id: u64) -> Result<()> {
    black_box(&pool.alloc(BYTES)?);
    Ok(())
}

fn published(pool: &Pool, _id: u64) -> Result<()> {
    let block = pool.alloc(BYTES)?.publish()?;
    black_box(&block);
    Ok(block.free()?)
}
