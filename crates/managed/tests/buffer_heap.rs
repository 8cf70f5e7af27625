//! The heap over memory that the caller gives: as large as it must be, shared at different addresses, refused where it
//! cannot be, and looked at by who may only read.
#![forbid(unsafe_code)]

mod scratch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use scratch::{Line, after, assert_sound, assert_whole, attributes, kill};
use weyr_kill::{Outcome, child};
use weyr_managed::{BufferHeap, Error, Mapping, Mode, Pool, Section, SizeStatistics};
use weyr_sys::object::{Access, Object};

const BYTES: usize = 1 << 20;

/// Memory that other processes can map too.
fn shared() -> Object {
    let object = Object::memory("buffer").unwrap();
    object.set_len(BYTES as u64).unwrap();
    object
}

fn map(object: &Object, access: Access) -> Arc<Mapping> {
    Arc::new(Mapping::shared(object, BYTES, access).unwrap())
}

/// A buffer of the process from a multiple of 4096 on, and `skip` bytes behind that.
fn buffer(bytes: usize, skip: usize) -> Mapping {
    let memory = vec![0x5a; bytes + skip + 4095].leak();
    let start = memory.as_ptr().align_offset(4096) + skip;
    Mapping::of_static(&mut memory[start..start + bytes]).unwrap()
}

/// Why memory was refused.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::InvalidAttribute { attribute: "memory" | "size", reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_buffer_of_the_process_is_a_heap() {
    let heap = BufferHeap::init(buffer(BYTES, 0), &attributes("static", 0)).unwrap();
    let memory = [heap.alloc(100).unwrap(), heap.alloc(100).unwrap(), heap.alloc(100_000).unwrap()];
    let statistics = heap.statistics();
    assert_eq!((statistics.blocks, statistics.used_bytes), (3, 128 + 128 + 102_400));
    assert_eq!(statistics.sizes[0], SizeStatistics { block_bytes: 128, used: 2, free: 30 });
    assert_eq!(statistics.sizes[1], SizeStatistics { block_bytes: 102_400, used: 1, free: 0 });
    assert_eq!(statistics.used_bytes + statistics.free_bytes, statistics.size_bytes);
    let share = statistics.used_bytes as f64 / statistics.size_bytes as f64;
    assert!((statistics.utilization() - share * 100.0).abs() < 1e-9);
    memory.into_iter().for_each(|allocation| heap.free(allocation));
    let largest = heap.statistics().largest_free_bytes;
    assert!(heap.statistics().peak_bytes >= 106_496, "{}", heap.statistics().peak_bytes);
    assert_eq!(heap.alloc(largest).unwrap().len(), largest);
    assert_whole(heap.pool());
}

#[test]
fn memory_that_is_too_small_is_told_what_is_needed() {
    for bytes in [0, 1, 50_000, 512 << 10] {
        let attributes = attributes("needed", bytes);
        let needed = BufferHeap::memory_needed(&attributes).unwrap() as usize;
        let reason = refusal(BufferHeap::init(buffer(needed - 1, 0), &attributes));
        assert!(reason.contains(&needed.to_string()), "{needed}: {reason}");
        let heap = BufferHeap::init(buffer(needed, 0), &attributes).unwrap();
        assert!(heap.statistics().size_bytes >= bytes.max(1));
        heap.alloc(heap.statistics().size_bytes).unwrap();
    }
    assert!(refusal(BufferHeap::init(buffer(1, 0), &attributes("tiny", 0))).contains("has 1"));
}

#[test]
fn memory_that_begins_anywhere_is_refused() {
    for skip in [1, 64, 2048] {
        let reason = refusal(BufferHeap::init(buffer(BYTES, skip), &attributes("askew", 0)));
        assert!(reason.contains("no multiple of 4096"), "{reason}");
        assert!(refusal(BufferHeap::attach(buffer(BYTES, skip))).contains("no multiple of 4096"));
    }
}

#[test]
fn memory_with_a_heap_is_not_made_one_again_until_that_is_gone() {
    let object = shared();
    let (one, two) = (map(&object, Access::ReadWrite), map(&object, Access::ReadWrite));
    let first = BufferHeap::init(one.clone(), &attributes("first", 0)).unwrap();
    let name = first.pool().name().to_owned();
    let kept = first.alloc(100).unwrap();
    for memory in [&one, &two] {
        assert!(refusal(BufferHeap::init(memory.clone(), &attributes("second", 0))).contains(&name));
    }
    first.destroy().unwrap();
    let in_use = Error::InUse { name, processes: 1 };
    assert_eq!(BufferHeap::init(two.clone(), &attributes("second", 0)).unwrap_err(), in_use);
    assert_eq!(BufferHeap::attach(two.clone()).unwrap_err(), Error::Destroyed);
    drop(kept);
    let second = BufferHeap::init(two, &attributes("second", 0)).unwrap();
    assert_whole(second.pool());
}

