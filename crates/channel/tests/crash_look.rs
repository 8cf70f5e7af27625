//! Death before each shared write of what is sent and received beside plain bytes and allocations: attributes, frozen
//! and published memory, landing pads; and of those who poll or wait in sets, and of those who
//! signal them.
//!
//! For each write a fresh pool, channel and child: the child is killed just before it, the parent recovers, and
//! receives what there is. The later the death, the further the message is on its way, and the memory of frozen and
//! published payload is there whoever dies.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod ledger;
mod pools;

use std::time::Instant;

use Fate::{Absent, Again, Fresh};
use ledger::{Fate, Ledger, assert_sound, assert_whole, letter, number_of, parcel, soon, states};
use pools::TestPool;
use rustix::process::{Signal, getpid, kill_process};
use weyr_atomic::{Ordering, crash};
use weyr_channel::{Channel, ChannelAttributes, ChannelSet, Content, Error, Message, PollEvents, WaitMode};
use weyr_kill::{Child, Rendezvous, child, is_few_writes, note};
use weyr_managed::{AllocationDescriptor, PoolAttributes, Published};
use weyr_shared::{Ring, SlotState};

fn die_here() {
    kill_process(getpid(), Signal::KILL).unwrap();
}

struct World {
    channel: Channel,
    pool: TestPool,
}

impl World {
    fn new(name: &str, capacity: u64) -> Self {
        let shape =
            |attributes: PoolAttributes| attributes.page_size(4096).processes(8).lanes(16).channels(4);
        let pool = TestPool::with(name, 256 << 10, shape);
        let attributes = ChannelAttributes::new().block_size(64).capacity(capacity).message_attributes(true);
        Self { channel: Channel::create(&pool.0, &attributes).unwrap(), pool }
    }

    /// In the child: a handle of its own.
    fn attach(&self) -> Channel {
        Channel::attach_in(&self.pool.0, &self.channel.descriptor()).unwrap()
    }

    /// Memory of message `number` that lives until it is freed.
    fn published(&self, number: u64) -> Published {
        parcel(&self.pool.0, number).publish().unwrap()
    }

    fn ring(&self) -> Ring {
        let (pool, reference) = (&self.pool.0, self.channel.descriptor().reference());
        let bytes = pool.channel_block(reference).unwrap().bytes;
        Ring::open(&pool.region().part(reference.offset, bytes).unwrap(), reference).unwrap()
    }

    fn leave(self) {
        self.channel.destroy().unwrap();
        assert_whole(&self.pool.0);
    }
}

/// What the child does: with its channel, and with what the parent has prepared.
type Work = fn(&Channel, Option<&AllocationDescriptor>);

/// What becomes of message 1 when the child that sends or receives it is killed ever later.
struct Plan {
    name: &'static str,
    floor: u64,
    /// What is there before, and stays: frozen or published memory.
    memory: fn(&World) -> Option<Published>,
    /// The parent sends it first.
    ground: fn(&World, Option<&Published>),
    work: Work,
    story: &'static [Fate],
}

/// What came of a message that was received after all; memory that lives on is freed.
fn fate_of(message: &mut Option<Message>) -> Fate {
    let Some(message) = message.take() else { return Absent };
    let (again, attributes) = (message.is_redelivered(), *message.attributes().unwrap());
    assert_eq!((attributes.hints, attributes.client_id), (11, 12));
    assert_eq!((attributes.sequence, number_of(&message.into_bytes().unwrap())), (1, 1));
    if again { Again } else { Fresh }
}

/// How many writes lie from one point to the next.
fn stride() -> usize {
    if is_few_writes() { 4 } else { 1 }
}

