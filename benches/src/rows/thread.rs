//! Messages among threads of one process.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use weyr_channel::{Channel, ChannelAttributes};
use weyr_managed::Pool;

use crate::Result;
use crate::contestants::crossbeam::Crossbeam;
use crate::contestants::kanal::Kanal;
use crate::contestants::weyr_channel::{Queue, WeyrQueue};
use crate::process::alone;
use crate::processor::{Processors, stay_on};
use crate::row::{Effort, Row, Samples};
use crate::rows::POOL_BYTES;
use crate::scratch::Scratch;

const CAPACITY: usize = 128;
const MESSAGES: u64 = 20_000;
const SAMPLES: usize = 31;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let row = |pairs: u64| {
        Row::new("threads", format!("{pairs} to {pairs}, capacity {CAPACITY}, 8 B, a message"))
            .with("weyr", move |effort| alone(processors[0], || weyr(pairs, processors, effort)))
            .with("crossbeam-channel", move |effort| {
                alone(processors[0], || samples(&Crossbeam::new(CAPACITY), pairs, processors, effort))
            })
            .with("kanal", move |effort| {
                alone(processors[0], || samples(&Kanal::new(CAPACITY), pairs, processors, effort))
            })
            .must_times(1.5, "crossbeam-channel")
    };
    vec![row(1), row(2)]
}

fn weyr(pairs: u64, processors: Processors, effort: &Effort) -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("threads", POOL_BYTES))?;
    let attributes = ChannelAttributes::new().block_size(48).capacity(CAPACITY as u64);
    let channel = Channel::create(&pool, &attributes)?;
    samples(&WeyrQueue::new(&channel), pairs, processors, effort)
}

fn samples<Q: Queue + Clone>(
    queue: &Q,
    pairs: u64,
    processors: Processors,
    effort: &Effort,
) -> Result<Samples> {
    let each = (effort.operations(MESSAGES) / pairs).max(1);
    (0..SAMPLES).map(|_| time_of_message(queue, pairs, each, processors)).collect()
}

/// Sends `each` messages from each of `pairs` threads to as many. Each thread has a handle of its own.
fn time_of_message<Q: Queue + Clone>(
    queue: &Q,
    pairs: u64,
    each: u64,
    processors: Processors,
) -> Result<f64> {
    let barrier = Barrier::new(pairs as usize * 2 + 1);
    let barrier = &barrier;
    thread::scope(|scope| {
        let senders: Vec<_> = (0..pairs)
            .map(|_| (queue.clone(), processors[0]))
            .map(|(queue, on)| scope.spawn(move || act(on, barrier, || send_all(&queue, each))))
            .collect();
        let receivers: Vec<_> = (0..pairs)
            .map(|_| (queue.clone(), processors[1]))
            .map(|(queue, on)| scope.spawn(move || act(on, barrier, || receive_all(&queue, each))))
            .collect();
        barrier.wait();
        let start = Instant::now();
        let mut sums = senders.into_iter().chain(receivers).map(|thread| {
            let sum = thread.join().map_err(|_| "a thread panicked")?;
            sum.map_err(Box::<dyn std::error::Error>::from)
        });
        let sent = sums.by_ref().take(pairs as usize).sum::<Result<u64>>()?;
        let received = sums.sum::<Result<u64>>()?;
        let time = start.elapsed().as_nanos() as f64;
        if sent != received {
            return Err(
                format!("messages that add up to {sent} were sent, and to {received} received").into()
            );
        }
        Ok(time / (each * pairs) as f64)
    })
}

fn act(
    processor: usize,
    barrier: &Barrier,
    work: impl FnOnce() -> Result<u64>,
) -> std::result::Result<u64, String> {
    let stayed = stay_on(processor);
    barrier.wait();
    stayed.and_then(|()| work()).map_err(|error| error.to_string())
}

fn send_all(queue: &impl Queue, count: u64) -> Result<u64> {
    (0..count).try_for_each(|number| queue.send(number))?;
    Ok((0..count).sum())
}

fn receive_all(queue: &impl Queue, count: u64) -> Result<u64> {
    (0..count).map(|_| queue.receive()).sum()
}
