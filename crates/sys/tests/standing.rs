//! Who is alive: processes in every state that death has.

mod child;

use child::{Child, Parent, may_administer};
use weyr_sys::process::{Identity, Standing, current, standing};
use weyr_sys::thread;

/// Tells who this process is.
fn introduce(parent: &mut Parent) {
    let me = current();
    parent.tell(me.pid.into());
    parent.tell(me.start_time);
    parent.tell(me.pid_namespace);
}

fn introduced(child: &mut Child) -> Identity {
    let mut next = || child.hear().expect("the child tells");
    Identity { pid: next() as u32, start_time: next(), pid_namespace: next() }
}

#[test]
fn a_running_child_is_alive_a_zombie_and_a_reaped_one_are_gone() {
    let mut child = Child::fork(|parent| {
        introduce(parent);
        parent.wait();
    });
    let identity = introduced(&mut child);
    assert_eq!(identity.pid, child.pid as u32);
    assert_eq!(standing(&identity), Standing::Alive);
    child.kill();
    child.wait_unreaped();
    assert_eq!(standing(&identity), Standing::Gone, "a zombie");
    child.reap();
    assert_eq!(standing(&identity), Standing::Gone, "no such process");
}

#[test]
fn a_stopped_process_is_alive() {
    let mut child = Child::fork(|parent| {
        introduce(parent);
        parent.wait();
    });
    let identity = introduced(&mut child);
    child.signal(libc::SIGSTOP);
    // SAFETY: the status is not asked for; the call returns when the child has stopped.
    unsafe { libc::waitpid(child.pid, std::ptr::null_mut(), libc::WUNTRACED) };
    assert_eq!(standing(&identity), Standing::Alive);
}

fn state_of(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

#[test]
fn a_process_lives_while_any_thread_does_although_its_first_is_a_zombie() {
    let mut child = Child::fork(|parent| {
        introduce(parent);
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
        // SAFETY: ends this thread alone, and nothing on its stack is used by others.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    let identity = introduced(&mut child);
    while state_of(child.pid) != Some('Z') {
        std::thread::yield_now();
    }
    assert_eq!(standing(&identity), Standing::Alive);
    assert_eq!(thread::standing(&identity, identity.pid, identity.start_time), Standing::Gone);
    child.kill();
    child.wait_unreaped();
    assert_eq!(standing(&identity), Standing::Gone);
}

#[test]
fn a_child_still_knows_itself_when_its_first_thread_is_a_zombie() {
    let mut child = Child::fork(|parent| {
        introduce(parent);
        let mut parent = Parent::again(parent);
        std::thread::spawn(move || {
            parent.wait();
            introduce(&mut parent);
        });
        // SAFETY: ends this thread alone, and nothing on its stack is used by others.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    let before = introduced(&mut child);
    while state_of(child.pid) != Some('Z') {
        std::thread::yield_now();
    }
    child.go_on();
    assert_eq!(introduced(&mut child), before);
}

#[test]
fn threads_of_another_process_can_be_judged() {
    let mut child = Child::fork(|parent| {
        introduce(parent);
        parent.tell(thread::id().into());
        parent.tell(thread::start_time(thread::id()).expect("this thread runs"));
        parent.wait();
    });
    let identity = introduced(&mut child);
    let (tid, start) = (child.hear().expect("told") as u32, child.hear().expect("told"));
    assert_eq!(thread::standing(&identity, tid, start), Standing::Alive);
    assert_eq!(thread::standing(&identity, thread::id(), start), Standing::Gone, "a thread of ours");
    child.kill_and_reap();
    assert_eq!(thread::standing(&identity, tid, start), Standing::Gone);
}

#[test]
fn a_process_of_another_pid_namespace_is_unknown_from_both_sides() {
    if !may_administer("a_process_of_another_pid_namespace_is_unknown_from_both_sides") {
        return;
    }
    let me = current();
    let mut maker = Child::fork(|parent| {
        // SAFETY: only children of this process are concerned.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
        let mut first = Child::fork(|maker| {
            // Its /proc is that of the test: it must not take another process for itself.
            introduce(maker);
            assert_eq!(standing(&me), Standing::Unknown);
            assert_eq!(standing(&current()), Standing::Unknown);
        });
        let identity = introduced(&mut first);
        parent.tell(u64::from(identity.pid));
        parent.tell(identity.start_time);
        parent.tell(identity.pid_namespace);
        assert_eq!(first.reap(), 0);
    });
    let inner = introduced(&mut maker);
    assert_eq!((inner.pid, inner.start_time, inner.pid_namespace), (1, 0, 0));
    assert_eq!(standing(&inner), Standing::Unknown);
    assert_eq!(maker.reap(), 0);
}

#[test]
fn a_process_is_alive_to_users_who_may_not_signal_it() {
    if !may_administer("a_process_is_alive_to_users_who_may_not_signal_it") {
        return;
    }
    let me = current();
    let mut stranger = Child::fork(|_| {
        // SAFETY: changes the user of this process alone, which has one thread.
        assert_eq!(unsafe { libc::setuid(65_534) }, 0);
        // SAFETY: signal 0 is never delivered.
        assert_eq!(unsafe { libc::kill(me.pid as i32, 0) }, -1);
        assert_eq!(standing(&me), Standing::Alive);
    });
    assert_eq!(stranger.reap(), 0);
}
