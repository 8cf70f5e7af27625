//! Allocations with a type and an id, as users see them.
#![forbid(unsafe_code)]

mod scratch;

use std::collections::{BTreeSet, HashMap};

use scratch::{Line, Scratch, after, assert_sound, assert_whole, attributes, kill};
use weyr_kill::{Rendezvous, child};
use weyr_managed::{AllocationDescriptor, BlockState, Error, Mode, Pool, Published, Taken};
use weyr_shared::BlockReference;

const FRAME: u32 = 7;
const TABLE: u32 = u32::MAX;

#[test]
fn what_is_allocated_with_type_and_id_is_found_by_them() {
    let pool = Scratch::new("find", 1 << 20);
    let made = pool.alloc_typed(1000, FRAME, 42).unwrap();
    made.write(0, b"frame").unwrap();
    assert_eq!((made.type_id(), made.id()), (Some(FRAME), Some(42)));
    let found = pool.find(FRAME, 42).unwrap();
    let mut bytes = [0; 5];
    found.read(0, &mut bytes).unwrap();
    assert_eq!((&bytes, found.len(), found.reference()), (b"frame", 1000, made.reference()));
    assert_eq!((found.type_id(), found.id()), (Some(FRAME), Some(42)));
    assert!(pool.exists(FRAME, 42));
    assert_eq!(pool.usage().manifest_entries, 1);
    found.free().unwrap();
    assert!(!pool.exists(FRAME, 42) && !made.exists());
    assert_eq!(pool.find(FRAME, 42).unwrap_err(), Error::NotInManifest { type_id: FRAME, id: 42 });
    assert_eq!(pool.usage().manifest_entries, 0);
    assert!(matches!(made.free(), Err(Error::DoubleFree { .. })));
    assert_whole(&pool);
}

#[test]
fn spans_and_empty_allocations_have_types_too() {
    let pool = Scratch::new("sizes", 4 << 20);
    for bytes in [0, 1, 64, 5000, 100_000, 1 << 20] {
        let made = pool.alloc_typed(bytes, TABLE, bytes).unwrap();
        assert_eq!(pool.find(TABLE, bytes).unwrap().len(), bytes);
        assert_eq!(pool.find_by_id(made.block_id()).unwrap().len(), bytes);
        made.free().unwrap();
    }
    assert_whole(&pool);
}

#[test]
fn a_type_and_an_id_are_one_allocations_alone() {
    let pool = Scratch::new("taken", 1 << 20);
    let first = pool.alloc_typed(100, FRAME, 1).unwrap();
    let taken = Error::KeyTaken { type_id: FRAME, id: 1 };
    assert_eq!(pool.alloc_typed(100, FRAME, 1).unwrap_err(), taken);
    assert_eq!(pool.alloc(100).unwrap().publish_as(FRAME, 1).unwrap_err(), taken);
    assert_sound(&pool, 1);
    // Another type, another id: other keys.
    let others = [pool.alloc_typed(100, FRAME, 2).unwrap(), pool.alloc_typed(100, TABLE, 1).unwrap()];
    first.free().unwrap();
    let again = pool.alloc_typed(200, FRAME, 1).unwrap();
    assert_eq!(pool.find(FRAME, 1).unwrap().reference(), again.reference());
    again.free().unwrap();
    others.into_iter().for_each(|other| other.free().unwrap());
    assert_whole(&pool);
}

#[test]
fn type_zero_is_refused() {
    let pool = Scratch::new("zero", 1 << 20);
    assert_eq!(pool.alloc_typed(100, 0, 1).unwrap_err(), Error::ReservedType);
    assert!(!pool.exists(0, 0) && pool.find(0, 0).is_err());
    assert_whole(&pool);
}

