//! Orders on their way to the thread that waits.

use std::sync::{Arc, Mutex, PoisonError};

use super::awaited::Interest;
use crate::SetWaker;
use crate::channel::Shared;
use crate::watch::Watched;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// To tell a future, once, when the channel is what it waits for.
    Await(Arc<Shared>, Arc<Interest>),
    /// That the future of that number waits no more.
    Forget(u64),
    /// To notify somebody each time the channel comes to be what it is watched for.
    Watch(Arc<Shared>, Arc<Watched>),
    /// That a watch wants to be told of other events.
    Update(Arc<Watched>),
    /// To notify no more, by the watch of that number.
    Unwatch(u64),
}

/// Orders in the sequence in which they were left.
#[derive(Debug)]
pub(super) struct Inbox {
    orders: Mutex<Vec<Order>>,
    waker: SetWaker,
}

impl Inbox {
    pub(super) fn new(waker: SetWaker) -> Self {
        Self { orders: Mutex::default(), waker }
    }

    pub(super) fn leave(&self, order: Order) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.push(order);
        let is_first = orders.len() == 1;
        drop(orders);
        // Behind the first that was left, the thread comes anyway.
        if is_first {
            self.waker.wake();
        }
    }

    /// All that were left.
    pub(super) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
