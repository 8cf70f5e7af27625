//! Death before each shared write of an operation on a priority heap, and then of its recovery: nothing that was put in
//! is lost or doubled, and what was taken out is gone.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod dying;
mod fenced;

use std::collections::BTreeMap;

use dying::{Died, until};
use fenced::Fenced;
use weyr_kill::note;
use weyr_shared::{PriorityHeap, PriorityHeapError};

/// What comes out, in its order.
type Items = Vec<(u64, u64)>;

const CAPACITY: u64 = 12;

fn heap(items: u64) -> Fenced {
    let fenced = Fenced::new(PriorityHeap::size(3, CAPACITY, 2).unwrap());
    let heap = PriorityHeap::init(fenced.region(), 3, CAPACITY, 2).unwrap();
    // Some were put in and taken out before, so that the cells are not in order.
    for number in 0..items.max(3) {
        heap.push(&[number, !number], 1 + number * 7 % 4).unwrap();
    }
    while heap.len() > items {
        heap.pop(&mut [0; 2]).unwrap();
    }
    fenced
}

fn attached(fenced: &Fenced) -> PriorityHeap {
    PriorityHeap::attach(fenced.region()).unwrap()
}

fn drain(fenced: &Fenced) -> Items {
    let fenced = fenced.copy();
    let (heap, mut item, mut items) = (attached(&fenced), [0; 2], Items::new());
    while let Ok(priority) = heap.pop(&mut item) {
        assert_eq!(item[1], !item[0], "half an item");
        items.push((priority, item[0]));
    }
    items
}

fn operate(name: &str, heap: &PriorityHeap) {
    match name {
        "priority heap, push" => heap.push(&[100, !100], 2),
        "priority heap, push urgent" => heap.push_urgent(&[100, !100]),
        "priority heap, pop" => heap.pop(&mut [0; 2]).map(drop),
        _ => heap.recover().map(drop),
    }
    .unwrap();
}

/// Somebody died: all is found as it was before, or as it is after.
fn assert_whole(fenced: &Fenced, before: &Items, after: &Items) {
    let heap = attached(fenced);
    if heap.is_interrupted() {
        assert_eq!(heap.peek(&mut [0; 2]), Err(PriorityHeapError::Interrupted));
        assert_eq!(heap.verify().len(), 1);
        recover_dying(fenced);
    }
    assert_eq!(heap.verify(), []);
    let items = drain(fenced);
    assert!(items == *before || items == *after, "{items:?} is neither {before:?} nor {after:?}");
}

/// A recovery before each write of which somebody dies, one after the other, and at last one that comes to its end.
fn recover_dying(fenced: &Fenced) {
    let heap = attached(fenced);
    let died = |write: &u64| until(*write, || operate("priority heap, recovery", &heap)) == Died::Before;
    let deaths =
        (1..).take_while(died).inspect(|_| assert!(heap.is_interrupted(), "done, and not yet")).count();
    assert!(deaths > CAPACITY as usize, "it writes the whole order");
}

#[test]
fn a_death_loses_and_doubles_nothing() {
    let mut points = BTreeMap::new();
    for (name, items) in [
        ("priority heap, push", 0..CAPACITY),
        ("priority heap, push urgent", 0..CAPACITY),
        ("priority heap, pop", 1..CAPACITY + 1),
    ] {
        for items in items {
            let whole = heap(items);
            let before = drain(&whole);
            let done = whole.copy();
            operate(name, &attached(&done));
            let after = drain(&done);
            for write in 1.. {
                let fenced = whole.copy();
                let died = until(write, || operate(name, &attached(&fenced)));
                assert_whole(&fenced, &before, &after);
                if died == Died::Never {
                    break;
                }
                *points.entry(name).or_insert(0) += 1;
            }
        }
    }
    points.iter().for_each(|(name, points)| note(format_args!("{name}: death at {points} points")));
    assert_eq!(points.len(), 3);
}
