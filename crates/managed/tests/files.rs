//! Whoever may write to a pool's file can cut, replace or lock it under its users. Calls that can know say so; where the
//! kernel raises SIGBUS, this shows it, and what protects. The table of it is docs/files.md.
#![forbid(unsafe_code)]

mod scratch;

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, IFlags, fallocate, ftruncate, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount_remount};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use scratch::made_of::{Home, Made, Place};
use scratch::{assert_whole, attributes};
use weyr_kill::{Outcome, child, note_skipped};
use weyr_managed::{Error, Growth, Mode, Pool, PoolAttributes, Recovered};

const MIB: u64 = 1 << 20;
/// SIGBUS, by its number on Linux.
const BUS: i32 = 7;

fn growing(test: &str) -> PoolAttributes {
    attributes(test, MIB).growth(Growth::UpTo(4 * MIB)).segment_size(MIB)
}

/// A pool in a file on a disk.
fn in_file(test: &str) -> (Pool, Home) {
    Made::File.create(&growing(test))
}

fn cut_to(pool: &Pool, bytes: u64) {
    File::options().write(true).open(pool.path()).unwrap().set_len(bytes).unwrap();
}

fn length(pool: &Pool) -> u64 {
    fs::metadata(pool.path()).unwrap().len()
}

fn in_child(work: impl FnOnce()) -> Outcome {
    child::spawn(work).unwrap().wait().unwrap()
}

fn is_truncated<T: std::fmt::Debug>(said: Result<T, Error>) {
    assert!(matches!(said, Err(Error::Truncated { .. })), "{said:?}");
}

/// What every call says that looks at the length first.
fn assert_told(pool: &Pool) {
    let before = length(pool);
    is_truncated(pool.check_length());
    is_truncated(pool.grow());
    is_truncated(pool.trim());
    is_truncated(pool.sync());
    assert_eq!(pool.recover(), Recovered::default());
    let verification = pool.verify(Mode::Online);
    assert_eq!(verification.findings[0].invariant, "the object is as long as the pool");
    assert_eq!(length(pool), before, "a pool that was cut is not made longer again");
    is_truncated(Pool::attach_path(pool.path()));
}

#[test]
fn who_is_attached_to_a_file_that_was_cut_is_told_by_calls_that_look() {
    let (pool, _home) = in_file("cut");
    assert_eq!(pool.check_length(), Ok(()));
    let whole = length(&pool);
    cut_to(&pool, whole - MIB / 2);
    assert_told(&pool);
    is_truncated(Pool::inspect(pool.path()));
    // More than is there: it would grow, or back what was never backed.
    is_truncated(pool.alloc(3 * MIB));
    is_truncated(pool.alloc(MIB));
    assert_eq!(length(&pool), whole - MIB / 2);
}

#[test]
fn nothing_is_touched_of_a_file_that_was_cut_to_nothing() {
    for bytes in [0, 100, 5000] {
        let (pool, _home) = in_file("nothing");
        cut_to(&pool, bytes);
        // Where it failed, it would end by a signal.
        let looked = in_child(|| {
            is_truncated(pool.check_length());
            is_truncated(pool.grow());
            is_truncated(pool.trim());
            is_truncated(pool.sync());
            assert_eq!(pool.recover(), Recovered::default());
            assert!(!pool.verify(Mode::Quiesced).holds());
            let newcomer = Pool::attach_path(pool.path());
            assert!(
                matches!(newcomer, Err(Error::Truncated { .. } | Error::NotAPool { .. })),
                "{newcomer:?}"
            );
            // It does not leave: its slot is gone.
            std::process::exit(0);
        });
        assert_eq!(looked, Outcome::Exited(0), "cut to {bytes} bytes");
        if bytes == 0 {
            assert_eq!(
                in_child(|| drop(pool.alloc(100))),
                Outcome::Signalled(BUS),
                "a call that does not look"
            );
        }
        std::mem::forget(pool);
    }
}

#[test]
fn touching_what_was_cut_off_ends_in_a_signal_and_all_else_is_there() {
    let (pool, _home) = in_file("touched");
    let all: Vec<_> = (0..8).map(|_| pool.alloc(100_000).unwrap()).collect();
    let mut published: Vec<_> = all.into_iter().map(|memory| memory.publish().unwrap()).collect();
    published.sort_by_key(|block| block.reference().offset);
    let (first, last) = (&published[0], &published[7]);
    first.write(0, b"stays").unwrap();
    last.write(0, b"goes").unwrap();
    let data = length(&pool) - pool.size();
    cut_to(&pool, data + last.reference().offset);
    let mut bytes = [0; 5];
    first.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"stays");
    assert_eq!(in_child(|| last.read(0, &mut [0; 4]).unwrap()), Outcome::Signalled(BUS));
    assert_eq!(in_child(|| last.write(0, b"x").unwrap()), Outcome::Signalled(BUS));
    // Made longer again there are zeros, and nobody can tell: the length is right.
    cut_to(&pool, data + pool.size());
    assert_eq!(pool.check_length(), Ok(()));
    let mut lost = [1; 4];
    last.read(0, &mut lost).unwrap();
    assert_eq!(lost, [0; 4]);
    published.into_iter().for_each(|block| block.free().unwrap());
    assert_whole(&pool);
}

