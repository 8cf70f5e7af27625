//! A priority heap gives out what a plain ordered map does, whatever lies in its memory and wherever that is mapped.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod fenced;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fenced::Fenced;
use proptest::prelude::*;
use weyr_shared::{Corrupt, PriorityHeap, PriorityHeapError};

fn heap(base: u64, capacity: u64, values: u64) -> (Fenced, PriorityHeap) {
    let fenced = Fenced::new(PriorityHeap::size(base, capacity, values).unwrap());
    let heap = PriorityHeap::init(fenced.region(), base, capacity, values).unwrap();
    (fenced, heap)
}

fn drain(heap: &PriorityHeap) -> Vec<(u64, Vec<u64>)> {
    let mut items = Vec::new();
    let mut values = vec![0; heap.values() as usize];
    while let Ok(priority) = heap.pop(&mut values) {
        items.push((priority, values.clone()));
    }
    items
}

#[derive(Debug, Clone)]
enum Call {
    Push(u64),
    Urgent,
    Pop,
    Recover,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        8 => (1_u64..6).prop_map(Call::Push),
        1 => Just(Call::Push(u64::MAX)),
        1 => Just(Call::Urgent),
        6 => Just(Call::Pop),
        1 => Just(Call::Recover),
    ];
    prop::collection::vec(call, 0..120)
}