fn sweep(plan: &Plan) {
    let (mut fates, stride) = (Vec::new(), stride());
    for write in (1..).step_by(stride) {
        let world = World::new(plan.name, 2);
        let memory = (plan.memory)(&world);
        let descriptor = memory.as_ref().map(Published::descriptor);
        (plan.ground)(&world, memory.as_ref());
        let mut victim = child::spawn(|| {
            let channel = world.attach();
            // It has its lane already.
            drop(world.pool.0.alloc(200).unwrap());
            crash::arm(write, die_here);
            (plan.work)(&channel, descriptor.as_ref());
            crash::disarm();
            std::mem::forget(channel);
        })
        .unwrap();
        let killed = victim.wait().unwrap().was_killed();
        world.pool.0.recover();
        let mut message = world.channel.try_receive().ok();
        fates.push(fate_of(&mut message));
        assert!(states(&world.channel).iter().all(|state| *state == SlotState::Empty));
        let mut ledger = Ledger::default();
        ledger.pass(&world.channel, WaitMode::Adaptive).unwrap();
        ledger.assert_passed(|_| false);
        assert_sound(&world.pool.0, 1 + u64::from(memory.is_some()));
        if let Some(memory) = memory {
            assert!(memory.exists(), "{}: before write {write} its memory was lost", plan.name);
            let mut bytes = vec![0; memory.len() as usize];
            memory.read(0, &mut bytes).unwrap();
            assert_eq!(number_of(&bytes), 1);
            memory.free().unwrap();
        }
        world.leave();
        if !killed {
            break;
        }
    }
    let points = fates.len() - 1;
    assert!((points * stride) as u64 >= plan.floor, "{}: only {points} writes", plan.name);
    fates.dedup();
    assert!(ledger::tells(&fates, plan.story), "{}: {fates:?}", plan.name);
    note(format_args!("crash channel, {}: {points} points, killed", plan.name));
}

const SENT: &[Fate] = &[Absent, Fresh];
const RECEIVED: &[Fate] = &[Fresh, Again, Absent];

fn open(channel: &Channel, descriptor: Option<&AllocationDescriptor>) -> Published {
    channel.pool().open(descriptor.unwrap()).unwrap()
}

fn send_bytes(channel: &Channel, _: Option<&AllocationDescriptor>) {
    channel.sender().message().hints(11).client_id(12).send(&letter(1)).unwrap();
}

fn send_frozen(channel: &Channel, descriptor: Option<&AllocationDescriptor>) {
    channel.sender().message().hints(11).client_id(12).send_frozen(&open(channel, descriptor)).unwrap();
}

fn send_published(channel: &Channel, descriptor: Option<&AllocationDescriptor>) {
    channel.sender().message().hints(11).client_id(12).send_published(open(channel, descriptor)).unwrap();
}

fn send_into(channel: &Channel, descriptor: Option<&AllocationDescriptor>) {
    let payload = 1_u64.to_le_bytes().repeat(25);
    let message = channel.sender();
    message.message().hints(11).client_id(12).send_into(open(channel, descriptor), &payload[..]).unwrap();
}

fn receive(channel: &Channel, _: Option<&AllocationDescriptor>) {
    assert_eq!(number_of(&channel.try_receive().unwrap().into_bytes().unwrap()), 1);
}

fn receive_to(channel: &Channel, _: Option<&AllocationDescriptor>) {
    let mut pad = [0; 200];
    let landed = channel.receiver().try_receive_to(&mut pad[..]).unwrap();
    assert_eq!(number_of(&pad[..landed.len as usize]), 1);
}

fn nothing(_: &World, _: Option<&Published>) {}

fn by_descriptor(send: Work, world: &World, memory: Option<&Published>) {
    send(&world.channel, memory.map(Published::descriptor).as_ref());
}

fn frozen(world: &World) -> Option<Published> {
    Some(world.published(1).freeze().unwrap())
}

fn public(world: &World) -> Option<Published> {
    Some(world.published(1))
}

