//! Objects: names, rights, lengths, holes and seals.

mod child;

use child::{Child, enter_own_mounts, may_administer, mount};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use weyr_sys::Errno;
use weyr_sys::host::free_bytes;
use weyr_sys::mapping::page_size;
use weyr_sys::object::{Access, Object, Unpublished, unlink};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

fn file_of(object: &Object) -> std::fs::File {
    std::os::fd::OwnedFd::from(object.reopen(Access::ReadWrite).expect("opened again")).into()
}

#[test]
fn a_created_object_has_exactly_the_rights_asked_for() {
    let directory = directory();
    let mut child = Child::fork(|_| {
        for (umask, mode) in [(0o077, 0o666), (0, 0o600), (0o777, 0o640)] {
            // SAFETY: changes one number of this process, which has one thread.
            unsafe { libc::umask(umask) };
            let path = directory.path().join(format!("{umask:o}"));
            let object = Object::create(&path, mode).expect("created");
            assert_eq!(object.metadata().expect("known").mode, mode);
            let unnamed = Unpublished::create(directory.path(), mode).expect("created");
            assert_eq!(unnamed.object().metadata().expect("known").mode, mode);
        }
    });
    assert_eq!(child.reap(), 0);
}

#[test]
fn a_taken_name_is_refused_by_create() {
    let directory = directory();
    let path = directory.path().join("pool");
    let first = Object::create(&path, 0o600).expect("created");
    assert_eq!(Object::create(&path, 0o600).err(), Some(Errno::EXIST));
    let again = Object::open(&path, Access::ReadOnly).expect("opened");
    assert_eq!(again.identity(), first.identity());
}

#[test]
fn only_regular_files_are_opened_and_links_are_not_followed() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    Object::create(&at("pool"), 0o600).expect("created");
    symlink(at("pool"), at("link")).expect("a link");
    let fifo = std::ffi::CString::new(at("fifo").into_os_string().into_encoded_bytes()).expect("no zero");
    // SAFETY: the path ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    for access in [Access::ReadOnly, Access::ReadWrite] {
        assert_eq!(Object::open(&at("link"), access).err(), Some(Errno::LOOP));
        assert_eq!(Object::open(&at("absent"), access).err(), Some(Errno::NOENT));
        assert_eq!(Object::open(directory.path(), access).err(), Some(Errno::ISDIR));
        assert_eq!(Object::open(&at("fifo"), Access::ReadWrite).err(), Some(Errno::INVAL));
        assert!(Object::open(&at("pool"), access).is_ok());
    }
    assert_eq!(Object::create(&at("link"), 0o600).err(), Some(Errno::EXIST));
}

#[test]
fn an_unlinked_object_lives_on_for_those_who_have_it() {
    let directory = directory();
    let path = directory.path().join("pool");
    let object = Object::create(&path, 0o600).expect("created");
    unlink(&path).expect("unlinked");
    assert_eq!(unlink(&path), Err(Errno::NOENT));
    assert_eq!(Object::open(&path, Access::ReadOnly).err(), Some(Errno::NOENT));
    let again = object.reopen(Access::ReadWrite).expect("opened again");
    assert_eq!(again.identity(), object.identity());
    assert_eq!(again.metadata().expect("known").names, 0);
}

#[test]
fn an_object_opened_again_is_the_same_whoever_has_its_name_now() {
    let directory = directory();
    let path = directory.path().join("pool");
    let object = Object::create(&path, 0o600).expect("created");
    let opened = Object::open(&path, Access::ReadWrite).expect("opened");
    assert_eq!(object.reopen(Access::ReadWrite).expect("by its name").identity(), object.identity());
    unlink(&path).expect("unlinked");
    let other = Object::create(&path, 0o600).expect("another of that name");
    for first in [&object, &opened] {
        let again = first.reopen(Access::ReadWrite).expect("opened again");
        assert_eq!(again.identity(), first.identity());
        assert_ne!(again.identity(), other.identity());
    }
}

#[test]
fn an_object_opened_again_has_an_access_of_its_own() {
    let object = Object::memory("again").expect("a memfd");
    let reader = object.reopen(Access::ReadOnly).expect("opened again");
    assert_eq!(reader.set_len(1), Err(Errno::INVAL));
    assert_eq!(object.set_len(1), Ok(()));
    assert_eq!(reader.len(), Ok(1));
}

