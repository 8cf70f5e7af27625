//! Death, and a stop, before each shared write of those who want one name for a channel.
//!
//! Whatever is left, the next one gets a channel of that name, every one who looks gets the same, and no other is left
//! when the dead were recovered.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod pools;

use pools::TestPool;
use rustix::process::{Signal, getpid, kill_process};
use weyr_atomic::crash;
use weyr_channel::{Barrier, Channel, ChannelAttributes, Error, Semaphore};
use weyr_kill::{Child, Outcome, Rendezvous, child, is_few_writes, note, writes_to_end_at};
use weyr_managed::Pool;

/// How the child ends at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    AfterAll,
    Killed(u64),
    StoppedThenContinued(u64),
    StoppedThenKilled(u64),
}

/// What the child does, with a channel of the name there before or not.
type Work = fn(&Pool);

fn attributes() -> ChannelAttributes {
    ChannelAttributes::new().block_size(64).capacity(2)
}

fn create(pool: &Pool) {
    match Channel::create_named(pool, "wanted", &attributes()) {
        Ok(channel) => std::mem::forget(channel),
        Err(Error::NameTaken { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn attach(pool: &Pool) {
    match Channel::attach_named(pool, "wanted") {
        Ok(channel) => std::mem::forget(channel),
        Err(Error::NoSuchChannel { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn create_barrier(pool: &Pool) {
    match Barrier::create_named(pool, "wanted", 3) {
        Ok(barrier) => std::mem::forget(barrier),
        Err(Error::NameTaken { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn create_semaphore(pool: &Pool) {
    match Semaphore::create_named(pool, "wanted", 3, 2) {
        Ok(semaphore) => std::mem::forget(semaphore),
        Err(Error::NameTaken { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// What somebody wants by name: how it is made or looked for, how the next one uses it, and its end.
#[derive(Clone, Copy)]
struct Wanted {
    work: Work,
    look: fn(&Pool),
    end: fn(&Pool),
}

fn channel(work: Work) -> Wanted {
    Wanted { work, look: |pool| drop(use_it(pool)), end: |pool| use_it(pool).destroy().unwrap() }
}

/// Whatever the dead left, who wants one gets one that is whole.
const BARRIER: Wanted = Wanted {
    work: create_barrier,
    look: |pool| {
        let barrier = Barrier::attach_or_create_named(pool, "wanted", 3).unwrap();
        assert_eq!((barrier.parties(), barrier.is_broken(), barrier.waiting()), (3, false, 0));
        assert!(barrier.release());
    },
    end: |pool| Barrier::attach_named(pool, "wanted").unwrap().destroy().unwrap(),
};

const SEMAPHORE: Wanted = Wanted {
    work: create_semaphore,
    look: |pool| {
        let semaphore = Semaphore::attach_or_create_named(pool, "wanted", 3, 2).unwrap();
        assert_eq!(semaphore.value(), Ok(2));
        drop(semaphore.try_acquire().unwrap());
    },
    end: |pool| Semaphore::attach_named(pool, "wanted").unwrap().destroy().unwrap(),
};

fn signal(which: Signal) {
    kill_process(getpid(), which).unwrap();
}

fn arm(end: End) {
    match end {
        End::AfterAll => crash::arm(0, || ()),
        End::Killed(write) => crash::arm(write, || signal(Signal::KILL)),
        End::StoppedThenContinued(write) | End::StoppedThenKilled(write) => {
            crash::arm(write, || signal(Signal::STOP));
        }
    }
}

/// The channel of the name works, is one and the same for all, and the only one of the pool that is not destroyed.
fn use_it(pool: &Pool) -> Channel {
    let channel = Channel::attach_or_create(pool, "wanted", &attributes()).unwrap();
    let again = Channel::attach_named(pool, "wanted").unwrap();
    assert_eq!(channel.descriptor(), again.descriptor());
    again.try_send(b"through").unwrap();
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), b"through");
    channel
}

/// One end of the work. Returns its writes, if the child came to its end.
fn run(wanted: Wanted, candidate: Option<u64>, end: End) -> u64 {
    let shape =
        |attributes: weyr_managed::PoolAttributes| attributes.page_size(4096).processes(8).channels(8);
    let pool = TestPool::with("naming", 256 << 10, shape);
    if let Some(write) = candidate {
        leave_candidate(&pool.0, write);
    }
    let line = Rendezvous::new().unwrap();
    let mut child = child::spawn(|| {
        pool.0.actor().unwrap();
        arm(end);
        (wanted.work)(&pool.0);
        line.send(crash::disarm()).unwrap();
    })
    .unwrap();
    let writes = bring_to(end, wanted, &pool.0, &line, &mut child);
    pool.0.recover();
    (wanted.look)(&pool.0);
    assert_eq!((pool.0.members().len(), pool.0.channel_blocks().len()), (1, 1), "{end:?}");
    (wanted.end)(&pool.0);
    pool.assert_verified();
    assert_eq!(pool.blocks(), 0, "{end:?}");
    writes
}

/// One dies before write `write` of making a channel of the name.
fn leave_candidate(pool: &Pool, write: u64) {
    let mut victim = child::spawn(|| {
        pool.actor().unwrap();
        arm(End::Killed(write));
        create(pool);
    })
    .unwrap();
    victim.wait().unwrap();
    pool.recover();
}

fn bring_to(end: End, wanted: Wanted, pool: &Pool, line: &Rendezvous, child: &mut Child) -> u64 {
    match end {
        End::AfterAll => finish(line, child),
        End::Killed(_) => {
            assert!(child.wait().unwrap().was_killed(), "the write was not reached");
            0
        }
        End::StoppedThenContinued(_) | End::StoppedThenKilled(_) => {
            child.wait_stopped().expect("the write is reached");
            (wanted.look)(pool);
            if matches!(end, End::StoppedThenKilled(_)) {
                child.kill().unwrap();
                assert!(child.wait().unwrap().was_killed());
                return 0;
            }
            child.cont().unwrap();
            finish(line, child)
        }
    }
}

fn finish(line: &Rendezvous, child: &mut Child) -> u64 {
    let writes = line.wait_from(child).expect("the work comes to its end");
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    writes
}

fn sweep(name: &str, floor: u64, wanted: Wanted, candidate: Option<u64>) -> u64 {
    let points = run(wanted, candidate, End::AfterAll);
    assert!(points >= floor, "{name}: only {points} writes");
    let writes = writes_to_end_at(points);
    for &write in &writes {
        for end in [End::Killed(write), End::StoppedThenContinued(write), End::StoppedThenKilled(write)] {
            run(wanted, candidate, end);
        }
    }
    writes.len() as u64
}

#[test]
fn one_that_creates_a_channel_of_a_name() {
    let points = sweep("create named", 60, channel(create), None);
    note(format_args!(
        "crash channel, create named: {points} points, killed, stopped and continued, stopped and killed"
    ));
}

#[test]
fn one_that_settles_what_the_dead_left() {
    let writes = run(channel(create), None, End::AfterAll);
    let mut swept = 0;
    // Only the last writes come behind the making of the channel; of those before, one is enough.
    for write in [1].into_iter().chain(writes.saturating_sub(12)..=writes) {
        swept += sweep("attach named", 0, channel(attach), Some(write))
            + sweep("create beside", 0, channel(create), Some(write));
    }
    assert!(swept > if is_few_writes() { 20 } else { 100 }, "only {swept} points");
    note(format_args!(
        "crash channel, name of the dead: {swept} points, killed, stopped and continued, stopped and killed"
    ));
}

#[test]
fn one_that_creates_a_barrier_or_a_semaphore_of_a_name() {
    let points = sweep("create barrier", 60, BARRIER, None) + sweep("create semaphore", 60, SEMAPHORE, None);
    note(format_args!(
        "crash channel, create named barrier and semaphore: {points} points, killed, stopped and continued, stopped and killed"
    ));
}
