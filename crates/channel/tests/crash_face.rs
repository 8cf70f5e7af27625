//! Death, and a stop, before each shared write of every operation of a channel.
//!
//! A child counts the writes of an operation. Then, for each of them, a fresh pool, channel and child: it is killed
//! just before the write, and the parent recovers; or it is stopped there, the parent passes messages, and it is
//! continued or killed. Each message must be received as often, and so marked, as the point at which the child died
//! allows; and the more of an operation was done, the further its messages are on their way.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod ledger;
mod pools;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use Fate::{Absent, Again, Fresh};
use ledger::{
    Fate, Ledger, assert_sound, assert_whole, attributes, book, letter, number_of, parcel, soon, states,
    wide_attributes,
};
use pools::TestPool;
use rustix::process::{Signal, getpid, kill_process};
use weyr_atomic::{Ordering, crash};
use weyr_channel::{
    Barrier, Channel, ChannelAttributes, ChannelDescriptor, Collective, Error, Lease, Message, Operation,
    Semaphore, WaitMode,
};
use weyr_kill::{Child, Outcome, Rendezvous, child, note, writes_to_end_at};
use weyr_managed::{Allocation, BlockState, Mode, Pool, PoolAttributes};
use weyr_shared::{Ring, SlotState};

/// How the child ends at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It makes all its writes, and dies then.
    AfterAll,
    Killed(u64),
    /// Nobody recovers it but those whom it hinders.
    KilledUnnoticed(u64),
    StoppedThenContinued(u64),
    StoppedThenKilled(u64),
}

fn die_here() {
    kill_process(getpid(), Signal::KILL).unwrap();
}

fn stop_here() {
    kill_process(getpid(), Signal::STOP).unwrap();
}

thread_local! {
    /// How the child ends that is first stopped to lose its turn.
    static AFTER_REVOCATION: Cell<End> = const { Cell::new(End::AfterAll) };
}

fn stop_to_be_revoked() {
    stop_here();
    AFTER_REVOCATION.get().arm();
}

impl End {
    fn arm(self) {
        match self {
            End::AfterAll => crash::arm(0, || ()),
            End::Killed(write) | End::KilledUnnoticed(write) => crash::arm(write, die_here),
            End::StoppedThenContinued(write) | End::StoppedThenKilled(write) => crash::arm(write, stop_here),
        }
    }

    /// Every way of waiting has its turn.
    fn mode(self) -> WaitMode {
        match self {
            End::AfterAll => WaitMode::Adaptive,
            End::Killed(write)
            | End::KilledUnnoticed(write)
            | End::StoppedThenContinued(write)
            | End::StoppedThenKilled(write) => {
                [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle][(write % 3) as usize]
            }
        }
    }
}

/// What is done to one operation.
struct Plan<'p> {
    name: &'static str,
    capacity: u64,
    /// Fewer writes than this are not the operation that is meant.
    floor: u64,
    /// Messages below 100 that the parent sends at first, and others that the child sends: what becomes of them when
    /// the child dies ever later.
    stories: &'p [(u64, &'p [Fate])],
    /// Before this write the child is stopped until the parent has revoked its claim; what counts comes then.
    revoked_at: Option<u64>,
    /// The operation waits for what does not come: it is not continued, and only so many writes are points.
    waits: Option<u64>,
    /// The channel has two levels, and sends books.
    wide: bool,
    /// Books, whose buffers lie in a pool of their own.
    elsewhere: bool,
    /// Memory of another pool, whose name lies in the slot, or in a block beside a slot of 64 bytes.
    foreign: Option<u64>,
}

impl<'p> Plan<'p> {
    fn new(name: &'static str, floor: u64, stories: &'p [(u64, &'p [Fate])]) -> Self {
        Self {
            name,
            capacity: 2,
            floor,
            stories,
            revoked_at: None,
            waits: None,
            wide: false,
            elsewhere: false,
            foreign: None,
        }
    }
}

struct World {
    channel: Channel,
    pool: TestPool,
    buffers: Option<TestPool>,
    foreign: Option<TestPool>,
}

impl World {
    fn new(name: &str, capacity: u64) -> Self {
        Self::of(name, &attributes(capacity))
    }

    fn small_pool(name: &str) -> TestPool {
        let shape =
            |attributes: PoolAttributes| attributes.page_size(4096).processes(8).lanes(16).channels(4);
        TestPool::with(name, 256 << 10, shape)
    }

    fn of(name: &str, attributes: &ChannelAttributes) -> Self {
        let pool = Self::small_pool(name);
        Self { channel: Channel::create(&pool.0, attributes).unwrap(), pool, buffers: None, foreign: None }
    }

    fn planned(plan: &Plan) -> Self {
        let shape = if plan.wide { wide_attributes } else { attributes };
        let attributes = shape(plan.capacity);
        if let Some(block_size) = plan.foreign {
            let foreign = Self::small_pool(&format!("{} foreign", plan.name));
            let world = Self::of(plan.name, &attributes.block_size(block_size));
            return Self { foreign: Some(foreign), ..world };
        }
        if !plan.elsewhere {
            return Self::of(plan.name, &attributes);
        }
        let buffers = Self::small_pool(&format!("{} buffers", plan.name));
        let world = Self::of(plan.name, &attributes.buffer_pool(&buffers.0));
        Self { buffers: Some(buffers), ..world }
    }

    fn recover(&self) {
        self.pool.0.recover();
        for other in self.buffers.iter().chain(&self.foreign) {
            other.0.recover();
        }
    }

    /// In the child: a handle of its own.
    fn attach(&self) -> Channel {
        Channel::attach_in(&self.pool.0, &self.channel.descriptor()).unwrap()
    }

    fn send(&self, numbers: &[u64]) {
        numbers.iter().for_each(|&number| self.channel.try_send(&letter(number)).unwrap());
    }

    fn send_parcel(&self, number: u64) {
        self.channel.send_allocation(parcel(&self.pool.0, number)).unwrap();
    }

    fn leave(self) {
        let Self { channel, pool, buffers, foreign } = self;
        match channel.clone().destroy() {
            Ok(()) | Err(Error::Destroyed) => drop(channel),
            Err(error) => panic!("{error}"),
        }
        assert_whole(&pool.0);
        buffers.iter().for_each(|buffers| assert_whole(&buffers.0));
        foreign.iter().for_each(|foreign| assert_lent_at_most(&foreign.0));
    }
}

/// What is left of memory that a sender had lent when it died is its pool's, and one block at most.
fn assert_lent_at_most(foreign: &Pool) {
    foreign.recover();
    let (verification, usage) = (foreign.verify(Mode::Quiesced), foreign.usage());
    assert!(verification.holds(), "{:#?}", verification.findings);
    let lent = usage.by_state.get(&BlockState::Pool).map_or(0, |lent| lent.blocks);
    assert!(usage.total.blocks == lent && lent <= 1, "{usage:?}");
}

struct Line {
    to_child: Rendezvous,
    to_parent: Rendezvous,
}

/// What a child says that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Received(u64),
    Sent(u64),
}

impl Line {
    fn new() -> Self {
        Self { to_child: Rendezvous::new().unwrap(), to_parent: Rendezvous::new().unwrap() }
    }

