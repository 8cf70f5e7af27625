//! Pools among processes that are killed, stopped, forked and leave.
#![forbid(unsafe_code)]

mod scratch;

use std::cell::RefCell;
use std::sync::Barrier;

use scratch::{Line, Scratch, after, assert_sound, assert_whole, attributes, kill, open, wait_for_death};
use weyr_kill::{Outcome, Rendezvous, child, note};
use weyr_managed::name::pool_path;
use weyr_managed::{Allocation, Error, Growth, Mode, Pool, PoolAttributes};

/// Blocks of every kind: smallest, of long bitmaps, of slabs of one, four and eight pages, spans short and long.
const SIZES: [u64; 14] = [0, 1, 64, 65, 200, 500, 1000, 2000, 3000, 4096, 5000, 9000, 20_000, 300_000];

fn allocate_all_sizes(pool: &Pool, rounds: u64) -> Vec<Allocation> {
    (0..rounds).flat_map(|_| SIZES).map(|bytes| pool.alloc(bytes).unwrap()).collect()
}

/// A child that holds `rounds` blocks of each size until it is killed.
fn holder(pool: &Pool, rounds: u64) -> (weyr_kill::Child, u64) {
    let met = Rendezvous::new().unwrap();
    after(&met, || {
        let held = allocate_all_sizes(pool, rounds);
        let count = held.len() as u64;
        std::mem::forget(held);
        count
    })
}

#[test]
fn what_a_killed_process_held_is_free_after_recovery() {
    let pool = Scratch::new("killed", 4 << 20);
    for round in 0..3 {
        let (child, held) = holder(&pool, 5);
        assert_eq!(pool.usage().total.blocks, held);
        kill(child);
        let recovered = pool.recover();
        assert_eq!((recovered.processes, recovered.blocks), (1, held), "round {round}");
        assert_whole(&pool);
        assert_eq!(pool.members().len(), 1);
    }
    assert_eq!(pool.recover(), weyr_managed::Recovered::default());
}

#[test]
fn a_dead_process_that_nobody_waits_for_is_recovered() {
    let pool = Scratch::new("zombie", 4 << 20);
    let (mut child, held) = holder(&pool, 1);
    child.kill().unwrap();
    child.wait_dead().unwrap();
    assert_eq!(pool.recover().blocks, held);
    assert_whole(&pool);
    assert!(child.wait().unwrap().was_killed());
}

#[test]
fn a_live_process_is_left_alone_by_recovery() {
    let pool = Scratch::new("alive", 4 << 20);
    let (child, held) = holder(&pool, 1);
    assert!(!pool.recover().any());
    assert_sound(&pool, held);
    kill(child);
}

