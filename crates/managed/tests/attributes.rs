//! Every attribute of a pool: what is asked for is there and given back, or refused by its name.
#![forbid(unsafe_code)]

mod scratch;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Gid, Uid};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use scratch::{Scratch, assert_sound, assert_whole, attributes};
use weyr_kill::{Outcome, child, note_skipped};
use weyr_managed::layout::PoolHeader;
use weyr_managed::{
    Attributes, Error, Growth, LockKind, Mapping, Mode, Pool, PoolAttributes, PoolType, Preallocated,
    local_node,
};
use weyr_shared::Layout as _;
use weyr_sys::numa::{self, Nodes};
use weyr_sys::object::{Access, Object};

const MIB: u64 = 1 << 20;

/// The attribute that an error names.
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    match outcome {
        Err(Error::InvalidAttribute { attribute, reason }) => {
            assert!(!reason.is_empty());
            attribute
        }
        other => panic!("{other:?}"),
    }
}

fn in_child(work: impl FnOnce()) {
    assert_eq!(child::spawn(work).unwrap().wait().unwrap(), Outcome::Exited(0));
}

/// One pool of each type, made of `change`d attributes.
fn of_each_type(test: &str, change: impl Fn(PoolAttributes) -> PoolAttributes) -> Vec<Pool> {
    let disk = std::env::temp_dir();
    let make = |kind: PoolType| {
        let asked = change(attributes(test, MIB)).pool_type(kind);
        match kind {
            PoolType::File => Pool::create(&asked.directory(&disk)).unwrap(),
            PoolType::Lent => lent(&asked).unwrap(),
            _ => Pool::create(&asked).unwrap(),
        }
    };
    let kinds = [PoolType::SharedMemory, PoolType::File, PoolType::Private, PoolType::Sealed, PoolType::Lent];
    kinds.map(make).into()
}

fn lent(attributes: &PoolAttributes) -> Result<Pool, Error> {
    Pool::create_in(Arc::new(Mapping::anonymous(2 * MIB as usize).unwrap()), attributes)
}

#[test]
fn what_was_asked_for_is_given_back_by_every_type() {
    let ready = Preallocated { bytes: 3000, count: 7 };
    let wish = |asked: PoolAttributes| {
        asked
            .minimum_block(100)
            .alignment(256)
            .lock_kind(LockKind::Greedy)
            .manifest_name("of-old")
            .node(local_node())
            .preallocated([ready])
            .processes(5)
            .lanes(6)
            .channels(7)
            .manifest_entries(8)
            .page_size(8192)
            .segment_size(MIB / 2)
            .zeroing(true)
            .commit(true)
            .prefault(true)
            .huge_pages(true)
    };
    for pool in of_each_type("given-back", wish) {
        let is = pool.attributes().unwrap();
        assert_eq!((is.pool_type, is.name.as_str()), (pool.pool_type(), pool.name()));
        assert_eq!((is.minimum_block, is.alignment, is.size), (100, 256, MIB));
        assert_eq!((is.lock_kind, is.manifest_name.as_str()), (LockKind::Greedy, "of-old"));
        assert_eq!(
            (is.node, is.growth, is.preallocated.as_slice()),
            (local_node(), Growth::None, &[ready][..])
        );
        assert_eq!((is.processes, is.lanes, is.channels, is.manifest_entries), (5, 6, 7, 8));
        assert_eq!((is.page_size, is.segment_size), (8192, MIB / 2));
        assert!(is.zeroing && is.commit && is.prefault && is.huge_pages && !is.executable);
        let named = is.pool_type.is_named();
        let expected = if named { vec![pool.path().display().to_string()] } else { vec![] };
        assert_eq!(is.observed.segment_names, expected);
        if named {
            let seen = Pool::inspect(pool.path()).unwrap().attributes().unwrap();
            assert_eq!(seen, is);
        }
        let nothing_changes = pool.set_attributes(&is).unwrap();
        assert_eq!(nothing_changes, is);
        assert_whole_at(&pool, 256);
        pool.destroy().unwrap();
    }
}

