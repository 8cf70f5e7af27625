//! A hash table holds what a plain map does, whatever lies in its memory and wherever that is mapped.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod fenced;

use std::collections::HashMap;

use fenced::Fenced;
use proptest::prelude::*;
use weyr_shared::{HashTable, HashTableError};

fn table(capacity: u64, key_words: u64, value_words: u64) -> (Fenced, HashTable) {
    let fenced = Fenced::new(HashTable::size(capacity, key_words, value_words).unwrap());
    let table = HashTable::init(fenced.region(), capacity, key_words, value_words).unwrap();
    (fenced, table)
}

fn contents(table: &HashTable) -> HashMap<Vec<u64>, Vec<u64>> {
    let items: Vec<_> = table.iter().unwrap().map(Result::unwrap).collect();
    let map: HashMap<_, _> = items.iter().cloned().collect();
    assert_eq!(map.len(), items.len(), "a key came twice");
    map
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Insert,
    Replace,
    Remove,
    Recover,
}

fn calls() -> impl Strategy<Value = Vec<(Call, u64)>> {
    let call = prop_oneof![
        5 => Just(Call::Insert),
        2 => Just(Call::Replace),
        4 => Just(Call::Remove),
        1 => Just(Call::Recover),
    ];
    prop::collection::vec((call, 0_u64..24), 0..200)
}

proptest! {
    #[test]
    fn calls_do_what_a_plain_model_does(
        capacity in 1_u64..20,
        key_words in 1_u64..3,
        value_words in 1_u64..4,
        calls in calls(),
    ) {
        let (fenced, table) = table(capacity, key_words, value_words);
        let mut model: HashMap<Vec<u64>, Vec<u64>> = HashMap::new();
        for (number, (call, key)) in calls.into_iter().enumerate() {
            let key: Vec<u64> = (0..key_words).map(|word| key + word).collect();
            let value: Vec<u64> = (0..value_words).map(|word| number as u64 * 10 + word).collect();
            let is_there = model.contains_key(&key);
            match call {
                Call::Insert => {
                    let expected = match is_there {
                        true => Err(HashTableError::DuplicateKey),
                        false if model.len() as u64 == capacity => Err(HashTableError::Full),
                        false => Ok(()),
                    };
                    prop_assert_eq!(table.insert(&key, &value), expected);
                    if expected.is_ok() {
                        model.insert(key.clone(), value);
                    }
                }
                Call::Replace => {
                    let expected = if is_there { Ok(()) } else { Err(HashTableError::KeyNotFound) };
                    prop_assert_eq!(table.replace(&key, &value), expected);
                    model.entry(key.clone()).and_modify(|there| *there = value);
                }
                Call::Remove => {
                    let expected = model.remove(&key).map(drop).ok_or(HashTableError::KeyNotFound);
                    prop_assert_eq!(table.remove(&key), expected);
                }
                Call::Recover => prop_assert_eq!(table.recover(), Ok(false)),
            }
            prop_assert_eq!(table.get(&key), model.get(&key).cloned().ok_or(HashTableError::KeyNotFound));
            prop_assert_eq!(table.len(), model.len() as u64);
            prop_assert_eq!(table.verify(), []);
        }
        prop_assert_eq!(&contents(&table), &model);
        // The same bytes at another address.
        let copy = fenced.copy();
        prop_assert_ne!(copy.region().address(), fenced.region().address());
        let copied = HashTable::attach(copy.region()).unwrap();
        prop_assert_eq!(contents(&copied), model);
        for key in contents(&table).keys() {
            prop_assert_eq!(copied.remove(key), Ok(()));
        }
        // Who is the last to go leaves nothing that searches go over, but where all entries were once used.
        let left = copied.statistics().unwrap();
        prop_assert_eq!(left.count, 0);
        prop_assert!(left.removed == 0 || left.removed == left.entries, "{left:?}");
        prop_assert_eq!(left.reach, 0);
        fenced.assert_fences();
        copy.assert_fences();
    }

    #[test]
    fn any_bytes_are_used_without_harm(
        filled in 0_u64..12,
        at in 0_u64..568,
        bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 1..60),
    ) {
        let (fenced, table) = table(12, 1, 2);
        (0..filled).for_each(|number| table.insert(&[number], &[number, number]).unwrap());
        fenced.overwrite(at, &bytes);
        for table in [Some(table), HashTable::attach(fenced.region()).ok()].into_iter().flatten() {
            for _ in 0..2 {
                for key in 0..14 {
                    let _ = table.get(&[key]);
                    let _ = table.insert(&[key], &[key, key]);
                    let _ = table.replace(&[key], &[key, 0]);
                    let _ = table.remove(&[key ^ 1]);
                }
                let _ = table.statistics();
                table.verify();
                if let Ok(items) = table.iter() {
                    prop_assert!(items.count() <= 16);
                }
                let _ = table.recover();
            }
        }
        fenced.assert_fences();
    }

    #[test]
    fn an_entry_that_was_changed_is_found(at in 0_usize..12 * 32, change in 1_u8..) {
        let (fenced, table) = table(12, 1, 2);
        (0..12).for_each(|number| table.insert(&[number], &[number, number]).unwrap());
        let at = 64 + 16 + at;
        let is_in_key_of_full = {
            let (words, entry) = (fenced.bytes(), (at - 80) / 32 * 32 + 80);
            words[entry] != 0 && at - entry < 16
        };
        fenced.overwrite(at as u64, &[fenced.bytes()[at] ^ change]);
        prop_assert!(!is_in_key_of_full || !table.verify().is_empty());
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    use HashTableError::{AlreadyInitialised, InvalidCapacity, InvalidKey, InvalidValue, TooSmall};
    let fenced = Fenced::new(512);
    assert_eq!(HashTable::size(0, 1, 1), Err(InvalidCapacity(0)));
    assert_eq!(HashTable::size(u64::MAX, 1, 1), Err(InvalidCapacity(u64::MAX)));
    assert_eq!(HashTable::size(1, 0, 1), Err(InvalidKey(0)));
    assert_eq!(HashTable::size(1, 1, 0), Err(InvalidValue(0)));
    assert!(matches!(HashTable::attach(fenced.region()), Err(HashTableError::Corrupt(_))));
    let too_many = HashTable::init(fenced.region(), 100, 1, 1).err();
    assert_eq!(too_many, Some(TooSmall { needed: 64 + 8 + 256 * 24, there: 512 }));
    let table = HashTable::init(fenced.region(), 4, 2, 1).unwrap();
    assert_eq!(HashTable::init(fenced.region(), 4, 2, 1).err(), Some(AlreadyInitialised));
    assert_eq!(table.insert(&[1], &[1]), Err(InvalidKey(1)));
    assert_eq!(table.insert(&[1, 2], &[]), Err(InvalidValue(0)));
    assert_eq!(table.get(&[]), Err(InvalidKey(0)));
    table.destroy();
    assert!(HashTable::attach(fenced.region()).is_err());
    assert!(HashTable::init(fenced.region(), 4, 2, 1).is_ok());
}