    fn tell(&self, told: Option<Told>) {
        let code = match told {
            None => 0,
            Some(Told::Received(number)) => number << 1,
            Some(Told::Sent(number)) => number << 1 | 1,
        };
        self.to_parent.send(code).unwrap();
    }

    fn hear(&self, child: &Child) -> Option<Told> {
        match self.to_parent.wait_from(child).expect("the operation comes to its end") {
            0 => None,
            code if code & 1 == 0 => Some(Told::Received(code >> 1)),
            code => Some(Told::Sent(code >> 1)),
        }
    }
}

/// What is known of a run: the writes, if the child came to its end, and what became of the messages.
struct Ran {
    writes: u64,
    fates: Vec<Fate>,
}

/// Runs `operate` to each of its ends. `ground` runs in the parent, before the fork; `prepare` and `operate` in the
/// child; `settle` in the parent, when the child is gone and recovered.
fn sweep<G, S>(
    plan: &Plan,
    ground: impl Fn(&World) -> G,
    prepare: impl Fn(&World) -> S,
    operate: impl Fn(&World, &mut S) -> Option<Told>,
    settle: impl Fn(&World, G),
) {
    let run = |end| {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(plan, end, &ground, &prepare, &operate, &settle)
        }));
        ran.unwrap_or_else(|_| panic!("{}: {end:?}", plan.name))
    };
    let all = plan.waits.is_none().then(|| run(End::AfterAll));
    let points = all.as_ref().map_or(plan.waits, |all| Some(all.writes)).unwrap_or(0);
    assert!(points >= plan.floor.max(1), "{}: only {points} writes", plan.name);
    let mut fates = Vec::new();
    let writes = writes_to_end_at(points);
    for &write in &writes {
        let killed = run(End::Killed(write)).fates;
        for end in [End::KilledUnnoticed(write), End::StoppedThenKilled(write)] {
            assert_eq!(run(end).fates, killed, "{}: {end:?}, or killed and recovered", plan.name);
        }
        if all.is_some() {
            run(End::StoppedThenContinued(write));
        }
        fates.push(killed);
    }
    let continued = if all.is_some() { ", stopped and continued" } else { "" };
    fates.extend(all.map(|all| all.fates));
    assert_stories(plan, &fates);
    let ends = format!("killed, killed unnoticed, stopped and killed{continued}");
    let points = writes.len();
    note(format_args!("crash channel, {}, capacity {}: {points} points, {ends}", plan.name, plan.capacity));
}

/// The later the death, the further the story of each message, from its first to its last word.
fn assert_stories(plan: &Plan, fates: &[Vec<Fate>]) {
    for (index, (number, story)) in plan.stories.iter().enumerate() {
        let mut told: Vec<Fate> = fates.iter().map(|fates| fates[index]).collect();
        told.dedup();
        assert!(ledger::tells(&told, story), "{}: message {number}: {told:?} of {story:?}", plan.name);
    }
}

/// One end of the operation.
fn run<G, S>(
    plan: &Plan,
    end: End,
    ground: &impl Fn(&World) -> G,
    prepare: &impl Fn(&World) -> S,
    operate: &impl Fn(&World, &mut S) -> Option<Told>,
    settle: &impl Fn(&World, G),
) -> Ran {
    let world = World::planned(plan);
    let held = ground(&world);
    let line = Line::new();
    let mut child = child::spawn(|| {
        let mut state = prepare(&world);
        line.to_parent.post().unwrap();
        line.to_child.wait().unwrap();
        match plan.revoked_at {
            None => end.arm(),
            Some(write) => {
                AFTER_REVOCATION.set(end);
                crash::arm(write, stop_to_be_revoked);
            }
        }
        let told = operate(&world, &mut state);
        line.to_parent.send(crash::disarm()).unwrap();
        line.tell(told);
        // It does not leave, it dies.
        std::mem::forget(state);
    })
    .unwrap();
    line.to_parent.wait_from(&child).unwrap();
    line.to_child.post().unwrap();
    if plan.revoked_at.is_some() {
        revoke(&world, &mut child);
    }
    let mut ledger = Ledger::default();
    let (writes, told) = bring_to(end, &world, &line, &mut child, &mut ledger);
    if matches!(end, End::KilledUnnoticed(_)) {
        pass(&world, end, &mut ledger);
    }
    world.recover();
    assert_eq!(world.pool.0.members().len(), 1);
    settle(&world, held);
    let fates = account(plan, end, &world, ledger, told);
    world.leave();
    Ran { writes, fates }
}