#[test]
fn a_manifest_holds_as_many_entries_as_were_asked_for_and_names_its_limit() {
    for limit in [0, 1, 6, 7, 100] {
        let pool = Scratch::with(attributes("full", 1 << 20).manifest_entries(limit));
        let held: Vec<Published> =
            (0..u64::from(limit)).map(|id| pool.alloc_typed(64, FRAME, id).unwrap()).collect();
        assert_eq!(pool.alloc_typed(64, FRAME, 1000).unwrap_err(), Error::ManifestFull { limit });
        let usage = pool.usage();
        assert_eq!((usage.manifest_entries, usage.manifest_limit), (limit.into(), limit));
        assert_sound(&pool, limit.into());
        assert!((0..u64::from(limit)).all(|id| pool.exists(FRAME, id)));
        for (id, published) in held.into_iter().enumerate() {
            published.free().unwrap();
            let refilled = pool.alloc_typed(64, TABLE, id as u64).unwrap();
            refilled.free().unwrap();
        }
        assert_whole(&pool);
    }
}

#[test]
fn one_number_finds_any_published_allocation_and_only_that_use_of_its_place() {
    let pool = Scratch::new("number", 1 << 20);
    let typed = pool.alloc_typed(100, FRAME, 3).unwrap();
    let plain = pool.alloc(100).unwrap().publish().unwrap();
    let found = pool.find_by_id(typed.block_id()).unwrap();
    assert_eq!(
        (found.reference(), found.len(), found.type_id(), found.id()),
        (typed.reference(), 100, Some(FRAME), Some(3))
    );
    let found = pool.find_by_id(plain.block_id()).unwrap();
    // Nothing says how much of it was asked for.
    assert_eq!((found.reference(), found.len(), found.type_id()), (plain.reference(), 128, None));
    let (number, offset) = (typed.block_id(), typed.reference().offset);
    typed.free().unwrap();
    assert_eq!(pool.find_by_id(number).unwrap_err(), Error::DoubleFree { offset });
    let owned = pool.alloc(100).unwrap();
    assert_eq!(owned.reference().offset, offset, "the place is taken again");
    let generation = owned.reference().generation;
    assert_eq!(
        pool.find_by_id(number).unwrap_err(),
        Error::Stale { offset, meant: number & 0xff_ffff, found: generation }
    );
    let owned_number = (offset / 64) << 24 | generation & 0xff_ffff;
    assert!(matches!(pool.find_by_id(owned_number), Err(Error::WrongState { .. })));
    assert!(matches!(pool.find_by_id(u64::MAX), Err(Error::NotABlock { .. })));
    assert!(matches!(pool.find_by_id(number + (1 << 24)), Err(Error::NotABlock { .. })));
    drop(owned);
    plain.free().unwrap();
    assert_whole(&pool);
}

#[test]
fn a_descriptor_carries_type_and_id_and_is_held_to_them() {
    let pool = Scratch::new("descriptor", 1 << 20);
    let typed = pool.alloc_typed(100, FRAME, 3).unwrap();
    let plain = pool.alloc(100).unwrap().publish().unwrap();
    let descriptor = AllocationDescriptor::from_bytes(&typed.descriptor().to_bytes()).unwrap();
    assert_eq!((descriptor.type_id, descriptor.id), (FRAME, 3));
    let opened = pool.open(&descriptor).unwrap();
    assert_eq!((opened.type_id(), opened.id()), (Some(FRAME), Some(3)));
    let offset = typed.reference().offset;
    for (type_id, id) in [(TABLE, 3), (FRAME, 4), (0, 0)] {
        let wrong = AllocationDescriptor { type_id, id, ..descriptor };
        assert_eq!(pool.open(&wrong).unwrap_err(), Error::WrongType { offset, type_id, id });
    }
    let wrong = AllocationDescriptor { type_id: FRAME, id: 3, ..plain.descriptor() };
    assert!(matches!(pool.open(&wrong), Err(Error::WrongType { .. })));
    // What was opened frees the entry as well.
    opened.free().unwrap();
    assert!(matches!(pool.open(&descriptor), Err(Error::DoubleFree { .. })));
    let again = pool.alloc_typed(100, FRAME, 3).unwrap();
    assert!(matches!(pool.open(&descriptor), Err(Error::Stale { .. })));
    again.free().unwrap();
    plain.free().unwrap();
    assert_whole(&pool);
}