#[test]
fn descriptors_are_not_inherited_by_programs() {
    use std::os::fd::{AsFd, AsRawFd};
    let directory = directory();
    let unnamed = Unpublished::create(directory.path(), 0o600).expect("created");
    let created = Object::create(&directory.path().join("pool"), 0o600).expect("created");
    let again = created.reopen(Access::ReadOnly).expect("opened again");
    let opened = Object::open(&directory.path().join("pool"), Access::ReadOnly).expect("opened");
    let memory = Object::memory("memory").expect("a memfd");
    for object in [unnamed.object(), &created, &again, &opened, &memory] {
        // SAFETY: the command asks for one number.
        let flags = unsafe { libc::fcntl(object.as_fd().as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
    }
}

#[test]
fn a_sealed_memfd_cannot_be_shortened() {
    let growable = Object::memory("growable").expect("a memfd");
    growable.set_len(4096).expect("a length");
    growable.seal_size(true).expect("sealed");
    assert_eq!(growable.set_len(4095), Err(Errno::PERM));
    assert_eq!(growable.set_len(8192), Ok(()));
    growable.seal_size(false).expect("sealed");
    assert_eq!(growable.set_len(8193), Err(Errno::PERM));
    assert_eq!(growable.back(0, 8192), Ok(()));
    assert_eq!(growable.len(), Ok(8192));
}

#[test]
fn a_file_cannot_be_sealed() {
    let directory = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let object = Object::create(&directory.path().join("pool"), 0o600).expect("created");
    assert_eq!(object.seal_size(true), Err(Errno::INVAL));
}

#[test]
fn backing_gives_memory_and_keeps_length_and_bytes() {
    let object = Object::memory("backed").expect("a memfd");
    let len = 16 * page_size() as u64;
    object.set_len(len).expect("a length");
    file_of(&object).write_all_at(b"kept", 5).expect("written");
    assert_eq!(object.metadata().expect("known").allocated_bytes, page_size() as u64);
    assert_eq!(object.back(0, len), Ok(()));
    assert_eq!(object.metadata().expect("known").allocated_bytes, len);
    assert_eq!(object.len(), Ok(len));
    let mut bytes = [0; 4];
    file_of(&object).read_exact_at(&mut bytes, 5).expect("read");
    assert_eq!(&bytes, b"kept");
    assert_eq!(object.back(3, 0), Ok(()));
}

#[test]
fn a_punched_hole_gives_its_memory_back_and_reads_as_zero() {
    let object = Object::memory("punched").expect("a memfd");
    let page = page_size() as u64;
    object.set_len(4 * page).expect("a length");
    file_of(&object).write_all_at(&[7; 8], page).expect("written");
    object.back(0, 4 * page).expect("backed");
    assert_eq!(object.punch(page, 2 * page), Ok(()));
    assert_eq!(object.metadata().expect("known").allocated_bytes, 2 * page);
    assert_eq!(object.len(), Ok(4 * page));
    let mut bytes = [1; 8];
    file_of(&object).read_exact_at(&mut bytes, page).expect("read");
    assert_eq!(bytes, [0; 8]);
}

#[test]
fn what_is_stored_is_found_and_read_and_holes_stay_holes() {
    let object = Object::memory("stored").expect("a memfd");
    let page = page_size() as u64;
    object.set_len(5 * page + 3).expect("a length");
    file_of(&object).write_all_at(&[7; 8], 2 * page).expect("written");
    assert_eq!(object.next_stored(0), Ok(Some(2 * page..3 * page)));
    assert_eq!(object.next_stored(2 * page + 5), Ok(Some(2 * page + 5..3 * page)));
    assert_eq!(object.next_stored(3 * page), Ok(None));
    assert_eq!(object.next_stored(9 * page), Ok(None));
    let mut bytes = vec![1; 6 * page as usize];
    assert_eq!(object.read_at(0, &mut bytes), Ok(5 * page as usize + 3));
    let stored = 2 * page as usize..2 * page as usize + 8;
    assert_eq!(bytes[stored.clone()], [7; 8]);
    assert!(bytes[..stored.start].iter().chain(&bytes[stored.end..5 * page as usize]).all(|byte| *byte == 0));
    assert_eq!(object.metadata().expect("known").allocated_bytes, page);
}

#[test]
fn ranges_beyond_the_object_are_refused() {
    let object = Object::memory("ranges").expect("a memfd");
    object.set_len(4096).expect("a length");
    for (offset, len) in [(0, 4097), (4096, 1), (u64::MAX, 2), (1, u64::MAX)] {
        assert_eq!(object.back(offset, len), Err(Errno::INVAL));
        assert_eq!(object.punch(offset, len), Err(Errno::INVAL));
    }
    let reader = object.reopen(Access::ReadOnly).expect("opened again");
    assert_eq!(reader.back(0, 4096), Err(Errno::BADF));
}

#[test]
fn backing_a_hole_on_a_full_file_system_is_an_error_and_not_a_signal() {
    if !may_administer("backing_a_hole_on_a_full_file_system_is_an_error_and_not_a_signal") {
        return;
    }
    const SIZE: u64 = 1 << 20;
    let directory = directory();
    let path = directory.path().to_str().expect("UTF-8");
    let mut child = Child::fork(|_| {
        enter_own_mounts();
        mount("none", path, Some("tmpfs"), 0, &format!("size={SIZE}"));
        assert_eq!(free_bytes(directory.path()), Ok(SIZE));
        let object = Object::create(&directory.path().join("pool"), 0o600).expect("created");
        object.set_len(4 * SIZE).expect("a hole costs nothing");
        assert_eq!(object.back(0, 4 * SIZE), Err(Errno::NOSPC));
        assert_eq!(object.back(0, SIZE / 2), Ok(()));
        assert_eq!(object.back(SIZE / 2, SIZE), Err(Errno::NOSPC));
        assert_eq!(object.back(SIZE / 2, SIZE / 2), Ok(()));
        assert_eq!(free_bytes(directory.path()), Ok(0));
        assert_eq!(object.back(0, SIZE), Ok(()), "what is backed stays so");
        assert_eq!(object.back(SIZE, 1), Err(Errno::NOSPC));
    });
    assert_eq!(child.reap(), 0);
}

#[test]
fn a_file_system_without_a_size_has_unlimited_room() {
    if !may_administer("a_file_system_without_a_size_has_unlimited_room") {
        return;
    }
    let directory = directory();
    let path = directory.path().to_str().expect("UTF-8");
    let mut child = Child::fork(|_| {
        enter_own_mounts();
        mount("none", path, Some("ramfs"), 0, "");
        assert_eq!(free_bytes(directory.path()), Ok(u64::MAX));
        let object = Object::create(&directory.path().join("pool"), 0o600).expect("created");
        object.set_len(1 << 20).expect("a length");
        assert_eq!(object.back(0, 1 << 20), Ok(()), "ramfs has no fallocate: the room is what is checked");
        assert_eq!(object.punch(0, 1 << 20), Err(Errno::OPNOTSUPP));
    });
    assert_eq!(child.reap(), 0);
}

#[test]
fn an_object_appears_complete_under_its_name() {
    let directory = directory();
    let path = directory.path().join("pool");
    let unpublished = Unpublished::create(directory.path(), 0o640).expect("created");
    unpublished.object().set_len(4096).expect("a length");
    assert_eq!(Object::open(&path, Access::ReadOnly).err(), Some(Errno::NOENT));
    let object = unpublished.publish(&path).expect("published");
    let opened = Object::open(&path, Access::ReadOnly).expect("opened");
    assert_eq!(opened.identity(), object.identity());
    let metadata = opened.metadata().expect("known");
    assert_eq!((metadata.mode, metadata.len_bytes, metadata.names), (0o640, 4096, 1));
    assert_eq!(names_in(directory.path()), ["pool"]);
}

#[test]
fn a_maker_that_is_killed_before_publishing_leaves_nothing() {
    let directory = directory();
    let mut maker = Child::fork(|parent| {
        let unpublished = Unpublished::create(directory.path(), 0o600).expect("created");
        unpublished.object().set_len(4096).expect("a length");
        parent.tell(1);
        parent.wait();
    });
    assert_eq!(maker.hear(), Some(1));
    maker.kill_and_reap();
    assert_eq!(names_in(directory.path()), Vec::<String>::new());
}

#[test]
fn an_object_cannot_be_published_where_there_is_no_directory_or_another_file_system() {
    let directory = directory();
    let elsewhere = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let create = || Unpublished::create(directory.path(), 0o600).expect("created");
    let absent = directory.path().join("absent/pool");
    assert_eq!(create().publish(&absent).err(), Some(Errno::NOENT));
    assert_eq!(create().publish(&elsewhere.path().join("pool")).err(), Some(Errno::XDEV));
    assert_eq!(Unpublished::create(&directory.path().join("absent"), 0o600).err(), Some(Errno::NOENT));
    assert_eq!(names_in(directory.path()), Vec::<String>::new());
}
