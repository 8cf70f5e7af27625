//! Futures, streams, sinks, watches and callbacks, under an executor that is no more than a parked thread.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore", weyr_face = "crash")))]
#![forbid(unsafe_code)]

mod pools;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_sink::Sink;
use pools::{TestPool, as_child, child};
use weyr_atomic::{AtomicU64, Ordering};
use weyr_channel::{
    Channel, ChannelAttributes, Error, FlowControl, Notice, Notification, PollEvents, Sender,
};
use weyr_kill::{Outcome, child as forked};

const IN: PollEvents = PollEvents::IN;

/// Long enough for anything; reached only by what hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Arc::new(Unparker(thread::current())).into()
}

/// Runs a future in this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (mut future, waker, late) = (pin!(future), waker(), Instant::now() + PATIENCE);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        thread::park_timeout(PATIENCE);
        assert!(Instant::now() < late, "nobody woke it");
    }
}

/// Runs several in this thread, all of them whenever one is woken, and returns what they gave.
fn run_all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut left: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    block_on(std::future::poll_fn(|context| {
        left.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(value) => {
                done.push(value);
                false
            }
            Poll::Pending => true,
        });
        if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }));
    done
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&waker()))
}

/// Until something is so that another thread brings about.
fn until(is_so: impl Fn() -> bool) {
    let late = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < late, "it never came to be");
        thread::yield_now();
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

async fn send_numbers(sender: Sender, count: u64) {
    for number in 0..count {
        sender.send_async(&number.to_le_bytes()).await.unwrap();
    }
}

#[test]
fn a_child_is_sent_to_and_answers_in_order() {
    const TEST: &str = "a_child_is_sent_to_and_answers_in_order";
    if let Some(channels) = as_child(TEST) {
        let (receiver, sender) = (channels[0].receiver(), channels[1].sender());
        block_on(async {
            while let Ok(message) = receiver.receive_async().await {
                sender.send_async(&message.into_bytes().unwrap()).await.unwrap();
            }
        });
        return;
    }
    let pool = TestPool::new("async-echo");
    let (out, back) = (pool.channel(2), pool.channel(2));
    let mut echo = child(TEST, &[&out, &back]);
    let receiver = back.receiver();
    let sending = thread::spawn({
        let sender = out.sender();
        move || block_on(send_numbers(sender, 1000))
    });
    for expected in 0..1000 {
        let message = block_on(receiver.receive_async()).unwrap();
        assert_eq!(number(&message.into_bytes().unwrap()), expected);
    }
    sending.join().unwrap();
    out.destroy().unwrap();
    assert!(echo.wait().unwrap().success());
}

#[test]
fn a_future_that_is_dropped_has_taken_and_sent_nothing() {
    let pool = TestPool::new("async-dropped");
    let channel = pool.channel(1);
    let (sender, receiver) = (channel.sender(), channel.receiver());
    for round in 0..200_u64 {
        let mut receiving = Box::pin(receiver.receive_async());
        assert!(poll_once(receiving.as_mut()).is_pending());
        let bytes = round.to_le_bytes();
        sender.try_send(&bytes).unwrap();
        // Perhaps woken by now, and perhaps not.
        drop(receiving);
        assert_eq!(channel.len(), Ok(1));
        let mut sending = Box::pin(sender.send_async(b"never"));
        assert!(poll_once(sending.as_mut()).is_pending());
        let message = receiver.try_receive().unwrap();
        drop(sending);
        assert_eq!((channel.len(), number(&message.into_bytes().unwrap())), (Ok(0), round));
    }
}

#[test]
fn cancelled_again_and_again_a_receiver_gets_every_message() {
    let pool = TestPool::new("async-cancelled");
    let channel = pool.channel(4);
    let sending = thread::spawn({
        let sender = channel.sender();
        move || block_on(send_numbers(sender, 2000))
    });
    let (receiver, mut polls) = (channel.receiver(), 0_u64);
    for expected in 0..2000 {
        let message = loop {
            // One future a poll, given up if it is not ready.
            polls += 1;
            if let Poll::Ready(message) = poll_once(pin!(receiver.receive_async())) {
                break message.unwrap();
            }
            thread::yield_now();
        };
        assert_eq!(number(&message.into_bytes().unwrap()), expected);
    }
    sending.join().unwrap();
    assert!(polls >= 2000);
    assert_eq!(channel.len(), Ok(0));
}

