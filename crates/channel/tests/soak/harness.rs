//! Who kills, stops, and counts.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use weyr_atomic::Ordering;
use weyr_channel::{Channel, ChannelAttributes, Error};
use weyr_kill::{Child, Outcome, Rendezvous, child};
use weyr_managed::{AllocationDescriptor, Growth, Mode, Pool, PoolAttributes};
use weyr_shared::{KernelFutex, Ring};

use crate::board::{Board, CELLS, Count, DOINGS, END, Own, PARK, WORK, Word, packed, unpacked};
use crate::made_of;
use crate::random::Random;
use crate::worker::{Ground, Meeting, Worker, number_of, read_inscription};

const PROCESSES: usize = 6;
/// Most operations between two events.
const STRIDE: u64 = 6_000;
const STOPPED_AT_ONCE: usize = 3;

/// Workers of a process: every other one has two threads.
fn workers_of(process: usize) -> std::ops::Range<usize> {
    let first = process + process.div_ceil(2);
    first..first + 1 + usize::from(process.is_multiple_of(2))
}

#[derive(Debug)]
struct Process {
    life: Life,
    meetings: Vec<Arc<Meeting>>,
    stopped: bool,
}

/// What runs the workers of a process.
#[derive(Debug)]
enum Life {
    Child(Child),
    /// Threads of this process, where nobody else can have the pool: they are neither killed nor stopped.
    Threads(Vec<JoinHandle<()>>),
}

impl Process {
    fn child(&mut self) -> &mut Child {
        match &mut self.life {
            Life::Child(child) => child,
            Life::Threads(_) => panic!("threads are not disturbed"),
        }
    }

    /// Waits until all its workers stand.
    fn wait_parked(&self) {
        for meeting in &self.meetings {
            match &self.life {
                Life::Child(child) => meeting.parked.wait_from(child).unwrap(),
                Life::Threads(_) => meeting.parked.wait().unwrap(),
            };
        }
    }

    fn wait_ended(self) {
        match self.life {
            Life::Child(mut child) => assert_eq!(child.wait().unwrap(), Outcome::Exited(0)),
            Life::Threads(threads) => threads.into_iter().for_each(|thread| thread.join().unwrap()),
        }
    }
}

/// What happened so far.
#[derive(Debug, Default)]
struct Toll {
    eras: u64,
    rounds: u64,
    kills: u64,
    zombies: u64,
    stops: u64,
    /// Threads that were killed.
    workers: u64,
    growths: u64,
    leftover_channels: u64,
    /// What the killed threads were doing.
    killed_in: [u64; DOINGS.len()],
    /// Messages delivered more than once.
    again: u64,
    /// Messages lost with the process that had received them.
    gone: u64,
}

#[derive(Debug)]
pub(crate) struct Soak {
    seed: u64,
    random: Random,
    board: Arc<Board>,
    reached: Arc<Rendezvous>,
    /// Messages before this one are accounted for.
    accounted: u64,
    /// Published blocks that the dead were at work on.
    left: BTreeSet<u64>,
    lives: u64,
    toll: Toll,
}

fn ground(seed: u64, era: u64) -> Ground {
    let name = format!("test-soak-{}-{seed:x}-{era}", std::process::id());
    // Where memory is short, the search for it takes nearly all the time.
    let maximum = if era.is_multiple_of(3) { 4 << 20 } else { 32 << 20 };
    let initial = if made_of::chosen().grows() { 2 << 20 } else { maximum };
    let attributes = PoolAttributes::new(name, initial).page_size(4096).segment_size(1 << 20);
    let attributes = attributes.growth(Growth::UpTo(maximum)).processes(16).lanes(40).channels(32);
    let (pool, home) = made_of::chosen().create(&attributes);
    let channel = |capacity| {
        Channel::create(&pool, &ChannelAttributes::new().block_size(64).capacity(capacity)).unwrap()
    };
    let (leased, parcels) = (channel(24), channel(6));
    let published = pool.alloc(64).unwrap().publish().unwrap();
    let sample = published.descriptor();
    published.free().unwrap();
    Ground { pool, leased, parcels, sample, _home: home }
}

impl Soak {
    pub(crate) fn new(seed: u64, messages: u64) -> Self {
        Self {
            seed,
            random: Random(seed),
            board: Arc::new(Board::new(messages)),
            reached: Arc::new(Rendezvous::new().unwrap()),
            accounted: 0,
            left: BTreeSet::new(),
            lives: 0,
            toll: Toll::default(),
        }
    }

