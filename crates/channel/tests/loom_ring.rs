//! The ring under the C11 memory model: what is published is seen, what is armed is signalled, what is given back is
//! found. Two to three threads, on the product's own code.
#![cfg(weyr_face = "loom")]

use std::sync::Mutex;
use std::time::Duration;

use weyr_atomic::loom::sync::Arc;
use weyr_atomic::loom::{model::Builder, thread};
use weyr_atomic::{AtomicU32, Ordering};
use weyr_channel::Error;
use weyr_channel::protocol::{
    Attached, Attempt, Host, Patience, ReceiveSide, SendSide, Taken, Transfer, Tried,
};
use weyr_shared::{
    Actor, Awake, BlockReference, Event, Futex, Geometry, Holder, Interest, Listener, MessageReference,
    ReadyRow, Ring, RingLock, SlotState, Zeroed,
};

/// Nobody sleeps here: what must hold is that nobody would have slept wrongly.
#[derive(Debug, Clone, Copy)]
struct NoFutex;

impl Futex for NoFutex {
    fn wait(&self, _: &AtomicU32, _: u32, _: Duration) -> Awake {
        Awake::Changed
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        0
    }
}

struct LoomHost {
    process: u16,
    futex: NoFutex,
}

impl Host for LoomHost {
    type Block = BlockReference;
    type Futex = NoFutex;

    fn futex(&self) -> &NoFutex {
        &self.futex
    }

    fn nonce(&self) -> u64 {
        1
    }

