//! The lock of an address space: what keeps it, and what ends it.

mod child;

use child::{Child, Parent, enter_own_mounts, may_administer, mount};
use std::path::Path;
use weyr_sys::Errno;
use weyr_sys::object::{Access, Object};
use weyr_sys::presence::{acquire, is_held};

fn memory() -> Object {
    let object = Object::memory("presence").expect("a memfd");
    object.set_len(1 << 16).expect("a length");
    object
}

fn close_all_but(keep: [i32; 2]) {
    for descriptor in (3..1024).filter(|descriptor| !keep.contains(descriptor)) {
        // SAFETY: the process uses no descriptor afterwards but those kept.
        unsafe { libc::close(descriptor) };
    }
}

/// A child that holds `byte` and says so; it lives until it is let go.
fn holder(object: &Object, byte: u64) -> Child {
    let mut holder = Child::fork(|parent| {
        let _held = acquire(object, byte).expect("no error").expect("nobody holds it");
        parent.tell(1);
        parent.wait();
    });
    assert_eq!(holder.hear(), Some(1));
    holder
}

#[test]
fn a_byte_has_one_holder_at_a_time() {
    let object = memory();
    assert_eq!(is_held(&object, 7), Ok(false));
    let held = acquire(&object, 7).expect("no error").expect("nobody holds it");
    assert_eq!(held.byte(), 7);
    assert_eq!(is_held(&object, 7), Ok(true));
    assert!(acquire(&object, 7).expect("no error").is_none());
    drop(held);
    assert_eq!(is_held(&object, 7), Ok(false));
    assert!(acquire(&object, 7).expect("no error").is_some());
}

#[test]
fn bytes_are_independent_and_may_lie_beyond_the_object() {
    let object = memory();
    let _held = acquire(&object, 1 << 40).expect("no error").expect("nobody holds it");
    assert_eq!(is_held(&object, 1 << 40), Ok(true));
    assert_eq!(is_held(&object, (1 << 40) + 1), Ok(false));
    assert_eq!(is_held(&object, (1 << 40) - 1), Ok(false));
}

#[test]
fn a_byte_that_no_file_has_is_an_error() {
    let object = memory();
    assert_eq!(acquire(&object, u64::MAX).err(), Some(Errno::OVERFLOW));
    assert_eq!(is_held(&object, i64::MAX as u64), Err(Errno::OVERFLOW));
}

#[test]
fn a_reader_sees_that_a_byte_is_held() {
    let object = memory();
    let reader = object.reopen(Access::ReadOnly).expect("opened again");
    let _held = acquire(&object, 3).expect("no error").expect("nobody holds it");
    assert_eq!(is_held(&reader, 3), Ok(true));
    assert_eq!(is_held(&reader, 4), Ok(false));
}

#[test]
fn presence_survives_closing_all_descriptors_and_ends_with_the_kill() {
    let object = memory();
    let mut holder = Child::fork(|parent| {
        let _held = acquire(&object, 5).expect("no error").expect("nobody holds it");
        close_all_but(parent.descriptors());
        parent.tell(1);
        parent.wait();
    });
    assert_eq!(holder.hear(), Some(1));
    assert_eq!(is_held(&object, 5), Ok(true));
    assert!(acquire(&object, 5).expect("no error").is_none());
    holder.kill_and_reap();
    assert_eq!(is_held(&object, 5), Ok(false));
}

/// Forks a child of its own that outlives it until the test ends, and tells the child's number.
fn hold_and_fork(object: &Object, parent: &mut Parent) {
    let _held = acquire(object, 9).expect("no error").expect("nobody holds it");
    // SAFETY: the child only waits, and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            parent.tell(u64::from(std::process::id()));
            parent.wait();
        }
        _ => loop {
            std::thread::park();
        },
    }
}

#[test]
fn a_forked_child_does_not_keep_the_presence_of_its_parent() {
    let object = memory();
    let mut holder = Child::fork(|parent| hold_and_fork(&object, parent));
    let grandchild = holder.hear().expect("the grandchild lives");
    assert_eq!(is_held(&object, 9), Ok(true));
    holder.kill_and_reap();
    assert_eq!(is_held(&object, 9), Ok(false));
    // SAFETY: signal 0 is never delivered.
    assert_eq!(unsafe { libc::kill(grandchild as i32, 0) }, 0, "the grandchild is alive");
}