    pub(crate) fn did(&self, events: u64, kills: u64, messages: u64) -> bool {
        let enough = self.toll.kills + self.toll.stops >= events && self.toll.kills >= kills;
        (enough || !made_of::chosen().is_shared()) && self.messages() >= messages
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.toll.rounds
    }

    fn messages(&self) -> u64 {
        let sent = [Count::LettersSent, Count::ParcelsSent, Count::ParcelsPosted];
        sent.into_iter().map(|count| self.board.counted(count)).sum()
    }

    /// One pool, from its creation to its end.
    pub(crate) fn era(&mut self, rounds: u64) {
        let ground = Arc::new(ground(self.seed, self.toll.eras));
        self.toll.eras += 1;
        let mut size = ground.pool.size();
        self.order(WORK);
        let mut processes: Vec<Process> = (0..PROCESSES).map(|index| self.spawn(&ground, index)).collect();
        for round in 1..=rounds {
            let dead = self.disturb(&ground, &mut processes);
            assert_holds(&ground.pool, Mode::Online);
            self.stand(&mut processes, &dead);
            self.check(&ground, &dead);
            self.toll.growths += u64::from(ground.pool.size() > size);
            size = ground.pool.size();
            self.toll.rounds += 1;
            self.order(if round == rounds { END } else { WORK });
            self.go_on(&ground, &mut processes, &dead);
        }
        processes.into_iter().for_each(Process::wait_ended);
        self.end(Arc::into_inner(ground).expect("whoever had it has ended"));
    }

    fn order(&self, order: u64) {
        self.board.word(Word::Order).store(order, Ordering::SeqCst);
    }

    fn spawn(&mut self, ground: &Arc<Ground>, process: usize) -> Process {
        self.lives += 1;
        let meeting =
            |_| Arc::new(Meeting { parked: Rendezvous::new().unwrap(), go_on: Rendezvous::new().unwrap() });
        let meetings: Vec<Arc<Meeting>> = workers_of(process).map(meeting).collect();
        let seed = self.random.next();
        let thread = |(thread, index): (usize, usize)| {
            let (board, ground) = (Arc::clone(&self.board), Arc::clone(ground));
            let (meeting, reached) = (Arc::clone(&meetings[thread]), Arc::clone(&self.reached));
            let random = Random(seed + thread as u64);
            let work = move || Worker::new(index, &board, &ground, &meeting, &reached, random).run();
            std::thread::spawn(move || or_abort(work))
        };
        let threads = || workers_of(process).enumerate().map(thread).collect::<Vec<_>>();
        let work = || threads().into_iter().for_each(|thread| thread.join().unwrap());
        let life = if made_of::chosen().is_shared() {
            Life::Child(child::spawn(work).unwrap())
        } else {
            Life::Threads(threads())
        };
        Process { life, meetings, stopped: false }
    }

    /// Kills and stops some, each when a number of operations was done since the last. Returns who is dead.
    fn disturb(&mut self, ground: &Arc<Ground>, processes: &mut [Process]) -> BTreeSet<usize> {
        let mut dead = BTreeSet::new();
        for _ in 0..4 + self.random.below(5) {
            self.wait_for_progress();
            if !made_of::chosen().is_shared() {
                continue;
            }
            let victim = self.random.below(PROCESSES as u64) as usize;
            if dead.contains(&victim) {
                processes[victim] = self.spawn(ground, victim);
                dead.remove(&victim);
                continue;
            }
            let running = |process: &Process| !process.stopped;
            let others = (0..PROCESSES).filter(|index| *index != victim && !dead.contains(index));
            // Somebody must bring the progress on.
            let dispensable = others.filter(|index| running(&processes[*index])).count() > 0;
            let process = &mut processes[victim];
            let stopped = process.stopped;
            match self.random.below(5) {
                _ if !stopped && !dispensable => {}
                0 | 1 => {
                    self.kill(&mut processes[victim], victim);
                    dead.insert(victim);
                }
                _ if stopped => {
                    process.stopped = false;
                    process.child().cont().unwrap();
                }
                _ if processes.iter().filter(|process| process.stopped).count() < STOPPED_AT_ONCE => {
                    let process = &mut processes[victim];
                    process.child().stop().unwrap();
                    process.child().wait_stopped().unwrap();
                    process.stopped = true;
                    self.toll.stops += 1;
                }
                _ => {}
            }
        }
        dead
    }

