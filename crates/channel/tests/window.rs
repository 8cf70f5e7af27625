//! A process that has little address space, and so has mapped only a part of the pool: it loses nothing that lies
//! beyond.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod ledger;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ledger::{Fate, Ledger, assert_sound, attributes, parcel};
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use weyr_channel::{Channel, ChannelDescriptor, Error};
use weyr_kill::{Outcome, child};
use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::{Allocation, Mode, Pool, PoolAttributes};

const BYTES: u64 = 1 << 30;
const HALF: u64 = BYTES / 2;

/// A pool of which a process of little address space maps less than half, with a channel. Nobody has it attached here:
/// a child would inherit what is mapped.
struct Ground {
    _directory: tempfile::TempDir,
    path: PathBuf,
    channel: ChannelDescriptor,
}

impl Ground {
    /// `far`: the channel lies in the upper half.
    fn new(name: &str, far: bool) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let pool = Pool::create(&PoolAttributes::new(name, BYTES).directory(directory.path())).unwrap();
        drop(pool.alloc(64).unwrap());
        let path = pool.path().to_owned();
        hide_lower_half(&path, far);
        let channel = Channel::create(&pool, &attributes(3)).unwrap().descriptor();
        assert_eq!(channel.reference().offset >= HALF, far);
        hide_lower_half(&path, !far);
        Self { _directory: directory, path, channel }
    }
    fn attach(&self) -> Channel {
        Channel::attach_in(&Pool::attach_path(&self.path).unwrap(), &self.channel).unwrap()
    }

    /// Another process does this and is killed.
    fn die(&self, work: impl FnOnce(&Channel)) {
        let mut victim = child::spawn(|| {
            let channel = self.attach();
            work(&channel);
            std::mem::forget(channel);
            kill_process(getpid(), Signal::KILL).unwrap();
        })
        .unwrap();
        assert!(victim.wait().unwrap().was_killed());
    }

    /// A process of little address space does this.
    fn with_little_space(&self, work: impl FnOnce(&Pool)) {
        let child = child::spawn(|| {
            let limit = Some(2 << 30);
            setrlimit(Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();
            work(&Pool::attach_path(&self.path).unwrap());
        });
        assert_eq!(child.unwrap().wait().unwrap(), Outcome::Exited(0));
    }
}

fn far_parcel(pool: &Pool, number: u64) -> Allocation {
    let memory = parcel(pool, number);
    assert!(memory.reference().offset >= HALF);
    memory
}

fn is_outside_window<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Pool(error)) if matches!(*error, weyr_managed::Error::OutsideWindow { .. }))
}

/// Hints that say that it is in use, so that what is allocated next lies in the upper half.
fn hide_lower_half(path: &Path, hidden: bool) {
    let shape = Shape {
        page_shift: 16,
        initial_pages: 16_384,
        segment_pages: 2048,
        maximum_pages: 16_384,
        process_limit: 1024,
        lane_limit: 4096,
        channel_limit: 16_384,
        manifest_limit: 16_384,
    };
    let hints = [if hidden { 0xff } else { 0 }; 1024];
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&hints, Geometry::new(shape).offsets.used).unwrap();
}

#[test]
fn what_a_dead_receiver_had_comes_again_whoever_recovers_it() {
    let ground = Ground::new("window-receiver", false);
    let channel = ground.attach();
    channel.send_allocation(far_parcel(channel.pool(), 1)).unwrap();
    drop(channel);
    ground.die(|channel| {
        std::mem::forget(channel.lease().unwrap());
        // Blocks and spans of its own, and a slab that will have no owner.
        for bytes in [100, 1000, 3 << 16] {
            let memory = channel.pool().alloc(bytes).unwrap();
            assert!(memory.reference().offset >= HALF);
            std::mem::forget(memory);
        }
    });
    hide_lower_half(&ground.path, false);
    ground.with_little_space(|pool| {
        pool.recover();
        assert_eq!(pool.members().len(), 1);
        let verification = pool.verify(Mode::Quiesced);
        assert!(verification.holds(), "{:#?}", verification.findings);
        for bytes in [100, 1000, 3 << 16] {
            let memory = pool.alloc(bytes).unwrap();
            assert!(memory.reference().offset < HALF, "{bytes}");
        }
        let channel = Channel::attach_in(pool, &ground.channel).unwrap();
        // It stays for somebody who has mapped it.
        assert!(is_outside_window(channel.try_receive()));
        assert!(is_outside_window(channel.receiver().try_receive_into(&mut [0; 200])));
        assert!(is_outside_window(channel.receiver().try_receive_to(&mut [0; 200][..])));
        assert!(is_outside_window(channel.lease().unwrap().bytes()));
    });
    let channel = ground.attach();
    assert_sound(channel.pool(), 2);
    let mut ledger = Ledger::default();
    ledger.drain(&channel);
    assert_eq!(ledger.fate(1), Fate::Again);
    assert_sound(channel.pool(), 1);
}

#[test]
fn what_a_dead_process_has_in_a_channel_is_left_to_one_who_has_mapped_that() {
    let ground = Ground::new("window-channel", true);
    ground.die(|channel| {
        let memory = parcel(channel.pool(), 1);
        assert!(memory.reference().offset < HALF);
        channel.send_allocation(memory).unwrap();
        channel.send_allocation(parcel(channel.pool(), 2)).unwrap();
        std::mem::forget((channel.lease().unwrap(), parcel(channel.pool(), 3)));
    });
    ground.with_little_space(|pool| {
        // Its own memory is freed; it itself stays for the others to finish.
        assert_eq!(pool.recover().processes, 0);
        assert_eq!(pool.usage().total.blocks, 3);
        assert_eq!(pool.members().len(), 2);
    });
    let channel = ground.attach();
    channel.pool().recover();
    assert_eq!(channel.pool().members().len(), 1);
    let mut ledger = Ledger::default();
    ledger.drain(&channel);
    assert_eq!([1, 2].map(|number| ledger.fate(number)), [Fate::Again, Fate::Fresh]);
    assert_sound(channel.pool(), 1);
}

#[test]
fn messages_that_nobody_keeps_end_also_where_they_are_not_mapped() {
    let ground = Ground::new("window-done", false);
    let channel = ground.attach();
    (1..4).for_each(|number| channel.send_allocation(far_parcel(channel.pool(), number)).unwrap());
    drop(channel);
    ground.with_little_space(|pool| {
        let channel = Channel::attach_in(pool, &ground.channel).unwrap();
        channel.lease().unwrap().done().unwrap();
        assert_eq!(pool.usage().total.blocks, 3);
        channel.destroy().unwrap();
    });
    let pool = Pool::attach_path(&ground.path).unwrap();
    assert_sound(&pool, 0);
    assert!(pool.channel_blocks().is_empty());
}