#[test]
fn survivors_recover_the_same_dead_process_at_once_and_count_each_block_once() {
    let pool = Scratch::new("survivors", 8 << 20);
    for round in 0..20 {
        let (victim, held) = holder(&pool, 8);
        let (ready, go, done) =
            (Rendezvous::new().unwrap(), Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
        let survivors = [(); 3].map(|()| {
            child::spawn(|| {
                pool.actor().unwrap();
                ready.post().unwrap();
                go.wait().unwrap();
                let recovered = pool.recover();
                done.send(recovered.blocks << 8 | recovered.processes).unwrap();
                wait_for_death();
            })
            .unwrap()
        });
        for survivor in &survivors {
            ready.wait_from(survivor).unwrap();
        }
        kill(victim);
        survivors.iter().for_each(|_| go.post().unwrap());
        let sums: u64 = survivors.iter().map(|child| done.wait_from(child).unwrap()).sum();
        assert_eq!((sums >> 8, sums & 255), (held, 1), "round {round}");
        assert_sound(&pool, 0);
        survivors.into_iter().for_each(kill);
        assert_eq!(pool.recover().processes, 3);
        assert_whole(&pool);
    }
}

#[test]
fn a_recovery_whose_helper_is_killed_is_finished_by_another() {
    let pool = Scratch::new("killed-helper", 8 << 20);
    let mut seed = 1u64;
    let mut cut_short = 0;
    for round in 0..40 {
        let (victim, held) = holder(&pool, 10);
        kill(victim);
        let met = Rendezvous::new().unwrap();
        let helper = child::spawn(|| {
            pool.actor().unwrap();
            met.post().unwrap();
            pool.recover();
            wait_for_death();
        });
        let helper = helper.unwrap();
        met.wait_from(&helper).unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (0..seed >> 49).for_each(|_| std::hint::spin_loop());
        kill(helper);
        let left = pool.usage().total.blocks;
        cut_short += u64::from(left > 0 && left < held);
        let recovered = pool.recover();
        assert_eq!(recovered.blocks, left, "round {round}");
        assert_whole(&pool);
        assert_eq!(pool.members().len(), 1);
    }
    // How many depends on the machine; the crash face kills a helper at each of its writes.
    note(format_args!("recovery cut short: {cut_short} of 40 helpers were killed in the middle"));
}

#[test]
fn a_stopped_process_holds_up_nobody_and_its_idle_pages_are_taken() {
    let pool = Scratch::new("stopped", 256 << 10);
    let (met, go) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
    let mut child = child::spawn(|| {
        // Nothing is left allocated, but the lane has slabs of every class now.
        for bytes in [64, 100, 500, 1000, 2000] {
            drop(pool.alloc(bytes).unwrap());
        }
        met.post().unwrap();
        go.wait().unwrap();
        // What its lists say is out of date, and it finds its way.
        for bytes in [64, 100, 500, 1000, 2000] {
            pool.alloc(bytes).unwrap().fill(1).unwrap();
        }
    })
    .unwrap();
    met.wait_from(&child).unwrap();
    assert!(pool.usage().free_pages < 64, "the child has pages");
    child.stop().unwrap();
    child.wait_stopped().unwrap();
    let revoked = || {
        let members = pool.members();
        let other = members.iter().find(|member| member.pid != std::process::id()).unwrap();
        (other.revoked, other.lanes)
    };
    assert_eq!(revoked(), (0, 2), "one of the process, one of its thread");
    for round in 0..5000u64 {
        pool.alloc(1 + round * 37 % 9000).unwrap().fill(2).unwrap();
    }
    assert!(!pool.recover().any(), "a stopped process is not dead");
    drop(pool.alloc(pool.size()).unwrap());
    assert_eq!(revoked(), (2, 2));
    child.cont().unwrap();
    go.post().unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    pool.recover();
    assert_whole(&pool);
}

#[test]
fn published_memory_survives_its_publisher_and_is_freed_by_another() {
    let pool = Scratch::new("published", 1 << 20);
    let met = Rendezvous::new().unwrap();
    let sizes = [64u64, 3000, 40_000];
    let child = child::spawn(|| {
        for bytes in sizes {
            let mut memory = pool.alloc(bytes).unwrap();
            memory.fill(0x5a).unwrap();
            let published = memory.publish().unwrap();
            met.send(published.reference().offset).unwrap();
            met.send(published.reference().generation).unwrap();
        }
        std::mem::forget(pool.alloc(100).unwrap());
        met.post().unwrap();
        wait_for_death();
    })
    .unwrap();
    let told: Vec<[u64; 2]> =
        sizes.iter().map(|_| [(); 2].map(|()| met.wait_from(&child).unwrap())).collect();
    met.wait_from(&child).unwrap();
    kill(child);
    assert_eq!(pool.recover().blocks, 1);
    assert_sound(&pool, 3);
    for ([offset, generation], bytes) in told.into_iter().zip(sizes) {
        let opened = open(&pool, offset, generation, bytes).unwrap();
        let mut read = vec![0; bytes as usize];
        opened.read(0, &mut read).unwrap();
        assert!(read.iter().all(|&byte| byte == 0x5a));
        opened.free().unwrap();
    }
    assert_whole(&pool);
}

#[test]
fn blocks_freed_to_a_dead_owner_are_not_lost() {
    let pool = Scratch::new("dead-owner", 256 << 10);
    let met = Rendezvous::new().unwrap();
    let count = 500;
    let child = child::spawn(|| {
        for _ in 0..count {
            let reference = pool.alloc(100).unwrap().publish().unwrap().reference();
            met.send(reference.offset << 32 | reference.generation).unwrap();
        }
        wait_for_death();
    })
    .unwrap();
    let told: Vec<u64> = (0..count).map(|_| met.wait_from(&child).unwrap()).collect();
    kill(child);
    // Its pages still name the dead lane.
    for (index, word) in told.iter().enumerate() {
        open(&pool, word >> 32, word & 0xffff_ffff, 100).unwrap().free().unwrap();
        if index == told.len() / 2 {
            assert_eq!(pool.recover().processes, 1);
        }
    }
    assert_whole(&pool);
}

#[test]
fn of_two_processes_that_free_one_allocation_exactly_one_succeeds() {
    let pool = Scratch::new("double-free", 1 << 20);
    let rounds = 300u64;
    let lines = [(); 2].map(|()| Line::new());
    let mut children = [0, 1].map(|index: usize| {
        let (pool, line) = (&pool, &lines[index]);
        child::spawn(move || {
            for _ in 0..rounds {
                let [offset, generation, bytes] = [(); 3].map(|()| line.to_child.wait().unwrap());
                let opened = open(pool, offset, generation, bytes);
                let freed = match opened.and_then(weyr_managed::Published::free) {
                    Ok(()) => 1,
                    Err(Error::DoubleFree { .. } | Error::Stale { .. } | Error::NotABlock { .. }) => 0,
                    Err(other) => panic!("{other:?}"),
                };
                line.to_parent.send(freed).unwrap();
            }
        })
        .unwrap()
    });
    for round in 0..rounds {
        let bytes = [64, 2000, 9000, 50_000][round as usize % 4];
        let reference = pool.alloc(bytes).unwrap().publish().unwrap().reference();
        for line in &lines {
            for number in [reference.offset, reference.generation, bytes] {
                line.to_child.send(number).unwrap();
            }
        }
        let answers =
            lines.iter().zip(&children).map(|(line, child)| line.to_parent.wait_from(child).unwrap());
        assert_eq!(answers.sum::<u64>(), 1, "round {round}");
    }
    for child in &mut children {
        assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    }
    pool.recover();
    assert_whole(&pool);
}

#[test]
fn a_process_that_exits_without_a_word_is_recovered() {
    let pool = Scratch::new("exit", 1 << 20);
    let mut child = child::spawn(|| {
        let held = allocate_all_sizes(&pool, 1);
        std::mem::forget(held);
        std::process::exit(7);
    })
    .unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(7));
    let recovered = pool.recover();
    assert_eq!((recovered.processes, recovered.blocks), (1, SIZES.len() as u64));
    assert_whole(&pool);
}