/// Receives until the claim of the child, which stands, is revoked.
fn revoke(world: &World, child: &mut Child) {
    child.wait_stopped().unwrap();
    let receiver = world.channel.receiver();
    while receiver.statistics().claims_revoked == 0 {
        assert_eq!(receiver.try_receive().err(), Some(Error::Empty));
    }
    child.cont().unwrap();
}

/// Waits until the child is gone, and does what others do meanwhile. Returns its writes, and what it says.
fn bring_to(
    end: End,
    world: &World,
    line: &Line,
    child: &mut Child,
    ledger: &mut Ledger,
) -> (u64, Option<Told>) {
    match end {
        End::AfterAll => finish(line, child),
        End::Killed(_) | End::KilledUnnoticed(_) => {
            assert!(child.wait().unwrap().was_killed(), "the write was not reached");
            (0, None)
        }
        End::StoppedThenContinued(_) | End::StoppedThenKilled(_) => {
            child.wait_stopped().expect("the write is reached");
            go_on_without(world, end, ledger);
            if matches!(end, End::StoppedThenKilled(_)) {
                child.kill().unwrap();
                assert!(child.wait().unwrap().was_killed());
                return (0, None);
            }
            child.cont().unwrap();
            finish(line, child)
        }
    }
}

fn finish(line: &Line, child: &mut Child) -> (u64, Option<Told>) {
    let writes = line.to_parent.wait_from(child).expect("the operation comes to its end");
    let told = line.hear(child);
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    (writes, told)
}

fn go_on_without(world: &World, end: End, ledger: &mut Ledger) {
    world.pool.0.recover();
    // Who stands with the only slot in hand may hold up all others.
    if world.channel.capacity() > 1 {
        pass(world, end, ledger);
    }
    let verification = world.pool.0.verify(Mode::Online);
    assert!(verification.holds(), "{:#?}", verification.findings);
}

fn pass(world: &World, end: End, ledger: &mut Ledger) {
    match ledger.pass(&world.channel, end.mode()) {
        Ok(()) => {}
        Err(Error::Destroyed) => assert!(world.channel.is_destroyed()),
        Err(error) => panic!("{error}; {:?}", states(&world.channel)),
    }
}

/// Messages pass, and all that there were are received as often as they must be. Says what became of those of the
/// plan.
fn account(plan: &Plan, end: End, world: &World, mut ledger: Ledger, told: Option<Told>) -> Vec<Fate> {
    pass(world, end, &mut ledger);
    if !world.channel.is_destroyed() {
        ledger.drain(&world.channel);
        assert!(states(&world.channel).iter().all(|state| *state == SlotState::Empty));
        assert_sound(&world.pool.0, 1);
        world.buffers.iter().for_each(|buffers| assert_sound(&buffers.0, 0));
    }
    let fates: Vec<Fate> = plan.stories.iter().map(|(number, _)| ledger.fate(*number)).collect();
    if let Some(Told::Received(number)) = told {
        ledger.note(number, false);
    }
    if matches!(end, End::StoppedThenContinued(_) | End::AfterAll) {
        for (number, story) in plan.stories {
            let is_sent = match (told, story) {
                (Some(Told::Sent(sent)), _) if sent == *number => true,
                (_, [Absent]) => false,
                (_, story) => *number < 100 || *story == [Fresh],
            };
            let count = ledger.count(*number);
            let as_it_must = count == usize::from(is_sent) || count == 0 && world.channel.is_destroyed();
            assert!(as_it_must, "message {number} was received {count} times");
        }
    }
    ledger.assert_passed(|number| plan.stories.iter().any(|(known, _)| *known == number));
    fates
}

fn received(outcome: Result<Message, Error>) -> Option<Told> {
    match outcome {
        Ok(message) => Some(Told::Received(number_of(&message.into_bytes().unwrap()))),
        Err(Error::Empty) => None,
        Err(error) => panic!("{error}"),
    }
}

fn nothing<G>(_: &World, _: G) {}

/// The channel, and what the child has in hand.
type With<T> = (Channel, Option<T>);

#[test]
fn create() {
    let others = |world: &World| {
        let own = world.channel.descriptor().reference();
        let all = world.pool.0.channel_blocks().into_iter().map(|block| block.reference);
        all.filter(|reference| *reference != own).collect::<Vec<_>>()
    };
    let free = |world: &World, ()| {
        for reference in others(world) {
            assert!(world.pool.0.channel_block(reference).is_ok());
            world.pool.0.free_channel(reference).unwrap();
        }
    };
    let operate = |world: &World, (): &mut ()| {
        std::mem::forget(Channel::create(&world.pool.0, &attributes(3)).unwrap());
        None
    };
    sweep(&Plan::new("create", 20, &[]), |_| (), join, operate, free);
    let prepare = |world: &World| Some(world.pool.0.alloc(4096).unwrap());
    let operate = |world: &World, memory: &mut Option<Allocation>| {
        let channel = Channel::create_in(&world.pool.0, memory.take().unwrap(), &attributes(3));
        std::mem::forget(channel.unwrap());
        None
    };
    sweep(&Plan::new("create in an allocation", 20, &[]), |_| (), prepare, operate, free);
}

#[test]
fn attach_and_detach() {
    let attach = |world: &World, (): &mut ()| {
        std::mem::forget(world.attach());
        None
    };
    sweep(&Plan::new("attach", 2, &[]), |_| (), join, attach, nothing);
    let detach = |_: &World, channel: &mut Option<Channel>| {
        channel.take().unwrap().detach();
        None
    };
    let stories: &[(u64, &[Fate])] = &[(1, &[Fresh])];
    let plan = Plan::new("detach", 2, stories);
    sweep(&plan, |world| world.send(&[1]), |world| Some(world.attach()), detach, nothing);
}

