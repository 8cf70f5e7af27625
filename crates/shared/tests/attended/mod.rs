//! An event in fenced memory, and users of it that die when a test says so.
#![allow(dead_code, reason = "each test that has this module uses a part of it")]

use std::sync::{Arc, Mutex};

use weyr_shared::lock::Participant;
use weyr_shared::{Actor, Broadcast, BroadcastAttributes, KernelFutex};

use crate::fenced::Fenced;

/// Who is dead, of one test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deaths(Arc<Mutex<Vec<Actor>>>);

/// One that waits and triggers.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) actor: Actor,
    deaths: Deaths,
    /// As in a process that was forked from the one whose name it is.
    pub(crate) is_forked: bool,
}

impl Deaths {
    pub(crate) fn user(&self, process: u16) -> User {
        User { actor: Actor { process, epoch: 1 }, deaths: self.clone(), is_forked: false }
    }
}

impl User {
    pub(crate) fn die(&self) {
        self.deaths.0.lock().unwrap().push(self.actor);
    }
}

impl Participant for User {
    type Futex = KernelFutex;

    fn me(&self) -> Option<Actor> {
        (!self.is_forked).then_some(self.actor)
    }

    fn is_dead(&self, other: Actor) -> bool {
        self.deaths.0.lock().unwrap().contains(&other)
    }

    fn futex(&self) -> &KernelFutex {
        &KernelFutex
    }
}

pub(crate) fn event(attributes: BroadcastAttributes) -> (Fenced, Broadcast) {
    let fenced = Fenced::new(Broadcast::size(&attributes).unwrap());
    let event = Broadcast::init(fenced.region(), &attributes).unwrap();
    (fenced, event)
}

/// Waits until so many wait.
pub(crate) fn until_waiting(event: &Broadcast, waiters: u64) {
    while event.num_waiting() != waiters {
        std::thread::yield_now();
    }
}

/// Nobody is inside, and nothing is wrong.
pub(crate) fn assert_empty(event: &Broadcast) {
    let state = event.state();
    assert_eq!((state.waiting, state.entering, state.released, state.triggers), (0, 0, 0, 0), "{state}");
    assert_eq!(event.verify(), []);
}
