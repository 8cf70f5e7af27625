//! What the kernel, the filesystem and the rights may refuse: named errors, never a signal, never a hang.
#![forbid(unsafe_code)]

mod scratch;

use std::ffi::CString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};
use scratch::{Line, Scratch, after, assert_sound, assert_whole, attributes, kill};
use weyr_kill::{Outcome, Refusal, Rendezvous, Syscall, child, note_skipped, refuse, refuse_with};
use weyr_managed::geometry::{Geometry, METADATA_CHUNK, Shape};
use weyr_managed::{Allocation, Error, Growth, Mode, Pool, PoolAttributes};

/// One test at a time: a child that another test forks meanwhile keeps what this one has unlinked, so that a small
/// filesystem stays full.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` in a child that must come to its end.
fn in_child(work: impl FnOnce()) {
    assert_eq!(child::spawn(work).unwrap().wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn where_membarrier_is_refused_idle_lanes_keep_their_pages_until_their_next_call() {
    let _alone = alone();
    for refusal in [Refusal::Missing, Refusal::Forbidden] {
        let pool = Scratch::new("membarrier", 256 << 10);
        let line = Line::new();
        let mut child = child::spawn(|| {
            refuse_with(&[Syscall::Membarrier], refusal).unwrap();
            drop(pool.alloc(64).unwrap());
            line.to_parent.post().unwrap();
            line.to_child.wait().unwrap();
            drop(pool.alloc(64).unwrap());
            line.to_parent.post().unwrap();
            line.to_child.wait().unwrap();
            // And as the one who needs what the parent's lane has: it is there at the parent's next call.
            assert!(matches!(pool.alloc(pool.size()), Err(Error::NoMemory { .. })));
            line.to_parent.post().unwrap();
            line.to_child.wait().unwrap();
            drop(pool.alloc(pool.size()).unwrap());
        })
        .unwrap();
        line.to_parent.wait_from(&child).unwrap();
        assert!(matches!(pool.alloc(pool.size()), Err(Error::NoMemory { .. })));
        drop(pool.alloc(100).unwrap());
        line.to_child.post().unwrap();
        line.to_parent.wait_from(&child).unwrap();
        // It gave its pages up, and may have taken one again for its own block: asked once more, it has none.
        let _flagged = pool.alloc(pool.size());
        drop(pool.alloc(64).unwrap());
        line.to_child.post().unwrap();
        line.to_parent.wait_from(&child).unwrap();
        drop(pool.alloc(64 << 10));
        line.to_child.post().unwrap();
        assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
        pool.recover();
        assert_whole(&pool);
    }
}

#[test]
fn pools_work_without_any_one_of_the_calls_that_a_filter_may_refuse() {
    let _alone = alone();
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    for (index, call) in Syscall::ALL.into_iter().enumerate() {
        in_child(|| {
            refuse(&[call]).unwrap();
            let attributes =
                PoolAttributes::new(format!("without-{index}"), 1 << 20).directory(directory.path());
            let pool = match Pool::create(&attributes) {
                Ok(pool) => pool,
                // The lock that proves a member alive cannot be kept out of forked children.
                Err(Error::Os { .. }) if call == Syscall::Madvise => return,
                Err(error) => panic!("{call:?}: {error}"),
            };
            let held: Vec<Allocation> =
                [64, 100, 5000, 100_000].map(|bytes| pool.alloc(bytes).unwrap()).into();
            drop(held);
            assert_whole(&pool);
            pool.destroy().unwrap();
        });
    }
}

#[test]
fn without_fallocate_a_pool_cannot_grow_and_says_so() {
    let _alone = alone();
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    in_child(|| {
        refuse(&[Syscall::Fallocate]).unwrap();
        let attributes = PoolAttributes::new("no-growth", 1 << 20).directory(directory.path());
        let pool = Pool::create(&attributes.growth(Growth::UpTo(4 << 20)).segment_size(1 << 20)).unwrap();
        let whole = pool.alloc(1 << 20).unwrap();
        assert!(matches!(pool.alloc(1 << 20), Err(Error::Os { .. })));
        drop(whole);
        drop(pool.alloc(1 << 20).unwrap());
        assert_sound(&pool, 0);
        pool.destroy().unwrap();
    });
}

/// A tmpfs of so many bytes; none where it cannot be mounted.
struct SmallFilesystem(tempfile::TempDir);

impl SmallFilesystem {
    fn mount(test: &str, bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = CString::new(format!("size={bytes}")).unwrap();
        match mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), size.as_c_str()) {
            Ok(()) => Some(Self(directory)),
            Err(errno) => {
                note_skipped(test, format_args!("no tmpfs can be mounted here ({errno})"));
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.path().join("ballast")
    }

    /// Fills it with a file until only so many pages are left.
    fn fill_up_to(&self, pages: u64) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        let bytes = file.metadata().unwrap().len();
        file.set_len(bytes.saturating_sub(pages * 4096)).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallFilesystem {
    fn drop(&mut self) {
        let _busy_if_a_test_failed = unmount(self.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn creation_on_a_full_filesystem_is_an_error_and_leaves_nothing() {
    let _alone = alone();
    let Some(small) = SmallFilesystem::mount("creation", 4 << 20) else { return };
    let attributes = PoolAttributes::new("full", 1 << 20).directory(small.path());
    let mut refused = 0;
    for room in 0..100 {
        small.fill_up_to(room);
        in_child(|| match Pool::create(&attributes) {
            Ok(pool) => pool.destroy().unwrap(),
            Err(Error::FilesystemFull { .. }) => assert!(room < 99),
            Err(error) => panic!("{room} pages of room: {error}"),
        });
        let left = fs::read_dir(small.path()).unwrap().count();
        assert_eq!(left, 1, "{room} pages of room: something was left");
        refused += 1;
        small.empty();
    }
    assert_eq!(refused, 100);
    small.fill_up_to(100);
    let committed = Pool::create(&attributes.clone().commit(true));
    assert!(matches!(committed, Err(Error::FilesystemFull { .. })), "{committed:?}");
    let populated = Pool::create(&attributes.clone().prefault(true));
    assert!(matches!(populated, Err(Error::FilesystemFull { .. })), "{populated:?}");
    assert_eq!(fs::read_dir(small.path()).unwrap().count(), 1);
    small.empty();
    Pool::create(&attributes.commit(true)).unwrap().destroy().unwrap();
}

#[test]
fn what_the_filesystem_had_for_an_allocation_that_failed_can_be_given_back() {
    let _alone = alone();
    let Some(small) = SmallFilesystem::mount("partly", 8 << 20) else { return };
    let pool = Pool::create(&PoolAttributes::new("partly", 32 << 20).directory(small.path())).unwrap();
    let before = pool.usage().backed_bytes;
    let refused = pool.alloc(20 << 20);
    assert!(matches!(refused, Err(Error::FilesystemFull { .. })), "{refused:?}");
    assert!(pool.usage().backed_bytes >= before + (4 << 20), "what it had is not known of");
    assert!(pool.trim().unwrap() >= 4 << 20);
    drop(pool.alloc(4 << 20).unwrap());
    pool.destroy().unwrap();
}

/// Every kind of operation; each succeeds or says that the filesystem is full. Returns how many said so.
fn exercise(pool: &Pool) -> u64 {
    let mut full = 0;
    let mut held = Vec::new();
    for round in 0..3 {
        for bytes in [64u64, 100, 300, 500, 2000, 5000, 20_000, 100_000] {
            match pool.alloc(bytes) {
                Ok(mut memory) => {
                    memory.fill(round).unwrap();
                    held.push(memory);
                }
                Err(Error::FilesystemFull { .. } | Error::NoMemory { .. }) => full += 1,
                Err(error) => panic!("{bytes} bytes: {error}"),
            }
        }
        if round == 1 {
            held.clear();
        }
    }
    for memory in held {
        let published = memory.publish().unwrap();
        pool.open(&published.descriptor()).unwrap().free().unwrap();
    }
    pool.recover();
    assert!(pool.verify(Mode::Online).holds());
    pool.usage();
    full
}

#[test]
fn whatever_room_is_left_no_operation_ends_in_a_signal_and_all_succeed_when_there_is_room_again() {
    let _alone = alone();
    let Some(small) = SmallFilesystem::mount("operations", 8 << 20) else { return };
    let attributes = PoolAttributes::new("little-room", 1 << 20).directory(small.path());
    let growing = attributes.clone().growth(Growth::UpTo(4 << 20)).segment_size(1 << 20);
    // Larger than the filesystem, and with tables of many chunks.
    let sparse = PoolAttributes::new("little-room", 256 << 20).directory(small.path());
    let mut said_so = 0;
    for (kind, attributes) in [attributes, growing, sparse].into_iter().enumerate() {
        for room in (0..48).chain((48..1024).step_by(41)) {
            let met = Rendezvous::new().unwrap();
            let (creator, _) = after(&met, || {
                let pool = Pool::create(&attributes).unwrap();
                // A block of a dead process, to be recovered without room.
                std::mem::forget((pool.alloc(100), pool.alloc(20_000), pool));
                0
            });
            kill(creator);
            let path = weyr_managed::name::pool_path(small.path(), "little-room").unwrap();
            small.fill_up_to(room);
            let report = Rendezvous::new().unwrap();
            let mut child = child::spawn(|| {
                assert!(Pool::inspect(&path).unwrap().verify(Mode::Online).holds());
                let refused = match Pool::attach_path(&path) {
                    Ok(pool) => exercise(&pool),
                    Err(Error::FilesystemFull { .. }) => 1,
                    Err(error) => panic!("attaching: {error}"),
                };
                report.send(refused).unwrap();
            })
            .unwrap();
            let outcome = child.wait().unwrap();
            assert_eq!(outcome, Outcome::Exited(0), "kind {kind}, {room} pages of room");
            said_so += report.wait().unwrap();
            small.empty();
            let pool = Pool::attach_path(&path).unwrap();
            pool.recover();
            assert_sound(&pool, 0);
            assert_eq!(exercise(&pool), 0);
            if pool.maximum_size() < 8 << 20 {
                assert_whole(&pool);
            }
            pool.destroy().unwrap();
        }
    }
    assert!(said_so > 100, "{said_so}");
}

#[test]
fn a_newcomer_whose_lane_has_no_room_is_refused_and_leaves_no_trace() {
    let _alone = alone();
    let Some(small) = SmallFilesystem::mount("newcomer", 4 << 20) else { return };
    // Of the lanes two lie in the first chunk of metadata, and the third in the next.
    let shape = |processes| Shape {
        page_shift: 12,
        initial_pages: 256,
        segment_pages: 256,
        maximum_pages: 256,
        process_limit: processes,
        lane_limit: 1024,
        channel_limit: 1024,
        manifest_limit: 256,
    };
    let is_fit = |processes: &u32| {
        Geometry::new(shape(*processes)).offsets.lanes % METADATA_CHUNK == METADATA_CHUNK - 512
    };
    let processes = (1..2000).find(is_fit).unwrap();
    let attributes = PoolAttributes::new("narrow", 1 << 20).directory(small.path());
    let pool = Pool::create(&attributes.processes(processes).lanes(1024)).unwrap();
    let held = pool.alloc(100).unwrap();
    small.fill_up_to(0);
    in_child(|| {
        assert!(matches!(pool.actor(), Err(Error::FilesystemFull { .. })), "{:?}", pool.actor());
        assert!(matches!(pool.alloc(100), Err(Error::FilesystemFull { .. })));
        assert_eq!(pool.members().len(), 1);
    });
    // A thread that comes to free finds the process's lane.
    std::thread::scope(|scope| drop(scope.spawn(|| drop(held))));
    assert_sound(&pool, 0);
    small.empty();
    in_child(|| drop(pool.alloc(100).unwrap()));
    pool.recover();
    assert_whole(&pool);
    pool.destroy().unwrap();
}

#[test]
fn growth_on_a_full_filesystem_is_an_error_and_goes_on_when_there_is_room() {
    let _alone = alone();
    let Some(small) = SmallFilesystem::mount("growth", 16 << 20) else { return };
    let attributes = PoolAttributes::new("grow", 1 << 20).directory(small.path());
    let pool = Pool::create(&attributes.growth(Growth::UpTo(8 << 20)).segment_size(1 << 20)).unwrap();
    let first = pool.alloc(1 << 20).unwrap();
    small.fill_up_to(0);
    assert!(matches!(pool.alloc(1 << 20), Err(Error::FilesystemFull { .. })));
    drop(first);
    pool.alloc(1 << 20).unwrap().fill(1).unwrap();
    small.empty();
    pool.alloc(8 << 20).unwrap().fill(1).unwrap();
    assert_whole(&pool);
    pool.destroy().unwrap();
}

const NOBODY: u32 = 65_534;

/// Runs `work` in a child of another user; not where this one may not become another.
fn as_nobody(test: &str, work: impl FnOnce()) {
    if !rustix::process::getuid().is_root() {
        note_skipped(test, "only root can become another user");
        return;
    }
    in_child(|| {
        set_thread_groups(&[]).unwrap();
        set_thread_gid(Gid::from_raw(NOBODY)).unwrap();
        set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
        work();
    });
}

/// A directory that everybody may enter, and nobody else may write to.
fn public_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn another_users_pool_is_refused_or_open_as_its_mode_says() {
    let _alone = alone();
    let directory = public_directory();
    let create = |name: &str, mode: u32| {
        Pool::create(&PoolAttributes::new(name, 1 << 20).directory(directory.path()).mode(mode)).unwrap()
    };
    let (secret, readable, open) =
        (create("secret", 0o600), create("readable", 0o644), create("open", 0o666));
    let [secret_path, readable_path, open_path] =
        [&secret, &readable, &open].map(|pool| pool.path().to_owned());
    let denied = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::PermissionDenied { .. })), "{result:?}")
    };
    // Handles that were inherited need no right; so the registry must not know the pools.
    drop((secret, readable, open));
    as_nobody("other user", || {
        denied(Pool::attach_path(&secret_path).map(drop));
        denied(Pool::inspect(&secret_path).map(drop));
        denied(Pool::attach_path(&readable_path).map(drop));
        let inspection = Pool::inspect(&readable_path).unwrap();
        assert!(inspection.verify(Mode::Online).holds());
        denied(inspection.remove());
        let pool = Pool::attach_path(&open_path).unwrap();
        pool.alloc(5000).unwrap().fill(1).unwrap();
        std::mem::forget(pool.alloc(100).unwrap());
        denied(pool.destroy());
        std::mem::forget(pool);
    });
    let open = Pool::attach_path(&open_path);
    if rustix::process::getuid().is_root() {
        assert_eq!(open.unwrap_err(), Error::Destroyed);
    }
}

#[test]
fn a_directory_without_rights_is_refused() {
    let _alone = alone();
    let directory = public_directory();
    for mode in [0o755, 0o400, 0o000] {
        fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        as_nobody("directory", || {
            let created = Pool::create(&PoolAttributes::new("denied", 1 << 20).directory(directory.path()));
            assert!(matches!(created, Err(Error::PermissionDenied { .. })), "{mode:o}: {created:?}");
        });
    }
    let attached = Pool::attach_in(directory.path(), "none");
    assert!(matches!(attached, Err(Error::NoSuchPool { .. })), "{attached:?}");
    let nowhere = Pool::create(&PoolAttributes::new("nowhere", 1 << 20).directory("/nonexistent/directory"));
    assert!(nowhere.is_err());
}

#[test]
fn the_dead_of_another_user_are_recovered() {
    let _alone = alone();
    let directory = public_directory();
    let attributes = PoolAttributes::new("shared", 1 << 20).directory(directory.path()).mode(0o666);
    let pool = Pool::create(&attributes).unwrap();
    as_nobody("dead of another user", || {
        std::mem::forget((pool.alloc(100).unwrap(), pool.alloc(100_000).unwrap()));
        assert!(!pool.recover().any(), "the parent, which is root's, lives");
    });
    pool.recover();
    assert_whole(&pool);
    pool.destroy().unwrap();
}

#[test]
fn sizes_that_no_pool_can_have_are_named_errors() {
    let _alone = alone();
    let sizes = [0, 1, 4095, 1 << 32, 1 << 45, 1 << 50, i64::MAX as u64, u64::MAX - 4095, u64::MAX];
    let growths =
        [Growth::None, Growth::UpTo(1), Growth::UpTo(1 << 44), Growth::UpTo(u64::MAX), Growth::Unlimited];
    let pages = [None, Some(0), Some(1), Some(4096), Some(65_536), Some(1 << 40), Some(u64::MAX)];
    let segments = [None, Some(0), Some(1), Some(1 << 50), Some(u64::MAX)];
    let tables = [1, 65_534, 65_535, u32::MAX];
    let mut tried = 0;
    let mut attempt = |attributes: PoolAttributes| {
        tried += 1;
        match Pool::create(&attributes) {
            Ok(pool) => {
                drop(pool.alloc(64).unwrap());
                assert!(matches!(pool.alloc(u64::MAX), Err(Error::TooLarge { .. })));
                pool.destroy().unwrap();
            }
            Err(Error::InvalidAttribute { .. } | Error::TooLarge { .. }) => {}
            Err(error) => panic!("{attributes:?}: {error}"),
        }
    };
    for size in sizes {
        for growth in growths {
            for page in pages {
                for segment in segments {
                    let mut wanted = attributes("huge", size).growth(growth);
                    wanted = page.map_or(wanted.clone(), |bytes| wanted.page_size(bytes));
                    attempt(segment.map_or(wanted.clone(), |bytes| wanted.segment_size(bytes)));
                }
            }
        }
    }
    for limit in tables {
        attempt(attributes("huge", 1 << 20).processes(limit));
        attempt(attributes("huge", 1 << 20).lanes(limit));
        attempt(attributes("huge", 1 << 20).channels(limit));
    }
    assert!(tried > 1000);
}

#[test]
fn requests_that_no_pool_can_meet_are_named_errors() {
    let _alone = alone();
    let pool = Scratch::new("requests", 1 << 20);
    for bytes in [(1 << 20) + 1, 1 << 32, 1 << 63, i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        assert!(matches!(pool.alloc(bytes), Err(Error::TooLarge { .. })), "{bytes}");
    }
    assert_whole(&pool);
}

#[test]
fn what_lies_behind_the_window_of_a_process_has_its_own_error() {
    let _alone = alone();
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let pool = Pool::create(&PoolAttributes::new("window", 1 << 30).directory(directory.path())).unwrap();
    let geometry = Geometry::new(Shape {
        page_shift: 16,
        initial_pages: 16_384,
        segment_pages: 2048,
        maximum_pages: 16_384,
        process_limit: 1024,
        lane_limit: 4096,
        channel_limit: 16_384,
        manifest_limit: 16_384,
    });
    let near = pool.alloc(64).unwrap().publish().unwrap();
    // Hints say that the lower half is in use, so that the next block lies in the upper one.
    let file = OpenOptions::new().read(true).write(true).open(pool.path()).unwrap();
    file.write_all_at(&[0xff; 1024], geometry.offsets.used).unwrap();
    let far = pool.alloc(1 << 20).unwrap().publish().unwrap();
    let offset = far.reference().offset;
    assert!(offset >= 512 << 20, "{offset:#x}");
    let (near_by, far_off) = (near.descriptor(), far.descriptor());
    let path = pool.path().to_owned();
    // A child inherits what is mapped, and the pool with it.
    drop((near, far, pool));
    in_child(|| {
        let (limit, quarter) = (2 << 30, 512 << 20);
        setrlimit(Resource::As, Rlimit { current: Some(limit), maximum: Some(limit) }).unwrap();
        let pool = Pool::attach_path(&path).unwrap();
        let window = (quarter - geometry.offsets.data) >> 16 << 16;
        let outside = || Some(Error::OutsideWindow { offset, window });
        assert_eq!(pool.open(&far_off).err(), outside());
        assert_eq!(pool.begin_transfer(far_off.reference).err(), outside());
        assert_eq!(pool.take_transfer(far_off.reference, 1).err(), outside());
        assert_eq!(pool.read_transfer(far_off.reference, 0, &mut [0]).err(), outside());
        assert_eq!(pool.channel_block(far_off.reference).err(), outside());
        let mut beyond = far_off;
        beyond.reference.offset = 1 << 30;
        assert!(matches!(pool.open(&beyond), Err(Error::OutOfRange { .. })));
        pool.open(&near_by).unwrap().free().unwrap();
        assert!(pool.verify(Mode::Online).holds());
    });
    let pool = Pool::attach_path(&path).unwrap();
    pool.open(&far_off).unwrap().free().unwrap();
    assert_sound(&pool, 0);
    pool.destroy().unwrap();
}

#[test]
fn where_address_space_is_short_a_pool_is_refused_or_smaller() {
    let _alone = alone();
    for limit in [64u64 << 20, 256 << 20, 1 << 30, 4 << 30] {
        in_child(|| {
            setrlimit(Resource::As, Rlimit { current: Some(limit), maximum: Some(limit) }).unwrap();
            for size in [1 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30] {
                for growth in [Growth::None, Growth::UpTo(2 << 30), Growth::Unlimited] {
                    match Pool::create(&attributes("short", size).growth(growth)) {
                        Ok(pool) => {
                            pool.alloc(1000).unwrap().fill(1).unwrap();
                            if let Ok(mut memory) = pool.alloc(pool.size()) {
                                memory.write(pool.size() - 1, &[1]).unwrap();
                            }
                            pool.destroy().unwrap();
                        }
                        Err(Error::TooLarge { .. }) => {}
                        Err(error) => panic!("{size} bytes, {growth:?}, limit {limit}: {error:?}"),
                    }
                }
            }
        });
    }
}

#[test]
fn memory_that_was_given_back_and_is_somebody_elses_by_now_is_an_error() {
    let _alone = alone();
    let Some(small) = SmallFilesystem::mount("given-back", 12 << 20) else { return };
    let growth = Growth::UpTo(8 << 20);
    let attributes = PoolAttributes::new("given-back", 4 << 20).directory(small.path()).growth(growth);
    in_child(|| {
        let pool = Pool::create(&attributes.segment_size(1 << 20)).unwrap();
        let mut large = pool.alloc(6 << 20).unwrap();
        large.fill(1).unwrap();
        drop(large);
        assert!(pool.trim().unwrap() >= 4 << 20);
        small.fill_up_to(16);
        // Touching what was given back would end in a signal.
        let refused = pool.alloc(6 << 20).map(|mut memory| memory.fill(2));
        assert!(matches!(refused, Err(Error::FilesystemFull { .. })), "{refused:?}");
        small.empty();
        pool.alloc(6 << 20).unwrap().fill(3).unwrap();
        assert_sound(&pool, 0);
        pool.destroy().unwrap();
    });
}
