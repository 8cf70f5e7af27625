//! One thread of the process that waits for channels on behalf of those who do not: futures and notifications.
//!
//! The idea: who wants to be told leaves an order in an inbox and wakes the thread; the thread has all channels that
//! somebody wants to be told of in one [`ChannelSet`], sleeps on that, and wakes or notifies. So however many wait, one
//! thread sleeps, and nobody else waits for it. It starts with the first order and stays.
//!
//! | module | concept |
//! | --- | --- |
//! | `inbox` | orders on their way to the thread |
//! | `awaited` | what a future leaves |
//! | `desk` | the thread's own: who wants to be told of what |
//!
//! A channel stays attached while somebody waits for it here, and until the thread has heard that nobody does any more.
//! A forked child has no such thread; its first order starts one of its own, and what its parent waited for is nothing to
//! it.
//!
//! What it does not do: it receives and sends nothing itself, so a future that ends leaves every message where it is.

mod awaited;
mod desk;
mod inbox;

use std::sync::Arc;
use std::thread;

use weyr_sys::fork;
use weyr_sys::private_lock::PrivateLock;

use crate::{ChannelSet, Error};
pub(crate) use awaited::Awaited;
use desk::Desk;
use inbox::Inbox;
pub(crate) use inbox::Order;

/// The reactor of this process, or that of the process it was forked from.
static REACTOR: PrivateLock<Option<Reactor>> = PrivateLock::new(None);

/// How to reach the thread.
#[derive(Debug, Clone)]
pub(crate) struct Reactor {
    inbox: Arc<Inbox>,
    nonce: u64,
}

impl Reactor {
    /// The one of this process, started if there is none yet. Does not wait for it.
    ///
    /// # Errors
    /// [`Error::Reactor`]: no thread could be started, or fork(2) was called while another thread was at it.
    pub(crate) fn of_this_process() -> Result<Self, Error> {
        let mut slot = REACTOR.lock().ok_or(Error::Reactor)?;
        let nonce = fork::nonce();
        if let Some(reactor) = slot.as_ref().filter(|reactor| reactor.nonce == nonce) {
            return Ok(reactor.clone());
        }
        let reactor = Self::start(nonce)?;
        *slot = Some(reactor.clone());
        Ok(reactor)
    }

    fn start(nonce: u64) -> Result<Self, Error> {
        let set = ChannelSet::new();
        let inbox = Arc::new(Inbox::new(set.waker()));
        let desk = Desk::new(set, Arc::clone(&inbox));
        let thread = thread::Builder::new().name("weyr reactor".into()).spawn(move || desk.work());
        match thread {
            Ok(_runs_until_the_process_ends) => Ok(Self { inbox, nonce }),
            Err(error) => {
                tracing::error!(%error, "no thread could be started that waits for channels");
                Err(Error::Reactor)
            }
        }
    }

    /// Leaves an order, unless this is a child of the process whose reactor it is. Waits for no more than other orders
    /// being left.
    pub(crate) fn order(&self, order: Order) {
        if self.nonce == fork::nonce() {
            self.inbox.leave(order);
        }
    }
}
