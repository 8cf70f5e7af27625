//! What each kind of memory promises besides: files outlive everybody, sealed objects keep their length, private memory
//! stays with its process, copies are pools, and who may only read cannot write.
#![forbid(unsafe_code)]

mod scratch;

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use scratch::{Line, after, assert_sound, assert_whole, attributes, kill};
use weyr_kill::{Outcome, child, note_skipped};
use weyr_managed::layout::PoolHeader;
use weyr_managed::{AllocationDescriptor, Error, Growth, Mapping, Pool, PoolAttributes, PoolType, name};
use weyr_shared::Layout;

/// Attributes of a file pool in a directory on a disk, which goes with the value.
fn in_file(test: &str) -> (tempfile::TempDir, PoolAttributes) {
    let directory = tempfile::tempdir().unwrap();
    let attributes = attributes(test, 1 << 20).pool_type(PoolType::File).directory(directory.path());
    (directory, attributes)
}

fn run(work: impl FnOnce()) {
    assert_eq!(child::spawn(work).unwrap().wait().unwrap(), Outcome::Exited(0));
}

/// Offset of a field of the header.
fn field(name: &str) -> u64 {
    let found = PoolHeader::FIELDS.iter().find(|field| field.name == name);
    found.unwrap_or_else(|| panic!("no field {name}")).offset as u64
}

/// Has the file say that it was opened last under another boot.
fn outlive_a_boot(path: &PathBuf) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&7_u64.to_le_bytes(), field("boot")).unwrap();
}

#[test]
fn a_file_pool_is_there_after_everybody_has_left() {
    let (_directory, attributes) = in_file("left");
    let path = name::pool_path(_directory.path(), attributes.name()).unwrap();
    run(|| {
        let pool = Pool::create(&attributes).unwrap();
        pool.alloc_typed(5, 3, 9).unwrap().write(0, b"stays").unwrap();
        pool.sync().unwrap();
    });
    run(|| {
        let pool = Pool::attach_path(&path).unwrap();
        let mut bytes = [0; 5];
        pool.find(3, 9).unwrap().read(0, &mut bytes).unwrap();
        assert_eq!((&bytes, pool.members().len()), (b"stays", 1));
        assert!(pool.rebuilt().is_none());
        pool.find(3, 9).unwrap().free().unwrap();
        assert_whole(&pool);
    });
}

#[test]
fn a_file_pool_is_whole_after_all_were_killed() {
    let (directory, attributes) = in_file("killed");
    let path = name::pool_path(directory.path(), attributes.name()).unwrap();
    let line = Line::new();
    let (child, _) = after(&line.to_parent, || {
        let pool = Pool::create(&attributes).unwrap();
        pool.alloc_typed(5, 3, 9).unwrap();
        std::mem::forget((pool.alloc(100_000).unwrap(), pool.alloc(100).unwrap(), pool));
        0
    });
    kill(child);
    let pool = Pool::attach_path(&path).unwrap();
    assert_sound(&pool, 1);
    pool.find(3, 9).unwrap().free().unwrap();
    assert_whole(&pool);
}

#[test]
fn a_pool_of_another_boot_is_rebuilt_once() {
    let (directory, attributes) = in_file("boot");
    let path = name::pool_path(directory.path(), attributes.name()).unwrap();
    let descriptor = {
        let pool = Pool::create(&attributes).unwrap();
        let kept = pool.alloc_typed(100_000, 1, 1).unwrap();
        kept.write(0, b"kept").unwrap();
        pool.alloc(64).unwrap();
        kept.descriptor()
    };
    outlive_a_boot(&path);
    // What the disk has where nobody had written is anything.
    let data = File::options().write(true).open(&path).unwrap();
    let length = data.metadata().unwrap().len();
    data.write_all_at(&[0xff; 8192], length - 8192).unwrap();
    let pool = Pool::attach_path(&path).unwrap();
    let rebuilt = pool.rebuilt().expect("a dirty pool");
    assert!(rebuilt.left.holds(), "{:?}", rebuilt.left.findings);
    let mut bytes = [0; 4];
    let before = AllocationDescriptor { host: descriptor.host ^ 1, ..descriptor };
    pool.open(&before).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    pool.open(&descriptor).unwrap().free().unwrap();
    let zeroed = pool.alloc_zeroed(pool.size(), 64).unwrap();
    let mut seen = vec![1; zeroed.len() as usize];
    zeroed.read(0, &mut seen).unwrap();
    assert!(seen.iter().all(|byte| *byte == 0), "memory of another boot was taken for fresh");
    drop((zeroed, pool));
    let again = Pool::attach_path(&path).unwrap();
    assert!(again.rebuilt().is_none());
    assert_whole(&again);
}