    fn kill(&mut self, process: &mut Process, index: usize) {
        process.child().kill().unwrap();
        process.stopped = false;
        self.toll.kills += 1;
        self.toll.workers += workers_of(index).len() as u64;
        if self.random.one_in(3) {
            process.child().wait_dead().unwrap();
            self.toll.zombies += 1;
        } else {
            assert!(process.child().wait().unwrap().was_killed(), "it ended by itself");
        }
        for worker in workers_of(index) {
            let doing = self.board.own(worker, Own::Doing).swap(0, Ordering::SeqCst);
            self.toll.killed_in[doing as usize] += 1;
            for own in [Own::Intent, Own::Victim] {
                self.left.insert(self.board.own(worker, own).swap(0, Ordering::SeqCst));
            }
        }
    }

    fn wait_for_progress(&mut self) {
        let stride = 1 + self.random.below(STRIDE);
        let now = self.board.word(Word::Progress).load(Ordering::SeqCst);
        self.board.word(Word::Target).store(now + stride, Ordering::SeqCst);
        self.reached.wait().unwrap();
        (0..self.random.below(2_000)).for_each(|_| std::hint::spin_loop());
    }

    /// Lets everybody come to a stand between two operations.
    fn stand(&mut self, processes: &mut [Process], dead: &BTreeSet<usize>) {
        self.order(PARK);
        for (index, process) in processes.iter_mut().enumerate() {
            if dead.contains(&index) {
                assert!(process.child().wait().unwrap().was_killed(), "it ended by itself");
                continue;
            }
            if std::mem::take(&mut process.stopped) {
                process.child().cont().unwrap();
            }
        }
        let standing = processes.iter().enumerate().filter(|(index, _)| !dead.contains(index));
        standing.for_each(|(_, process)| process.wait_parked());
    }

    fn go_on(&mut self, ground: &Arc<Ground>, processes: &mut [Process], dead: &BTreeSet<usize>) {
        for (index, process) in processes.iter_mut().enumerate() {
            if dead.contains(&index) {
                *process = self.spawn(ground, index);
                continue;
            }
            process.meetings.iter().for_each(|meeting| meeting.go_on.post().unwrap());
        }
    }

    /// Nobody acts: everything is there, nothing is left over, and the messages are accounted for.
    fn check(&mut self, ground: &Ground, dead: &BTreeSet<usize>) {
        ground.pool.recover();
        // One that has just begun may not have joined yet.
        let members = ground.pool.members();
        assert!(members.len() <= 1 + PROCESSES - dead.len() && !members.iter().any(|member| member.dead));
        assert_holds(&ground.pool, Mode::Quiesced);
        self.drain(ground);
        self.account();
        self.end_leftover_channels(ground);
        self.free_published(ground);
        assert_holds(&ground.pool, Mode::Quiesced);
        let alive = (0..PROCESSES).filter(|process| !dead.contains(process)).flat_map(workers_of);
        let held: u64 = alive.map(|worker| self.board.own(worker, Own::Held).load(Ordering::SeqCst)).sum();
        assert_eq!(ground.pool.usage().total.blocks, 2 + held, "the channels, and what the living hold");
    }