#[test]
fn sends() {
    let plan = |name, floor, memory, work| Plan { name, floor, memory, ground: nothing, work, story: SENT };
    sweep(&plan("send, attributes", 12, |_| None, send_bytes));
    sweep(&plan("send, frozen", 14, frozen, send_frozen));
    sweep(&plan("send, published", 16, public, send_published));
    sweep(&plan("send, into published", 16, public, send_into));
}

#[test]
fn receives() {
    let plan = |name, memory, ground, work| Plan { name, floor: 4, memory, ground, work, story: RECEIVED };
    sweep(&plan(
        "receive, attributes",
        |_| None,
        |world, memory| by_descriptor(send_bytes, world, memory),
        receive,
    ));
    sweep(&plan(
        "receive to, inline",
        |_| None,
        |world, memory| by_descriptor(send_bytes, world, memory),
        receive_to,
    ));
    sweep(&plan(
        "receive, frozen",
        frozen,
        |world, memory| by_descriptor(send_frozen, world, memory),
        receive,
    ));
    sweep(&plan(
        "receive to, frozen",
        frozen,
        |world, memory| by_descriptor(send_frozen, world, memory),
        receive_to,
    ));
    sweep(&plan(
        "receive, published",
        public,
        |world, memory| by_descriptor(send_published, world, memory),
        receive,
    ));
    sweep(&plan(
        "receive to, published",
        public,
        |world, memory| by_descriptor(send_published, world, memory),
        receive_to,
    ));
}

/// A child that polls, idle, for a message; killed before write `write`, or once it has armed.
fn poll_and_die(world: &World, write: u64) {
    let line = Rendezvous::new().unwrap();
    let mut victim: Child = child::spawn(|| {
        let poller = world.attach().poller().with_wait_mode(WaitMode::Idle);
        crash::arm(write, die_here);
        line.post().unwrap();
        let _found = poller.poll(PollEvents::IN);
    })
    .unwrap();
    line.wait_from(&victim).unwrap();
    if write == 0 {
        wait_until_armed(&world.ring());
        victim.kill().unwrap();
    }
    assert!(victim.wait().unwrap().was_killed());
}

/// Waits until a poller has said that it will sleep, and at what.
fn wait_until_armed(ring: &Ring) {
    let header = ring.header();
    let armed = || {
        header.to_pollers.load(Ordering::Acquire) & 1 == 1
            && header.to_receivers.load(Ordering::Acquire) & 1 == 1
    };
    while !armed() {
        std::thread::yield_now();
    }
}

#[test]
fn pollers_that_die_cost_nothing_but_an_idle_wake() {
    for write in 1..=2 {
        let world = World::new("dead poller", 2);
        poll_and_die(&world, write);
        world.pool.0.recover();
        let mut ledger = Ledger::default();
        ledger.pass(&world.channel, WaitMode::Idle).unwrap();
        ledger.assert_passed(|_| false);
        world.leave();
    }
    let after_a_dead_one: fn(&World, Option<&Published>) = |world, _| poll_and_die(world, 0);
    let plan = Plan {
        name: "send, a dead poller armed",
        floor: 14,
        memory: |_| None,
        ground: after_a_dead_one,
        work: send_bytes,
        story: SENT,
    };
    sweep(&plan);
}

#[test]
fn a_poller_asleep_while_the_only_sender_dies_finds_what_was_sent() {
    let (mut sent, stride) = (Vec::new(), stride());
    for write in (1..).step_by(stride) {
        let (world, line) = (World::new("poller asleep", 2), Rendezvous::new().unwrap());
        let mut victim = child::spawn(|| {
            let channel = world.attach();
            line.wait().unwrap();
            crash::arm(write, die_here);
            send_bytes(&channel, None);
            crash::disarm();
        })
        .unwrap();
        let poller = world.channel.poller().with_wait_mode(WaitMode::Idle);
        let sleeper = std::thread::spawn(move || poller.poll_until(PollEvents::IN, soon()));
        wait_until_armed(&world.ring());
        line.post().unwrap();
        let killed = victim.wait().unwrap().was_killed();
        sent.push(states(&world.channel).contains(&SlotState::Full));
        if !sent[sent.len() - 1] {
            world.channel.send(&letter(2)).unwrap();
        }
        assert_eq!(sleeper.join().unwrap(), Ok(PollEvents::IN));
        world.pool.0.recover();
        let received = world.channel.try_receive().unwrap();
        assert!(
            matches!(received.into_content(), Content::Bytes(bytes) if [1, 2].contains(&number_of(&bytes)))
        );
        world.leave();
        if !killed {
            break;
        }
    }
    assert!(sent.len() * stride > 14 && sent.is_sorted() && sent[sent.len() - 1], "{sent:?}");
    note(format_args!("crash channel, send to a poller asleep: {} points, killed unnoticed", sent.len() - 1));
}