#[test]
fn a_newcomer_recovers_the_dead_without_being_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = pool_path(directory.path(), "newcomer").unwrap();
    let met = Rendezvous::new().unwrap();
    let (creator, _) = after(&met, || {
        let pool =
            Pool::create(&PoolAttributes::new("newcomer", 1 << 20).directory(directory.path())).unwrap();
        std::mem::forget(allocate_all_sizes(&pool, 1));
        std::mem::forget(pool);
        0
    });
    let (other, _) = after(&met, || {
        std::mem::forget(Pool::attach_path(&path).unwrap());
        0
    });
    kill(creator);
    let pool = Pool::attach_path(&path).unwrap();
    assert_eq!((pool.usage().recoveries, pool.members().len()), (1, 2));
    assert_whole(&pool);
    kill(other);
    pool.destroy().unwrap();
}

#[test]
fn more_processes_than_the_table_holds_are_refused_until_one_dies() {
    let pool = Scratch::with(attributes("table", 1 << 20).processes(3));
    let (first, _) = holder(&pool, 1);
    let (second, held) = holder(&pool, 1);
    let refused = child::spawn(|| {
        assert!(matches!(pool.actor(), Err(Error::TableFull { limit: 3, .. })));
        assert!(matches!(pool.alloc(1), Err(Error::TableFull { limit: 3, .. })));
    });
    assert_eq!(refused.unwrap().wait().unwrap(), Outcome::Exited(0));
    kill(first);
    let met = Rendezvous::new().unwrap();
    let (third, slot) = after(&met, || u64::from(pool.actor().unwrap().process));
    assert_eq!(slot, 1, "the dead process's slot is taken");
    assert_sound(&pool, held);
    kill(second);
    kill(third);
    assert_eq!(pool.recover().processes, 2);
    assert_whole(&pool);
}