#[test]
fn destroy() {
    let ground = |world: &World| {
        world.send(&[1]);
        world.send_parcel(2);
    };
    let destroy = |_: &World, channel: &mut Option<Channel>| {
        channel.take().unwrap().destroy().unwrap();
        None
    };
    let stories: &[(u64, &[Fate])] = &[(1, &[Fresh, Absent]), (2, &[Fresh, Absent])];
    let plan = Plan::new("destroy", 8, stories);
    sweep(&plan, ground, |world| Some(world.attach()), destroy, nothing);
}

const SENT: &[(u64, &[Fate])] = &[(100, &[Absent, Fresh])];

fn send_letter(channel: &Channel) -> Option<Told> {
    channel.send(&letter(100)).unwrap();
    Some(Told::Sent(100))
}

fn with_parcel(world: &World) -> With<Allocation> {
    (world.attach(), Some(parcel(&world.pool.0, 100)))
}

fn send_parcel((channel, memory): &mut With<Allocation>) -> Option<Told> {
    channel.send_allocation(memory.take().unwrap()).unwrap();
    Some(Told::Sent(100))
}

#[test]
fn send() {
    let plan = Plan::new("send, inline", 5, SENT);
    sweep(&plan, |_| (), World::attach, |_, channel| send_letter(channel), nothing);
    let plan = Plan::new("send, allocation", 10, SENT);
    sweep(&plan, |_| (), with_parcel, |_, state| send_parcel(state), nothing);
}

#[test]
fn send_to_a_full_channel() {
    let try_send = |_: &World, channel: &mut Channel| match channel.try_send(&letter(100)) {
        Ok(()) => Some(Told::Sent(100)),
        Err(error) => {
            assert_eq!(error, Error::Full);
            None
        }
    };
    let stories: &[(u64, &[Fate])] = &[(1, &[Fresh]), (2, &[Fresh]), (100, &[Absent])];
    let plan = Plan::new("send, full", 1, stories);
    sweep(&plan, |world| world.send(&[1, 2]), World::attach, try_send, nothing);
}

/// The writes of `send` before which a sender holds a slot in FILLING.
fn writes_in_filling<S>(prepare: impl Fn(&World) -> S, send: impl Fn(&mut S)) -> Vec<u64> {
    writes_in_filling_of(&Plan::new("send, inline", 1, &[]), prepare, send)
}

fn writes_in_filling_of<S>(plan: &Plan, prepare: impl Fn(&World) -> S, send: impl Fn(&mut S)) -> Vec<u64> {
    let mut found = Vec::new();
    for write in 1.. {
        let world = World::planned(plan);
        let mut victim = child::spawn(|| {
            let mut state = prepare(&world);
            crash::arm(write, die_here);
            send(&mut state);
            crash::disarm();
            std::mem::forget(state);
        })
        .unwrap();
        if !victim.wait().unwrap().was_killed() {
            break;
        }
        if states(&world.channel).contains(&SlotState::Filling) {
            found.push(write);
        }
    }
    assert!(found.len() >= 2);
    found
}

#[test]
fn send_that_is_revoked() {
    let filling = writes_in_filling(World::attach, |channel| assert!(send_letter(channel).is_some()));
    for &write in &filling {
        let plan = Plan { revoked_at: Some(write), ..Plan::new("send, revoked, inline", 5, SENT) };
        sweep(&plan, |_| (), World::attach, |_, channel| send_letter(channel), nothing);
    }
    let filling = writes_in_filling(with_parcel, |state| assert!(send_parcel(state).is_some()));
    for write in [filling[0], filling[filling.len() - 1]] {
        let plan = Plan { revoked_at: Some(write), ..Plan::new("send, revoked, allocation", 8, SENT) };
        sweep(&plan, |_| (), with_parcel, |_, state| send_parcel(state), nothing);
    }
}

#[test]
fn send_round_a_held_slot() {
    let ground = |world: &World| {
        world.send(&[1, 2, 3]);
        let lease = world.channel.lease().unwrap();
        (0..2).for_each(|_| drop(world.channel.receive().unwrap()));
        lease
    };
    let plan = Plan { capacity: 3, ..Plan::new("send, round a leased slot", 6, SENT) };
    let settle = |_: &World, lease: Lease| lease.done().unwrap();
    sweep(&plan, ground, World::attach, |_, channel| send_letter(channel), settle);
}

const RECEIVED: &[(u64, &[Fate])] = &[(1, &[Fresh, Again, Absent])];

#[test]
fn receive() {
    let take = |_: &World, channel: &mut Channel| received(channel.try_receive());
    let plan = Plan::new("receive, inline", 4, RECEIVED);
    sweep(&plan, |world| world.send(&[1]), World::attach, take, nothing);
    let plan = Plan::new("receive, allocation", 6, RECEIVED);
    sweep(&plan, |world| world.send_parcel(1), World::attach, take, nothing);
}

#[test]
fn receive_into_a_buffer() {
    let take = |_: &World, channel: &mut Channel| {
        let mut bytes = [0; 200];
        match channel.receiver().try_receive_into(&mut bytes) {
            Ok(len) => Some(Told::Received(number_of(&bytes[..len]))),
            Err(Error::Empty) => None,
            Err(error) => panic!("{error}"),
        }
    };
    let plan = Plan::new("receive into, inline", 4, RECEIVED);
    sweep(&plan, |world| world.send(&[1]), World::attach, take, nothing);
    let plan = Plan::new("receive into, allocation", 6, RECEIVED);
    sweep(&plan, |world| world.send_parcel(1), World::attach, take, nothing);
}

