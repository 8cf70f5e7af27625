//! Death, and a stop, before each shared write of waiting for an event and of triggering it.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod awaited;
mod ended;
mod scratch;

use awaited::{PAYLOAD, Pair, late, may_find_nobody, settle, use_beside};
use ended::End;
use scratch::{Line, Scratch, assert_whole, attributes};
use weyr_atomic::{AtomicU64, Ordering, crash};
use weyr_kill::{Child, Outcome, child, note, writes_to_end_at};
use weyr_managed::PoolBroadcast;
use weyr_shared::WaitMode;

/// What the child is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// It waits, and triggers that before it sleeps.
    WaitAndTrigger,
    /// It waits asleep, and this process triggers.
    WaitAsleep,
    /// It triggers all, and this process waits twice.
    TriggerAll,
}

impl Act {
    fn operate(self, event: &PoolBroadcast) {
        match self {
            Self::WaitAndTrigger => {
                let waiter = event.register(WaitMode::Idle).unwrap();
                may_find_nobody(event.trigger_one(&PAYLOAD));
                assert_eq!(waiter.wait().unwrap(), PAYLOAD);
            }
            Self::WaitAsleep => assert_eq!(event.wait(WaitMode::Idle).unwrap(), PAYLOAD),
            Self::TriggerAll => may_find_nobody(event.trigger_all_until(&PAYLOAD, late())),
        }
    }
}

/// One end. Returns the child's writes, if it came to its end.
fn run(act: Act, end: End) -> u64 {
    let pool = Scratch::with(attributes("crash-broadcast", 512 << 10).page_size(4096));
    let event = pool.create_broadcast(&awaited::attributes()).unwrap();
    let line = Line::new();
    let pair = (act == Act::TriggerAll).then(|| Pair::of(&event));
    let child = child::spawn(|| {
        let event = awaited::open(&pool, &event.descriptor().unwrap());
        end.arm();
        act.operate(&event);
        line.to_parent.send(crash::disarm()).unwrap();
    })
    .unwrap();
    let writes = while_triggering(act == Act::WaitAsleep, &event, || {
        bring_to(end, &event, pair.as_ref(), &line, child)
    });
    pair.into_iter().for_each(|pair| pair.look(&event));
    settle(&pool, &event);
    event.destroy_until(late()).unwrap();
    drop(event);
    assert_whole(&pool);
    writes
}

/// Does `work`, while another thread triggers whoever waits, if `asleep`.
fn while_triggering(asleep: bool, event: &PoolBroadcast, work: impl FnOnce() -> u64) -> u64 {
    let done = AtomicU64::new(u64::from(!asleep));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Acquire) == 0 {
                may_find_nobody(event.trigger_all_until(&PAYLOAD, late()));
                std::thread::yield_now();
            }
        });
        let writes = work();
        done.store(1, Ordering::Release);
        writes
    })
}

fn bring_to(end: End, event: &PoolBroadcast, pair: Option<&Pair<'_>>, line: &Line, mut child: Child) -> u64 {
    match end {
        End::AfterAll => return finish(line, &mut child),
        // What the other does at the same time makes for a write more or less; then it came to its end.
        End::Killed(_) => drop(child.wait().unwrap()),
        End::StoppedThenContinued(_) | End::StoppedThenKilled(_) => {
            if child.wait_stopped().is_err() {
                return 0;
            }
            match pair {
                Some(pair) => pair.look_beside(event),
                None => use_beside(event),
            }
            if matches!(end, End::StoppedThenKilled(_)) {
                child.kill().unwrap();
                assert!(child.wait().unwrap().was_killed());
            } else {
                child.cont().unwrap();
                finish(line, &mut child);
            }
        }
    }
    0
}

fn finish(line: &Line, child: &mut Child) -> u64 {
    let writes = line.to_parent.wait_from(child).expect("it comes to its end");
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    writes
}

fn sweep(name: &str, act: Act, floor: u64) {
    let points = run(act, End::AfterAll);
    assert!(points >= floor, "{name}: only {points} writes");
    let writes = writes_to_end_at(points);
    for &write in &writes {
        for end in [End::Killed(write), End::StoppedThenContinued(write), End::StoppedThenKilled(write)] {
            run(act, end);
        }
    }
    let points = writes.len();
    note(format_args!("crash {name}: {points} points, killed, stopped and continued, stopped and killed"));
}

#[test]
fn waiting_for_what_comes_at_once() {
    sweep("event, wait and trigger one", Act::WaitAndTrigger, 12);
}

#[test]
fn waiting_asleep() {
    sweep("event, wait asleep", Act::WaitAsleep, 5);
}

#[test]
fn triggering_all() {
    sweep("event, trigger all", Act::TriggerAll, 10);
}
