//! Any sequence of calls leaves a pool as a plain model of it says.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod calls;

use calls::Calls;
use proptest::prelude::*;
use weyr_atomic::{AtomicU64, Ordering};

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn calls_do_what_a_plain_model_does(calls in prop::collection::vec(any::<[u8; 3]>(), 0..120)) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let made = Calls::new(&format!("test-property-{}-{number}", std::process::id())).make(&calls.concat());
        prop_assert_eq!(made, calls.len());
    }
}