/// A set of one channel, which is told when this returns: it was looked at and found empty.
fn listening(channel: &Channel) -> ChannelSet {
    let mut set = ChannelSet::new().with_wait_mode(WaitMode::Idle);
    set.add(channel, PollEvents::IN, 7).unwrap();
    assert_eq!(set.wait_until(&mut Vec::new(), Instant::now()), Err(Error::Timeout));
    set
}

/// Nobody recovers but the set itself, which sleeps while the only one who would have told it dies.
#[test]
fn a_set_asleep_while_the_only_sender_dies_finds_what_was_sent() {
    let (mut sent, stride) = (Vec::new(), stride());
    for write in (1..).step_by(stride) {
        let (world, line) = (World::new("set asleep", 2), Rendezvous::new().unwrap());
        let mut set = listening(&world.channel);
        let mut victim = child::spawn(|| {
            let channel = world.attach();
            line.wait().unwrap();
            crash::arm(write, die_here);
            send_bytes(&channel, None);
            crash::disarm();
            std::mem::forget(channel);
        })
        .unwrap();
        let row = world.pool.0.ready_row().unwrap();
        let sleeper = std::thread::spawn(move || {
            let mut ready = Vec::new();
            set.wait_until(&mut ready, soon()).map(|count| (count, ready[0].token, ready[0].events))
        });
        while row.event.load(Ordering::Acquire) & 1 == 0 {
            std::thread::yield_now();
        }
        line.post().unwrap();
        let killed = victim.wait().unwrap().was_killed();
        sent.push(states(&world.channel).contains(&SlotState::Full));
        if !sent[sent.len() - 1] {
            world.channel.send(&letter(2)).unwrap();
        }
        assert_eq!(sleeper.join().unwrap(), Ok((1, 7, PollEvents::IN)));
        world.pool.0.recover();
        drop(world.channel.try_receive().unwrap());
        world.leave();
        if !killed {
            break;
        }
    }
    assert!(sent.len() * stride > 16 && sent.is_sorted() && sent[sent.len() - 1], "{sent:?}");
    note(format_args!("crash channel, send to a set asleep: {} points, killed unnoticed", sent.len() - 1));
}

/// A set that hears of a message, and changes.
fn come_and_go(channel: &Channel) {
    let (mut set, mut ready) = (listening(channel), Vec::new());
    channel.send(&letter(1)).unwrap();
    assert_eq!(set.wait(&mut ready), Ok(1));
    drop(channel.try_receive().unwrap());
    let key = set.add(channel, PollEvents::OUT, 8).unwrap();
    set.modify(key, PollEvents::FULL).unwrap();
    set.remove(key).unwrap();
}