proptest! {
    #[test]
    fn calls_do_what_a_plain_model_does(
        base in 2_u64..7,
        capacity in 1_u64..40,
        width in 1_u64..4,
        calls in calls(),
    ) {
        let (fenced, heap) = heap(base, capacity, width);
        let mut model: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
        let mut out = vec![0; width as usize];
        for (number, call) in calls.into_iter().enumerate() {
            let number = number as u64;
            let item: Vec<u64> = (0..width).map(|value| number * 10 + value).collect();
            let is_full = model.len() as u64 == capacity;
            match call {
                Call::Push(_) | Call::Urgent if is_full => {
                    prop_assert_eq!(heap.push(&item, 1), Err(PriorityHeapError::Full));
                }
                Call::Push(priority) => {
                    prop_assert_eq!(heap.push(&item, priority), Ok(()));
                    model.insert((priority, number), item);
                }
                Call::Urgent => {
                    prop_assert_eq!(heap.push_urgent(&item), Ok(()));
                    model.insert((0, number), item);
                }
                Call::Pop => match model.pop_first() {
                    None => prop_assert_eq!(heap.pop(&mut out), Err(PriorityHeapError::Empty)),
                    Some(((priority, _), item)) => {
                        prop_assert_eq!((heap.peek(&mut out), &out), (Ok(priority), &item));
                        prop_assert_eq!((heap.pop(&mut out), &out), (Ok(priority), &item));
                    }
                },
                Call::Recover => prop_assert_eq!(heap.recover(), Ok(false)),
            }
            prop_assert_eq!(heap.verify(), []);
            prop_assert_eq!(heap.len(), model.len() as u64);
        }
        // The same bytes at another address.
        let copy = fenced.copy();
        prop_assert_ne!(copy.region().address(), fenced.region().address());
        let left: Vec<(u64, Vec<u64>)> = model.into_iter().map(|((priority, _), item)| (priority, item)).collect();
        prop_assert_eq!(drain(&PriorityHeap::attach(copy.region()).unwrap()), left);
        fenced.assert_fences();
        copy.assert_fences();
    }

    #[test]
    fn any_bytes_are_used_without_harm(
        filled in 0_u64..12,
        at in 0_u64..400,
        bytes in prop::collection::vec(prop_oneof![0_u8..16, any::<u8>()], 1..60),
    ) {
        let (fenced, heap) = heap(3, 12, 2);
        (0..filled).for_each(|number| heap.push(&[number, number], 1 + number % 3).unwrap());
        fenced.overwrite(at, &bytes);
        let mut out = [0; 2];
        for heap in [Some(heap), PriorityHeap::attach(fenced.region()).ok()].into_iter().flatten() {
            for _ in 0..3 {
                let _ = heap.peek(&mut out);
                let _ = heap.pop(&mut out);
                let _ = heap.push(&[1, 2], 3);
                heap.verify();
            }
            // What could be recovered is sound.
            if heap.recover().is_ok() {
                let left = heap.verify();
                let of_hints = |wrong: &&Corrupt| wrong.what.starts_with("order") || wrong.what.starts_with("count");
                prop_assert_eq!(left.iter().find(of_hints), None);
            }
            let mut count = 0;
            while heap.pop(&mut out).is_ok() {
                count += 1;
                prop_assert!(count <= heap.capacity());
            }
        }
        fenced.assert_fences();
    }

    #[test]
    fn it_sorts_as_a_heap_of_the_standard_library_does(priorities in prop::collection::vec(1_u64.., 1..200)) {
        let (_fenced, heap) = heap(4, 200, 1);
        priorities.iter().for_each(|priority| heap.push(&[*priority], *priority).unwrap());
        let mut model: BinaryHeap<Reverse<u64>> = priorities.into_iter().map(Reverse).collect();
        for (priority, values) in drain(&heap) {
            prop_assert_eq!((Some(Reverse(priority)), values), (model.pop(), vec![priority]));
        }
        prop_assert!(model.is_empty());
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    use PriorityHeapError::{
        AlreadyInitialised, InvalidBase, InvalidItem, InvalidPriority, InvalidShape, TooSmall,
    };
    let fenced = Fenced::new(512);
    assert_eq!(PriorityHeap::size(1, 10, 1), Err(InvalidBase(1)));
    assert_eq!(PriorityHeap::size(2, 0, 1), Err(InvalidShape { capacity: 0, values: 1 }));
    assert_eq!(PriorityHeap::size(2, 1, 0), Err(InvalidShape { capacity: 1, values: 0 }));
    assert_eq!(PriorityHeap::size(2, u64::MAX, u64::MAX).ok(), None);
    assert!(matches!(PriorityHeap::attach(fenced.region()), Err(PriorityHeapError::Corrupt(_))));
    let too_many = PriorityHeap::init(fenced.region(), 2, 100, 1).err();
    assert_eq!(too_many, Some(TooSmall { needed: 3256, there: 512 }));
    let heap = PriorityHeap::init(fenced.region(), 2, 2, 2).unwrap();
    assert_eq!(PriorityHeap::init(fenced.region(), 2, 2, 2).err(), Some(AlreadyInitialised));
    assert_eq!(heap.push(&[1], 1), Err(InvalidItem { expected: 2, given: 1 }));
    assert_eq!(heap.push(&[1, 2], 0), Err(InvalidPriority));
    assert_eq!(heap.pop(&mut [0; 3]), Err(InvalidItem { expected: 2, given: 3 }));
    heap.destroy();
    assert!(PriorityHeap::attach(fenced.region()).is_err());
    assert!(PriorityHeap::init(fenced.region(), 2, 2, 2).is_ok());
}

#[test]
fn wrong_hints_are_found_and_made_anew() {
    let (fenced, heap) = heap(2, 4, 1);
    (1..=3).for_each(|number| heap.push(&[number], number).unwrap());
    let order_at = 56;
    // Two places name the same cell, and one item is counted less.
    fenced.overwrite(order_at, &[1]);
    fenced.overwrite(32, &[2]);
    assert!(!heap.verify().is_empty());
    assert_eq!(heap.recover(), Ok(false));
    assert_eq!(heap.verify(), []);
    assert_eq!(drain(&heap).len(), 3);
}

#[test]
fn two_items_with_one_ticket_are_found_and_come_out_all_the_same() {
    let (fenced, heap) = heap(2, 4, 1);
    (1..=2).for_each(|number| heap.push(&[number], 1).unwrap());
    // The second cell says what the first does: behind the header, the order, and one cell.
    let second = 56 + 4 * 8 + 24;
    fenced.overwrite(second, &[1]);
    let cell = Corrupt::new("cell of a priority heap", second);
    assert_eq!(heap.verify(), [cell]);
    assert_eq!((heap.recover(), heap.verify()), (Ok(false), vec![cell]));
    assert_eq!(drain(&heap).len(), 2);
}

#[test]
fn an_operation_that_was_not_finished_is_told_of_until_it_is_recovered() {
    let (fenced, heap) = heap(2, 4, 1);
    heap.push(&[7], 1).unwrap();
    fenced.overwrite(48, &[1]);
    assert_eq!(heap.push(&[8], 1), Err(PriorityHeapError::Interrupted));
    assert_eq!(heap.pop(&mut [0]), Err(PriorityHeapError::Interrupted));
    assert_eq!(heap.peek(&mut [0]), Err(PriorityHeapError::Interrupted));
    assert_eq!(heap.verify().len(), 1);
    assert_eq!(heap.recover(), Ok(true));
    assert_eq!(drain(&heap), [(1, vec![7])]);
}