#[test]
fn lists_hold_all_entries_those_of_a_type_and_what_has_no_type() {
    let pool = Scratch::new("list", 1 << 20);
    for id in 0..30 {
        pool.alloc_typed(64 + id, if id % 3 == 0 { FRAME } else { TABLE }, id).unwrap();
    }
    let plain = pool.alloc(10_000).unwrap().publish().unwrap();
    let owned = pool.alloc(500).unwrap();
    let all: BTreeSet<(u32, u64, u64)> =
        pool.manifest().map(|entry| (entry.type_id, entry.id, entry.bytes)).collect();
    let expected =
        (0..30).map(|id| (if id % 3 == 0 { FRAME } else { TABLE }, id, 64 + id)).collect::<BTreeSet<_>>();
    assert_eq!(all, expected);
    let frames: BTreeSet<u64> = pool.manifest_of_type(FRAME).map(|entry| entry.id).collect();
    assert_eq!(frames, (0..30).filter(|id| id % 3 == 0).collect());
    assert_eq!(pool.manifest_of_type(1).count(), 0);
    let allocations = pool.allocations();
    assert_eq!(allocations.len(), 32);
    assert_eq!(allocations.iter().filter(|allocation| allocation.entry.is_some()).count(), 30);
    let state_of = |reference: BlockReference| {
        let found = allocations.iter().find(|allocation| allocation.reference == reference).unwrap();
        (found.state, found.process.is_some(), found.room >= 500)
    };
    assert_eq!(state_of(plain.reference()), (BlockState::Pool, false, true));
    assert_eq!(state_of(owned.reference()), (BlockState::Alloc, true, true));
    for entry in pool.manifest().collect::<Vec<_>>() {
        pool.find_by_id(entry.block_id()).unwrap().free().unwrap();
    }
    plain.free().unwrap();
    drop(owned);
    assert_whole(&pool);
}

#[test]
fn anonymous_allocations_leave_the_manifest_alone() {
    let pool = Scratch::with(attributes("alone", 1 << 20).manifest_entries(0));
    let published: Vec<Published> = (0..100).map(|_| pool.alloc(64).unwrap().publish().unwrap()).collect();
    assert_eq!((pool.manifest().count(), pool.allocations().len()), (0, 100));
    published.into_iter().for_each(|block| block.free().unwrap());
    assert_whole(&pool);
}

#[test]
fn what_a_message_has_keeps_its_key_and_lands_with_it() {
    let pool = Scratch::new("transfer", 1 << 20);
    let typed = pool.alloc_typed(100, FRAME, 3).unwrap();
    pool.begin_transfer(typed.reference()).unwrap();
    assert!(pool.exists(FRAME, 3));
    assert!(matches!(pool.find(FRAME, 3), Err(Error::WrongState { .. })));
    assert!(matches!(pool.alloc_typed(100, FRAME, 3), Err(Error::KeyTaken { .. })));
    let Taken::Published(landed) = pool.take_transfer(typed.reference(), 100).unwrap() else {
        panic!("it was published");
    };
    assert_eq!((landed.type_id(), landed.id()), (Some(FRAME), Some(3)));
    landed.free().unwrap();
    assert_whole(&pool);
}

/// A plain model beside the pool, for random calls.
#[test]
fn the_manifest_does_what_a_hash_map_does() {
    for seed in 1..=8u64 {
        let limit = [1, 5, 12, 40, 41, 90, 200, 64][seed as usize - 1];
        let pool = Scratch::with(attributes("model", 1 << 20).manifest_entries(limit));
        let mut model: HashMap<(u32, u64), Published> = HashMap::new();
        let mut random = seed;
        let mut below = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        for step in 0..4000 {
            let key = (1 + below(3) as u32, below(u64::from(limit)));
            match below(5) {
                0..=1 => match pool.alloc_typed(below(300), key.0, key.1) {
                    Ok(made) => assert!(model.insert(key, made).is_none(), "{seed}.{step}: {key:?} twice"),
                    Err(Error::KeyTaken { .. }) => assert!(model.contains_key(&key), "{seed}.{step}"),
                    Err(Error::ManifestFull { .. }) => {
                        assert_eq!(model.len(), limit as usize, "{seed}.{step}")
                    }
                    Err(error) => panic!("{seed}.{step}: {error}"),
                },
                2 => match model.remove(&key) {
                    Some(made) => made.free().unwrap(),
                    None => assert!(!pool.exists(key.0, key.1), "{seed}.{step}"),
                },
                3 => match (pool.find(key.0, key.1), model.get(&key)) {
                    (Ok(found), Some(made)) => {
                        assert_eq!((found.reference(), found.len()), (made.reference(), made.len()));
                        assert_eq!(pool.find_by_id(found.block_id()).unwrap().id(), Some(key.1));
                    }
                    (Err(Error::NotInManifest { .. }), None) => {}
                    (found, made) => panic!("{seed}.{step}: {found:?}, {made:?}"),
                },
                _ => {
                    let listed: BTreeSet<_> =
                        pool.manifest().map(|entry| (entry.type_id, entry.id)).collect();
                    assert_eq!(listed, model.keys().copied().collect(), "{seed}.{step}");
                }
            }
        }
        assert_sound(&pool, model.len() as u64);
        model.into_values().for_each(|made| made.free().unwrap());
        assert_whole(&pool);
    }
}

