//! `weyr pool grow`, `trim` and `copy`.

mod command;

use command::{Pools, text};
use weyr::Pool;

#[test]
fn a_pool_grows_by_segments_until_it_may_not() {
    let pools = Pools::new();
    let create = ["pool", "create", "growing", "--size", "1M", "--grow", "4M", "--segment-size", "1M"];
    assert_eq!(pools.json(&create).1, 0);
    let (report, code) = pools.json(&["pool", "grow", "growing", "--segments", "2"]);
    assert_eq!((code, report["size_bytes"].as_u64()), (0, Some(3 << 20)), "{report}");
    assert_eq!(Pool::attach_in(pools.directory(), "growing").unwrap().size(), 3 << 20);
    let refused = pools.run(&["pool", "grow", "growing", "--segments", "2"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("may not be larger than its 4.00 MiB"), "{}", text(&refused));
    assert_eq!(pools.run(&["pool", "grow", "missing"]).status.code(), Some(3));
}

#[test]
fn a_trimmed_pool_has_less_memory_and_all_of_its_content() {
    let pools = Pools::new();
    assert_eq!(pools.json(&["pool", "create", "large", "--size", "32M"]).1, 0);
    let pool = Pool::attach_in(pools.directory(), "large").unwrap();
    let kept = pool.alloc_typed(4, 1, 1).unwrap();
    kept.write(0, b"kept").unwrap();
    pool.alloc(20 << 20).unwrap().fill(1).unwrap();
    let (report, code) = pools.json(&["pool", "trim", "large"]);
    assert_eq!(code, 0, "{report}");
    assert!(report["given_bytes"].as_u64().unwrap() >= 18 << 20, "{report}");
    let mut bytes = [0; 4];
    pool.find(1, 1).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    let shown = pools.run(&["pool", "trim", "large"]);
    assert!(text(&shown).contains("trimmed large: "), "{}", text(&shown));
}

#[test]
fn a_copy_is_another_pool_with_the_same_content() {
    let (pools, elsewhere) = (Pools::new(), tempfile::tempdir().unwrap());
    let words = ["pool", "copy", "original", "copied", "--to", elsewhere.path().to_str().unwrap()];
    assert_eq!(pools.json(&["pool", "create", "original", "--size", "1M"]).1, 0);
    let pool = Pool::attach_in(pools.directory(), "original").unwrap();
    pool.alloc_typed(4, 1, 1).unwrap().write(0, b"copy").unwrap();
    let busy = pools.run(&words);
    assert_eq!(busy.status.code(), Some(1));
    assert!(text(&busy).contains("is in use by 1 process"), "{}", text(&busy));
    drop(pool);
    let (report, code) = pools.json(&words);
    assert_eq!(code, 0, "{report}");
    let copy = Pool::attach_in(elsewhere.path(), "copied").unwrap();
    let mut bytes = [0; 4];
    copy.find(1, 1).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"copy");
    drop(copy);
    assert_eq!(pools.run(&words).status.code(), Some(3), "the name is taken");
}
