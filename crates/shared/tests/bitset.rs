//! A bitset does what a plain set of numbers does, whatever lies in its memory and wherever that is mapped.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod fenced;

use std::collections::BTreeSet;

use fenced::Fenced;
use proptest::prelude::*;
use weyr_shared::{Bitset, BitsetError};

fn bitset(bits: u64) -> (Fenced, Bitset) {
    let fenced = Fenced::new(Bitset::size(bits).unwrap());
    let set = Bitset::init(fenced.region(), bits).unwrap();
    (fenced, set)
}

fn assert_is(set: &Bitset, model: &BTreeSet<u64>) {
    let bits = set.bits();
    assert_eq!(set.iter().collect::<BTreeSet<_>>(), *model);
    assert_eq!((set.count(), set.first_set()), (model.len() as u64, model.first().copied()));
    for bit in 0..bits {
        assert_eq!(set.get(bit), Ok(model.contains(&bit)));
        let next = model.range(bit + 1..).next().copied().unwrap_or(bits);
        assert_eq!(set.zeroes_to_right(bit), Ok(next - bit - 1));
    }
    assert_eq!(set.verify(), []);
}

proptest! {
    #[test]
    fn calls_do_what_a_plain_model_does(
        bits in 1_u64..200,
        calls in prop::collection::vec((any::<bool>(), 0_u64..210), 0..100),
    ) {
        let (fenced, set) = bitset(bits);
        let mut model = BTreeSet::new();
        for (is_set, bit) in calls {
            let done = if is_set { set.set(bit) } else { set.reset(bit) };
            if bit >= bits {
                prop_assert_eq!(done, Err(BitsetError::OutOfBounds { bit, bits }));
            } else {
                prop_assert_eq!(done, Ok(if is_set { !model.insert(bit) } else { model.remove(&bit) }));
            }
        }
        assert_is(&set, &model);
        // The same bytes at another address.
        let copy = fenced.copy();
        prop_assert_ne!(copy.region().address(), fenced.region().address());
        assert_is(&Bitset::attach(copy.region()).unwrap(), &model);
        fenced.assert_fences();
    }

    #[test]
    fn any_bytes_are_used_without_harm(
        bits in 1_u64..200,
        at in 0_u64..48,
        bytes in prop::collection::vec(any::<u8>(), 0..48),
    ) {
        let (fenced, set) = bitset(bits);
        fenced.overwrite(at, &bytes);
        for set in [Some(set), Bitset::attach(fenced.region()).ok()].into_iter().flatten() {
            prop_assert!(set.iter().all(|bit| bit < set.bits()));
            prop_assert_eq!(set.count(), set.iter().count() as u64);
            prop_assert!(set.dump().ends_with('\n'));
            for bit in [0, bits - 1, bits, u64::MAX] {
                let outcomes = [set.set(bit), set.get(bit), set.reset(bit)];
                prop_assert_eq!(outcomes.iter().all(Result::is_ok), bit < set.bits());
                prop_assert_eq!(set.zeroes_to_right(bit).is_ok(), bit < set.bits());
            }
            set.verify();
        }
        fenced.assert_fences();
    }
}

#[test]
fn of_several_who_set_a_bit_at_once_one_is_told_that_it_was_not_set() {
    let (_fenced, set) = bitset(1000);
    let won: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..1000).filter(|bit| !set.set(*bit).unwrap()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((won, set.count()), (1000, 1000));
}

#[test]
fn neighbours_change_without_harm_to_each_other() {
    let (_fenced, set) = bitset(64);
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for bit in 0..4 {
            let (set, start) = (&set, &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..100_000 {
                    assert!(!set.set(bit).unwrap());
                    assert!(set.reset(bit).unwrap());
                }
            });
        }
    });
    assert_eq!(set.count(), 0);
}

#[test]
fn what_is_no_bitset_is_not_attached() {
    let fenced = Fenced::new(64);
    assert!(matches!(Bitset::attach(fenced.region()), Err(BitsetError::Corrupt(_))));
    assert_eq!(
        Bitset::init(fenced.region(), 400).err(),
        Some(BitsetError::TooSmall { needed: 72, there: 64 })
    );
    assert_eq!(Bitset::size(0), Err(BitsetError::InvalidLength(0)));
    assert_eq!(Bitset::size(u64::MAX), Err(BitsetError::InvalidLength(u64::MAX)));
    let set = Bitset::init(fenced.region(), 384).unwrap();
    assert_eq!(Bitset::init(fenced.region(), 10).err(), Some(BitsetError::AlreadyInitialised));
    // A length beyond the region.
    fenced.overwrite(8, &[0x81, 1]);
    assert!(matches!(Bitset::attach(fenced.region()), Err(BitsetError::Corrupt(_))));
    assert_eq!(set.verify().len(), 1);
    set.destroy();
    assert!(Bitset::init(fenced.region(), 10).is_ok());
}

#[test]
fn bits_behind_the_end_are_found_and_not_seen() {
    let (fenced, set) = bitset(10);
    fenced.overwrite(17, &[0xFF]);
    assert_eq!((set.count(), set.verify().len()), (2, 1));
}

#[test]
fn a_dump_shows_equal_lines_once() {
    let (_fenced, set) = bitset(64 * 4 + 3);
    set.set(257).unwrap();
    let dump = set.dump();
    let lines: Vec<&str> = dump.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!((lines[0], lines[2], lines[3]), ("bitset of 259 bits, 1 set", "       *", "     256  010"));
}