/// Nothing is lost: as many of the smallest as fit, and all of it in one piece.
fn assert_whole_at(pool: &Pool, least: u64) {
    assert_sound(pool, 0);
    let smallest: Vec<_> = std::iter::from_fn(|| pool.alloc(1).ok()).collect();
    assert_eq!(smallest.len() as u64, pool.maximum_size() / least);
    drop(smallest);
    drop(pool.alloc(pool.maximum_size()).unwrap());
    assert_sound(pool, 0);
}

#[test]
fn plain_pools_have_the_defaults() {
    for pool in of_each_type("defaults", |asked| asked) {
        let is = pool.attributes().unwrap();
        assert_eq!((is.minimum_block, is.alignment, is.growth), (0, 64, Growth::None));
        assert_eq!((is.lock_kind, is.manifest_name.as_str(), is.node), (LockKind::Fifo, "", local_node()));
        assert!(is.numa_nodes.is_empty() && is.preallocated.is_empty());
        let has_object = !matches!(is.pool_type, PoolType::Private | PoolType::Lent);
        assert_eq!(is.mode, has_object.then_some(0o600));
        assert_eq!((is.owner.is_some(), is.group.is_some()), (has_object, has_object));
        pool.destroy().unwrap();
    }
}

#[test]
fn how_a_pool_is_follows_its_use() {
    let pool = Scratch::with(attributes("observed", MIB).page_size(4096));
    let before = pool.attributes().unwrap().observed;
    assert_eq!((before.allocatable_bytes, before.free_bytes, before.largest_block), (MIB, MIB, MIB));
    assert_eq!((before.segments, before.maximum_bytes, before.waiters), (1, MIB, 0));
    assert_eq!((before.utilization(), before.maximum_allocations), (0.0, MIB / 64));
    assert_eq!(before.object_bytes, std::fs::metadata(pool.path()).unwrap().len());
    assert!(before.free_blocks.is_empty() && before.manifest_bytes > 0);
    let (small, large) = (pool.alloc(100).unwrap(), pool.alloc_typed(MIB / 2, 1, 1).unwrap());
    let during = pool.attributes().unwrap().observed;
    assert_eq!(during.utilization(), (MIB / 2 + 128) as f64 * 100.0 / MIB as f64);
    assert_eq!(during.free_blocks, [(128, 31)].into());
    assert_eq!(during.free_bytes, MIB - MIB / 2 - 128);
    assert!(during.largest_block <= MIB / 2 - 4096 && during.largest_block >= MIB / 4, "{during:?}");
    assert_eq!(during.manifest_entries, 1);
    let largest = pool.alloc(during.largest_block).expect("what was said to be possible");
    assert!(pool.alloc(during.largest_block).is_err());
    drop((small, largest));
    large.free().unwrap();
    let halves = [pool.alloc(MIB / 2).unwrap(), pool.alloc(MIB / 2).unwrap()];
    let full = pool.attributes().unwrap().observed;
    assert_eq!((full.largest_block, full.free_bytes, full.utilization()), (0, 0, 100.0));
    drop(halves);
    assert_eq!(pool.attributes().unwrap().observed.largest_block, MIB);
}

#[test]
fn no_allocation_has_less_than_the_minimum() {
    let pool = Scratch::with(attributes("minimum", MIB).minimum_block(5000));
    let mut held: Vec<_> = (0..20).map(|_| pool.alloc(1).unwrap()).collect();
    held.push(pool.alloc_until(0, Instant::now() + Duration::from_secs(60)).unwrap());
    held.push(pool.alloc_aligned(1, 128).unwrap());
    let offsets: BTreeSet<u64> = held.iter().map(|memory| memory.reference().offset).collect();
    assert!(offsets.iter().zip(offsets.iter().skip(1)).all(|(one, next)| next - one >= 5000));
    for memory in &mut held {
        memory.resize_at_once(5000).expect("the room is there");
        memory.resize(1).unwrap();
        memory.resize_at_once(5000).expect("and stays");
    }
    drop(held);
    assert_sound(&pool, 0);
    let spans = Scratch::with(attributes("minimum", MIB).minimum_block(100_000).page_size(4096));
    let all = spans.alloc(MIB).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| spans.alloc_blocking(1).unwrap());
        while spans.waiters() == 0 {
            std::thread::yield_now();
        }
        drop(all);
        let mut served = waiting.join().unwrap();
        served.resize(1).unwrap();
        let _behind: Vec<_> = std::iter::from_fn(|| spans.alloc(1).ok()).collect();
        served.resize_at_once(100_000).expect("what waited has the room, and keeps it");
    });
    let whole = Scratch::with(attributes("minimum", MIB).minimum_block(MIB));
    let _all = whole.alloc(1).unwrap();
    assert!(matches!(whole.alloc(1), Err(Error::NoMemory { .. })));
    assert_eq!(refused(Pool::create(&attributes("minimum", MIB).minimum_block(MIB + 1))), "minimum block");
}