#[test]
fn a_pool_whose_tables_are_full_of_the_dead_can_be_attached() {
    let directory = tempfile::tempdir().unwrap();
    for (processes, lanes) in [(1, 16), (16, 1), (2, 3)] {
        let name = format!("dead-{processes}-{lanes}");
        let path = pool_path(directory.path(), &name).unwrap();
        let met = Rendezvous::new().unwrap();
        let (creator, held) = after(&met, || {
            let attributes = PoolAttributes::new(name, 1 << 20).directory(directory.path());
            let pool = Pool::create(&attributes.processes(processes).lanes(lanes)).unwrap();
            let held = allocate_all_sizes(&pool, 1);
            let count = held.len() as u64;
            std::mem::forget((pool, held));
            count
        });
        let (extra, _) = after(&met, || {
            std::mem::forget(Pool::attach_path(&path).and_then(|pool| pool.alloc(100)));
            0
        });
        kill(extra);
        kill(creator);
        assert_eq!(Pool::inspect(&path).unwrap().usage().total.blocks, held + u64::from(lanes == 3));
        let pool = Pool::attach_path(&path).unwrap();
        assert_whole(&pool);
        pool.destroy().unwrap();
    }
}

#[test]
fn growth_by_one_process_is_seen_by_the_others() {
    let pool =
        Scratch::with(attributes("growth", 1 << 20).growth(Growth::UpTo(8 << 20)).segment_size(1 << 20));
    let line = Line::new();
    let mut child = child::spawn(|| {
        pool.actor().unwrap();
        line.to_parent.post().unwrap();
        let (offset, generation) = (line.to_child.wait().unwrap(), line.to_child.wait().unwrap());
        assert_eq!(pool.size(), 6 << 20);
        let opened = open(&pool, offset, generation, 6 << 20).unwrap();
        let mut end = [0; 4];
        opened.read((6 << 20) - 4, &mut end).unwrap();
        assert_eq!(&end, b"end.");
        opened.write((6 << 20) - 4, b"seen").unwrap();
    })
    .unwrap();
    line.to_parent.wait_from(&child).unwrap();
    let mut memory = pool.alloc(6 << 20).unwrap();
    memory.write((6 << 20) - 4, b"end.").unwrap();
    let published = memory.publish().unwrap();
    line.to_child.send(published.reference().offset).unwrap();
    line.to_child.send(published.reference().generation).unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    let mut end = [0; 4];
    published.read((6 << 20) - 4, &mut end).unwrap();
    assert_eq!(&end, b"seen");
    published.free().unwrap();
    pool.recover();
    drop(pool.alloc(8 << 20).unwrap());
    assert_whole(&pool);
}

#[test]
fn processes_that_grow_a_pool_at_once_lose_nothing() {
    let pool =
        Scratch::with(attributes("growers", 1 << 20).growth(Growth::UpTo(64 << 20)).segment_size(1 << 20));
    let lines = [(); 3].map(|()| Line::new());
    let mut children = [0, 1, 2].map(|index: usize| {
        let (pool, line) = (&pool, &lines[index]);
        child::spawn(move || {
            pool.actor().unwrap();
            line.to_parent.post().unwrap();
            line.to_child.wait().unwrap();
            let held: Vec<Allocation> = std::iter::from_fn(|| pool.alloc(100_000).ok()).collect();
            line.to_parent.send(held.len() as u64).unwrap();
            line.to_child.wait().unwrap();
            drop(held);
        })
        .unwrap()
    });
    for (line, child) in lines.iter().zip(&children) {
        line.to_parent.wait_from(child).unwrap();
    }
    lines.iter().for_each(|line| line.to_child.post().unwrap());
    let held: u64 =
        lines.iter().zip(&children).map(|(line, child)| line.to_parent.wait_from(child).unwrap()).sum();
    // Pages of 16 KiB: seven for each.
    assert_eq!(held, 4096 / 7);
    assert_sound(&pool, held);
    lines.iter().for_each(|line| line.to_child.post().unwrap());
    children.iter_mut().for_each(|child| assert_eq!(child.wait().unwrap(), Outcome::Exited(0)));
    pool.recover();
    assert_whole(&pool);
}

