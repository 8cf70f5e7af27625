//! Children: how they end, stop, go on and meet.

use std::{
    cell::RefCell,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use weyr_kill::{Outcome, Rendezvous, child};

#[test]
fn a_child_whose_closure_returns_exits_with_zero() {
    assert_eq!(child::spawn(|| {}).unwrap().wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn a_killed_child_says_which_signal() {
    let never = Rendezvous::new().unwrap();
    let mut child = child::spawn(|| drop(never.wait())).unwrap();
    child.kill().unwrap();
    let outcome = child.wait().unwrap();
    assert!(outcome.was_killed(), "{outcome}");
    assert_eq!(child.wait().unwrap(), outcome, "a second wait gives the same answer");
    assert!(child.kill().is_err(), "its process id may be somebody else's by now");
}

#[test]
fn a_dead_child_is_a_zombie_until_it_is_waited_for() {
    let mut child = child::spawn(|| {}).unwrap();
    child.wait_dead().unwrap();
    assert_eq!(state(child.id()), Some('Z'));
    child.wait().unwrap();
    assert_eq!(state(child.id()), None);
}

/// The letter for a process's state; None when there is no such process.
fn state(pid: i32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit(") ").next()?.chars().next()
}

#[test]
fn a_stopped_child_stands_until_it_is_continued() {
    let (go, done) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
    let work = || {
        go.wait().unwrap();
        done.send(42).unwrap();
    };
    let mut child = child::spawn(work).unwrap();
    child.stop().unwrap();
    child.wait_stopped().unwrap();
    go.post().unwrap();
    assert_eq!(state(child.id()), Some('T'));
    child.cont().unwrap();
    assert_eq!(done.wait_from(&child).unwrap(), 42);
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn a_dropped_child_is_killed_and_reaped() {
    let never = Rendezvous::new().unwrap();
    let child = child::spawn(|| drop(never.wait())).unwrap();
    let pid = child.id();
    drop(child);
    assert_eq!(state(pid), None);
}

#[test]
fn a_child_that_drops_its_copy_of_a_brother_does_not_end_it() {
    let never = Rendezvous::new().unwrap();
    let first = RefCell::new(Some(child::spawn(|| drop(never.wait())).unwrap()));
    let mut second = child::spawn(|| drop(first.take())).unwrap();
    assert_eq!(second.wait().unwrap(), Outcome::Exited(0));
    never.post().unwrap();
    assert_eq!(first.take().unwrap().wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn waiting_for_a_child_that_dies_first_ends_with_an_error() {
    let meeting = Rendezvous::new().unwrap();
    let child = child::spawn(|| {}).unwrap();
    let error = meeting.wait_from(&child).unwrap_err();
    assert!(error.to_string().contains("before it came"), "{error}");
}

#[test]
fn a_post_of_a_child_that_is_dead_counts() {
    let meeting = Rendezvous::new().unwrap();
    let mut child = child::spawn(|| meeting.send(3).unwrap()).unwrap();
    child.wait().unwrap();
    assert_eq!(meeting.wait().unwrap(), 3);
}

/// The panicking child of the next test; run by it in a process of its own, so that its stderr can be read.
#[test]
#[ignore = "half of another test"]
fn panicking_child() {
    let outcome = child::spawn(|| panic!("a message from the child")).unwrap().wait().unwrap();
    assert_eq!(outcome, Outcome::Exited(101));
}

#[test]
fn a_panicking_child_exits_with_101_and_its_message_on_stderr() {
    let mut harness = Command::new(std::env::current_exe().unwrap());
    let harness = harness.args(["--exact", "panicking_child", "--ignored"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&harness.stderr);
    assert!(harness.status.success(), "{stderr}");
    assert!(stderr.contains("a message from the child") && stderr.contains("child.rs:"), "{stderr}");
}

#[test]
fn children_of_many_threads_do_not_mix() {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=8).map(|number| scope.spawn(move || meet(number))).collect();
        for (number, thread) in (1..=8).zip(threads) {
            assert_eq!(thread.join().unwrap(), number);
        }
    });
}

fn meet(number: u64) -> u64 {
    let (there, back) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
    let mut child = child::spawn(|| back.send(there.wait().unwrap()).unwrap()).unwrap();
    there.send(number).unwrap();
    let answer = back.wait_from(&child).unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    answer
}

#[test]
fn a_wait_with_a_deadline_tells_those_that_have_not_ended() {
    let never = Rendezvous::new().unwrap();
    let mut child = child::spawn(|| drop(never.wait())).unwrap();
    assert_eq!(child.wait_until(Instant::now()).unwrap(), None);
    child.kill().unwrap();
    let outcome = child.wait_until(Instant::now() + Duration::from_secs(600)).unwrap();
    assert!(outcome.is_some_and(Outcome::was_killed), "{outcome:?}");
    assert_eq!(child.wait_until(Instant::now()).unwrap(), outcome, "a second wait gives the same answer");
}