#[test]
fn what_a_boot_lost_behind_a_pool_is_backed_again() {
    let (directory, attributes) = in_file("hole");
    let path = name::pool_path(directory.path(), attributes.name()).unwrap();
    drop(Pool::create(&attributes.commit(true)).unwrap());
    let stored = || std::fs::metadata(&path).unwrap().blocks() * 512;
    let (before, file) = (stored(), File::options().write(true).open(&path).unwrap());
    // All behind the metadata becomes a hole.
    let length = file.metadata().unwrap().len();
    file.set_len(length - (1 << 20)).unwrap();
    file.set_len(length).unwrap();
    assert!(stored() < before);
    outlive_a_boot(&path);
    drop(Pool::attach_path(&path).unwrap());
    assert!(stored() >= before, "{} of {before} bytes are backed", stored());
}

#[test]
fn a_rebuilding_frees_what_the_dead_had_and_repairs_hints() {
    let (directory, attributes) = in_file("dirty");
    let path = name::pool_path(directory.path(), attributes.name()).unwrap();
    let line = Line::new();
    let (child, _) = after(&line.to_parent, || {
        let pool = Pool::create(&attributes).unwrap();
        std::mem::forget((pool.alloc(100_000).unwrap(), pool.alloc(100).unwrap(), pool));
        0
    });
    kill(child);
    outlive_a_boot(&path);
    let pool = Pool::attach_path(&path).unwrap();
    let blocks = pool.rebuilt().unwrap().repairs.iter().find(|repair| repair.what == "blocks of the dead");
    assert_eq!(blocks.unwrap().count, 2);
    assert_whole(&pool);
}

#[test]
fn a_repair_rebuilds_a_pool_of_another_boot_first() {
    let (directory, attributes) = in_file("repaired");
    let path = name::pool_path(directory.path(), attributes.name()).unwrap();
    let line = Line::new();
    let (child, _) = after(&line.to_parent, || {
        let pool = Pool::create(&attributes.commit(true)).unwrap();
        std::mem::forget((pool.alloc(100_000).unwrap(), pool.alloc(100).unwrap(), pool));
        0
    });
    kill(child);
    let stored = || std::fs::metadata(&path).unwrap().blocks() * 512;
    let (before, file) = (stored(), File::options().write(true).open(&path).unwrap());
    let length = file.metadata().unwrap().len();
    file.set_len(length - (256 << 10)).unwrap();
    file.set_len(length).unwrap();
    outlive_a_boot(&path);
    let repaired = Pool::repair(&path).unwrap();
    assert!(repaired.after.holds(), "{:?}", repaired.after.findings);
    let blocks = repaired.repairs.iter().find(|repair| repair.what == "blocks of the dead");
    assert_eq!(blocks.unwrap().count, 2);
    assert!(stored() >= before, "{} of {before} bytes are backed", stored());
    let pool = Pool::attach_path(&path).unwrap();
    assert!(pool.rebuilt().is_none(), "the rebuilding was left to who attaches");
    assert_whole(&pool);
}

#[test]
fn a_copy_has_what_the_pool_had_and_goes_its_own_way() {
    let (directory, attributes) = in_file("copied");
    let (path, descriptor) = {
        let pool = Pool::create(&attributes.growth(Growth::UpTo(4 << 20)).segment_size(1 << 20)).unwrap();
        let kept = pool.alloc_typed(2 << 20, 5, 6).unwrap();
        kept.write((2 << 20) - 4, b"last").unwrap();
        (pool.path().to_owned(), kept.descriptor())
    };
    let copy = Pool::inspect(&path).unwrap().copy_to(directory.path(), "copy").unwrap();
    let (original, copy) = (Pool::attach_path(&path).unwrap(), Pool::attach_path(&copy).unwrap());
    assert_eq!((original.uuid(), original.size()), (copy.uuid(), copy.size()));
    assert_ne!(original.region().address(), copy.region().address());
    original.find(5, 6).unwrap().write((2 << 20) - 4, b"else").unwrap();
    for (pool, expected) in [(&original, b"else"), (&copy, b"last")] {
        let mut bytes = [0; 4];
        pool.open(&descriptor).unwrap().read((2 << 20) - 4, &mut bytes).unwrap();
        assert_eq!(&bytes, expected);
    }
    original.destroy().unwrap();
    copy.find(5, 6).unwrap().free().unwrap();
    assert_whole(&copy);
}