#[test]
fn every_allocation_lies_at_the_alignment() {
    for (bytes, alignment) in [(MIB, 128), (MIB, 4096), (32 * MIB, 64 << 10), (64 * MIB, 2 * MIB)] {
        let pool = Scratch::with(attributes("aligned", bytes).alignment(alignment));
        // The second time some are at hand.
        for _ in 0..2 {
            let mut held = Vec::new();
            for size in [0, 1, 100, 5000, 20_000] {
                held.push(pool.alloc(size).unwrap());
                held.push(pool.alloc_blocking(size).unwrap());
                held.push(pool.alloc_aligned(size, 64).unwrap());
                held.push(pool.alloc_zeroed(size, 512).unwrap());
            }
            let wrong = held.iter().find(|memory| !memory.reference().offset.is_multiple_of(alignment));
            assert!(wrong.is_none(), "{wrong:?} at {alignment}");
            held.iter_mut().for_each(|memory| memory.fill(1).unwrap());
            drop(held);
        }
        let mut moved = pool.alloc(100).unwrap();
        moved.resize_or_move(bytes / 4).unwrap();
        assert!(moved.reference().offset.is_multiple_of(alignment));
        drop(moved);
        assert_sound(&pool, 0);
    }
    for wrong in [3, 96, 8192 + 64, 4 * MIB, u64::MAX] {
        assert_eq!(refused(Pool::create(&attributes("aligned", 32 * MIB).alignment(wrong))), "alignment");
    }
    let small = attributes("aligned", MIB).page_size(4096).alignment(8192);
    assert_eq!(refused(Pool::create(&small)), "alignment", "another process may have it elsewhere");
    assert_eq!(refused(lent(&attributes("aligned", MIB).page_size(8192).alignment(8192))), "alignment");
}

/// Whether the kernel shows `rights` for a mapping of the pool's object in this process.
fn is_mapped(pool: &Pool, rights: &str) -> bool {
    let inode = format!(" {} ", std::fs::metadata(pool.path()).unwrap().ino());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| line.contains(&inode) && line.contains(rights))
}

#[test]
fn an_executable_pool_is_so_in_every_process() {
    let pool = Scratch::with(attributes("executable", MIB).executable(true).growth(Growth::UpTo(4 * MIB)));
    assert!(pool.attributes().unwrap().executable);
    assert!(is_mapped(&pool, " rwxs "));
    let plain = Scratch::with(attributes("plain", MIB));
    assert!(is_mapped(&plain, " rw-s ") && !is_mapped(&plain, "x"));
    let path = pool.path().to_owned();
    drop(pool.into_pool());
    in_child(|| {
        let reader = Pool::attach_read_only(&path).unwrap();
        assert!(is_mapped(&reader, " r-xs "));
        drop(reader);
        let pool = Pool::attach_path(&path).unwrap();
        drop(pool.alloc(3 * MIB).unwrap());
        assert!(is_mapped(&pool, " rwxs ") && !is_mapped(&pool, " rw-s "));
        pool.destroy().unwrap();
    });
    for kind in [PoolType::Private, PoolType::Sealed] {
        let pool = Pool::create(&attributes("executable", MIB).pool_type(kind).executable(true)).unwrap();
        drop(pool.alloc(1000).unwrap());
        pool.destroy().unwrap();
    }
    assert_eq!(refused(lent(&attributes("executable", MIB).executable(true))), "executable");
}