#[test]
fn a_forked_child_that_drops_what_it_inherited_takes_nothing_from_its_parent() {
    let object = memory();
    let mut held = Some(acquire(&object, 2).expect("no error").expect("nobody holds it"));
    let mut child = Child::fork(|_| drop(held.take()));
    assert_eq!(child.reap(), 0);
    assert_eq!(is_held(&object, 2), Ok(true));
}

#[test]
fn children_forked_while_another_thread_acquires_keep_nothing() {
    let object = memory();
    let stop = std::sync::mpsc::channel::<()>();
    let children = std::thread::scope(|scope| {
        let (object, stopped) = (&object, stop.1);
        scope.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                drop(acquire(object, 11).expect("no error").expect("nobody else wants it"));
            }
        });
        let children: Vec<Child> = (0..200).map(|_| Child::fork(Parent::wait)).collect();
        drop(stop.0);
        children
    });
    assert_eq!(is_held(&object, 11), Ok(false), "one of {} children holds it", children.len());
}

#[test]
fn a_forked_child_can_be_present_itself() {
    let object = memory();
    let _mine = acquire(&object, 20).expect("no error").expect("nobody holds it");
    let mut holder = holder(&object, 21);
    assert_eq!(is_held(&object, 21), Ok(true));
    holder.kill_and_reap();
    assert_eq!((is_held(&object, 20), is_held(&object, 21)), (Ok(true), Ok(false)));
}

#[test]
fn exec_ends_the_presence_although_the_process_goes_on() {
    let object = memory();
    let mut holder = Child::fork(|parent| {
        let held = acquire(&object, 6).expect("no error").expect("nobody holds it");
        std::mem::forget(held);
        parent.tell(1);
        parent.wait();
        // The pipe of the test is not inherited: that it closes tells the test that the new program runs.
        let program = c"/bin/sh";
        let arguments = [c"sh".as_ptr(), c"-c".as_ptr(), c"kill -STOP $$".as_ptr(), std::ptr::null()];
        // SAFETY: the arguments end with a null pointer, and each with a zero byte.
        unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
        panic!("exec: {}", std::io::Error::last_os_error());
    });
    assert_eq!(holder.hear(), Some(1));
    assert_eq!(is_held(&object, 6), Ok(true));
    holder.go_on();
    assert_eq!(holder.hear(), None, "the pipe is closed by exec");
    // SAFETY: the status is not asked for; the call returns when the program has stopped itself.
    unsafe { libc::waitpid(holder.pid, std::ptr::null_mut(), libc::WUNTRACED) };
    assert_eq!(is_held(&object, 6), Ok(false));
    assert_eq!(weyr_sys::process::name(holder.pid as u32).as_deref(), Some("sh"));
}

/// Makes an overlay below `directory`, and an object in it.
fn object_on_overlay(directory: &str) -> Object {
    enter_own_mounts();
    mount("none", directory, Some("tmpfs"), 0, "");
    for part in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(format!("{directory}/{part}")).expect("a directory");
    }
    let parts = format!("lowerdir={directory}/lower,upperdir={directory}/upper,workdir={directory}/work");
    let merged = format!("{directory}/merged");
    mount("none", &merged, Some("overlay"), 0, &parts);
    Object::create(&Path::new(&merged).join("pool"), 0o600).expect("an object")
}

#[test]
fn where_a_mapping_does_not_keep_the_lock_the_descriptor_does() {
    if !may_administer("where_a_mapping_does_not_keep_the_lock_the_descriptor_does") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path in UTF-8");
    let mut child = Child::fork(|_| {
        let object = object_on_overlay(path);
        let held = acquire(&object, 4).expect("no error").expect("nobody holds it");
        assert_eq!(is_held(&object, 4), Ok(true));
        drop(held);
        assert_eq!(is_held(&object, 4), Ok(false));
        let mut holder = holder(&object, 4);
        assert_eq!(is_held(&object, 4), Ok(true));
        holder.kill_and_reap();
        assert_eq!(is_held(&object, 4), Ok(false));
    });
    assert_eq!(child.reap(), 0);
}