#[test]
fn a_heap_whose_users_are_all_dead_is_attached_and_not_replaced() {
    let object = shared();
    let line = Line::new();
    let (child, _) = after(&line.to_parent, || {
        let heap = BufferHeap::init(map(&object, Access::ReadWrite), &attributes("left", 0)).unwrap();
        std::mem::forget((heap.alloc(5000).unwrap(), heap));
        0
    });
    kill(child);
    let memory = map(&object, Access::ReadWrite);
    assert!(refusal(BufferHeap::init(memory.clone(), &attributes("again", 0))).contains("left"));
    let heap = BufferHeap::attach(memory).unwrap();
    assert_eq!((heap.statistics().blocks, heap.recover().any()), (0, false));
    assert_whole(heap.pool());
}

#[test]
fn rubbish_is_not_a_heap() {
    let attached = |memory: Mapping| BufferHeap::attach(memory).unwrap_err();
    assert!(matches!(attached(Mapping::anonymous(BYTES).unwrap()), Error::NotAPool { .. }));
    assert!(matches!(attached(buffer(BYTES, 0)), Error::NotAPool { .. }));
    assert!(matches!(attached(buffer(100, 0)), Error::NotAPool { .. }));
    let object = shared();
    let heap = BufferHeap::init(map(&object, Access::ReadWrite), &attributes("cut", 0)).unwrap();
    let half = Arc::new(Mapping::shared(&object, BYTES / 2, Access::ReadWrite).unwrap());
    assert!(matches!(BufferHeap::attach(half.clone()), Err(Error::Truncated { .. })));
    assert!(matches!(BufferHeap::init(half, &attributes("cut", 0)), Err(Error::Truncated { .. })));
    drop(heap);
    // A shape that its creator did not write.
    object.write_at(56, &[0xff; 8]).unwrap();
    let memory = map(&object, Access::ReadWrite);
    assert!(matches!(BufferHeap::attach(memory.clone()), Err(Error::Corrupt(_))));
    assert!(matches!(BufferHeap::init(memory.clone(), &attributes("new", 0)), Err(Error::Corrupt(_))));
    Pool::create_in(memory, &attributes("new", 0)).unwrap();
}

#[test]
fn memory_that_may_only_be_read_is_looked_at_and_not_used() {
    let object = shared();
    let reader = map(&object, Access::ReadOnly);
    assert!(refusal(BufferHeap::init(reader.clone(), &attributes("rights", 0))).contains("read and write"));
    let heap = BufferHeap::init(map(&object, Access::ReadWrite), &attributes("rights", 0)).unwrap();
    let _memory = heap.alloc(300).unwrap();
    assert!(refusal(BufferHeap::attach(reader.clone())).contains("read and write"));
    let looked = BufferHeap::inspect(reader).unwrap();
    assert_eq!((looked.statistics(), looked.usage()), (heap.statistics(), heap.pool().usage()));
    assert!(looked.verify(Mode::Online).holds());
    assert_eq!(heap.pool().members().len(), 1, "who looks is no member");
    assert!(looked.dump().to_string().contains("1 block of 320 bytes"));
}

/// Every byte of the sections, as looks from outside have them.
fn bytes_of(inspection: &weyr_managed::Inspection, sections: &[Section]) -> Vec<u8> {
    let mut bytes = vec![0; sections.iter().map(Section::end).max().unwrap() as usize];
    let mut at = 0;
    while let Some(stored) = inspection.next_stored(at).unwrap() {
        assert!(at <= stored.start && stored.start < stored.end, "{at}: {stored:?}");
        let part = &mut bytes[stored.start as usize..stored.end as usize];
        assert_eq!(inspection.read(stored.start, part).unwrap(), part.len());
        at = stored.end;
    }
    bytes
}