#[test]
fn where_nothing_may_be_executed_an_executable_pool_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let words = CString::new("size=16m").unwrap();
    if let Err(errno) = mount("tmpfs", directory.path(), "tmpfs", MountFlags::NOEXEC, words.as_c_str()) {
        note_skipped("executable", format_args!("no tmpfs can be mounted here ({errno})"));
        return;
    }
    let asked = attributes("noexec", MIB).directory(directory.path());
    let outcome = Pool::create(&asked.clone().executable(true));
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    let plain = Pool::create(&asked).map(|pool| pool.destroy());
    unmount(directory.path(), UnmountFlags::DETACH).unwrap();
    assert_eq!((refused(outcome), left), ("executable", 0));
    plain.unwrap().unwrap();
}

#[test]
fn the_data_lies_on_the_wanted_nodes() {
    let nodes: Vec<u32> = numa::available().numbers().collect();
    let probe = Mapping::anonymous(4096).unwrap();
    let placed = numa::interleave(&probe, 0..4096, &Nodes::of(nodes.clone()).unwrap());
    drop(probe);
    if let Err(errno) = placed {
        note_skipped("NUMA", format_args!("the kernel places no memory here ({errno})"));
        let refusal = Pool::create(&attributes("numa", MIB).numa_nodes(nodes));
        assert_eq!(refused(refusal), "NUMA nodes");
        return;
    }
    for kind in [PoolType::SharedMemory, PoolType::Sealed, PoolType::Private] {
        let asked = attributes("numa", 2 * MIB).pool_type(kind).numa_nodes(nodes.clone());
        let pool = Pool::create(&asked).unwrap();
        let is = pool.attributes().unwrap();
        assert_eq!(is.numa_nodes, nodes);
        let maps = std::fs::read_to_string("/proc/self/numa_maps").unwrap();
        assert!(maps.contains("interleave"), "{kind:?}: {maps}");
        // What was prefaulted is backed.
        assert!(pool.usage().backed_bytes >= 2 * MIB);
        assert_whole(&pool);
        pool.destroy().unwrap();
    }
    let none_such = (0..1024).find(|node| !nodes.contains(node)).unwrap();
    for missing in [vec![none_such], vec![nodes[0], none_such], vec![1024], vec![u32::MAX]] {
        assert_eq!(refused(Pool::create(&attributes("numa", MIB).numa_nodes(missing))), "NUMA nodes");
    }
    let file = attributes("numa", MIB).pool_type(PoolType::File).directory(std::env::temp_dir());
    assert_eq!(refused(Pool::create(&file.numa_nodes([0]))), "NUMA nodes");
    assert_eq!(refused(lent(&attributes("numa", MIB).numa_nodes([0]))), "NUMA nodes");
}

#[test]
fn preallocated_blocks_need_nothing_any_more() {
    let kinds = [Preallocated { bytes: 100, count: 1000 }, Preallocated { bytes: 3 * MIB, count: 4 }];
    let pool = Scratch::with(attributes("ready", 64 * MIB).preallocated(kinds));
    assert_sound(&pool, 0);
    let backed = |pool: &Pool| pool.usage().backed_bytes;
    let ready = backed(&pool);
    assert!(ready >= 12 * MIB);
    let allocate = || -> Vec<_> {
        let of = |kind: &Preallocated| {
            (0..kind.count).map(|_| pool.alloc(kind.bytes).unwrap()).collect::<Vec<_>>()
        };
        kinds.iter().flat_map(of).collect()
    };
    // A thread that comes later has the same.
    std::thread::scope(|scope| {
        let held = scope.spawn(allocate).join().unwrap();
        assert_eq!(backed(&pool), ready);
        drop(held);
    });
    drop(allocate());
    assert_eq!(backed(&pool), ready);
    let other = Scratch::new("not-ready", 64 * MIB);
    let before = backed(&other);
    let _held: Vec<_> = (0..4).map(|_| other.alloc(3 * MIB).unwrap()).collect();
    assert!(backed(&other) >= before + 12 * MIB, "otherwise this test shows nothing");

    let refuse = |kinds: &[Preallocated]| {
        let asked = attributes("too-much", MIB).preallocated(kinds.iter().copied());
        let path = refused(Pool::create(&asked));
        assert!(matches!(Pool::attach(asked.name()), Err(Error::NoSuchPool { .. })));
        path
    };
    let kind = |bytes, count| Preallocated { bytes, count };
    assert_eq!(refuse(&[kind(MIB, 2)]), "preallocated blocks");
    assert_eq!(refuse(&[kind(u64::MAX, u64::MAX)]), "preallocated blocks");
    assert_eq!(refuse(&[kind(64, 1); 17]), "preallocated blocks");
    assert_eq!(refuse(&[kind(65, 12_000)]), "preallocated blocks", "classes round up");
}