    fn me(&self) -> Result<Actor, Error> {
        Ok(actor(self.process))
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn is_dead(&self, _: Holder) -> bool {
        false
    }

    fn recover(&self, _: u16) {}

    fn check_channel(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn free_channel(&self, _: BlockReference) {}

    fn in_flight(&self, _: BlockReference) -> bool {
        true
    }

    fn begin_transfer(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn revert_transfer(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn take_transfer(&self, message: &MessageReference) -> Result<BlockReference, Error> {
        Ok(message.block)
    }
}

fn actor(process: u16) -> Actor {
    Actor { process, epoch: 1 }
}

fn ring(capacity: u32) -> Arc<Ring> {
    let geometry = Geometry { capacity, processes: 1, ..Geometry::PLAIN };
    Arc::new(Ring::private(&geometry).unwrap())
}

fn attached(ring: &Ring, process: u16) -> Attached<LoomHost> {
    Attached::for_model(ring.clone(), LoomHost { process, futex: NoFutex }, actor(process))
}

fn message(number: u64) -> Transfer {
    let block = BlockReference { offset: number, generation: number };
    Transfer(MessageReference { block, view_offset: number, view_len: number })
}

fn send(channel: &Attached<LoomHost>, side: &SendSide, number: u64) -> bool {
    matches!(channel.try_send(side, &message(number), Attempt::AT_ONCE).unwrap(), Tried::Done(()))
}

fn take(channel: &Attached<LoomHost>, side: &ReceiveSide) -> Option<Taken> {
    match channel.try_take(side, SlotState::Taking, Attempt::AT_ONCE).unwrap() {
        Tried::Done(taken) => Some(taken),
        Tried::Blocked { .. } => None,
    }
}

/// The number of a message, all of whose words agree.
fn number(channel: &Attached<LoomHost>, taken: &Taken) -> u64 {
    let found = channel.reference(taken).unwrap();
    assert_eq!(found, message(found.view_len).0, "torn");
    found.view_len
}

/// Explores `model` as far as loom can, and notes how many executions there were.
///
/// loom finds the places for a change of threads by the last access to each atomic. A thread's own load so hides an
/// earlier one of the other. Hence the writers run first, on the model's own thread, and the readers are spawned: what
/// they look at then leads back to each write.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(Mutex::new(0_u64));
    let counted = executions.clone();
    let mut builder = Builder::new();
    builder.preemption_bound = None;
    builder.check(move || {
        *counted.lock().expect("nobody panics with it") += 1;
        model();
    });
    let executions = *executions.lock().expect("nobody panics with it");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    weyr_kill::note(format_args!("loom {test}: {executions} executions, complete"));
    assert!(executions > 2, "nothing was explored");
}

/// One of two threads that must not both miss the other: sleeps beside `state`?
fn would_sleep(ring: &Ring, word: fn(&Ring) -> &AtomicU32, state: SlotState) -> Option<u32> {
    let armed = Event::new(word(ring), &NoFutex).arm();
    let saw = ring.load(0).unwrap().state == state;
    (!saw).then_some(armed.value())
}

fn to_receivers(ring: &Ring) -> &AtomicU32 {
    &ring.header().to_receivers
}

fn to_senders(ring: &Ring) -> &AtomicU32 {
    &ring.header().to_senders
}

/// Who would have slept was signalled: the word is not what it would sleep on.
fn assert_signalled(word: &AtomicU32, sleeper: Option<u32>) {
    if let Some(armed) = sleeper {
        assert_ne!(word.load(Ordering::SeqCst), armed, "somebody sleeps beside what it waits for");
    }
}

#[test]
fn what_a_taker_reads_is_what_was_published() {
    explore(|| {
        let ring = ring(1);
        let shared = Arc::clone(&ring);
        let receiver = thread::spawn(move || {
            let (channel, side) = (attached(&shared, 2), ReceiveSide::default());
            let mut last = 0;
            for _ in 0..2 {
                if let Some(taken) = take(&channel, &side) {
                    let number = number(&channel, &taken);
                    assert!(number > last, "message {number} after {last}");
                    last = number;
                    channel.release(taken).unwrap();
                }
            }
        });
        let (channel, side) = (attached(&ring, 1), SendSide::default());
        (1..=2).for_each(|number| {
            let _sent_or_full = send(&channel, &side, number);
        });
        receiver.join().unwrap();
    });
}

#[test]
fn of_two_receivers_one_takes_a_message() {
    explore(|| {
        let ring = ring(1);
        assert!(send(&attached(&ring, 1), &SendSide::default(), 7));
        let shared = Arc::clone(&ring);
        let receive = |ring: &Ring, process| {
            let channel = attached(ring, process);
            take(&channel, &ReceiveSide::default()).map(|taken| number(&channel, &taken))
        };
        let other = thread::spawn(move || receive(&shared, 2));
        let mine = receive(&ring, 3);
        let theirs = other.join().unwrap();
        assert!(matches!((mine, theirs), (Some(7), None) | (None, Some(7))));
    });
}

#[test]
fn who_armed_and_saw_no_message_is_signalled() {
    explore(|| {
        let ring = ring(1);
        let shared = Arc::clone(&ring);
        let receiver = thread::spawn(move || would_sleep(&shared, to_receivers, SlotState::Full));
        assert!(send(&attached(&ring, 1), &SendSide::default(), 1));
        assert_signalled(to_receivers(&ring), receiver.join().unwrap());
    });
}

#[test]
fn who_finds_the_bit_armed_already_is_signalled_too() {
    explore(|| {
        let ring = ring(1);
        let sleepers = [(); 2].map(|()| {
            let shared = Arc::clone(&ring);
            thread::spawn(move || would_sleep(&shared, to_receivers, SlotState::Full))
        });
        assert!(send(&attached(&ring, 1), &SendSide::default(), 1));
        for sleeper in sleepers {
            assert_signalled(to_receivers(&ring), sleeper.join().unwrap());
        }
    });
}

#[test]
fn who_armed_and_saw_no_room_is_signalled() {
    explore(|| {
        let ring = ring(1);
        assert!(send(&attached(&ring, 1), &SendSide::default(), 1));
        let shared = Arc::clone(&ring);
        let sender = thread::spawn(move || would_sleep(&shared, to_senders, SlotState::Empty));
        let channel = attached(&ring, 2);
        let taken = take(&channel, &ReceiveSide::default()).unwrap();
        channel.release(taken).unwrap();
        assert_signalled(to_senders(&ring), sender.join().unwrap());
    });
}

#[test]
fn a_message_given_back_is_found_by_who_looks_next() {
    explore(|| {
        let ring = ring(1);
        let channel = attached(&ring, 2);
        assert!(send(&channel, &SendSide::default(), 9));
        let taken = take(&channel, &ReceiveSide::default()).unwrap();
        let shared = Arc::clone(&ring);
        let searching = thread::spawn(move || {
            let channel = attached(&shared, 3);
            take(&channel, &ReceiveSide::default()).map(|taken| number(&channel, &taken))
        });
        channel.put_back(taken, true).unwrap();
        let found = searching.join().unwrap();
        let left = take(&channel, &ReceiveSide::default()).map(|taken| number(&channel, &taken));
        assert!(matches!((found, left), (Some(9), None) | (None, Some(9))), "{found:?} {left:?}");
    });
}

#[test]
fn two_messages_given_back_are_both_found() {
    explore(|| {
        let ring = ring(2);
        let channel = attached(&ring, 1);
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        assert!(send(&channel, &from, 1) && send(&channel, &from, 2));
        let (first, second) = (take(&channel, &to).unwrap(), take(&channel, &to).unwrap());
        channel.put_back(first, false).unwrap();
        let shared = Arc::clone(&ring);
        let searching = thread::spawn(move || {
            let (channel, side) = (attached(&shared, 3), ReceiveSide::default());
            (0..2).filter(|_| take(&channel, &side).is_some()).count()
        });
        channel.put_back(second, false).unwrap();
        let found = searching.join().unwrap();
        let left = (0..3).filter(|_| take(&channel, &to).is_some()).count();
        assert_eq!(found + left, 2);
    });
}

#[test]
fn a_revoked_sender_and_its_revoker_agree() {
    explore(|| {
        let ring = ring(2);
        let sender = attached(&ring, 1);
        let me = sender.me().unwrap();
        let Ok(Tried::Done(claim)) = sender.claim(&SendSide::default(), me, Attempt::AT_ONCE) else {
            panic!("no slot");
        };
        let shared = Arc::clone(&ring);
        let receiver = thread::spawn(move || {
            let (channel, side) = (attached(&shared, 2), ReceiveSide::default());
            let impatient = Attempt { patience: Duration::ZERO, inspect: false };
            (0..2).any(|_| match channel.try_take(&side, SlotState::Taking, impatient).unwrap() {
                Tried::Done(taken) => number(&channel, &taken) == 4,
                Tried::Blocked { .. } => false,
            })
        });
        sender.fill(claim, &message(4)).unwrap();
        let published = sender.publish(claim).unwrap();
        if !published {
            sender.give_back(claim).unwrap();
        }
        let received = receiver.join().unwrap();
        let late = take(&sender, &ReceiveSide::default()).is_some();
        assert_eq!(published, received || late);
    });
}

#[test]
fn a_sender_that_goes_round_and_the_one_it_passes_agree() {
    explore(|| {
        let ring = ring(2);
        let channel = attached(&ring, 1);
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        assert!(send(&channel, &from, 1) && send(&channel, &from, 2));
        let Ok(Tried::Done(held)) = channel.try_take(&to, SlotState::Leased, Attempt::AT_ONCE) else {
            panic!("no message");
        };
        let quick = take(&channel, &to).unwrap();
        channel.release(quick).unwrap();
        let shared = Arc::clone(&ring);
        let sender = thread::spawn(move || {
            let channel = attached(&shared, 2);
            [3, 4].map(|number| send(&channel, &from, number))
        });
        assert_eq!(number(&channel, &held), 1, "written under the reader");
        channel.release(held).unwrap();
        let sent = sender.join().unwrap();
        assert!(sent[0], "there was room behind the held slot, or in it");
        let received = [3, 4].map(|_| take(&channel, &to).map(|taken| number(&channel, &taken)));
        assert_eq!(received, [Some(3), sent[1].then_some(4)]);
    });
}

/// Tells listeners in one row, by their registrations.
struct Telling<'r>(&'r ReadyRow);

impl Futex for Telling<'_> {
    fn wait(&self, _: &AtomicU32, _: u32, _: Duration) -> Awake {
        Awake::Changed
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        0
    }

    fn tell(&self, listener: Listener) {
        self.0.tell(listener.registration(), &NoFutex);
    }
}

/// Whether a set that has just come to the channel saw its message.
fn listened_and_saw(ring: &Ring, row: &ReadyRow, registration: u16) -> bool {
    assert!(ring.listeners().enter(Listener::new(actor(2), registration, Interest::ARRIVALS)));
    ring.to_receivers(&Telling(row)).listen();
    ring.load(0).unwrap().state == SlotState::Full
}

/// Sends a message beside a set that comes, and sees it or is told; `others` listen already.
fn send_to_a_newcomer(others: u16) {
    explore(move || {
        let (ring, row) = (ring(1), Arc::new(ReadyRow::zeroed()));
        (0..others).for_each(|other| assert!(!listened_and_saw(&ring, &row, other)));
        let (shared, told) = (Arc::clone(&ring), Arc::clone(&row));
        let newcomer = thread::spawn(move || listened_and_saw(&shared, &told, others));
        let empty = ring.load(0).unwrap();
        assert!(ring.publish(0, empty, empty.becomes(SlotState::Full)).unwrap());
        ring.to_receivers(&Telling(&row)).signal();
        let saw = newcomer.join().unwrap();
        let told =
            |registration: u16| row.is_any(&std::array::from_fn(|word| u64::from(word == 0) << registration));
        assert!(saw || told(others), "the newcomer knows nothing of the message");
        assert!((0..others).all(told), "another knows nothing of the message");
    });
}

#[test]
fn who_listened_and_saw_no_message_is_told() {
    send_to_a_newcomer(0);
}

#[test]
fn who_finds_that_another_listens_is_told_too() {
    send_to_a_newcomer(1);
}

#[test]
fn what_is_told_behind_the_taking_is_told_again() {
    explore(|| {
        let (changed, row) = (Arc::new(AtomicU32::new(0)), Arc::new(ReadyRow::zeroed()));
        let (seen_change, told) = (Arc::clone(&changed), Arc::clone(&row));
        let listener = thread::spawn(move || {
            let mut seen = 0;
            told.take(&[1; 16], |_| seen = seen_change.load(Ordering::SeqCst));
            seen
        });
        for number in 1..=2 {
            changed.store(number, Ordering::SeqCst);
            row.tell(0, &NoFutex);
        }
        let seen = listener.join().unwrap();
        assert!(seen == 2 || row.is_any(&[1; 16]), "change {seen} was seen last, and nothing is told");
    });
}

/// Locks a channel of one slot in a thread of its own, or brings it to rest, beside `act`; what the slot was behind that, if
/// it came to be.
fn beside_a_lock<T>(
    full: bool,
    lock: fn(&Attached<LoomHost>) -> bool,
    act: impl Fn(&Attached<LoomHost>) -> T,
) -> (T, Option<SlotState>) {
    let ring = ring(1);
    let channel = attached(&ring, 1);
    assert!(!full || send(&channel, &SendSide::default(), 1));
    let shared = Arc::clone(&ring);
    let locker = thread::spawn(move || {
        let is_locked = lock(&attached(&shared, 2));
        is_locked.then(|| shared.load(0).unwrap().state)
    });
    let acted = act(&channel);
    (acted, locker.join().unwrap())
}

fn take_lock(channel: &Attached<LoomHost>, lock: RingLock) -> bool {
    match channel.lock(lock, Patience::None) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, Error::InHands { process: 1 });
            false
        }
    }
}