#[test]
fn as_many_futures_as_messages_get_one_each() {
    let pool = TestPool::new("async-many");
    let channel = pool.channel(8);
    let receivers: Vec<_> = (0..100).map(|_| channel.receiver()).collect();
    let sending = thread::spawn({
        let sender = channel.sender();
        move || block_on(send_numbers(sender, 100))
    });
    let received = run_all(receivers.iter().map(|receiver| receiver.receive_async()));
    let numbers: BTreeSet<u64> =
        received.into_iter().map(|message| number(&message.unwrap().into_bytes().unwrap())).collect();
    assert_eq!(numbers, (0..100).collect());
    sending.join().unwrap();
}

#[test]
fn futures_of_many_channels_are_woken_by_their_own() {
    let pool = TestPool::with("async-channels", 16 << 20, |attributes| attributes.channels(64));
    let channels: Vec<Channel> = (0..60).map(|_| pool.channel(1)).collect();
    let receivers: Vec<_> = channels.iter().map(Channel::receiver).collect();
    let sending = thread::spawn({
        let senders: Vec<_> = channels.iter().rev().map(Channel::sender).collect();
        move || senders.iter().for_each(|sender| sender.send(b"wake up").unwrap())
    });
    let received = run_all(receivers.iter().map(|receiver| receiver.receive_async()));
    assert_eq!(received.into_iter().filter(Result::is_ok).count(), 60);
    sending.join().unwrap();
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_counts() {
    let pool = TestPool::new("async-waker");
    let channel = pool.channel(1);
    let receiver = channel.receiver();
    let counters = [0, 1].map(|_| Arc::new(Counted(AtomicU64::new(0), thread::current())));
    let mut receiving = pin!(receiver.receive_async());
    for counter in &counters {
        let waker = Arc::clone(counter).into();
        assert!(receiving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    channel.send(b"wake up").unwrap();
    until(|| counters[1].0.load(Ordering::SeqCst) == 1);
    assert_eq!(counters[0].0.load(Ordering::SeqCst), 0);
    assert!(poll_once(receiving).is_ready());
}

#[test]
fn whoever_waits_for_a_destroyed_channel_is_told_so() {
    let pool = TestPool::new("async-destroyed");
    let (empty, full) = (pool.channel(1), pool.channel(1));
    full.send(b"there").unwrap();
    let (receiver, poller, sender) = (empty.receiver(), empty.poller(), full.sender());
    let destroying = thread::spawn({
        let (empty, full) = (empty.clone(), full.clone());
        move || (empty.destroy().unwrap(), full.destroy().unwrap())
    });
    assert_eq!(block_on(receiver.receive_async()).err(), Some(Error::Destroyed));
    assert_eq!(block_on(poller.poll_async(IN)), Err(Error::Destroyed));
    assert_eq!(block_on(sender.send_async(b"more")), Err(Error::Destroyed));
    destroying.join().unwrap();
    // Nobody is attached any more once the reactor has heard of it.
    drop((receiver, poller, sender, empty, full));
    until(|| pool.blocks() == 0);
    pool.assert_verified();
}

#[test]
fn an_allocation_that_was_not_sent_is_given_back_or_freed() {
    let pool = TestPool::new("async-allocation");
    let channel = pool.channel(1);
    let (sender, before) = (channel.sender(), pool.blocks());
    sender.send(b"there").unwrap();
    let mut sending = Box::pin(sender.send_allocation_async(pool.0.alloc(5000).unwrap()));
    assert!(poll_once(sending.as_mut()).is_pending());
    assert!(Pin::into_inner(sending).into_allocation().is_some());
    let mut sending = Box::pin(sender.send_allocation_async(pool.0.alloc(5000).unwrap()));
    assert!(poll_once(sending.as_mut()).is_pending());
    drop(sending);
    assert_eq!(pool.blocks(), before);
    channel.receive().unwrap();
    block_on(sender.send_allocation_async(pool.0.alloc(5000).unwrap())).unwrap();
    let received = block_on(channel.receiver().receive_async()).unwrap().into_allocation().unwrap();
    assert_eq!(received.len(), 5000);
}

#[test]
fn a_lease_that_was_awaited_leaves_the_message_until_it_is_done() {
    let pool = TestPool::new("async-lease");
    let channel = pool.channel(1);
    let receiver = channel.receiver();
    let sending = thread::spawn({
        let sender = channel.sender();
        move || sender.send(b"leased").unwrap()
    });
    let lease = block_on(receiver.lease_async()).unwrap();
    sending.join().unwrap();
    drop(lease);
    let lease = block_on(receiver.lease_async()).unwrap();
    lease.done().unwrap();
    assert_eq!(channel.len(), Ok(0));
}

#[test]
fn a_stream_hands_out_what_a_sink_was_fed_and_ends_with_the_channel() {
    let pool = TestPool::new("async-stream");
    let channel = pool.channel(2);
    let feeding = thread::spawn({
        let mut sink = channel.sender().into_sink::<Vec<u8>>();
        move || {
            for number in 0..300_u64 {
                block_on(std::future::poll_fn(|context| Pin::new(&mut sink).poll_ready(context))).unwrap();
                Pin::new(&mut sink).start_send(number.to_le_bytes().to_vec()).unwrap();
            }
            block_on(std::future::poll_fn(|context| Pin::new(&mut sink).poll_close(context))).unwrap();
            assert!(sink.into_parts().1.is_none());
        }
    });
    let mut stream = channel.receiver().into_stream();
    let mut next = || block_on(std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)));
    for expected in 0..300 {
        assert_eq!(number(&next().unwrap().unwrap().into_bytes().unwrap()), expected);
    }
    feeding.join().unwrap();
    channel.destroy().unwrap();
    assert!(next().is_none() && next().is_none());
}

/// Counts how often it is woken.
struct Counted(AtomicU64, Thread);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

#[test]
fn a_sender_at_its_limit_is_woken_by_what_goes_and_not_all_the_time() {
    let pool = TestPool::new("async-limited");
    let attributes = ChannelAttributes::new().capacity(8).flow_control(FlowControl::Messages { messages: 1 });
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let (sender, receiver) = (channel.sender(), channel.receiver());
    for _ in 0..50 {
        sender.send(b"first").unwrap();
        let counted = Arc::new(Counted(AtomicU64::new(0), thread::current()));
        let waker = Arc::clone(&counted).into();
        let mut sending = pin!(sender.send_async(b"second"));
        assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        receiver.receive().unwrap();
        let mut polls = 1;
        until(|| counted.0.load(Ordering::SeqCst) > 0);
        while sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            polls += 1;
            thread::park_timeout(PATIENCE);
        }
        assert!(polls < 10 && counted.0.load(Ordering::SeqCst) < 10, "{polls} polls");
        receiver.receive().unwrap();
    }
}