#[test]
fn a_pool_in_use_is_not_copied_and_a_taken_name_is_kept() {
    let (directory, attributes) = in_file("busy");
    let pool = Pool::create(&attributes).unwrap();
    let inspection = Pool::inspect(pool.path()).unwrap();
    let in_use = Error::InUse { name: pool.name().to_owned(), processes: 1 };
    assert_eq!(inspection.copy_to(directory.path(), "copy").unwrap_err(), in_use);
    let name = pool.name().to_owned();
    drop(pool);
    let taken = Error::NameTaken { name: name.clone() };
    assert_eq!(inspection.copy_to(directory.path(), &name).unwrap_err(), taken);
    let nowhere = inspection.copy_to(&directory.path().join("missing"), "copy");
    assert!(matches!(nowhere, Err(Error::NoSuchPool { .. })), "{nowhere:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn who_may_only_read_is_told_so_by_every_call_that_would_write() {
    let (_directory, attributes) = in_file("reader");
    let pool = Pool::create(&attributes).unwrap();
    let published = pool.alloc_typed(8, 2, 2).unwrap();
    published.write(0, b"original").unwrap();
    let reader = Pool::attach_read_only(pool.path()).unwrap();
    let refused = Error::ReadOnly { name: pool.name().to_owned() };
    let found = || reader.open(&published.descriptor()).unwrap();
    assert_eq!(reader.alloc(1).unwrap_err(), refused);
    assert_eq!(reader.alloc_blocking(1).unwrap_err(), refused);
    assert_eq!(reader.alloc_zeroed(1, 64).unwrap_err(), refused);
    assert_eq!(reader.alloc_typed(1, 1, 1).unwrap_err(), refused);
    assert_eq!(reader.actor().unwrap_err(), refused);
    assert_eq!(reader.destroy().unwrap_err(), refused);
    assert_eq!(found().write(0, b"x").unwrap_err(), refused);
    assert_eq!(found().atomics::<weyr_atomic::AtomicU64>(0, 1).err(), Some(refused.clone()));
    assert_eq!(found().free().unwrap_err(), refused);
    assert_eq!(found().freeze().unwrap_err(), refused);
    assert_eq!(reader.recover(), Default::default());
    let mut bytes = [0; 8];
    found().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"original");
    assert_eq!(pool.members().len(), 1, "a reader is no member");
    published.free().unwrap();
    assert_sound(&pool, 0);
}

#[test]
fn a_sealed_pool_is_handed_over_as_a_descriptor_and_keeps_its_length() {
    let pool = Pool::create(&attributes("sealed", 1 << 20).pool_type(PoolType::Sealed)).unwrap();
    let memory = pool.alloc(6).unwrap().publish().unwrap();
    memory.write(0, b"sealed").unwrap();
    let (descriptor, handed) = (memory.descriptor(), pool.share_object().unwrap());
    let by_name = pool.descriptor();
    drop(File::from(handed.try_clone().unwrap()).set_len(0).unwrap_err());
    run(|| {
        // Not the parent's handle: a stranger has the descriptor and nothing else.
        drop(pool);
        assert!(matches!(Pool::attach_descriptor(&by_name), Err(Error::Nameless { .. })));
        let pool = Pool::attach_object(handed).unwrap();
        let mut bytes = [0; 6];
        pool.open(&descriptor).unwrap().read(0, &mut bytes).unwrap();
        assert_eq!((&bytes, pool.pool_type()), (b"sealed", PoolType::Sealed));
        assert_eq!(pool.members().len(), 2);
    });
}

