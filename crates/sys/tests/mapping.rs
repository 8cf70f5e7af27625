//! What mappings share, keep to themselves, and leave behind.

mod child;

use child::Child;
use std::ptr;
use weyr_sys::Errno;
use weyr_sys::mapping::{HugePages, Mapping, page_size};
use weyr_sys::object::{Access, Object};

fn memory(len: usize) -> Object {
    let object = Object::memory("mapping").expect("a memfd");
    object.set_len(len as u64).expect("a length");
    object
}

fn put(mapping: &Mapping, offset: usize, value: u8) {
    assert!(offset < mapping.len());
    // SAFETY: within the mapping and, as the tests see to it, within its object.
    unsafe { mapping.as_ptr().wrapping_add(offset).write_volatile(value) };
}

fn get(mapping: &Mapping, offset: usize) -> u8 {
    assert!(offset < mapping.len());
    // SAFETY: as in `put`.
    unsafe { mapping.as_ptr().wrapping_add(offset).read_volatile() }
}

/// Whether anything is mapped at the page.
fn is_mapped(page: *mut u8) -> bool {
    let mut present = [0_u8];
    // SAFETY: the kernel writes one byte for one page, and touches nothing at the address.
    let answer = unsafe { libc::mincore(page.cast(), page_size(), present.as_mut_ptr()) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOMEM)
}

#[test]
fn two_mappings_of_an_object_show_the_same_bytes() {
    let object = memory(page_size());
    let one = Mapping::shared(&object, page_size(), Access::ReadWrite).expect("mapped");
    let two = Mapping::shared(&object, page_size(), Access::ReadOnly).expect("mapped");
    drop(object);
    put(&one, 5, 77);
    assert_eq!(get(&two, 5), 77);
    assert_eq!(one.as_ptr() as usize % page_size(), 0);
}

#[test]
fn a_window_larger_than_its_object_sees_it_grow() {
    let object = memory(0);
    let window = Mapping::shared(&object, 1 << 40, Access::ReadWrite).expect("mapped");
    assert_eq!(window.len(), 1 << 40);
    object.set_len(1 << 20).expect("grown");
    put(&window, (1 << 20) - 1, 9);
    assert_eq!(get(&window, (1 << 20) - 1), 9);
}

#[test]
fn a_reader_cannot_map_for_writing() {
    let object = memory(page_size()).reopen(Access::ReadOnly).expect("opened again");
    let refused = Mapping::shared(&object, page_size(), Access::ReadWrite);
    assert_eq!(refused.err(), Some(Errno::ACCESS));
}

#[test]
fn a_mapping_for_reading_cannot_be_written() {
    let object = memory(page_size());
    let mapping = Mapping::shared(&object, page_size(), Access::ReadOnly).expect("mapped");
    let mut writer = Child::fork(|_| put(&mapping, 0, 1));
    assert_eq!(writer.reap(), 128 + libc::SIGSEGV);
}

#[test]
fn no_bytes_and_too_many_bytes_are_refused() {
    let object = memory(page_size());
    for len in [0, usize::MAX] {
        assert_eq!(Mapping::shared(&object, len, Access::ReadOnly).err(), Some(Errno::INVAL));
        assert_eq!(Mapping::anonymous(len).err(), Some(Errno::INVAL));
    }
    assert_eq!(Mapping::anonymous(isize::MAX as usize).err(), Some(Errno::NOMEM));
}

#[test]
fn anonymous_memory_is_zero_and_private_to_each_side_of_a_fork() {
    let memory = Mapping::anonymous(3 * page_size()).expect("mapped");
    assert_eq!(get(&memory, 2 * page_size()), 0);
    let mut child = Child::fork(|_| put(&memory, 0, 1));
    assert_eq!(child.reap(), 0);
    assert_eq!(get(&memory, 0), 0);
}

#[test]
fn a_dropped_mapping_is_unmapped() {
    // In a child of its own: another thread could map something at the same address.
    let mut child = Child::fork(|_| {
        let mapping = Mapping::anonymous(page_size()).expect("mapped");
        let page = mapping.as_ptr();
        assert!(is_mapped(page));
        drop(mapping);
        assert!(!is_mapped(page));
    });
    assert_eq!(child.reap(), 0);
}

#[test]
fn a_mapping_kept_out_of_forks_is_absent_in_the_child_and_its_drop_does_nothing_there() {
    let object = memory(page_size());
    let mut mapping = Some(Mapping::shared(&object, page_size(), Access::ReadWrite).expect("mapped"));
    mapping.as_ref().expect("there").dont_fork().expect("advised");
    let page = mapping.as_ref().expect("there").as_ptr();
    let mut child = Child::fork(|_| {
        assert!(!is_mapped(page));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: the flags refuse an address at which anything is mapped.
        let mine = unsafe { libc::mmap(page.cast(), page_size(), libc::PROT_READ, flags, -1, 0) };
        assert_eq!(mine.cast(), page);
        drop(mapping.take());
        assert!(is_mapped(page), "the inherited mapping has unmapped another one");
    });
    assert_eq!(child.reap(), 0);
    put(mapping.as_ref().expect("there"), 0, 1);
}

