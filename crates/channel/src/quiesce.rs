//! A channel brought to rest, and woken from it.

use std::time::Instant;

use crate::attached::Attached;
use crate::host::Host;
use crate::locks::{Claims, Patience};
use crate::{Channel, Error};

impl<H: Host> Attached<H> {
    /// Brings the channel to rest: nobody sends, receives or sets attributes any more, and no slot is in anybody's hands.
    /// It is at rest when this returns, whoever brought it there.
    ///
    /// # Errors
    /// [`Error::InHands`] at the end of patience; [`Error::Destroyed`], [`Error::Corrupt`], or the pool's. The channel is
    /// in use again then.
    pub fn quiesce(&self, patience: Patience) -> Result<(), Error> {
        self.me()?;
        loop {
            self.check_usable()?;
            let quiesce = self.ring.halt();
            match self.wait_for_end_of(Claims::All, patience, quiesce.bits()) {
                Ok(()) if self.ring.come_to_rest(quiesce) => return Ok(()),
                // Another has resumed it.
                Ok(()) => {}
                Err(error) if self.ring.give_up_quiesce(quiesce, self.host.futex()) => return Err(error),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Lets everybody send and receive again.
    ///
    /// # Errors
    /// [`Error::NotQuiesced`], or the pool's.
    pub fn unquiesce(&self) -> Result<(), Error> {
        self.me()?;
        if self.ring.resume(self.host.futex()) { Ok(()) } else { Err(Error::NotQuiesced) }
    }
}

/// Rest.
impl Channel {
    /// Brings the channel to rest, waiting without limit: see [`quiesce_until`](Self::quiesce_until).
    ///
    /// # Errors
    /// As there.
    pub fn quiesce(&self) -> Result<(), Error> {
        self.quiesce_with(Patience::Until(None))
    }

    /// Brings the channel to rest without waiting for anybody: see [`quiesce_until`](Self::quiesce_until).
    ///
    /// # Errors
    /// As there.
    pub fn try_quiesce(&self) -> Result<(), Error> {
        self.quiesce_with(Patience::None)
    }

    /// Brings the channel to rest: from now on nobody sends, receives or changes attributes, whether there are locks or
    /// not, and nothing of it is in anybody's hands. What its pool has in a file is on the disk. So its bytes can be
    /// copied elsewhere.
    ///
    /// Who sends or receives waits; calls that do not wait get [`Error::Quiesced`]. It stays so until
    /// [`unquiesce`](Self::unquiesce), whatever becomes of the caller; locks stay as they are. Of a channel that is at rest
    /// already it is found to be. Until then it waits for who has a message in hands: leases must be ended.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes, Error};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-quiesce-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// channel.send(b"kept")?;
    /// channel.quiesce()?;
    /// assert_eq!(channel.try_send(b"more"), Err(Error::Quiesced));
    /// channel.unquiesce()?;
    /// assert_eq!(channel.receive()?.into_bytes()?, b"kept");
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InHands`] when a living process has a message in hands at the deadline: the channel is in use again then;
    /// [`Error::Destroyed`], [`Error::Corrupt`]; [`Error::Pool`] when the file cannot be written: the channel is at rest
    /// then.
    /// Source: *Dragon channels*, `dragon_channel_quiesce`.
    pub fn quiesce_until(&self, deadline: Instant) -> Result<(), Error> {
        self.quiesce_with(Patience::Until(Some(deadline)))
    }

    fn quiesce_with(&self, patience: Patience) -> Result<(), Error> {
        let attached = self.attached();
        attached.quiesce(patience)?;
        attached.host().sync()
    }

    /// Lets everybody send and receive again; any process may, not only who quiesced the channel.
    ///
    /// # Errors
    /// [`Error::NotQuiesced`]; [`Error::Pool`] when a forked child cannot join the pool.
    /// Source: *Dragon channels*, `dragon_channel_unquiesce`.
    pub fn unquiesce(&self) -> Result<(), Error> {
        self.attached().unquiesce()
    }

    /// Whether nobody may send or receive, and nothing is in anybody's hands.
    pub fn is_quiesced(&self) -> bool {
        self.ring().is_at_rest()
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_shared::{RingLock, SlotState};

    use super::*;
    use crate::fake_pool::FakePool;
    use crate::receive::ReceiveSide;
    use crate::send::{Bytes, SendSide};
    use crate::wait::{Attempt, Tried};

    #[test]
    fn a_quiesce_waits_for_leases_and_revoked_senders_and_takes_itself_back() {
        let pool = FakePool::new(2);
        let (one, two, from) = (pool.process(1), pool.process(2), SendSide::default());
        assert!(matches!(one.try_send(&from, &Bytes(&[1]), Attempt::AT_ONCE), Ok(Tried::Done(()))));
        let tried = one.try_take(&ReceiveSide::default(), SlotState::Leased, Attempt::AT_ONCE);
        let Ok(Tried::Done(lease)) = tried else { panic!() };
        assert_eq!(two.quiesce(Patience::None), Err(Error::InHands { process: 1 }));
        assert!(!two.ring.is_quiesced());
        one.put_back(lease, false).unwrap();
        let Ok(Tried::Done(claim)) = one.claim(&from, one.me().unwrap(), Attempt::AT_ONCE) else { panic!() };
        assert_eq!(two.quiesce(Patience::None), Err(Error::InHands { process: 1 }));
        assert!(!one.publish(claim).unwrap());
        one.give_back(claim).unwrap();
        assert_eq!(two.quiesce(Patience::None), Ok(()));
        assert_eq!(one.quiesce(Patience::None), Ok(()), "it is at rest");
        assert!(two.ring.is_at_rest());
        assert_eq!((one.unquiesce(), two.unquiesce()), (Ok(()), Err(Error::NotQuiesced)));
    }

    #[test]
    fn a_quiesce_outlives_its_maker_and_buries_the_dead() {
        let pool = FakePool::new(2);
        let (one, two, from) = (pool.process(1), pool.process(2), SendSide::default());
        assert!(matches!(one.try_send(&from, &Bytes(&[1]), Attempt::AT_ONCE), Ok(Tried::Done(()))));
        let tried = one.try_take(&ReceiveSide::default(), SlotState::Leased, Attempt::AT_ONCE);
        assert!(matches!(tried, Ok(Tried::Done(_))));
        pool.kill(1);
        two.quiesce(Patience::None).unwrap();
        assert_eq!(two.ring.load(0).unwrap().state, SlotState::Returned);
        pool.kill(2);
        pool.recover(2);
        assert!(two.ring.is_at_rest());
        let three = pool.process(3);
        assert_eq!(three.lock(RingLock::Write, Patience::None), Err(Error::Quiesced));
        three.unquiesce().unwrap();
    }
}