    /// Receives all that waits.
    fn drain(&self, ground: &Ground) {
        loop {
            match ground.leased.receiver().try_lease() {
                Ok(lease) => {
                    self.board.note(number_of(&lease.bytes().unwrap()), lease.is_redelivered());
                    lease.done().unwrap();
                }
                Err(Error::Empty) => break,
                Err(error) => panic!("{error}"),
            }
        }
        loop {
            match ground.parcels.try_receive() {
                Ok(message) => {
                    let again = message.is_redelivered();
                    let memory = message.into_allocation().unwrap();
                    self.board.note(read_inscription(&memory), again);
                }
                Err(Error::Empty) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// No channel has a message any more.
    fn account(&mut self) {
        let next = self.board.next_message();
        for number in self.accounted..next {
            let fate = self.board.fate(number);
            assert!(!fate.sent || fate.deliveries > 0, "message {number} was lost");
            assert!(
                !fate.posted || fate.deliveries < 2,
                "message {number} was received {} times",
                fate.deliveries
            );
            self.toll.again += fate.deliveries.saturating_sub(1);
            self.toll.gone += u64::from(fate.posted && fate.deliveries == 0);
        }
        self.accounted = next;
        let Toll { again, gone, workers, .. } = self.toll;
        assert!(again <= workers, "{again} messages came again, and {workers} who had one were killed");
        assert!(gone <= workers, "{gone} messages are gone, and {workers} who had one were killed");
    }

    /// Destroys the channels whose makers were killed.
    fn end_leftover_channels(&mut self, ground: &Ground) {
        let known = [&ground.leased, &ground.parcels].map(|channel| channel.descriptor().reference());
        let left = ground.pool.channel_blocks();
        for block in left.into_iter().filter(|block| !known.contains(&block.reference)) {
            let region = ground.pool.region().part(block.reference.offset, block.bytes).unwrap();
            Ring::open(&region, block.reference).unwrap().destroy(&KernelFutex);
            self.toll.leftover_channels += 1;
        }
        ground.pool.recover();
    }

    /// Frees all published blocks. Those that nobody was at work on are there.
    fn free_published(&mut self, ground: &Ground) {
        let mut left = std::mem::take(&mut self.left);
        let cells = (0..CELLS).map(|cell| self.board.cell(cell).swap(0, Ordering::SeqCst));
        for word in cells.collect::<BTreeSet<u64>>() {
            if word != 0 && !left.remove(&word) {
                assert!(free_packed(ground, word), "{:?} is gone", unpacked(word));
            }
        }
        left.into_iter().filter(|word| *word != 0).for_each(|word| {
            free_packed(ground, word);
        });
    }

    /// Nobody else is there: the pool can be had in one piece.
    fn end(&mut self, ground: Ground) {
        let Ground { pool, leased, parcels, _home, .. } = ground;
        leased.destroy().unwrap();
        parcels.destroy().unwrap();
        pool.recover();
        assert_holds(&pool, Mode::Quiesced);
        assert_eq!((pool.usage().total.blocks, pool.members().len()), (0, 1));
        drop(pool.alloc(pool.maximum_size()).expect("the pool in one piece"));
        pool.destroy().unwrap();
    }

    /// A soak in which something did not happen shows nothing about it.
    pub(crate) fn assert_everything_happened(&self) {
        for count in Count::ALL {
            assert!(self.board.counted(count) > 0, "{count:?} never happened");
        }
        let Toll { rounds, kills, zombies, stops, growths, again, .. } = self.toll;
        assert!([rounds, kills, zombies, stops, again].iter().all(|count| *count > 0), "{self}");
        assert_eq!(growths > 0, made_of::chosen().grows(), "{self}");
    }
}

fn free_packed(ground: &Ground, word: u64) -> bool {
    let reference = unpacked(word);
    let descriptor = AllocationDescriptor { reference, view_bytes: 0, ..ground.sample };
    let freed = ground.pool.open(&descriptor).and_then(|opened| opened.free());
    debug_assert_eq!(packed(reference), word);
    freed.is_ok()
}

fn or_abort(work: impl FnOnce()) {
    // The message is on stderr by then; the other threads of the process would go on for ever.
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
        std::process::abort();
    }
}

fn assert_holds(pool: &Pool, mode: Mode) {
    let verification = pool.verify(mode);
    assert!(verification.holds(), "{mode:?}: {:#?}", verification.findings);
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Toll { eras, rounds, kills, zombies, stops, growths, leftover_channels, again, gone, .. } =
            self.toll;
        writeln!(f, "soak: {rounds} rounds in {eras} pools, {} processes", self.lives)?;
        writeln!(f, "soak: {kills} kills ({zombies} left unreaped for a while), {stops} stops")?;
        writeln!(
            f,
            "soak: {} messages, none lost; {again} came again, {gone} went with who had received them",
            self.messages()
        )?;
        let killed_in = DOINGS.iter().zip(self.toll.killed_in);
        killed_in
            .clone()
            .try_for_each(|(doing, count)| writeln!(f, "soak: {count} threads killed in: {doing}"))?;
        write!(f, "soak: {growths} growths, {leftover_channels} channels of the dead")?;
        Count::ALL.iter().try_for_each(|count| write!(f, ", {count:?} {}", self.board.counted(*count)))
    }
}