#[test]
fn of_two_processes_that_insert_one_key_at_once_exactly_one_wins() {
    const KEYS: u64 = 2000;
    let pool = Scratch::new("race", 1 << 20);
    let insert_all = |pool: &Pool| {
        (0..KEYS).fold(0, |won, id| match pool.alloc_typed(64, FRAME, id % 100 + id / 1000 * 100) {
            Ok(_) => won + 1,
            Err(Error::KeyTaken { .. }) => won,
            Err(error) => panic!("{error}"),
        })
    };
    let lines = [Line::new(), Line::new()];
    let children: Vec<_> = lines
        .iter()
        .map(|line| {
            child::spawn(|| {
                let pool = Pool::attach_path(pool.path()).unwrap();
                line.to_parent.post().unwrap();
                line.to_child.wait().unwrap();
                line.to_parent.send(insert_all(&pool)).unwrap();
                scratch::wait_for_death();
            })
            .unwrap()
        })
        .collect();
    lines.iter().zip(&children).for_each(|(line, child)| {
        line.to_parent.wait_from(child).unwrap();
    });
    lines.iter().for_each(|line| line.to_child.post().unwrap());
    let won: Vec<u64> =
        lines.iter().zip(&children).map(|(line, child)| line.to_parent.wait_from(child).unwrap()).collect();
    assert_eq!(won.iter().sum::<u64>(), 200, "{won:?}");
    children.into_iter().for_each(kill);
    pool.recover();
    assert_sound(&pool, 200);
    for entry in pool.manifest().collect::<Vec<_>>() {
        pool.find(entry.type_id, entry.id).unwrap().free().unwrap();
    }
    assert_whole(&pool);
}

#[test]
fn threads_that_insert_and_free_the_same_keys_leave_what_the_blocks_say() {
    let pool = Scratch::with(attributes("threads", 1 << 20).manifest_entries(13));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..3000u64 {
                    let id = (round * 7 + thread) % 12;
                    match pool.alloc_typed(64, FRAME, id) {
                        Ok(made) => {
                            let found = pool.find(FRAME, id).unwrap();
                            assert_eq!(found.reference(), made.reference());
                            made.free().unwrap();
                        }
                        Err(Error::KeyTaken { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(pool.usage().manifest_entries, 0);
    assert_whole(&pool);
}

#[test]
fn what_has_a_type_outlives_its_maker() {
    let pool = Scratch::new("outlives", 1 << 20);
    let met = Rendezvous::new().unwrap();
    let (maker, _) = after(&met, || {
        pool.alloc_typed(100, FRAME, 1).unwrap().write(0, b"here").unwrap();
        std::mem::forget(pool.alloc(100).unwrap());
        0
    });
    kill(maker);
    pool.recover();
    assert_sound(&pool, 1);
    let verification = pool.verify(Mode::Quiesced);
    assert_eq!(verification.records, 1);
    let found = pool.find(FRAME, 1).unwrap();
    let mut bytes = [0; 4];
    found.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"here");
    found.free().unwrap();
    assert_whole(&pool);
}
