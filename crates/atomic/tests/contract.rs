//! The contract's operations do what those of `core` do: under the std face, under crash, and under explore outside
//! a model.
#![cfg(not(weyr_face = "loom"))]

use weyr_atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence, fence, hint, thread};

macro_rules! operations_answer_the_former_value {
    ($test:ident, $atomic:ident, $value:ident) => {
        #[test]
        fn $test() {
            let word = $atomic::new(3);
            assert_eq!(word.swap(5, Ordering::AcqRel), 3);
            assert_eq!(word.fetch_add(4, Ordering::Relaxed), 5);
            assert_eq!(word.fetch_sub(1, Ordering::Relaxed), 9);
            assert_eq!(word.fetch_or(1, Ordering::Relaxed), 8);
            assert_eq!(word.fetch_and(3, Ordering::Relaxed), 9);
            assert_eq!(word.fetch_max(7, Ordering::Relaxed), 1);
            assert_eq!(word.compare_exchange(6, 2, Ordering::AcqRel, Ordering::Acquire), Err(7));
            assert_eq!(word.compare_exchange(7, 2, Ordering::AcqRel, Ordering::Acquire), Ok(7));
            word.store($value::MAX, Ordering::Release);
            assert_eq!(word.fetch_add(1, Ordering::Relaxed), $value::MAX);
            assert_eq!(word.load(Ordering::Acquire), 0);
        }
    };
}

operations_answer_the_former_value!(bytes_answer_the_former_value_and_wrap, AtomicU8, u8);
operations_answer_the_former_value!(words_answer_the_former_value_and_wrap, AtomicU32, u32);
operations_answer_the_former_value!(double_words_answer_the_former_value_and_wrap, AtomicU64, u64);

#[test]
fn fences_and_hints_return() {
    fence(Ordering::SeqCst);
    compiler_fence(Ordering::SeqCst);
    hint::spin_loop();
    thread::yield_now();
}
