//! The filter that makes a kernel forget calls.

use std::{io, sync::mpsc, thread};

use weyr_kill::{Outcome, Refusal, Rendezvous, Syscall, child, refuse, refuse_with};

/// What the kernel says to the call with arguments that no call takes: never a success.
fn answer(call: Syscall) -> i32 {
    const NONSENSE: libc::c_long = -1;
    // SAFETY: with these arguments each of the calls is refused by its own check, and touches nothing.
    let result = unsafe {
        libc::syscall(libc::c_long::from(call.number()), NONSENSE, NONSENSE, NONSENSE, NONSENSE, NONSENSE)
    };
    assert_eq!(result, -1, "{call:?}");
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// What the calls answer in a child that has run `before`.
fn answers_in_a_child(before: impl FnOnce() -> io::Result<()>) -> Vec<i32> {
    let answers = Rendezvous::new().unwrap();
    let work = || {
        before().unwrap();
        for call in Syscall::ALL {
            answers.send(u64::try_from(answer(call)).unwrap()).unwrap();
        }
    };
    let mut child = child::spawn(work).unwrap();
    let found = Syscall::ALL.map(|_| i32::try_from(answers.wait_from(&child).unwrap()).unwrap());
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    found.to_vec()
}

#[test]
fn every_call_can_be_missing() {
    let found = answers_in_a_child(|| refuse(&Syscall::ALL));
    assert_eq!(found, [libc::ENOSYS; Syscall::ALL.len()]);
}

#[test]
fn every_call_can_be_forbidden() {
    let found = answers_in_a_child(|| refuse_with(&Syscall::ALL, Refusal::Forbidden));
    assert_eq!(found, [libc::EPERM; Syscall::ALL.len()]);
}

#[test]
fn one_call_that_is_refused_leaves_the_others_as_they_were() {
    let before = answers_in_a_child(|| Ok(()));
    for (index, call) in Syscall::ALL.into_iter().enumerate() {
        let mut expected = before.clone();
        expected[index] = libc::ENOSYS;
        assert_eq!(answers_in_a_child(|| refuse(&[call])), expected, "{call:?}");
    }
}

#[test]
fn threads_from_before_and_children_from_after_are_refused() {
    let found = answers_in_a_child(|| {
        let (go, going) = mpsc::channel();
        let earlier = thread::spawn(move || {
            going.recv().unwrap();
            answer(Syscall::MemfdCreate)
        });
        refuse(&[Syscall::MemfdCreate])?;
        go.send(()).unwrap();
        assert_eq!(earlier.join().unwrap(), libc::ENOSYS);
        let in_child = child::spawn(|| std::process::exit(answer(Syscall::MemfdCreate))).unwrap().wait()?;
        assert_eq!(in_child, Outcome::Exited(libc::ENOSYS));
        Ok(())
    });
    assert_eq!(found[3], libc::ENOSYS);
}
