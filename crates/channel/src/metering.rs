//! Flow control by number: how many messages, or bytes of blocks and side buffers, a process may have in a channel.
//! What a message takes is drawn in one: two draws for one message could hold up two threads that have half each.
//!
//! The truth is what the slots say (`Ring::used_by`). A look at all of them says how much more this process may send; that
//! much is then drawn from without a look, until it is used up. It is private memory, so a death leaves nothing. The
//! number holds for the process as long as it attaches to the channel once: each further attachment draws for itself.
//!
//! Who waits is an onlooker (`poll.rs`): a message that goes is of use to it only if it was its own.

use std::time::Instant;

use weyr_shared::FlowControl;
use weyr_sys::private_lock::PrivateLock;

use crate::channel::Shared;
use crate::defaults::Limit;
use crate::host::Host as _;
use crate::poll::{Onlooker, PollEvents};
use crate::return_mode::Unfinished;
use crate::sender::Sender;
use crate::wait::Waiter;
use crate::{Error, WaitMode};

#[derive(Debug, Default)]
struct Account {
    /// Nonce of the process whose account it is.
    life: u64,
    /// What may be sent without another look.
    spare: u64,
    /// What is being sent, and so perhaps not in the slots yet.
    sending: u64,
}

/// What this process may still send.
pub(crate) struct Metering(PrivateLock<Account>);

impl std::fmt::Debug for Metering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metering").finish_non_exhaustive()
    }
}

impl Metering {
    pub(crate) fn new() -> Self {
        Self(PrivateLock::new(Account { life: 0, spare: 0, sending: 0 }))
    }

    /// Draws `amount` of `limit`, of which `used` says how much is in the channel.
    fn draw(
        &self,
        life: u64,
        amount: u64,
        limit: u64,
        used: impl FnOnce() -> Result<u64, Error>,
    ) -> Result<bool, Error> {
        let Some(mut account) = self.0.lock() else {
            // A child of fork(2), whose parent was in here at that moment: it looks each time.
            return Ok(used()?.saturating_add(amount) <= limit);
        };
        if account.life != life {
            *account = Account { life, ..Account::default() };
        }
        if account.spare < amount {
            // Behind the lock nobody draws, and who gives back only lowers what was used.
            account.spare = limit.saturating_sub(used()?.saturating_add(account.sending));
        }
        let enough = account.spare >= amount;
        if enough {
            account.spare -= amount;
            account.sending += amount;
        }
        Ok(enough)
    }

    /// What was drawn has been sent, or was not.
    fn settle(&self, life: u64, amount: u64, sent: bool) {
        let Some(mut account) = self.0.lock().filter(|account| account.life == life) else { return };
        account.sending = account.sending.saturating_sub(amount);
        if !sent {
            account.spare = account.spare.saturating_add(amount);
        }
    }
}

impl Shared {
    fn draw(&self, amount: u64) -> Result<bool, Error> {
        let attached = &self.attached;
        let me = attached.me()?.process;
        attached.check_usable()?;
        let limit = attached.ring().flow_control().limit();
        self.metering.draw(attached.host().nonce(), amount, limit, || Ok(attached.ring().used_by(me)?))
    }

    fn draw_until(&self, amount: u64, mode: WaitMode, deadline: Option<Instant>) -> Result<(), Error> {
        let mut waiter = Waiter::new(mode, deadline);
        let attached = &self.attached;
        let onlooker = Onlooker::new(attached.ring(), attached.host().futex(), PollEvents::EMPTY);
        while !self.draw(amount)? {
            if waiter.attempt().inspect {
                attached.bury_all()?;
            }
            waiter.pause(&onlooker, false)?;
        }
        Ok(())
    }
}

impl Sender {
    /// Sends what counts for `amount` by `send`, once this process may send so much, within `limit` in all.
    #[cold]
    pub(crate) fn send_metered(
        &self,
        amount: u64,
        limit: Limit,
        send: impl FnOnce(Limit) -> Result<(), Unfinished>,
    ) -> Result<(), Unfinished> {
        let shared = self.shared();
        let flow_control = shared.attached.ring().flow_control();
        if amount > flow_control.limit() {
            return Err(Error::TooLarge { needed: amount, largest: flow_control.limit() }.into());
        }
        let deadline = self.defaults.deadline(limit);
        match deadline {
            Some(deadline) => shared.draw_until(amount, self.defaults.mode, deadline)?,
            None if shared.draw(amount)? => {}
            None => return Err(Error::FlowControl(flow_control).into()),
        }
        let life = shared.attached.host().nonce();
        let outcome = send(deadline.map_or(Limit::Now, Limit::Until));
        let sent = outcome.as_ref().map_or_else(|unfinished| unfinished.sent, |()| true);
        shared.metering.settle(life, amount, sent);
        outcome
    }

    /// Whether the channel's flow control counts bytes.
    pub(crate) fn meters_memory(&self) -> bool {
        matches!(self.shared().attached.ring().flow_control(), FlowControl::Memory { .. })
    }

    /// What a message with `side` bytes in a side buffer counts for, if the channel's flow control counts.
    pub(crate) fn amount_of(&self, side: u64) -> Option<u64> {
        let ring = self.shared().attached.ring();
        ring.flow_control().amount(ring.block_size().into(), side)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_free_is_drawn_without_another_look() {
        let metering = Metering::new();
        let unused = || -> Result<u64, Error> { panic!("looked again") };
        assert!(metering.draw(7, 1, 3, || Ok(0)).unwrap());
        assert!(metering.draw(7, 1, 3, unused).unwrap() && metering.draw(7, 1, 3, unused).unwrap());
        // Two of the three are in the channel, and one is on its way there.
        metering.settle(7, 1, true);
        metering.settle(7, 1, true);
        assert!(!metering.draw(7, 1, 3, || Ok(2)).unwrap());
        metering.settle(7, 1, false);
        assert!(metering.draw(7, 1, 3, unused).unwrap());
        metering.settle(7, 1, true);
        assert!(!metering.draw(7, 2, 3, || Ok(2)).unwrap() && metering.draw(7, 1, 3, || Ok(2)).unwrap());
        // A child begins anew, and settles nothing of its parent's.
        assert!(metering.draw(8, 3, 3, || Ok(0)).unwrap());
        metering.settle(7, 1, false);
        assert!(!metering.draw(8, 1, 3, || Ok(0)).unwrap());
    }
}
