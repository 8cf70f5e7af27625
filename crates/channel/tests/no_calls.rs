//! What moves a message calls the kernel only where somebody sleeps, or to let others run.
#![cfg(all(
    target_arch = "x86_64",
    not(any(weyr_face = "loom", weyr_face = "explore", weyr_face = "crash"))
))]
#![forbid(unsafe_code)]

mod pools;

use std::collections::BTreeMap;

use pools::TestPool;
use weyr_channel::{Channel, WaitMode};
use weyr_kill::{child, note, system_calls_during};

/// sched_yield(2) on this architecture.
const SCHED_YIELD: u64 = 24;
const ROUNDS: u64 = 2000;

fn round_trips(out: &Channel, back: &Channel) {
    let sender = out.sender().with_wait_mode(WaitMode::Spin);
    let receiver = back.receiver().with_wait_mode(WaitMode::Spin);
    for number in 0..ROUNDS {
        let mut bytes = [0; 8];
        sender.send(&number.to_le_bytes()).unwrap();
        receiver.receive_into(&mut bytes).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), number);
    }
}

fn echo(out: &Channel, back: &Channel) {
    let receiver = out.receiver().with_wait_mode(WaitMode::Spin);
    let sender = back.sender().with_wait_mode(WaitMode::Spin);
    let mut bytes = [0; 8];
    while receiver.receive_into(&mut bytes).is_ok() {
        sender.send(&bytes).unwrap();
    }
}

#[test]
fn a_message_that_nobody_waits_for_costs_no_system_call() {
    let pool = TestPool::new("no-calls");
    let channel = pool.channel(8);
    let both = |channel: &mut Channel| {
        for _ in 0..ROUNDS {
            (0..8).for_each(|byte| channel.try_send(&[byte]).unwrap());
            let mut bytes = [0; 8];
            (0..8).for_each(|_| assert_eq!(channel.receiver().try_receive_into(&mut bytes), Ok(1)));
        }
    };
    let prepare = || {
        let own = channel.clone();
        // This process's place in the pool, and its clocks.
        own.try_send(b"first").unwrap();
        own.try_receive().unwrap();
        own
    };
    assert_eq!(system_calls_during(prepare, both, 120).unwrap(), BTreeMap::new());
}

#[test]
fn a_spinning_round_trip_calls_only_to_let_others_run() {
    let pool = TestPool::new("spinning-calls");
    let (out, back) = (pool.channel(4), pool.channel(4));
    let (theirs, ours) = ((out.clone(), back.clone()), (out.clone(), back.clone()));
    let mut other = child::spawn(|| echo(&theirs.0, &theirs.1)).unwrap();
    let prepare = || {
        ours.0.send(&[1; 8]).unwrap();
        ours.1.receive().unwrap();
        ours.clone()
    };
    let calls = system_calls_during(prepare, |(out, back)| round_trips(out, back), 120).unwrap();
    out.destroy().unwrap();
    assert_eq!(other.wait().unwrap(), weyr_kill::Outcome::Exited(0));
    let yields = calls.get(&SCHED_YIELD).copied().unwrap_or(0);
    let others: BTreeMap<_, _> = calls.into_iter().filter(|(number, _)| *number != SCHED_YIELD).collect();
    note(format_args!("spinning: {ROUNDS} rounds, {yields} yields, other system calls: {others:?}"));
    // futex(2) is 202, and waiting in any other way is a call as well: what is left are looks at whether the other
    // still lives, for whom it kept waiting longer than patience lasts.
    let looks = others.values().sum::<u64>();
    assert!(!others.contains_key(&202), "{others:?}");
    assert!(looks <= ROUNDS / 2, "{others:?}");
}
