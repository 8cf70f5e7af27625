//! Death before each shared write of an operation on a hash table, and then of its recovery: no key is lost, doubled or
//! left with half a value.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod dying;
mod fenced;

use std::collections::BTreeMap;

use dying::{Died, until};
use fenced::Fenced;
use weyr_kill::note;
use weyr_shared::{HashTable, HashTableError};

/// Keys and their values.
type Contents = BTreeMap<Vec<u64>, Vec<u64>>;

const CAPACITY: u64 = 12;

/// A table with the keys below `keys`, some of which were removed and came back.
fn table(keys: u64) -> Fenced {
    let fenced = Fenced::new(HashTable::size(CAPACITY, 1, 3).unwrap());
    let table = HashTable::init(fenced.region(), CAPACITY, 1, 3).unwrap();
    (0..CAPACITY).for_each(|key| table.insert(&[key], &value(key)).unwrap());
    (0..CAPACITY).filter(|key| *key >= keys || key % 3 == 0).for_each(|key| table.remove(&[key]).unwrap());
    (0..keys).filter(|key| key % 3 == 0).for_each(|key| table.insert(&[key], &value(key)).unwrap());
    fenced
}

fn value(number: u64) -> [u64; 3] {
    [number, number + 1000, !number]
}

fn attached(fenced: &Fenced) -> HashTable {
    HashTable::attach(fenced.region()).unwrap()
}

fn contents(fenced: &Fenced) -> Contents {
    let table = attached(fenced);
    let items: Vec<_> = table.iter().unwrap().map(Result::unwrap).collect();
    assert_eq!(items.len() as u64, table.len());
    items.into_iter().collect()
}

fn operate(name: &str, table: &HashTable, key: u64) {
    match name {
        "hash table, insert" => table.insert(&[key], &value(500)),
        "hash table, replace" => table.replace(&[key], &value(600)),
        "hash table, remove" => table.remove(&[key]),
        _ => table.recover().map(drop),
    }
    .unwrap();
}

/// Somebody died: all is found as it was before, or as it is after.
fn assert_whole(fenced: &Fenced, before: &Contents, after: &Contents) {
    let table = attached(fenced);
    if table.is_interrupted() {
        assert_eq!(table.get(&[0]), Err(HashTableError::Interrupted));
        assert_eq!(table.verify().len(), 1);
        // A recovery before each write of which somebody dies, one after the other, and at last one that comes to its end.
        let died = |write: &u64| until(*write, || operate("hash table, recovery", &table, 0)) == Died::Before;
        let deaths = (1..).take_while(died).inspect(|_| assert!(table.is_interrupted(), "done, and not yet"));
        assert!(deaths.count() >= 2);
    }
    assert_eq!(table.verify(), []);
    let contents = contents(fenced);
    assert!(contents == *before || contents == *after, "{contents:?} is neither {before:?} nor {after:?}");
}

#[test]
fn a_death_loses_and_doubles_nothing() {
    let mut points = BTreeMap::new();
    for keys in 0..=CAPACITY {
        let new = if keys < CAPACITY { keys..keys + 3 } else { 0..0 };
        for (name, some) in
            [("hash table, insert", new), ("hash table, replace", 0..keys), ("hash table, remove", 0..keys)]
        {
            for key in some {
                let whole = table(keys);
                let before = contents(&whole);
                let done = whole.copy();
                operate(name, &attached(&done), key);
                let after = contents(&done);
                for write in 1.. {
                    let fenced = whole.copy();
                    let died = until(write, || operate(name, &attached(&fenced), key));
                    assert_whole(&fenced, &before, &after);
                    if died == Died::Never {
                        break;
                    }
                    *points.entry(name).or_insert(0) += 1;
                }
            }
        }
    }
    points.iter().for_each(|(name, points)| note(format_args!("{name}: death at {points} points")));
    assert_eq!(points.len(), 3);
}
