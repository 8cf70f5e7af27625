//! What is new in a forked child: nonce, process, thread.

mod child;

use child::Child;
use weyr_sys::{fork, process, thread};

#[test]
fn the_nonce_is_never_zero_and_stays_within_a_process() {
    let nonce = fork::nonce();
    assert_ne!(nonce, 0);
    assert_eq!(fork::nonce(), nonce);
    assert_eq!(std::thread::spawn(fork::nonce).join().expect("the thread ends"), nonce);
}

#[test]
fn every_fork_has_a_nonce_of_its_own() {
    let mine = fork::nonce();
    let mut child = Child::fork(|parent| {
        let nonce = fork::nonce();
        parent.tell(nonce);
        let mut grandchild = Child::fork(|child| child.tell(fork::nonce()));
        parent.tell(grandchild.hear().expect("the grandchild tells"));
        assert_eq!(fork::nonce(), nonce);
    });
    let nonces = [mine, child.hear().expect("told"), child.hear().expect("told")];
    assert!(!nonces.contains(&0));
    assert!(nonces[0] != nonces[1] && nonces[1] != nonces[2] && nonces[0] != nonces[2], "{nonces:?}");
    assert_eq!(child.reap(), 0);
    assert_eq!(fork::nonce(), mine);
}

#[test]
fn a_child_that_was_cloned_past_the_library_has_another_nonce() {
    let mine = fork::nonce();
    let mut child = Child::clone_past_the_library(|parent| parent.tell(fork::nonce()));
    let other = child.hear().expect("told");
    assert!(other != 0 && other != mine);
}

#[test]
fn a_forked_child_knows_itself() {
    let (mine, my_thread) = (process::current(), thread::id());
    let mut child = Child::fork(|parent| {
        parent.tell(process::current().pid.into());
        parent.tell(thread::id().into());
    });
    let pid = child.pid as u64;
    assert_eq!((child.hear(), child.hear()), (Some(pid), Some(pid)));
    assert_eq!((process::current(), thread::id()), (mine, my_thread));
}