#[test]
fn what_has_no_effect_is_kept_within_bounds() {
    for kind in LockKind::ALL {
        let pool = Scratch::with(attributes("lock", MIB).lock_kind(kind).manifest_name("m".repeat(255)));
        let is = pool.attributes().unwrap();
        assert_eq!((is.lock_kind, is.manifest_name.len()), (kind, 255));
    }
    assert_eq!(refused(Pool::create(&attributes("m", MIB).manifest_name("m".repeat(256)))), "manifest name");
    assert_eq!(refused(Pool::create(&attributes("m", MIB).node(local_node() ^ 1))), "node");
    let private = attributes("m", MIB).pool_type(PoolType::Private).node(local_node() ^ 1);
    assert_eq!(Pool::create(&private).unwrap().attributes().unwrap().node, local_node());
}

fn growing(test: &str) -> PoolAttributes {
    attributes(test, MIB).growth(Growth::UpTo(8 * MIB)).segment_size(MIB).page_size(4096)
}

#[test]
fn rights_and_growth_are_set_and_what_they_were_is_returned() {
    let pool = Scratch::with(growing("set"));
    let first = pool.attributes().unwrap();
    let mut wanted = first.clone();
    (wanted.mode, wanted.group) = (Some(0o640), Some(4321));
    wanted.growth = Growth::UpTo(3 * MIB + 5000);
    // Only root gives away groups that it is not in.
    if rustix::process::geteuid().is_root() {
        wanted.owner = Some(1234);
    } else {
        wanted.group = first.group;
    }
    assert_eq!(pool.set_attributes(&wanted).unwrap(), first);
    let second = pool.attributes().unwrap();
    assert_eq!((second.mode, second.owner, second.group), (Some(0o640), wanted.owner, wanted.group));
    assert_eq!(second.growth, Growth::UpTo(3 * MIB), "whole segments");
    assert_eq!(second.observed.maximum_bytes, 3 * MIB);
    assert!(pool.alloc(3 * MIB + 1).is_err());
    drop(pool.alloc(3 * MIB).unwrap());
    assert_eq!(pool.size(), 3 * MIB);

    wanted.growth = Growth::UpTo(2 * MIB);
    assert_eq!(refused(pool.set_attributes(&wanted)), "growth", "it is larger already");
    wanted.growth = Growth::UpTo(8 * MIB + 1);
    assert_eq!(refused(pool.set_attributes(&wanted)), "growth", "the tables are not there");
    wanted.growth = Growth::Unlimited;
    assert_eq!(refused(pool.set_attributes(&wanted)), "growth");
    wanted.growth = Growth::None;
    assert_eq!(pool.set_attributes(&wanted).unwrap().growth, Growth::UpTo(3 * MIB));
    assert_eq!(pool.attributes().unwrap().growth, Growth::None);
    assert!(pool.alloc(3 * MIB + 1).is_err());
    wanted.growth = Growth::UpTo(8 * MIB);
    pool.set_attributes(&wanted).unwrap();
    drop(pool.alloc(8 * MIB).unwrap());
    assert!(pool.verify(Mode::Quiesced).holds());
    let unlimited = Scratch::with(attributes("set", MIB).growth(Growth::Unlimited));
    let mut wanted = unlimited.attributes().unwrap();
    for growth in [Growth::None, Growth::Unlimited, Growth::UpTo(1 << 32), Growth::Unlimited] {
        wanted.growth = growth;
        unlimited.set_attributes(&wanted).unwrap();
        assert_eq!(unlimited.attributes().unwrap().growth, growth);
    }
}

