//! A channel's life, and what it takes.

use std::time::Instant;

use weyr_channel::{Channel, ChannelAttributes};
use weyr_managed::Pool;

use crate::Result;
use crate::contestants::weyr_channel::Channels;
use crate::contestants::weyr_pool::sound;
use crate::process::alone;
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples, Unit};
use crate::rows::POOL_BYTES;
use crate::scratch::Scratch;

const GROUP: &str = "channel";
const MICROSECOND: f64 = 1e3;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let here = processors[0];
    vec![
        Row::new(GROUP, "create, in touched memory")
            .with("weyr", move |effort| alone(here, || created(effort)))
            .must_at_most(5.0 * MICROSECOND),
        Row::new(GROUP, "attach, its pool attached")
            .with("weyr", move |effort| attached(processors, effort))
            .must_at_most(5.0 * MICROSECOND),
        Row::new(GROUP, "memory of a default channel")
            .counted(Unit::Bytes)
            .with("weyr", move |_| alone(here, default_bytes))
            .must_at_most(128.0 * 1024.0),
    ]
}

fn created(effort: &Effort) -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("created", POOL_BYTES))?;
    let create = || {
        let start = Instant::now();
        let channel = Channel::create(&pool, &ChannelAttributes::new())?;
        let time = start.elapsed().as_nanos() as f64;
        channel.send(b"works")?;
        if channel.receive()?.into_bytes()? != b"works" {
            return Err("a new channel does not work".into());
        }
        channel.destroy()?;
        Ok(time)
    };
    create()?;
    let samples = (0..effort.operations(2000)).map(|_| create()).collect();
    sound(&pool)?;
    samples
}

fn attached(processors: Processors, effort: &Effort) -> Result<Samples> {
    let channels = Channels::new(1, &ChannelAttributes::new(), processors)?;
    let count = effort.operations(2000);
    alone(processors[0], || {
        let first = channels.attach(0)?;
        let (pool, descriptor) = (first.pool().clone(), first.descriptor());
        drop(first);
        let attach = || {
            let start = Instant::now();
            let channel = Channel::attach_in(&pool, &descriptor)?;
            let time = start.elapsed().as_nanos() as f64;
            if channel.is_empty()? { Ok(time) } else { Err("an empty channel has messages".into()) }
        };
        attach()?;
        (0..count).map(|_| attach()).collect()
    })
}

fn default_bytes() -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("default", POOL_BYTES))?;
    let before = pool.usage().total.bytes;
    let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    let bytes = pool.usage().total.bytes - before;
    channel.destroy()?;
    Ok(vec![bytes as f64])
}