#[test]
fn who_awaits_a_locked_channel_goes_on_when_it_is_unlocked() {
    let pool = TestPool::new("async-locked");
    let channel = pool.channel(2);
    let (sender, receiver) = (channel.sender(), channel.receiver());
    let lock = channel.write_lock().unwrap();
    let mut sending = Box::pin(sender.send_async(b"later"));
    assert!(poll_once(sending.as_mut()).is_pending());
    let unlocking = thread::spawn(move || drop(lock));
    block_on(sending).unwrap();
    unlocking.join().unwrap();
    let lock = channel.read_lock().unwrap();
    let mut receiving = Box::pin(receiver.receive_async());
    assert!(poll_once(receiving.as_mut()).is_pending());
    let unlocking = thread::spawn(move || drop(lock));
    assert_eq!(block_on(receiving).unwrap().into_bytes().unwrap(), b"later");
    unlocking.join().unwrap();
}

#[test]
fn a_forked_child_waits_with_a_reactor_of_its_own() {
    let pool = TestPool::new("async-forked");
    let (out, back) = (pool.channel(1), pool.channel(1));
    let receiver = back.receiver();
    // The reactor of this process has something to wait for while it is forked.
    let mut before = Box::pin(receiver.receive_async());
    assert!(poll_once(before.as_mut()).is_pending());
    let mut echo = forked::spawn(|| {
        let message = block_on(out.receiver().receive_async()).unwrap();
        block_on(back.sender().send_async(&message.into_bytes().unwrap())).unwrap();
    })
    .unwrap();
    out.send(b"through the child").unwrap();
    assert_eq!(block_on(before).unwrap().into_bytes().unwrap(), b"through the child");
    assert_eq!(echo.wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn a_sender_that_dies_while_it_is_waited_for_leaves_its_messages_and_nothing_stuck() {
    let pool = TestPool::new("async-killed");
    let channel = pool.channel(3);
    let receiver = channel.receiver();
    let mut received = 0_u64;
    for _ in 0..20 {
        let sender = channel.sender();
        let dying = forked::spawn(|| {
            loop {
                sender.send(b"more and more").unwrap();
            }
        })
        .unwrap();
        for _ in 0..50 {
            block_on(receiver.receive_async()).unwrap();
            received += 1;
        }
        dying.kill().unwrap();
    }
    while receiver.try_receive().is_ok() {}
    let waiting = thread::spawn(move || block_on(receiver.receive_async()).unwrap().into_bytes());
    channel.send(b"the living").unwrap();
    assert_eq!((waiting.join().unwrap().unwrap(), received), (b"the living".to_vec(), 1000));
}

/// A watch whose notices come through a channel of the standard library.
fn notices(channel: &Channel, events: PollEvents) -> (weyr_channel::Watch, mpsc::Receiver<Notice>) {
    let (tell, told) = mpsc::channel();
    let notification = Notification::callback(move |notice| tell.send(notice).unwrap_or(()));
    (channel.watch(events, notification).unwrap(), told)
}

fn of(events: PollEvents) -> Notice {
    Notice { events, is_destroyed: false }
}

#[test]
fn a_watch_is_told_of_each_change_and_of_the_end() {
    let pool = TestPool::new("watch");
    let channel = pool.channel(2);
    channel.send(b"there already").unwrap();
    let (watch, told) = notices(&channel, IN);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(of(IN)));
    for _ in 0..20 {
        // Not received in between: what is told of is that something happened.
        channel.try_receive().unwrap();
        channel.send(b"another").unwrap();
        assert_eq!(told.recv_timeout(PATIENCE), Ok(of(IN)));
    }
    watch.set_events(PollEvents::EMPTY);
    channel.receive().unwrap();
    assert_eq!((told.recv_timeout(PATIENCE), watch.events()), (Ok(of(PollEvents::EMPTY)), PollEvents::EMPTY));
    channel.destroy().unwrap();
    let end = Notice { events: PollEvents::NONE, is_destroyed: true };
    assert_eq!(told.recv_timeout(PATIENCE), Ok(end));
    assert!(told.recv_timeout(PATIENCE).is_err(), "the callback is gone");
    assert_eq!(watch.ended(), Some(Error::Destroyed));
}

#[test]
fn a_watch_that_was_dropped_is_silent_and_its_neighbours_are_not() {
    let pool = TestPool::new("watch-dropped");
    let channel = pool.channel(4);
    let ((one, of_one), (_other, of_other)) = (notices(&channel, IN), notices(&channel, IN));
    channel.send(b"both hear").unwrap();
    for told in [&of_one, &of_other] {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(of(IN)));
    }
    drop(one);
    assert!(of_one.recv_timeout(PATIENCE).is_err(), "the callback is gone");
    channel.send(b"one hears").unwrap();
    assert_eq!(of_other.recv_timeout(PATIENCE), Ok(of(IN)));
}