#[test]
fn receive_what_was_given_back() {
    let leased = |world: &World| {
        world.send(&[1]);
        lease_and_die(world);
        world.pool.0.recover();
        assert!(states(&world.channel).contains(&SlotState::Returned));
    };
    let take = |_: &World, channel: &mut Channel| received(channel.try_receive());
    let stories: &[(u64, &[Fate])] = &[(1, &[Again, Absent])];
    sweep(&Plan::new("receive, returned", 4, stories), leased, World::attach, take, nothing);
}

/// A child that dies with a lease on the message that waits.
fn lease_and_die(world: &World) {
    let mut victim = child::spawn(|| {
        let channel = world.attach();
        std::mem::forget(channel.receiver().try_lease().unwrap());
        die_here();
    })
    .unwrap();
    assert!(victim.wait().unwrap().was_killed());
}

fn ground_of(allocation: bool) -> impl Fn(&World) {
    move |world| if allocation { world.send_parcel(1) } else { world.send(&[1]) }
}

fn try_lease(channel: &Channel) -> Option<Lease> {
    match channel.receiver().try_lease() {
        Ok(lease) => Some(lease),
        Err(Error::Empty) => None,
        Err(error) => panic!("{error}"),
    }
}

fn with_lease(world: &World) -> With<Lease> {
    let channel = world.attach();
    let lease = try_lease(&channel);
    (channel, lease)
}

#[test]
fn lease() {
    for (name, allocation) in [("lease, inline", false), ("lease, allocation", true)] {
        let lease = |_: &World, state: &mut With<Lease>| {
            state.1 = try_lease(&state.0);
            None
        };
        let stories: &[(u64, &[Fate])] = &[(1, &[Fresh, Again])];
        let prepare = |world: &World| (world.attach(), None);
        sweep(&Plan::new(name, 3, stories), ground_of(allocation), prepare, lease, nothing);
    }
}

#[test]
fn lease_that_ends() {
    let stories: &[(u64, &[Fate])] = &[(1, &[Again, Absent])];
    for (name, allocation) in [("lease done, inline", false), ("lease done, allocation", true)] {
        let done = |_: &World, state: &mut With<Lease>| {
            state.1.take().unwrap().done().unwrap();
            Some(Told::Received(1))
        };
        sweep(&Plan::new(name, 1, stories), ground_of(allocation), with_lease, done, nothing);
    }
    for (name, allocation) in [("lease take, inline", false), ("lease take, allocation", true)] {
        let take = |_: &World, state: &mut With<Lease>| received(state.1.take().unwrap().take());
        sweep(&Plan::new(name, 1, stories), ground_of(allocation), with_lease, take, nothing);
    }
}

#[test]
fn lease_that_is_given_back() {
    for (name, allocation) in [("lease put back, inline", false), ("lease put back, allocation", true)] {
        let put_back = |_: &World, state: &mut With<Lease>| {
            drop(state.1.take());
            None
        };
        let stories: &[(u64, &[Fate])] = &[(1, &[Again, Fresh])];
        sweep(&Plan::new(name, 2, stories), ground_of(allocation), with_lease, put_back, nothing);
        let seen = |world: &World| {
            let state = with_lease(world);
            state.1.as_ref().unwrap().bytes().unwrap();
            state
        };
        let stories: &[(u64, &[Fate])] = &[(1, &[Again])];
        sweep(&Plan::new(name, 2, stories), ground_of(allocation), seen, put_back, nothing);
    }
}

fn join(world: &World) {
    world.pool.0.actor().unwrap();
}

fn recover(world: &World, (): &mut ()) -> Option<Told> {
    world.pool.0.recover();
    None
}

/// Who dies, and in what.
type Work = fn(&Channel, Option<Allocation>);

fn send_what_is_there(channel: &Channel, memory: Option<Allocation>) {
    match memory {
        Some(memory) => channel.send_allocation(memory).unwrap(),
        None => channel.send(&letter(100)).unwrap(),
    }
}

fn receive_what_is_there(channel: &Channel, _: Option<Allocation>) {
    drop(channel.try_receive().unwrap());
}

fn lease_and_end_it(channel: &Channel, _: Option<Allocation>) {
    channel.receiver().try_lease().unwrap().done().unwrap();
}

/// Message 1 waits, and one died before write `write` of his work. False if he has no such write.
fn with_dead(world: &World, allocation: bool, work: Work, write: u64) -> bool {
    ground_of(allocation)(world);
    let mut victim = child::spawn(|| {
        let channel = world.attach();
        let memory = allocation.then(|| parcel(&world.pool.0, 100));
        crash::arm(write, die_here);
        work(&channel, memory);
        crash::disarm();
        std::mem::forget(channel);
    })
    .unwrap();
    victim.wait().unwrap().was_killed()
}

/// What a death leaves, in the slots and among the blocks.
type Left = (Vec<SlotState>, u64);

/// What the death before write `write` leaves, and what becomes of the messages when nobody dies or stands at the
/// recovery. None if there is no such write.
fn undisturbed(allocation: bool, work: Work, write: u64) -> Option<(Left, [Fate; 2])> {
    let world = World::new("undisturbed", 3);
    if !with_dead(&world, allocation, work, write) {
        return None;
    }
    let left = states(&world.channel);
    let recovered = world.pool.0.recover();
    let mut ledger = Ledger::default();
    ledger.drain(&world.channel);
    Some(((left, recovered.blocks), [ledger.fate(1), ledger.fate(100)]))
}