#[test]
fn a_sealed_pool_cannot_be_cut_by_anybody() {
    let pool = Pool::create(&growing("sealed").pool_type(weyr_managed::PoolType::Sealed)).unwrap();
    let object = pool.share_object().unwrap();
    assert_eq!(ftruncate(&object, 0), Err(Errno::PERM));
    assert_eq!(ftruncate(&object, pool.size()), Err(Errno::PERM));
    assert_eq!(pool.check_length(), Ok(()));
    drop(pool.alloc(4 * MIB).unwrap());
    assert_whole(&pool);
}

#[test]
fn whoever_has_a_replaced_file_keeps_it_and_newcomers_find_the_other() {
    let (pool, home) = in_file("replaced");
    let published = pool.alloc_typed(100, 1, 1).unwrap();
    let (other, _other_home) = in_file("other");
    fs::copy(other.path(), home.bytes().with_extension("new")).unwrap();
    fs::rename(home.bytes().with_extension("new"), pool.path()).unwrap();
    // Who is attached.
    drop(pool.alloc(2 * MIB).unwrap());
    assert!(published.exists() && pool.check_length().is_ok());
    // Newcomers, by the path, and by what tells pools apart.
    assert_eq!(Pool::attach_path(pool.path()).unwrap().uuid(), other.uuid());
    let descriptor = pool.descriptor();
    assert_eq!(Pool::attach_descriptor(&descriptor).unwrap().uuid(), pool.uuid(), "it is attached here");
    // Destroying takes no name away that is another's.
    published.free().unwrap();
    pool.destroy().unwrap();
    assert!(home.bytes().exists());
    for gone in [Pool::attach_descriptor(&descriptor), {
        drop(pool);
        Pool::attach_descriptor(&descriptor)
    }] {
        assert!(matches!(gone, Err(Error::WrongPool { .. })), "{gone:?}");
    }
}

#[test]
fn an_unlinked_file_lives_as_long_as_somebody_has_it_and_is_handed_over_open() {
    let (pool, home) = in_file("unlinked");
    fs::remove_file(home.bytes()).unwrap();
    let missing = Pool::attach_path(&home.bytes());
    assert!(matches!(missing, Err(Error::NoSuchPool { .. })), "{missing:?}");
    drop(pool.alloc(2 * MIB).unwrap());
    assert_eq!(pool.check_length(), Ok(()));
    assert_eq!(Pool::attach_descriptor(&pool.descriptor()).unwrap().uuid(), pool.uuid());
    let object = pool.share_object().unwrap();
    assert_eq!(
        in_child(|| drop(Pool::attach_object(object).unwrap().alloc(100).unwrap())),
        Outcome::Exited(0)
    );
    pool.recover();
    assert_whole(&pool);
    pool.destroy().unwrap();
}

fn as_nobody(test: &str, work: impl FnOnce()) {
    if !rustix::process::geteuid().is_root() {
        return note_skipped(test, "only root can become another user");
    }
    let outcome = in_child(|| {
        set_thread_groups(&[]).unwrap();
        set_thread_gid(Gid::from_raw(65_534)).unwrap();
        set_thread_uid(Uid::from_raw(65_534)).unwrap();
        work();
    });
    assert_eq!(outcome, Outcome::Exited(0));
}

#[test]
fn rights_that_are_taken_away_are_newcomers_rights() {
    let (pool, home) = in_file("rights");
    let directory = home.bytes().parent().unwrap().to_owned();
    fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(pool.path(), Permissions::from_mode(0o666)).unwrap();
    as_nobody("rights", || drop(Pool::attach_path(pool.path()).unwrap()));
    fs::set_permissions(pool.path(), Permissions::from_mode(0o0)).unwrap();
    as_nobody("rights", || {
        let refused = Pool::attach_path(pool.path());
        assert!(matches!(refused, Err(Error::PermissionDenied { .. })), "{refused:?}");
        // A forked child joins by opening the file anew.
        let joined = pool.alloc(100);
        assert!(matches!(joined, Err(Error::PermissionDenied { .. })), "{joined:?}");
    });
    drop(pool.alloc(2 * MIB).unwrap());
    pool.recover();
    assert_whole(&pool);
}