#[test]
fn who_waits_is_served_when_the_pool_may_grow_again() {
    let pool = Scratch::with(growing("waiting"));
    let mut wanted = pool.attributes().unwrap();
    wanted.growth = Growth::None;
    pool.set_attributes(&wanted).unwrap();
    let all = pool.alloc(MIB).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.alloc_blocking(MIB).unwrap());
        wanted.growth = Growth::UpTo(2 * MIB);
        pool.set_attributes(&wanted).unwrap();
        drop(waiting.join().unwrap());
    });
    drop(all);
    assert_sound(&pool, 0);
}

#[test]
fn what_is_settled_at_creation_is_refused_by_its_name() {
    type Change = fn(&mut Attributes);
    let changes: [(&str, Change); 21] = [
        ("name", |new| new.name.push('x')),
        ("size", |new| new.size += 4096),
        ("minimum block", |new| new.minimum_block = 1),
        ("alignment", |new| new.alignment = 128),
        ("segment size", |new| new.segment_size += 4096),
        ("page size", |new| new.page_size *= 2),
        ("processes", |new| new.processes += 1),
        ("lanes", |new| new.lanes -= 1),
        ("channels", |new| new.channels += 1),
        ("manifest entries", |new| new.manifest_entries += 1),
        ("manifest name", |new| new.manifest_name.push('x')),
        ("commit", |new| new.commit = true),
        ("prefault", |new| new.prefault = true),
        ("zeroing", |new| new.zeroing = true),
        ("huge pages", |new| new.huge_pages = true),
        ("executable", |new| new.executable = true),
        ("NUMA nodes", |new| new.numa_nodes.push(0)),
        ("preallocated blocks", |new| new.preallocated.push(Preallocated { bytes: 1, count: 1 })),
        ("mode", |new| new.mode = Some(0o1777)),
        ("mode", |new| new.mode = None),
        ("owner", |new| new.owner = None),
    ];
    let pool = Scratch::with(growing("settled"));
    let first = pool.attributes().unwrap();
    for (name, change) in changes {
        let mut wanted = first.clone();
        // What could be set is not set either.
        (wanted.mode, wanted.growth) = (Some(0o666), Growth::None);
        change(&mut wanted);
        assert_eq!(refused(pool.set_attributes(&wanted)), name);
        assert_eq!(pool.attributes().unwrap(), first, "{name}");
    }
    let mut ignored = first.clone();
    (ignored.node, ignored.pool_type, ignored.lock_kind) = (1, PoolType::Lent, LockKind::Greedy);
    (ignored.observed.free_bytes, ignored.observed.segments) = (1, 1000);
    pool.set_attributes(&ignored).unwrap();
    assert_eq!(pool.attributes().unwrap(), first);

    let private = Pool::create(&attributes("settled", MIB).pool_type(PoolType::Private)).unwrap();
    let mut wanted = private.attributes().unwrap();
    wanted.mode = Some(0o600);
    assert_eq!(refused(private.set_attributes(&wanted)), "mode");
    let reader = Pool::attach_read_only(pool.path()).unwrap();
    assert!(matches!(reader.set_attributes(&first), Err(Error::ReadOnly { .. })));
    pool.destroy().unwrap();
    assert!(matches!(pool.set_attributes(&first), Err(Error::Destroyed)));
}

#[test]
fn a_refused_owner_leaves_everything_as_it_was() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    in_child(|| {
        if rustix::process::geteuid().is_root() {
            let nobody = 65_534;
            set_thread_groups(&[]).unwrap();
            set_thread_gid(Gid::from_raw(nobody)).unwrap();
            set_thread_uid(Uid::from_raw(nobody)).unwrap();
        }
        let pool = Pool::create(&growing("refused").directory(directory.path())).unwrap();
        let first = pool.attributes().unwrap();
        let mut wanted = first.clone();
        (wanted.mode, wanted.growth, wanted.owner) = (Some(0o666), Growth::UpTo(2 * MIB), Some(0));
        let refused = pool.set_attributes(&wanted);
        assert!(matches!(refused, Err(Error::PermissionDenied { .. })), "{refused:?}");
        assert_eq!(pool.attributes().unwrap(), first);
        pool.destroy().unwrap();
    });
}

