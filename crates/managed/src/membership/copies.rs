//! Several copies of this library in one process are several participants.
//!
//! A program can have weyr twice: in its own code and in a shared object that it loads. Each copy has statics of its
//! own, so it finds none of the other's attachments and joins a pool for itself: with a process slot, a lock on an open
//! file description, lanes and a mapping. Here that is brought about by attaching past the list of what is attached.

use weyr_sys::object::Access;

use crate::{Error, Mode, Pool, PoolAttributes, Taken, pool::opening};

/// As another copy of the library would attach it.
fn attach_as_a_copy(pool: &Pool) -> Pool {
    let object = opening::open(pool.path(), Access::ReadWrite).unwrap();
    let attachment = opening::attach(object, pool.path(), Access::ReadWrite).unwrap();
    attachment.membership().unwrap();
    Pool::register(attachment)
}

#[test]
fn two_copies_in_one_process_are_two_participants() {
    let name = format!("test-copies-{}", std::process::id());
    let one = Pool::create(&PoolAttributes::new(name, 256 << 10)).unwrap();
    let two = attach_as_a_copy(&one);
    let (first, second) = (one.actor().unwrap().process, two.actor().unwrap().process);
    assert_ne!(first, second);
    let members = one.members();
    assert_eq!(members.iter().map(|member| member.actor.process).collect::<Vec<_>>(), [first, second]);
    assert!(members.iter().all(|member| member.pid == std::process::id() && !member.dead));
    assert!(!one.recover().any() && !two.recover().any());

    // What one owns the other cannot take, before it is given.
    let mut memory = one.alloc(100).unwrap();
    memory.fill(7).unwrap();
    let reference = memory.reference();
    assert!(matches!(two.begin_transfer(reference), Err(Error::WrongState { .. })));
    one.begin_transfer(reference).unwrap();
    one.end_transfer(memory).unwrap();
    let Taken::Owned(memory) = two.take_transfer(reference, 100).unwrap() else { panic!("it was owned") };
    assert!(matches!(one.begin_transfer(reference), Err(Error::WrongState { .. })));
    let mut bytes = [0; 100];
    memory.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [7; 100]);
    let published = one.alloc(5000).unwrap().publish().unwrap();
    two.open(&published.descriptor()).unwrap().free().unwrap();

    // One goes, and the other keeps what is its own.
    drop((published, one));
    assert_eq!(two.members().iter().map(|member| member.actor.process).collect::<Vec<_>>(), [second]);
    assert!(!two.recover().any());
    assert_eq!(two.usage().total.blocks, 1);
    drop(memory);
    drop(two.alloc(256 << 10).unwrap());
    let verification = two.verify(Mode::Quiesced);
    assert!(verification.holds() && verification.blocks == 0, "{:#?}", verification.findings);
    two.destroy().unwrap();
}
