//! Futures, streams and sinks of channels under tokio, with its time-outs and its cancellation.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use weyr::prelude::*;

/// Reached only by what hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_time().build().unwrap()
}

fn pool(test: &str) -> Pool {
    Pool::create(&PoolAttributes::new(format!("test-tokio-{test}-{}", std::process::id()), 8 << 20)).unwrap()
}

fn channel(pool: &Pool, capacity: u64) -> Channel {
    Channel::create(pool, &ChannelAttributes::new().block_size(64).capacity(capacity)).unwrap()
}

fn number(message: Message) -> u64 {
    u64::from_le_bytes(message.into_bytes().unwrap().try_into().unwrap())
}

async fn send_numbers(channel: Channel, numbers: std::ops::Range<u64>) {
    let sender = channel.sender();
    for number in numbers {
        sender.send_async(&number.to_le_bytes()).await.unwrap();
    }
}

#[test]
fn many_tasks_send_and_receive_through_one_channel() {
    let pool = pool("tasks");
    let channel = channel(&pool, 4);
    runtime(2).block_on(async {
        let senders: Vec<_> = (0..8)
            .map(|task| tokio::spawn(send_numbers(channel.clone(), task * 50..task * 50 + 50)))
            .collect();
        let receivers = (0..8).map(|_| {
            let receiver = channel.receiver();
            tokio::spawn(async move {
                let mut sum = 0;
                for _ in 0..50 {
                    sum += number(receiver.receive_async().await.unwrap());
                }
                sum
            })
        });
        let mut sum = 0;
        for receiver in receivers.collect::<Vec<_>>() {
            sum += timeout(PATIENCE, receiver).await.unwrap().unwrap();
        }
        for sender in senders {
            timeout(PATIENCE, sender).await.unwrap().unwrap();
        }
        assert_eq!(sum, (0..400).sum());
    });
    pool.destroy().unwrap();
}

#[test]
fn a_receive_that_timed_out_has_taken_nothing() {
    let pool = pool("timed-out");
    let channel = channel(&pool, 4);
    runtime(1).block_on(async {
        let sending = tokio::spawn(send_numbers(channel.clone(), 0..500));
        let receiver = channel.receiver();
        for expected in 0..500 {
            let message = loop {
                // Gives up as soon as the runtime looks at the time, unless the message is there by then.
                if let Ok(message) = timeout(Duration::ZERO, receiver.receive_async()).await {
                    break message.unwrap();
                }
            };
            assert_eq!(number(message), expected);
        }
        timeout(PATIENCE, sending).await.unwrap().unwrap();
    });
    assert!(channel.is_empty().unwrap());
    pool.destroy().unwrap();
}

#[test]
fn a_task_that_was_aborted_gives_way_to_another() {
    let pool = pool("aborted");
    let channel = channel(&pool, 1);
    runtime(2).block_on(async {
        for round in 0..100_u64 {
            let receiver = channel.receiver();
            let waiting = tokio::spawn(async move { number(receiver.receive_async().await.unwrap()) });
            tokio::task::yield_now().await;
            let sending = tokio::spawn(send_numbers(channel.clone(), round..round + 1));
            waiting.abort();
            // Either the task was faster, or the message is still there.
            let received = match waiting.await {
                Ok(received) => received,
                Err(_aborted) => {
                    number(timeout(PATIENCE, channel.receiver().receive_async()).await.unwrap().unwrap())
                }
            };
            assert_eq!(received, round);
            timeout(PATIENCE, sending).await.unwrap().unwrap();
        }
    });
    pool.destroy().unwrap();
}

#[test]
fn a_stream_ends_when_another_task_destroys_the_channel() {
    let pool = pool("stream");
    let channel = channel(&pool, 2);
    runtime(2).block_on(async {
        let mut stream = channel.receiver().into_stream();
        let sending = tokio::spawn(async move {
            send_numbers(channel.clone(), 0..100).await;
            channel.poller().poll_async(PollEvents::EMPTY).await.unwrap();
            channel.destroy().unwrap();
        });
        let mut sum = 0;
        while let Some(message) =
            timeout(PATIENCE, poll_fn(|context| Pin::new(&mut stream).poll_next(context))).await.unwrap()
        {
            sum += number(message.unwrap());
        }
        assert_eq!(sum, (0..100).sum());
        sending.await.unwrap();
    });
    pool.destroy().unwrap();
}
