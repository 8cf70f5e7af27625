//! Requests on pools that this process cannot reach, and what is known of such a pool without reaching it.
#![forbid(unsafe_code)]

mod asked;
mod scratch;

use std::time::Duration;

use asked::{Elsewhere, ask};
use scratch::{Scratch, assert_sound, attributes};
use weyr_managed::{
    AllocationMode, Error, Growth, Operation, Pool, PoolAttributes, PoolDescriptor, PoolReference, PoolType,
    Request, RequestKind, Response,
};

/// As another host has it.
fn of_another_host(descriptor: &PoolDescriptor) -> PoolDescriptor {
    PoolDescriptor { host: !descriptor.host, ..descriptor.clone() }
}

#[test]
fn a_pool_that_this_process_never_attached_is_made_used_and_destroyed_by_another() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut elsewhere = Elsewhere::new();
    let wanted =
        PoolAttributes::new("elsewhere", 1 << 20).directory(directory.path()).growth(Growth::UpTo(2 << 20));
    let pool = elsewhere.ask(Request::create(&wanted)).unwrap();
    assert_eq!(elsewhere.ask(Request::create(&wanted)), Err(Error::NameTaken { name: "elsewhere".into() }));
    let frame = elsewhere.ask(Request::allocate_typed(&pool, 5000, 7, 42)).unwrap();
    let taken = Error::KeyTaken { type_id: 7, id: 42 };
    assert_eq!(elsewhere.ask(Request::allocate_typed(&pool, 1, 7, 42)), Err(taken));
    assert_eq!(elsewhere.ask(Request::find(&pool, 7, 42)), Ok(frame));
    let within = elsewhere.ask(Request::allocate_within(&pool, 4 << 20, Duration::from_secs(1 << 40)));
    assert_eq!(within, Err(Error::TooLarge { bytes: 4 << 20, limit: 2 << 20 }));
    let plain = elsewhere.ask(Request::allocate(&pool, 64)).unwrap();
    assert_eq!(elsewhere.ask(Request::usage(&pool)).unwrap().total.blocks, 2);
    assert_eq!(elsewhere.ask(Request::allocations(&pool)).unwrap().len(), 2);
    assert_eq!(elsewhere.ask(Request::manifest(&pool)).unwrap()[0].reference, frame.reference);
    assert_eq!(elsewhere.ask(Request::free(&pool, &plain)), Ok(()));
    let again = elsewhere.ask(Request::free(&pool, &plain));
    assert_eq!(again, Err(Error::DoubleFree { offset: plain.reference.offset }));
    assert_eq!(elsewhere.ask(Request::destroy(&pool)), Ok(()));
    let gone = elsewhere.ask(Request::usage(&pool));
    assert!(matches!(gone, Err(Error::NoSuchPool { .. })), "{gone:?}");
    elsewhere.kill();
}

#[test]
fn what_was_asked_for_outlives_who_executed_it() {
    let pool = Scratch::new("outlives", 1 << 20);
    let mut elsewhere = Elsewhere::new();
    let descriptor = elsewhere.ask(Request::allocate(&pool.descriptor(), 1000)).unwrap();
    let zeroed =
        Request::allocate_with(&pool.descriptor(), 70_000, AllocationMode::Zeroed(4096), Some((1, 1)));
    elsewhere.ask(zeroed).unwrap();
    elsewhere.kill();
    pool.recover();
    assert_sound(&pool, 2);
    let found = pool.find(1, 1).unwrap();
    assert!(found.reference().offset.is_multiple_of(4096));
    found.free().unwrap();
    pool.open(&descriptor).unwrap().free().unwrap();
    assert_sound(&pool, 0);
}

#[test]
fn memory_that_is_freed_elsewhere_ends_the_wait_of_a_request() {
    let pool = Scratch::new("request-waits", 1 << 20);
    let all = pool.alloc(1 << 20).unwrap();
    let descriptor = pool.descriptor();
    let waiting = std::thread::spawn({
        let descriptor = descriptor.clone();
        move || ask(Request::allocate_with(&descriptor, 1 << 19, AllocationMode::Blocking, None))
    });
    while pool.waiters() == 0 && !waiting.is_finished() {
        std::thread::yield_now();
    }
    drop(all);
    let block = waiting.join().unwrap().unwrap();
    assert_eq!(ask(Request::free(&descriptor, &block)), Ok(()));
}

#[test]
fn every_attribute_of_a_pool_arrives() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let wanted = PoolAttributes::new("attributes", 2 << 20)
        .pool_type(PoolType::File)
        .directory(directory.path())
        .mode(0o640)
        .growth(Growth::UpTo(8 << 20))
        .segment_size(1 << 20)
        .page_size(8192)
        .processes(9)
        .lanes(10)
        .channels(11)
        .manifest_entries(12)
        .commit(true)
        .zeroing(true);
    let (request, _) = Request::create(&wanted);
    let there = Request::from_bytes(&request.to_bytes()).unwrap();
    assert_eq!(there.operation(), &Operation::Create { attributes: wanted.clone() });
    let pool = Pool::attach_descriptor(&ask(Request::create(&wanted)).unwrap()).unwrap();
    assert_eq!((pool.pool_type(), pool.size(), pool.maximum_size()), (PoolType::File, 2 << 20, 8 << 20));
    assert_eq!((pool.process_limit(), pool.usage().page_bytes, pool.usage().manifest_limit), (9, 8192, 12));
    pool.destroy().unwrap();
}