#[test]
fn a_callback_that_panics_is_not_called_again_and_hurts_nobody() {
    let pool = TestPool::new("watch-panic");
    let channel = pool.channel(4);
    let (calls, counted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&calls);
    let _panicking = channel
        .watch(
            IN,
            Notification::callback(move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                panic!("as the test wants it");
            }),
        )
        .unwrap();
    let counter = Arc::clone(&counted);
    let _counting = channel
        .watch(IN, Notification::callback(move |_| assert!(counter.fetch_add(1, Ordering::SeqCst) < 100)))
        .unwrap();
    for round in 1..4 {
        channel.send(b"message").unwrap();
        until(|| counted.load(Ordering::SeqCst) >= round);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn an_eventfd_counts_what_a_watch_is_told_of() {
    use std::io::Read as _;
    let pool = TestPool::new("watch-eventfd");
    let channel = pool.channel(4);
    let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
    let mut ours: std::fs::File = eventfd.try_clone().unwrap().into();
    let _watch = channel.watch(IN, Notification::eventfd(eventfd)).unwrap();
    for _ in 0..5 {
        channel.send(b"message").unwrap();
        let mut count = [0; 8];
        ours.read_exact(&mut count).unwrap();
        assert!(u64::from_le_bytes(count) >= 1);
        channel.receive().unwrap();
    }
}

#[test]
fn a_signal_that_is_none_is_refused_by_name() {
    let pool = TestPool::new("watch-signal");
    let channel = pool.channel(1);
    for number in [0, -1, 1000] {
        let refused = channel.watch(IN, Notification::signal(number)).err();
        assert_eq!(refused, Some(Error::InvalidSignal { number }));
    }
}

#[test]
fn a_signal_comes_with_a_message() {
    let pool = TestPool::new("watch-signalled");
    let channel = pool.channel(1);
    // Without a handler the signal ends the process, which is what can be seen of it from here.
    let mut watching = forked::spawn(|| {
        let _watch = channel.watch(IN, Notification::signal(10)).unwrap();
        loop {
            thread::park();
        }
    })
    .unwrap();
    channel.send(b"the end").unwrap();
    assert_eq!(watching.wait().unwrap(), Outcome::Signalled(10));
}

#[test]
fn an_event_object_releases_who_waits_for_it_with_the_token() {
    use weyr_shared::{BroadcastAttributes, WaitMode};
    let pool = TestPool::new("watch-event");
    let channel = pool.channel(1);
    let event = pool.0.create_broadcast(&BroadcastAttributes::new().max_payload(16)).unwrap();
    let theirs = event.clone();
    let waiting = thread::spawn(move || theirs.wait(WaitMode::Adaptive));
    until(|| event.num_waiting() == 1);
    let _watch = channel.watch(IN, Notification::event(event, 0x0102_0304)).unwrap();
    channel.send(b"message").unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), [4, 3, 2, 1, 0, 0, 0, 0, 1]);
}

#[test]
fn a_subscription_hands_over_every_message_in_order_and_stops_when_told() {
    let pool = TestPool::new("subscription");
    let channel = pool.channel(3);
    let (tell, told) = mpsc::channel();
    let subscription = channel.receiver().on_message(move |message| drop(tell.send(message))).unwrap();
    for number in 0..500_u64 {
        channel.send(&number.to_le_bytes()).unwrap();
    }
    for expected in 0..500 {
        let message = told.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(number(&message.into_bytes().unwrap()), expected);
    }
    let receiver = subscription.stop().unwrap();
    channel.send(b"later").unwrap();
    assert_eq!(receiver.receive().unwrap().into_bytes().unwrap(), b"later");
    let (tell, told) = mpsc::channel();
    let subscription = receiver.on_message(move |message| drop(tell.send(message.err()))).unwrap();
    channel.destroy().unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Some(Error::Destroyed)));
    until(|| subscription.is_over());
}