fn bring_to_rest(channel: &Attached<LoomHost>) -> bool {
    match channel.quiesce(Patience::None) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error, Error::InHands { process: 1 });
            false
        }
    }
}

/// A message was sent before the lock, or waits for its end.
fn nothing_is_sent_behind(lock: fn(&Attached<LoomHost>) -> bool) {
    explore(move || {
        let send_one = |channel: &Attached<LoomHost>| send(channel, &SendSide::default(), 1);
        let (sent, behind) = beside_a_lock(false, lock, send_one);
        // Where it did not come to be locked, it may have been in between.
        if let Some(behind) = behind {
            assert_eq!(sent, behind == SlotState::Full, "it came in behind the lock");
        }
    });
}

/// A message was received before the lock, or waits for its end.
fn nothing_is_received_behind(lock: fn(&Attached<LoomHost>) -> bool) {
    explore(move || {
        let receive_one = |channel: &Attached<LoomHost>| {
            take(channel, &ReceiveSide::default()).map(|taken| channel.release(taken).unwrap())
        };
        let (received, behind) = beside_a_lock(true, lock, receive_one);
        if let Some(behind) = behind {
            assert_eq!(received.is_some(), behind == SlotState::Empty, "it left behind the lock");
        }
    });
}

#[test]
fn a_write_lock_and_a_send_see_each_other() {
    nothing_is_sent_behind(|channel| take_lock(channel, RingLock::Write));
}

#[test]
fn a_read_lock_and_a_receive_see_each_other() {
    nothing_is_received_behind(|channel| take_lock(channel, RingLock::Read));
}

#[test]
fn a_quiesce_and_its_users_see_each_other() {
    nothing_is_sent_behind(bring_to_rest);
    nothing_is_received_behind(bring_to_rest);
}