#[test]
fn sets_that_die_leave_no_entries_and_cost_nobody_a_message() {
    let (mut points, stride) = (0, stride());
    for write in (1..).step_by(stride) {
        let world = World::new("dead set", 2);
        let mut beside = listening(&world.channel);
        let mut victim = child::spawn(|| {
            let channel = world.attach();
            crash::arm(write, die_here);
            come_and_go(&channel);
            crash::disarm();
            std::mem::forget(channel);
        })
        .unwrap();
        let killed = victim.wait().unwrap().was_killed();
        world.pool.0.recover();
        assert_eq!(world.ring().listeners().all().count(), 1, "write {write}: but for the one that lives");
        while world.channel.try_receive().is_ok() {}
        let mut ledger = Ledger::default();
        ledger.pass(&world.channel, WaitMode::Idle).unwrap();
        ledger.assert_passed(|_| false);
        world.channel.send(&letter(3)).unwrap();
        assert_eq!(beside.wait_until(&mut Vec::new(), soon()), Ok(1));
        drop(beside);
        drop(world.channel.try_receive().unwrap());
        world.leave();
        if !killed {
            break;
        }
        points += 1;
    }
    assert!(points * stride > 20, "{points}");
    note(format_args!("crash channel, a set that comes and goes: {points} points, killed"));
}

/// What the child does to a channel with message 1 in it, and how many writes that are at least.
struct Locking {
    name: &'static str,
    floor: u64,
    work: fn(&Channel),
}

/// Before each write: locks fall with their holder, a quiesce stays and can be ended, and the message is there.
fn sweep_locking(plan: &Locking) {
    let mut spinners = Vec::new();
    let mut points = 0;
    for write in (1..).step_by(stride()) {
        let world = World::new(plan.name, 2);
        world.channel.send(&letter(1)).unwrap();
        let mut victim = child::spawn(|| {
            let channel = world.attach();
            drop(world.pool.0.alloc(200).unwrap());
            crash::arm(write, die_here);
            (plan.work)(&channel);
            crash::disarm();
            std::mem::forget(channel);
        })
        .unwrap();
        let killed = victim.wait().unwrap().was_killed();
        world.pool.0.recover();
        let state = world.channel.state().unwrap();
        assert_eq!((state.write_locked_by, state.read_locked_by, state.depth), (None, None, 1));
        if state.quiesced {
            assert!(matches!(world.channel.try_send(&letter(2)), Err(weyr_channel::Error::Quiesced)));
            world.channel.quiesce().unwrap();
            assert!(world.channel.is_quiesced());
            world.channel.unquiesce().unwrap();
        }
        spinners.push(world.channel.attributes().unwrap().max_spinners);
        let message = world.channel.try_receive().unwrap();
        assert!(!message.is_redelivered());
        assert_eq!(number_of(&message.into_bytes().unwrap()), 1);
        let mut ledger = Ledger::default();
        ledger.pass(&world.channel, WaitMode::Adaptive).unwrap();
        ledger.assert_passed(|_| false);
        assert_sound(&world.pool.0, 1);
        world.leave();
        if !killed {
            break;
        }
        points += 1;
    }
    assert!((points * stride()) as u64 >= plan.floor, "{}: only {points} writes", plan.name);
    assert!(spinners.is_sorted(), "{}: {spinners:?}", plan.name);
    note(format_args!("crash channel, {}: {points} points, killed", plan.name));
}

#[test]
fn locks_and_quiesces() {
    let plan = |name, floor, work| Locking { name, floor, work };
    sweep_locking(&plan("write lock", 3, |channel| drop(channel.write_lock().unwrap())));
    sweep_locking(&plan("read lock", 3, |channel| drop(channel.try_read_lock().unwrap())));
    sweep_locking(&plan("both locks", 6, |channel| {
        let _both = (channel.write_lock().unwrap(), channel.read_lock().unwrap());
    }));
    sweep_locking(&plan("quiesce", 3, |channel| channel.quiesce().unwrap()));
    sweep_locking(&plan("unquiesce", 4, |channel| {
        channel.quiesce().unwrap();
        channel.unquiesce().unwrap();
    }));
    sweep_locking(&plan("set attributes", 1, |channel| {
        let mut attributes = channel.attributes().unwrap();
        attributes.max_spinners = 5;
        channel.set_attributes(&attributes).unwrap();
    }));
}