#[test]
fn memory_that_is_lent_is_as_long_as_it_is() {
    let memory = || std::sync::Arc::new(Mapping::anonymous(1 << 20).unwrap());
    let refused = |bytes: u64| match Pool::create_in(memory(), &attributes("short", bytes)) {
        Err(Error::InvalidAttribute { attribute, .. }) => attribute,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(1 << 20), "size");
    let fitting = Pool::create_in(memory(), &attributes("fits", 512 << 10)).unwrap();
    assert_eq!(fitting.size(), 512 << 10);
    let whole = Pool::create_in(memory(), &attributes("whole", 0)).unwrap();
    assert_whole(&whole);
    // One page more does not fit.
    assert!(Pool::create_in(memory(), &attributes("more", whole.size() + 4096)).is_err());
    let small = std::sync::Arc::new(Mapping::anonymous(4096).unwrap());
    assert!(matches!(
        Pool::create_in(small, &attributes("tiny", 0)),
        Err(Error::InvalidAttribute { attribute: "memory", .. })
    ));
}

#[test]
fn memory_that_holds_no_pool_is_not_attached() {
    let memory = std::sync::Arc::new(Mapping::anonymous(1 << 20).unwrap());
    assert!(matches!(Pool::attach_in_memory(memory.clone()), Err(Error::NotAPool { .. })));
    let pool = Pool::create_in(memory.clone(), &attributes("lent", 0)).unwrap();
    let second = Pool::attach_in_memory(memory).unwrap();
    assert_eq!((second.uuid(), second.members().len()), (pool.uuid(), 2));
    let published = pool.alloc(3).unwrap().publish().unwrap();
    published.write(0, b"abc").unwrap();
    second.open(&published.descriptor()).unwrap().free().unwrap();
    drop(second);
    assert_eq!(pool.members().len(), 1);
    assert_whole(&pool);
}

#[test]
fn used_memory_that_is_lent_counts_as_used() {
    let memory = std::sync::Arc::new(Mapping::anonymous(1 << 20).unwrap());
    let pool = Pool::create_in(memory.clone(), &attributes("before", 0)).unwrap();
    let mut all = pool.alloc(pool.size()).unwrap();
    all.fill(0xff).unwrap();
    drop((all, pool));
    let pool = Pool::create_in(memory, &attributes("again", 0)).unwrap();
    assert_sound(&pool, 0);
    let zeroed = pool.alloc_zeroed(300_000, 64).unwrap();
    let mut seen = vec![1; 300_000];
    zeroed.read(0, &mut seen).unwrap();
    assert!(seen.iter().all(|byte| *byte == 0));
}

#[test]
fn what_a_type_cannot_have_is_refused_by_name() {
    let refused = |attributes: PoolAttributes| match Pool::create(&attributes) {
        Err(Error::InvalidAttribute { attribute, .. }) => attribute,
        other => panic!("{other:?}"),
    };
    let of = |kind| attributes("refused", 1 << 20).pool_type(kind);
    for kind in [PoolType::Private, PoolType::Sealed] {
        assert_eq!(refused(of(kind).directory("/dev/shm")), "directory");
    }
    for kind in [PoolType::File, PoolType::HugePages] {
        assert_eq!(refused(of(kind)), "directory");
    }
    assert_eq!(refused(of(PoolType::Private).mode(0o600)), "mode");
    assert_eq!(refused(of(PoolType::Private).owner(1)), "owner");
    assert_eq!(refused(of(PoolType::Private).group(1)), "group");
    assert_eq!(refused(of(PoolType::Lent)), "type");
    let ordinary = tempfile::tempdir().unwrap();
    assert_eq!(refused(of(PoolType::HugePages).directory(ordinary.path())), "directory");
    assert_eq!(std::fs::read_dir(ordinary.path()).unwrap().count(), 0);
}

#[test]
fn owner_group_and_mode_are_the_objects() {
    if !rustix::process::geteuid().is_root() {
        return note_skipped("owner", format_args!("only root gives objects away"));
    }
    let (_directory, attributes) = in_file("owner");
    let pool = Pool::create(&attributes.owner(12_345).group(54_321).mode(0o640)).unwrap();
    let metadata = std::fs::metadata(pool.path()).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (12_345, 54_321, 0o640));
}