#[test]
fn recovery_of_who_died_at_any_write() {
    let victims: [(&'static str, bool, Work); 6] = [
        ("recovery of a sender, inline", false, send_what_is_there),
        ("recovery of a sender, allocation", true, send_what_is_there),
        ("recovery of a receiver, inline", false, receive_what_is_there),
        ("recovery of a receiver, allocation", true, receive_what_is_there),
        ("recovery of a lease, inline", false, lease_and_end_it),
        ("recovery of a lease, allocation", true, lease_and_end_it),
    ];
    for (name, allocation, work) in victims {
        let mut seen = Vec::new();
        for write in 1.. {
            let Some((left, fates)) = undisturbed(allocation, work, write) else { break };
            // Deaths that leave the same are one.
            if seen.last() == Some(&left) {
                continue;
            }
            seen.push(left);
            let stories: &[(u64, &[Fate])] = &[(1, &fates[..1]), (100, &fates[1..])];
            let plan = Plan { capacity: 3, ..Plan::new(name, 10, stories) };
            let ground = |world: &World| assert!(with_dead(world, allocation, work, write));
            sweep(&plan, ground, join, recover, nothing);
        }
        assert!(seen.len() >= 3, "{name}: {seen:?}");
    }
}

#[test]
fn waiting_for_a_message_or_for_room() {
    let receive = |_: &World, channel: &mut Channel| {
        received(channel.receiver().with_wait_mode(WaitMode::Idle).receive())
    };
    let plan = Plan { waits: Some(20), ..Plan::new("receive, asleep", 20, &[]) };
    sweep(&plan, |_| (), World::attach, receive, nothing);
    let send = |_: &World, channel: &mut Channel| {
        channel.sender().with_wait_mode(WaitMode::Idle).send(&letter(100)).unwrap();
        None
    };
    let stories: &[(u64, &[Fate])] = &[(1, &[Fresh]), (2, &[Fresh]), (100, &[Absent])];
    let plan = Plan { waits: Some(20), ..Plan::new("send, asleep", 20, stories) };
    sweep(&plan, |world| world.send(&[1, 2]), World::attach, send, nothing);
}

#[test]
fn a_channel_of_one_slot() {
    let one = |name, floor, stories| Plan { capacity: 1, ..Plan::new(name, floor, stories) };
    sweep(&one("send, inline", 5, SENT), |_| (), World::attach, |_, channel| send_letter(channel), nothing);
    sweep(&one("send, allocation", 10, SENT), |_| (), with_parcel, |_, state| send_parcel(state), nothing);
    let take = |_: &World, channel: &mut Channel| received(channel.try_receive());
    sweep(&one("receive, inline", 4, RECEIVED), ground_of(false), World::attach, take, nothing);
    sweep(&one("receive, allocation", 6, RECEIVED), ground_of(true), World::attach, take, nothing);
}

fn wide<'p>(name: &'static str, floor: u64, stories: &'p [(u64, &'p [Fate])]) -> Plan<'p> {
    Plan { wide: true, ..Plan::new(name, floor, stories) }
}

fn send_at(channel: &Channel, level: u32, bytes: &[u8]) {
    channel.sender().with_priority(level).unwrap().send(bytes).unwrap();
}

#[test]
fn a_channel_of_two_levels() {
    for (name, level) in [("send, level 0 of 2", 0), ("send, level 1 of 2", 1)] {
        for capacity in [1, 2] {
            let send = |_: &World, channel: &mut Channel| {
                send_at(channel, level, &letter(100));
                Some(Told::Sent(100))
            };
            let plan = Plan { capacity, ..wide(name, 6, SENT) };
            sweep(&plan, |_| (), World::attach, send, nothing);
        }
    }
    let ground = |world: &World| send_at(&world.channel, 1, &letter(1));
    let take = |_: &World, channel: &mut Channel| received(channel.try_receive());
    sweep(&wide("receive, level 1 of 2", 4, RECEIVED), ground, World::attach, take, nothing);
    let send = |_: &World, channel: &mut Channel| {
        let urgent = channel.sender().with_priority(1).unwrap().with_wait_mode(WaitMode::Idle);
        urgent.send(&letter(100)).unwrap();
        None
    };
    let stories: &[(u64, &[Fate])] = &[(1, &[Fresh]), (2, &[Fresh]), (100, &[Absent])];
    // A sender that finds too few free slots changes nothing but the word on which it sleeps.
    let plan = Plan { waits: Some(1), ..wide("send, level 1 of 2, asleep", 1, stories) };
    sweep(&plan, |world| world.send(&[1, 2]), World::attach, send, nothing);
}

#[test]
fn bytes_larger_than_a_block() {
    let send = |_: &World, channel: &mut Channel| {
        channel.send(&book(100)).unwrap();
        Some(Told::Sent(100))
    };
    sweep(&wide("send, side-loaded", 14, SENT), |_| (), World::attach, send, nothing);
    let ground = |world: &World| world.channel.send(&book(1)).unwrap();
    let take = |_: &World, channel: &mut Channel| received(channel.try_receive());
    sweep(&wide("receive, side-loaded", 7, RECEIVED), ground, World::attach, take, nothing);
    let into = |_: &World, channel: &mut Channel| {
        let mut bytes = [0; 200];
        match channel.receiver().try_receive_into(&mut bytes) {
            Ok(len) => Some(Told::Received(number_of(&bytes[..len]))),
            Err(error) => {
                assert_eq!(error, Error::Empty);
                None
            }
        }
    };
    sweep(&wide("receive into, side-loaded", 7, RECEIVED), ground, World::attach, into, nothing);
    let stories: &[(u64, &[Fate])] = &[(1, &[Again, Absent])];
    let done = |_: &World, state: &mut With<Lease>| {
        state.1.take().unwrap().done().unwrap();
        Some(Told::Received(1))
    };
    sweep(&wide("lease done, side-loaded", 4, stories), ground, with_lease, done, nothing);
    let take = |_: &World, state: &mut With<Lease>| received(state.1.take().unwrap().take());
    sweep(&wide("lease take, side-loaded", 4, stories), ground, with_lease, take, nothing);
}