#[test]
fn populating_gives_memory_and_changes_no_byte() {
    let object = memory(4 * page_size());
    let mapping = Mapping::shared(&object, 8 * page_size(), Access::ReadWrite).expect("mapped");
    put(&mapping, page_size(), 3);
    match mapping.populate(page_size() + 1..4 * page_size()) {
        Err(Errno::OPNOTSUPP) => return,
        answer => assert_eq!(answer, Ok(())),
    }
    assert_eq!(get(&mapping, page_size()), 3);
    let allocated = object.metadata().expect("known").allocated_bytes;
    assert_eq!(allocated, 3 * page_size() as u64);
    assert_eq!(mapping.populate(0..5 * page_size()), Err(Errno::FAULT), "beyond the object");
    assert_eq!(mapping.populate(7..7), Ok(()));
}

#[test]
fn ranges_beyond_the_mapping_are_refused() {
    let mapping = Mapping::anonymous(page_size()).expect("mapped");
    let reversed = std::ops::Range { start: 2, end: 1 };
    for range in [0..page_size() + 1, usize::MAX - 1..usize::MAX, reversed] {
        assert_eq!(mapping.populate(range.clone()), Err(Errno::INVAL));
        assert_eq!(mapping.huge_pages(range).err(), Some(Errno::INVAL));
    }
}

/// The flags of the mapping that begins at the address, as the kernel prints them.
fn flags_at(address: *mut u8) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("/proc is mounted");
    let begin = format!("{:x}-", address as usize);
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&begin));
    lines.find(|line| line.starts_with("VmFlags")).expect("the kernel prints flags").to_owned()
}

#[test]
fn huge_pages_change_no_byte() {
    const LEN: usize = 8 << 20;
    let object = memory(LEN);
    let mapping = Mapping::shared(&object, LEN, Access::ReadWrite).expect("mapped");
    (0..LEN).step_by(page_size()).for_each(|offset| put(&mapping, offset, (offset / page_size()) as u8));
    if mapping.huge_pages(0..LEN).expect("an answer") != HugePages::Unavailable {
        assert!(flags_at(mapping.as_ptr()).contains(" hg"), "the advice has arrived");
    }
    for offset in (0..LEN).step_by(page_size()) {
        assert_eq!(get(&mapping, offset), (offset / page_size()) as u8);
    }
    mapping.huge_pages(1..2).expect("an answer");
}

#[test]
fn mappings_can_be_used_by_every_thread() {
    fn shareable<T: Send + Sync>(_: &T) {}
    let mapping = Mapping::anonymous(page_size()).expect("mapped");
    shareable(&mapping);
    std::thread::scope(|scope| {
        scope.spawn(|| put(&mapping, 0, 5));
    });
    assert_eq!(get(&mapping, 0), 5);
    assert!(!ptr::eq(mapping.as_ptr(), ptr::null()));
}

#[test]
fn a_mapping_lies_at_a_multiple_of_its_alignment_and_keeps_nothing_around_it() {
    let object = Object::memory("aligned").expect("made");
    object.set_len(3 << 20).expect("sized");
    for alignment in [1, page_size(), 2 << 20, 64 << 20] {
        for len in [1, page_size() + 1, 3 << 20] {
            let mapping =
                Mapping::shared_aligned(&object, len, Access::ReadWrite, alignment).expect("mapped");
            assert!((mapping.as_ptr() as usize).is_multiple_of(alignment.max(page_size())));
            assert_eq!(mapping.len(), len);
            let (first, end) = (mapping.as_ptr() as usize, mapping.as_ptr() as usize + len);
            let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
            let line =
                maps.lines().find(|line| line.starts_with(&format!("{first:x}-"))).expect("it is there");
            assert!(
                line.starts_with(&format!("{first:x}-{:x} rw-s", end.next_multiple_of(page_size()))),
                "{line}"
            );
        }
    }
    let none = Mapping::shared_aligned(&object, 0, Access::ReadWrite, 2 << 20);
    assert_eq!(none.err(), Some(Errno::INVAL));
}

#[test]
fn aligned_mappings_come_and_go_anywhere_and_share_no_byte() {
    let mut live: Vec<(Mapping, u8)> = Vec::new();
    for round in 0..200_u8 {
        let len = (1 + usize::from(round) % 4) * page_size();
        let alignment = [page_size(), 64 << 10, 2 << 20][usize::from(round) % 3];
        let own = memory(len);
        let mapping = Mapping::shared_aligned(&own, len, Access::ReadWrite, alignment).expect("mapped");
        assert_eq!(mapping.as_ptr().addr() % alignment, 0);
        (0..len).step_by(page_size()).for_each(|at| put(&mapping, at, round));
        live.push((mapping, round));
        if round % 5 > 1 {
            live.swap_remove(usize::from(round) * 7 % live.len());
        }
        let whole = |(mapping, round): &(Mapping, u8)| {
            (0..mapping.len()).step_by(page_size()).all(|at| get(mapping, at) == *round)
        };
        assert!(live.iter().all(whole));
    }
}