/// ext4 takes the right to write from pages that are mapped already, as soon as they are on the disk.
#[test]
fn an_immutable_file_takes_no_newcomer_and_may_end_whoever_writes_in_a_signal() {
    let (pool, _home) = in_file("immutable");
    let memory = pool.alloc(100_000).unwrap().publish().unwrap();
    let filled = [1; 100_000];
    memory.write(0, &filled).unwrap();
    pool.sync().unwrap();
    let object = pool.share_object().unwrap();
    let flags = ioctl_getflags(object.as_fd());
    let Ok(flags) = flags.and_then(|flags| {
        ioctl_setflags(object.as_fd(), flags | IFlags::IMMUTABLE)?;
        Ok(flags)
    }) else {
        return note_skipped(
            "immutable",
            "the file system of the temporary directory has no such flag, or for root alone",
        );
    };
    let read = in_child(|| memory.read(0, &mut [0; 100]).unwrap());
    let written = in_child(|| memory.write(0, &filled).unwrap());
    let newcomer = in_child(|| {
        let refused = File::options().write(true).open(pool.path()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(Errno::PERM.raw_os_error()));
        drop(Pool::attach_read_only(pool.path()).unwrap());
    });
    let backed = fallocate(&object, FallocateFlags::KEEP_SIZE, 0, 4096);
    ioctl_setflags(object.as_fd(), flags).unwrap();
    assert_eq!(backed, Err(Errno::PERM));
    assert_eq!((read, newcomer), (Outcome::Exited(0), Outcome::Exited(0)));
    assert!([Outcome::Exited(0), Outcome::Signalled(BUS)].contains(&written), "{written:?}");
    memory.write(0, &filled).unwrap();
    memory.free().unwrap();
    drop(pool.alloc(2 * MIB).unwrap());
    assert_whole(&pool);
}

/// A pool in a small file system of its own; none, and a note, where none can be mounted.
fn mounted(test: &str, bytes: u64) -> Option<(Pool, Place)> {
    match Place::mounted("tmpfs", &format!("size={bytes}")) {
        Ok(place) => {
            let attributes = growing(test).pool_type(weyr_managed::PoolType::File).directory(place.path());
            Some((Pool::create(&attributes).unwrap(), place))
        }
        Err(errno) => {
            note_skipped(test, format_args!("no tmpfs can be mounted here ({errno})"));
            None
        }
    }
}

fn remount(place: &Path, flags: MountFlags) -> Result<(), Errno> {
    mount_remount(place, flags, CString::default().as_c_str())
}

#[test]
fn a_file_system_becomes_read_only_behind_the_last_user_and_is_read_then() {
    let Some((pool, place)) = mounted("read-only", 64 * MIB) else { return };
    pool.alloc_typed(5, 1, 1).unwrap().write(0, b"stays").unwrap();
    assert_eq!(remount(place.path(), MountFlags::RDONLY), Err(Errno::BUSY), "it is mapped for writing");
    let path = pool.path().to_owned();
    drop(pool);
    remount(place.path(), MountFlags::RDONLY).unwrap();
    let refused = Pool::attach_path(&path);
    assert!(matches!(refused, Err(Error::Os { .. })), "{refused:?}");
    let reader = Pool::attach_read_only(&path).unwrap();
    let mut bytes = [0; 5];
    reader.find(1, 1).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"stays");
    assert!(matches!(reader.alloc(1), Err(Error::ReadOnly { .. })));
    drop(reader);
    remount(place.path(), MountFlags::empty()).unwrap();
    Pool::attach_path(&path).unwrap().find(1, 1).unwrap().free().unwrap();
}

#[test]
fn on_a_full_disk_what_is_backed_is_safe_and_what_was_punched_out_ends_in_a_signal() {
    let Some((pool, place)) = mounted("full", 8 * MIB) else { return };
    let mut held = pool.alloc(500_000).unwrap();
    held.fill(7).unwrap();
    let ballast = place.path().join("ballast");
    let fill = || {
        while fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&ballast)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &[1; 4096]))
            .is_ok()
        {}
    };
    fill();
    // An error where backing is new, and memory where it is not.
    let refused = pool.alloc(3 * MIB);
    assert!(matches!(refused, Err(Error::FilesystemFull { .. })), "{refused:?}");
    held.fill(8).unwrap();
    // Somebody takes the memory from under the block, and something else takes the room.
    let (file, data) = (File::options().write(true).open(pool.path()).unwrap(), length(&pool) - pool.size());
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&file, hole, data + held.reference().offset, 400_000).unwrap();
    fill();
    let published = held.publish().unwrap();
    assert_eq!(in_child(|| published.write(0, b"x").unwrap()), Outcome::Signalled(BUS));
    // With room again they are zeros.
    fs::remove_file(&ballast).unwrap();
    let mut bytes = [1; 8];
    published.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 8]);
    published.free().unwrap();
    assert_whole(&pool);
}