fn elsewhere<'p>(name: &'static str, floor: u64, stories: &'p [(u64, &'p [Fate])]) -> Plan<'p> {
    Plan { elsewhere: true, ..Plan::new(name, floor, stories) }
}

#[test]
fn bytes_in_another_pool() {
    let send = |_: &World, channel: &mut Channel| {
        channel.send(&book(100)).unwrap();
        Some(Told::Sent(100))
    };
    for capacity in [1, 2] {
        let plan = Plan { capacity, ..elsewhere("send, elsewhere", 14, SENT) };
        sweep(&plan, |_| (), World::attach, send, nothing);
    }
    let ground = |world: &World| world.channel.send(&book(1)).unwrap();
    let take = |_: &World, channel: &mut Channel| received(channel.try_receive());
    sweep(&elsewhere("receive, elsewhere", 7, RECEIVED), ground, World::attach, take, nothing);
    let stories: &[(u64, &[Fate])] = &[(1, &[Again, Absent])];
    let done = |_: &World, state: &mut With<Lease>| {
        state.1.take().unwrap().done().unwrap();
        Some(Told::Received(1))
    };
    sweep(&elsewhere("lease done, elsewhere", 4, stories), ground, with_lease, done, nothing);
    let take = |_: &World, state: &mut With<Lease>| received(state.1.take().unwrap().take());
    sweep(&elsewhere("lease take, elsewhere", 4, stories), ground, with_lease, take, nothing);
}

#[test]
fn send_elsewhere_that_is_revoked() {
    // From the claim to the publishing: fewer writes than these are not all of them.
    let filling = writes_in_filling_of(&elsewhere("send, elsewhere", 1, &[]), World::attach, |channel| {
        channel.send(&book(100)).unwrap();
    });
    assert!(filling.len() >= 6, "{filling:?}");
    let send = |_: &World, channel: &mut Channel| {
        channel.send(&book(100)).unwrap();
        Some(Told::Sent(100))
    };
    for write in filling {
        let plan = Plan { revoked_at: Some(write), ..elsewhere("send, revoked, elsewhere", 12, SENT) };
        sweep(&plan, |_| (), World::attach, send, nothing);
    }
}

/// Both members of a group, whose rank 1 somebody had: joined anew, they work.
fn use_the_group(group: &Channel) {
    let join = |rank| group.join(rank).unwrap().with_timeout(Duration::from_secs(60));
    let (mut first, mut second) = (join(0), join(1));
    first.reset().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|_| second.all_reduce(&mut [3_u64; 2]).unwrap()));
        for round in 0..3 {
            let mut values = [1_u64, round];
            first.all_reduce(&mut values).unwrap();
            assert_eq!(values, [4, 3 + round]);
        }
    });
}

#[test]
fn a_member_of_a_group() {
    let made = RefCell::new(None);
    let create = |world: &World| {
        let sums = Collective::reducing::<u64>(2, Operation::Sum, 2);
        let group = Channel::create(&world.pool.0, &ChannelAttributes::new().collective(sums)).unwrap();
        *made.borrow_mut() = Some(group.descriptor());
        group
    };
    let attach = |world: &World| {
        Channel::attach_in(&world.pool.0, made.borrow().as_ref().expect("made before the fork")).unwrap()
    };
    let settle = |_: &World, group: Channel| {
        use_the_group(&group);
        group.destroy().unwrap();
    };
    let plan = Plan::new("group, join, give, give up and leave", 5, &[]);
    let take_part = |_: &World, group: &mut Channel| {
        drop(group.join(1).unwrap().with_timeout(Duration::ZERO).all_reduce(&mut [5_u64; 2]));
        None
    };
    sweep(&plan, create, attach, take_part, settle);
    let plan = Plan::new("group, join and begin anew", 4, &[]);
    let begin_anew = |_: &World, group: &mut Channel| {
        group.join(1).unwrap().reset().unwrap();
        None
    };
    sweep(&plan, create, attach, begin_anew, settle);
}

/// What a child does at a barrier of so many parties.
type AtBarrier = fn(&Barrier);

/// Whoever died at it: its rounds end, it can be reset, and two pass it then.
fn assert_passable(barrier: Barrier) {
    match barrier.wait_until(Instant::now()) {
        Ok(_) | Err(Error::Timeout | Error::BarrierBroken { .. }) => {}
        other => panic!("{other:?}"),
    }
    barrier.reset();
    assert_eq!((barrier.is_broken(), barrier.waiting()), (false, 0));
    std::thread::scope(|scope| {
        let parties = barrier.parties();
        let waiting: Vec<_> = (0..parties)
            .map(|_| {
                let barrier = barrier.clone();
                scope.spawn(move || barrier.wait_until(soon()).unwrap())
            })
            .collect();
        let sum: u32 = waiting.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sum, (0..parties).sum());
    });
    barrier.destroy().unwrap();
}

/// What somebody made in the ground, by its descriptor, for the child.
type Made = RefCell<Option<ChannelDescriptor>>;