#[test]
fn a_look_at_memory_has_every_byte_of_it() {
    let object = shared();
    let memory = map(&object, Access::ReadWrite);
    let heap = BufferHeap::init(memory.clone(), &attributes("bytes", 0)).unwrap();
    let mut written = heap.alloc(heap.statistics().size_bytes).unwrap();
    written.fill(0xa5).unwrap();
    let inspection = BufferHeap::inspect(memory).unwrap();
    let seen = bytes_of(&inspection, &inspection.sections());
    let mut expected = vec![0; seen.len()];
    object.read_at(0, &mut expected).unwrap();
    assert!(seen == expected, "a look differs from the memory");
    let mut last = [1; 8];
    assert_eq!(inspection.read(BYTES as u64 - 4, &mut last).unwrap(), 4);
    assert_eq!(
        (inspection.read(BYTES as u64, &mut last).unwrap(), inspection.read(u64::MAX, &mut last)),
        (0, Ok(0))
    );
}

#[test]
fn a_pool_of_one_process_is_dumped_through_its_own_mapping() {
    let attributes = attributes("private", 64 << 20).pool_type(weyr_managed::PoolType::Private);
    let pool = Pool::create(&attributes).unwrap();
    let _memory = pool.alloc(64).unwrap();
    let text = pool.inspection().dump().to_string();
    assert!(text.contains("1 block of 64 bytes") && text.contains("page words"), "{text}");
    let (mut at, mut stored) = (0, 0);
    while let Some(range) = pool.inspection().next_stored(at).unwrap() {
        (at, stored) = (range.end, stored + range.end - range.start);
    }
    assert!(
        (1..=pool.usage().backed_bytes).contains(&stored),
        "{stored} bytes: what is not backed is left alone"
    );
}

#[test]
fn processes_use_one_heap_at_different_addresses() {
    let object = shared();
    let memory = map(&object, Access::ReadWrite);
    let heap = BufferHeap::init(memory.clone(), &attributes("shared", 0)).unwrap();
    let mine = heap.alloc(1000).unwrap().publish().unwrap();
    mine.write(0, b"from the parent").unwrap();
    let descriptor = mine.descriptor();
    let child = child::spawn(|| {
        let elsewhere = map(&object, Access::ReadWrite);
        assert_ne!(elsewhere.as_ptr(), memory.as_ptr());
        let heap = BufferHeap::attach(elsewhere).unwrap();
        assert_eq!(heap.pool().members().len(), 2);
        let theirs = heap.open(&descriptor).unwrap();
        let mut bytes = [0; 15];
        theirs.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"from the parent");
        theirs.free().unwrap();
        heap.alloc_blocking(300_000).unwrap().fill(7).unwrap();
    });
    assert_eq!(child.unwrap().wait().unwrap(), Outcome::Exited(0));
    assert!(matches!(mine.free(), Err(Error::Stale { .. } | Error::DoubleFree { .. })));
    assert_whole(heap.pool());
}

#[test]
fn who_waits_is_served_by_what_another_process_frees() {
    let object = shared();
    let heap = BufferHeap::init(map(&object, Access::ReadWrite), &attributes("waits", 0)).unwrap();
    let all = heap.statistics().size_bytes;
    let line = Line::new();
    let hoard = || {
        let heap = BufferHeap::attach(map(&object, Access::ReadWrite)).unwrap();
        let hoard = heap.alloc(all).unwrap();
        line.to_parent.post().unwrap();
        line.to_child.wait().unwrap();
        (heap, hoard)
    };
    let child = child::when_parent_sleeps(hoard, |(heap, hoard)| heap.free(hoard)).unwrap();
    line.to_parent.wait_from(&child).unwrap();
    assert!(matches!(heap.alloc(64), Err(Error::NoMemory { .. })));
    assert!(matches!(heap.alloc_until(64, Instant::now()), Err(Error::Timeout { .. })));
    line.to_child.post().unwrap();
    assert_eq!(heap.alloc_blocking(all).unwrap().len(), all);
    drop(child);
}

#[test]
fn who_waits_is_served_by_what_the_dead_had() {
    let object = shared();
    let heap = BufferHeap::init(map(&object, Access::ReadWrite), &attributes("died", 0)).unwrap();
    let all = heap.statistics().size_bytes;
    let line = Line::new();
    let (child, _) = after(&line.to_parent, || {
        let heap = BufferHeap::attach(map(&object, Access::ReadWrite)).unwrap();
        std::mem::forget((heap.alloc(all).unwrap(), heap));
        0
    });
    assert!(matches!(heap.alloc(64), Err(Error::NoMemory { .. })));
    kill(child);
    drop(heap.alloc_until(all, Instant::now() + Duration::from_secs(600)).unwrap());
    assert_sound(heap.pool(), 0);
}