#[test]
fn a_forked_child_attaches_anew_and_touches_nothing_of_its_parents() {
    let pool = Scratch::new("fork", 1 << 20);
    let mut memory = pool.alloc(1000).unwrap();
    memory.write(0, b"the parent's").unwrap();
    let parent = pool.actor().unwrap();
    let held = RefCell::new(Some(memory));
    let mut child = child::spawn(|| {
        // The child's copy; the parent keeps its own.
        let mut inherited = held.take().unwrap();
        assert_eq!(inherited.write(0, b"x"), Err(Error::Forked));
        assert_eq!(inherited.read(0, &mut [0]), Err(Error::Forked));
        assert_eq!(inherited.fill(0), Err(Error::Forked));
        drop(inherited);
        let own = pool.alloc(1000).unwrap();
        assert_ne!(pool.actor().unwrap(), parent);
        assert_eq!(pool.usage().total.blocks, 2);
        drop(own);
    })
    .unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    let mut bytes = [0; 12];
    held.borrow().as_ref().unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"the parent's");
    assert_eq!(pool.recover().blocks, 0);
    assert_sound(&pool, 1);
    drop(held);
    assert_whole(&pool);
}

#[test]
fn an_inherited_allocation_can_neither_be_published_nor_sent() {
    let pool = Scratch::new("fork-publish", 1 << 20);
    let held: [_; 3] = std::array::from_fn(|_| RefCell::new(Some(pool.alloc(1000).unwrap())));
    let reference = held[0].borrow().as_ref().unwrap().reference();
    let mut child = child::spawn(|| {
        assert!(matches!(held[0].take().unwrap().publish(), Err(Error::Forked)));
        assert!(matches!(held[1].take().unwrap().freeze(), Err(Error::Forked)));
        assert!(pool.make_channel(held[2].take().unwrap()).is_err());
        assert!(matches!(pool.begin_transfer(reference), Err(Error::WrongState { .. })));
    })
    .unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    pool.recover();
    assert_sound(&pool, 3);
    drop(held);
    assert_whole(&pool);
}

#[test]
fn a_fork_in_the_middle_of_the_allocations_of_other_threads_is_safe() {
    let pool = Scratch::new("fork-threads", 4 << 20);
    let stop = Barrier::new(3);
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let receive = std::sync::Mutex::new(receive);
    std::thread::scope(|scope| {
        for thread in 0..2u64 {
            let (pool, stop, receive) = (&pool, &stop, &receive);
            scope.spawn(move || {
                let mut held = Vec::new();
                let mut round = thread;
                while receive.lock().unwrap().try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    round += 1;
                    held.push(pool.alloc(1 + round * 7919 % 20_000).unwrap());
                    if held.len() > 50 {
                        held.swap_remove(round as usize * 31 % 50);
                    }
                }
                stop.wait();
            });
        }
        for _ in 0..100 {
            let mut child = child::spawn(|| {
                for bytes in SIZES {
                    pool.alloc(bytes.min(20_000)).unwrap().fill(1).unwrap();
                }
            })
            .unwrap();
            assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
            assert_eq!(pool.recover().processes, 1);
            let verification = pool.verify(Mode::Online);
            assert!(verification.holds(), "{:#?}", verification.findings);
        }
        drop(send);
        stop.wait();
    });
    assert_whole(&pool);
}

#[test]
fn threads_of_a_forked_child_that_come_at_once_are_one_member() {
    let pool = Scratch::new("fork-join", 4 << 20);
    for _ in 0..50 {
        let mut child = child::spawn(|| {
            let start = Barrier::new(4);
            std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| {
                        start.wait();
                        let memory = pool.alloc(100).unwrap();
                        let actor = pool.actor().unwrap();
                        memory.publish().unwrap().free().unwrap();
                        actor
                    })
                });
                let actors = threads.map(|thread| thread.join().unwrap());
                assert!(actors.iter().all(|actor| *actor == actors[0]), "{actors:?}");
            });
            assert_eq!(pool.members().len(), 2);
        })
        .unwrap();
        assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
        pool.recover();
    }
    assert_whole(&pool);
}