#[test]
fn a_barrier() {
    let works: [(&'static str, u64, u32, AtBarrier); 5] = [
        ("come to a barrier and give up", 2, 2, |barrier| {
            assert!(barrier.wait_until(Instant::now()).is_err());
        }),
        ("come to a barrier, all there", 2, 1, |barrier| assert_eq!(barrier.wait(), Ok(0))),
        ("barrier, abort", 1, 2, |barrier| assert!(barrier.abort())),
        ("barrier, release", 1, 2, |barrier| assert!(barrier.release())),
        ("barrier, reset", 1, 2, Barrier::reset),
    ];
    for (name, floor, parties, work) in works {
        let made = Made::default();
        let ground = |world: &World| {
            let barrier = Barrier::create(&world.pool.0, parties).unwrap();
            *made.borrow_mut() = Some(barrier.descriptor());
            barrier
        };
        let prepare =
            |world: &World| Barrier::attach_in(&world.pool.0, made.borrow().as_ref().unwrap()).unwrap();
        let operate = |_: &World, barrier: &mut Barrier| {
            work(barrier);
            None
        };
        sweep(&Plan::new(name, floor, &[]), ground, prepare, operate, |_, barrier| assert_passable(barrier));
    }
}

/// Of a semaphore of two units at most: so many of them as `allowed` are there, and it takes and gives as before.
fn assert_counts(semaphore: Semaphore, allowed: &[u32]) {
    let value = semaphore.value().unwrap();
    assert!(allowed.contains(&value), "{value} units, not one of {allowed:?}");
    // The place of one that died in its midst is there again behind what lies before it.
    (0..value).for_each(|_| semaphore.take_until(soon()).unwrap());
    semaphore.wait_for_zero().unwrap();
    (0..2).for_each(|_| semaphore.give_until(soon()).unwrap());
    assert_eq!((semaphore.value(), semaphore.give_until(Instant::now())), (Ok(2), Err(Error::Timeout)));
    semaphore.destroy().unwrap();
}

#[test]
fn a_semaphore() {
    let works: [(&'static str, u64, &[u32], fn(&Semaphore)); 3] = [
        ("semaphore, take", 3, &[0, 1], |semaphore| semaphore.take().unwrap()),
        ("semaphore, give", 4, &[1, 2], |semaphore| semaphore.give().unwrap()),
        ("semaphore, permit", 4, &[1], |semaphore| drop(semaphore.acquire().unwrap())),
    ];
    for (name, floor, allowed, work) in works {
        let made = Made::default();
        let ground = |world: &World| {
            let semaphore = Semaphore::create(&world.pool.0, 2, 1).unwrap();
            *made.borrow_mut() = Some(semaphore.descriptor());
            semaphore
        };
        let prepare =
            |world: &World| Semaphore::attach_in(&world.pool.0, made.borrow().as_ref().unwrap()).unwrap();
        let operate = |_: &World, semaphore: &mut Semaphore| {
            work(semaphore);
            None
        };
        let settle = |_: &World, semaphore| assert_counts(semaphore, allowed);
        sweep(&Plan::new(name, floor, &[]), ground, prepare, operate, settle);
    }
}

/// Waits until a receiver has said that it will sleep.
fn wait_until_armed(world: &World) {
    let (pool, reference) = (&world.pool.0, world.channel.descriptor().reference());
    let bytes = pool.channel_block(reference).unwrap().bytes;
    let ring = Ring::open(&pool.region().part(reference.offset, bytes).unwrap(), reference).unwrap();
    while ring.header().to_receivers.load(Ordering::Acquire) & 1 == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_receiver_asleep_while_its_only_sender_dies_gets_what_was_sent() {
    let mut fates = Vec::new();
    for write in 1.. {
        let (world, line) = (World::new("asleep", 2), Line::new());
        let mut victim = child::spawn(|| {
            let channel = world.attach();
            line.to_child.wait().unwrap();
            crash::arm(write, die_here);
            send_letter(&channel);
            crash::disarm();
        })
        .unwrap();
        let receiver = world.channel.receiver().with_wait_mode(WaitMode::Idle);
        let sleeper =
            std::thread::spawn(move || receiver.receive_until(soon()).unwrap().into_bytes().unwrap());
        wait_until_armed(&world);
        line.to_child.post().unwrap();
        let killed = victim.wait().unwrap().was_killed();
        // A message of the dead is there, or is the sleeper's by now; nobody wakes the sleeper for it.
        let sent = !states(&world.channel).contains(&SlotState::Filling) && fates.last() == Some(&100)
            || states(&world.channel).contains(&SlotState::Full)
            || sleeper.is_finished();
        if !sent {
            world.send(&[1]);
        }
        fates.push(number_of(&sleeper.join().unwrap()));
        world.pool.0.recover();
        let mut ledger = Ledger::default();
        ledger.drain(&world.channel);
        assert_eq!(ledger.count(100), 0);
        world.leave();
        if !killed {
            break;
        }
    }
    let points = fates.len() - 1;
    assert!(points >= 6 && fates.is_sorted(), "{fates:?}");
    fates.dedup();
    assert_eq!(fates, [1, 100]);
    note(format_args!("crash channel, send to a sleeper: {points} points, killed unnoticed"));
}

/// Attached to the channel, and to the other pool.
fn with_foreign(world: &World) -> (Channel, Option<Allocation>) {
    (world.attach(), Some(parcel(&world.foreign.as_ref().unwrap().0, 100)))
}

#[test]
fn memory_of_another_pool() {
    let send = |_: &World, (channel, memory): &mut With<Allocation>| {
        assert!(channel.send_allocation(memory.take().unwrap()).is_ok());
        Some(Told::Sent(100))
    };
    let ground = |world: &World| {
        let memory = parcel(&world.foreign.as_ref().unwrap().0, 1);
        assert!(world.channel.send_allocation(memory).is_ok());
    };
    let attached = |world: &World| {
        let (channel, memory) = with_foreign(world);
        drop(memory);
        channel
    };
    let take = |_: &World, channel: &mut Channel| received(channel.try_receive());
    for (block_size, sending, receiving) in
        [(1024, "send, foreign", "receive, foreign"), (64, "send, foreign, aside", "receive, foreign, aside")]
    {
        let foreign = Some(block_size);
        sweep(&Plan { foreign, ..Plan::new(sending, 7, SENT) }, |_| (), with_foreign, send, nothing);
        sweep(&Plan { foreign, ..Plan::new(receiving, 4, RECEIVED) }, ground, attached, take, nothing);
    }
}