#[test]
fn several_set_and_grow_at_once() {
    let pool = Scratch::with(growing("at-once"));
    let modes = [0o600, 0o640, 0o660];
    let caps = [2 * MIB, 4 * MIB, 8 * MIB];
    let mut wanted = pool.attributes().unwrap();
    wanted.growth = Growth::UpTo(2 * MIB);
    pool.set_attributes(&wanted).unwrap();
    std::thread::scope(|scope| {
        for (mode, cap) in modes.into_iter().zip(caps) {
            let (pool, mut wanted) = (&pool, wanted.clone());
            scope.spawn(move || {
                for _ in 0..200 {
                    (wanted.mode, wanted.growth) = (Some(mode), Growth::UpTo(cap));
                    match pool.set_attributes(&wanted) {
                        Ok(old) => assert!(modes.map(Some).contains(&old.mode), "{old:?}"),
                        // It was larger already.
                        Err(error) => assert_eq!(refused::<()>(Err(error)), "growth"),
                    }
                }
            });
        }
        scope.spawn(|| {
            for pages in 0..200u64 {
                drop(pool.alloc(MIB + pages * 4096));
                assert!(pool.verify(Mode::Online).holds());
            }
        });
    });
    let last = pool.attributes().unwrap();
    assert!(modes.map(Some).contains(&last.mode));
    assert!(caps.map(Growth::UpTo).contains(&last.growth), "{last:?}");
    assert!(pool.size() <= last.observed.maximum_bytes);
    assert_sound(&pool, 0);
}

#[test]
fn a_spoilt_limit_of_growth_is_found_and_never_believed_blindly() {
    let directory = tempfile::tempdir().unwrap();
    let pool = Pool::create(&growing("spoilt").directory(directory.path())).unwrap();
    let good = std::fs::read(pool.path()).unwrap();
    let at = PoolHeader::FIELDS.iter().find(|field| field.name == "segments").unwrap().offset;
    let path = directory.path().join("copy");
    let open = |word: u64| {
        let mut spoilt = good.clone();
        spoilt[at..at + 8].copy_from_slice(&word.to_le_bytes());
        std::fs::write(&path, spoilt).unwrap();
        Pool::inspect(&path)
    };
    for (word, growth) in [
        (1, Growth::UpTo(8 * MIB)),
        (1 | 3 << 32, Growth::UpTo(3 * MIB)),
        (1 | 1000 << 32, Growth::UpTo(8 * MIB)),
        (1 | 1 << 63, Growth::None),
    ] {
        let seen = open(word).unwrap();
        assert_eq!(seen.attributes().unwrap().growth, growth, "{word:#x}");
        assert!(seen.verify(Mode::Online).holds(), "{word:#x}");
    }
    for word in [2, 5 | 3 << 32, u64::from(u32::MAX), u64::MAX] {
        assert!(matches!(open(word), Err(Error::Truncated { .. })), "{word:#x}");
    }
    for word in [0, 7 << 32, 1 << 63] {
        let found = open(word).unwrap().verify(Mode::Online).findings;
        assert!(
            found.iter().any(|finding| finding.invariant.starts_with("a pool has a segment")),
            "{word:#x}"
        );
    }
}

#[test]
fn attributes_of_a_pool_on_shared_lent_memory_are_those_of_its_maker() {
    let object = Object::memory("lent").unwrap();
    object.set_len(2 * MIB).unwrap();
    let map = || Arc::new(Mapping::shared(&object, 2 * MIB as usize, Access::ReadWrite).unwrap());
    let pool = Pool::create_in(map(), &attributes("lent", MIB).minimum_block(200).alignment(128)).unwrap();
    let again = Pool::attach_in_memory(map()).unwrap();
    let (one, other) = (pool.attributes().unwrap(), again.attributes().unwrap());
    assert_eq!((one.minimum_block, one.alignment), (200, 128));
    assert_eq!((other.minimum_block, other.alignment, other.name), (200, 128, one.name));
}