#[test]
fn an_operation_that_was_not_finished_is_told_of_until_it_is_recovered() {
    let (fenced, table) = table(4, 1, 1);
    table.insert(&[7], &[8]).unwrap();
    fenced.overwrite(40, &[1]);
    assert_eq!(table.insert(&[8], &[8]), Err(HashTableError::Interrupted));
    assert_eq!(table.replace(&[7], &[8]), Err(HashTableError::Interrupted));
    assert_eq!(table.get(&[7]), Err(HashTableError::Interrupted));
    assert_eq!(table.remove(&[7]), Err(HashTableError::Interrupted));
    assert_eq!(table.iter().err(), Some(HashTableError::Interrupted));
    assert_eq!(table.verify().len(), 1);
    assert_eq!(table.recover(), Ok(true));
    assert_eq!(contents(&table), HashMap::from([(vec![7], vec![8])]));
    fenced.overwrite(40, &[9]);
    assert!(matches!(table.recover(), Err(HashTableError::Corrupt(_))), "nobody writes that");
}

#[test]
fn statistics_count_what_is_there() {
    let (_fenced, table) = table(48, 1, 1);
    (0..48).for_each(|key| table.insert(&[key], &[key]).unwrap());
    let full = table.statistics().unwrap();
    assert_eq!((full.capacity, full.count, full.entries, full.removed), (48, 48, 128, 0));
    assert!(full.load == 1.0 && full.mean_probes >= 1.0 && full.longest_probe as f64 >= full.mean_probes);
    (0..24).for_each(|key| table.remove(&[key]).unwrap());
    let half = table.statistics().unwrap();
    assert!(half.load == 0.5 && half.count == 24 && half.removed < 24);
}

#[test]
fn keys_that_come_and_go_leave_a_key_that_is_not_there_as_near() {
    let (_fenced, table) = table(700, 1, 1);
    (0..700).for_each(|key| table.insert(&[key], &[key]).unwrap());
    for key in 0..100_000 {
        table.remove(&[key]).unwrap();
        table.insert(&[key + 700], &[key]).unwrap();
    }
    let after = table.statistics().unwrap();
    assert!(after.removed + after.count > 1000, "hardly an entry was left EMPTY: {after:?}");
    assert!((after.longest_probe..=128).contains(&after.reach), "of {} entries: {after:?}", after.entries);
    assert_eq!(table.verify(), []);
    assert_eq!(table.recover(), Ok(false));
    let recovered = table.statistics().unwrap();
    assert_eq!(recovered.reach, recovered.longest_probe);
    (100_000..100_700).for_each(|key| assert_eq!(table.get(&[key]), Ok(vec![key - 700])));
}

#[test]
fn a_reach_that_is_wrong_is_found_and_made_anew() {
    let (fenced, table) = table(12, 1, 2);
    (0..12).for_each(|key| table.insert(&[key], &[key, key]).unwrap());
    for wrong in [1_u64, 33, u64::MAX] {
        fenced.overwrite(56, &wrong.to_le_bytes());
        assert!(!table.verify().is_empty(), "{wrong}");
        assert_eq!(table.recover(), Ok(false));
        assert_eq!(table.verify(), []);
        assert_eq!(contents(&table).len(), 12);
    }
}