#[test]
fn a_pool_that_nobody_would_keep_is_not_created_by_request() {
    for (kind, name) in [(PoolType::Private, "private"), (PoolType::Sealed, "sealed")] {
        match ask(Request::create(&attributes("nameless", 1 << 20).pool_type(kind))) {
            Err(Error::InvalidAttribute { attribute: "type", reason }) => assert!(reason.contains(name)),
            other => panic!("{other:?}"),
        }
    }
    let lent = attributes("lent", 1 << 20).pool_type(PoolType::Lent);
    assert_eq!(ask(Request::create(&lent)).unwrap_err(), Pool::create(&lent).unwrap_err());
}

#[test]
fn a_pool_without_a_name_is_served_by_who_has_it() {
    let pool = Pool::create(&attributes("sealed", 1 << 20).pool_type(PoolType::Sealed)).unwrap();
    let descriptor = pool.descriptor();
    let block = ask(Request::allocate(&descriptor, 100)).unwrap();
    pool.open(&block).unwrap().free().unwrap();
    let uuid = pool.uuid();
    drop(pool);
    assert_eq!(ask(Request::allocate(&descriptor, 100)), Err(Error::Nameless { uuid }));
}

#[test]
fn who_executes_looks_at_what_it_is_and_may_refuse() {
    let pool = Scratch::new("refusal", 1 << 20);
    let (request, completion) = Request::destroy(&pool.descriptor());
    assert_eq!(
        (request.kind(), request.operation().pool()),
        (RequestKind::Destroy, Some(&pool.descriptor()))
    );
    assert_eq!((request.id(), request.kind().name()), (completion.id(), "destroy a pool"));
    let refused = Error::PermissionDenied { name: pool.name().into() };
    let response = Response::refusal(&request, refused.clone());
    assert_eq!((response.error(), response.kind()), (Some(&refused), RequestKind::Destroy));
    assert_eq!(completion.complete(&Response::from_bytes(&response.to_bytes()).unwrap()), Err(refused));
    assert!(!pool.is_destroyed());
}

#[test]
fn a_response_to_another_request_is_refused_and_the_right_one_still_completes() {
    let pool = Scratch::new("another-request", 1 << 20);
    let (first, of_first) = Request::allocate(&pool.descriptor(), 64);
    let (second, of_second) = Request::allocate(&pool.descriptor(), 64);
    assert_ne!(first.id(), second.id());
    let (to_first, to_second) = (first.execute(), second.execute());
    let refused = Error::OtherRequest { found: second.id(), expected: first.id() };
    assert_eq!(of_first.complete(&to_second), Err(refused));
    let blocks = [of_first.complete(&to_first).unwrap(), of_second.complete(&to_second).unwrap()];
    assert_ne!(blocks[0], blocks[1]);
    assert_eq!(of_first.complete(&to_first), Ok(blocks[0]));
}

#[test]
fn a_descriptor_of_another_host_attaches_without_memory() {
    let pool = Scratch::new("other-host", 1 << 20);
    let there = of_another_host(&pool.descriptor());
    let reference = PoolReference::attach(&there).unwrap();
    assert!(!reference.is_local() && !there.is_local());
    assert_eq!((reference.host(), reference.uuid()), (there.host, pool.uuid()));
    assert_eq!((reference.file_name(), reference.descriptor()), (pool.path(), &there));
    let not_local = Error::OtherHost { found: there.host, expected: pool.descriptor().host };
    assert_eq!(reference.local().unwrap_err(), not_local);
    // Whoever is asked on a host that it does not lie on says so, as itself.
    assert_eq!(ask(Request::usage(reference.descriptor())).unwrap_err(), not_local);
    assert_eq!(ask(Request::destroy(&there)), Err(not_local));
    assert!(!pool.is_destroyed());

    let here = PoolReference::attach(&pool.descriptor()).unwrap();
    assert!(here.is_local() && pool.descriptor().is_local());
    assert_eq!(here.local().unwrap().uuid(), pool.uuid());
    let other = PoolDescriptor { uuid: 1, ..pool.descriptor() };
    assert!(matches!(PoolReference::attach(&other), Err(Error::WrongPool { found: 1, .. })));
}

/// Runs this test again, in a process with such a variable.
fn again(test: &str, variable: &str, value: &str) -> bool {
    let program = std::env::current_exe().unwrap();
    let run = std::process::Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(variable, value)
        .output();
    let run = run.unwrap();
    run.status.success() && String::from_utf8_lossy(&run.stdout).contains("1 passed")
}

#[test]
fn a_pool_is_attached_from_an_environment_variable() {
    const VARIABLE: &str = "WEYR_TEST_DESCRIPTOR";
    let Some(text) = std::env::var_os(VARIABLE) else {
        let missing = PoolReference::attach_from_environment(VARIABLE).unwrap_err();
        assert_eq!(missing, Error::NoDescriptor { variable: VARIABLE.into() });
        let pool = Scratch::new("environment", 1 << 20);
        let test = "a_pool_is_attached_from_an_environment_variable";
        assert!(again(test, VARIABLE, &pool.descriptor().to_string()));
        assert!(again(test, VARIABLE, &of_another_host(&pool.descriptor()).to_string()));
        assert!(again(test, VARIABLE, "no descriptor"));
        return;
    };
    let found = PoolReference::attach_from_environment(VARIABLE);
    match PoolDescriptor::from_environment(VARIABLE) {
        Ok(descriptor) => {
            let reference = found.unwrap();
            assert_eq!((reference.descriptor(), reference.is_local()), (&descriptor, descriptor.is_local()));
            assert_eq!(reference.local().is_ok(), descriptor.is_local());
        }
        Err(error) => {
            assert_eq!((text.to_str(), found.unwrap_err()), (Some("no descriptor"), error.clone()));
            assert!(matches!(error, Error::DamagedDescriptor { .. }));
        }
    }
}
