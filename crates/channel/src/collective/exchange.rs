//! Barrier, broadcast and gather: bytes that nobody changes on the way.

use weyr_shared::Corrupt;
use weyr_shared::collective::{Announced, Call, CallKind};

use super::Member;
use crate::Error;
use crate::defaults::Limit;

impl Member {
    /// Waits until all members have called it, without limit or as long as its [timeout](Self::with_timeout) allows.
    ///
    /// # Errors
    /// [`Error::MemberDied`], [`Error::MemberLeft`], [`Error::CollectiveBroken`]: the group is broken;
    /// [`Error::OtherCall`]: members called other things; [`Error::Timeout`]: this member gave up, which has broken the group;
    /// [`Error::Destroyed`], [`Error::Forked`], [`Error::Corrupt`].
    pub fn barrier(&mut self) -> Result<(), Error> {
        self.round(CallKind::Barrier, 0, (0, &[])).map(drop)
    }

    /// Makes `bytes` of every member those of `root`; all have the same length. Waits as [`barrier`](Self::barrier) does.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); and, before anybody was told of this call, [`Error::InvalidRank`], [`Error::TooLarge`].
    /// `bytes` may be changed then.
    pub fn broadcast(&mut self, root: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.check_root(root)?;
        self.check_len(bytes.len())?;
        let given: &[u8] = if root == self.rank { bytes } else { &[] };
        let call = Call { kind: CallKind::Broadcast, root: root as u16, bytes: bytes.len() as u32 };
        let round = self.round_of(Limit::Default, call, (0, given))?;
        if root != self.rank {
            self.words.read(root, round, 0, bytes)?;
            self.confirm(round)?;
        }
        Ok(())
    }

    /// Gives `bytes` to `root`, which gets those of all members, by their ranks; the others get none. Lengths may differ.
    /// Waits as [`barrier`](Self::barrier) does.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn gather(&mut self, root: u32, bytes: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Error> {
        self.check_root(root)?;
        self.check_len(bytes.len())?;
        let round = self.round(CallKind::Gather, root, (0, bytes))?;
        if root == self.rank { self.collect(round).map(Some) } else { Ok(None) }
    }

    /// The same, where all get them.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn all_gather(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.check_len(bytes.len())?;
        let round = self.round(CallKind::AllGather, 0, (0, bytes))?;
        self.collect(round)
    }

    fn collect(&self, round: Announced) -> Result<Vec<Vec<u8>>, Error> {
        let given = (0..self.members()).map(|rank| self.given_by(rank, round)).collect::<Result<_, _>>();
        self.confirm(round)?;
        given
    }

    fn given_by(&self, rank: u32, round: Announced) -> Result<Vec<u8>, Error> {
        let len = u64::from(self.words.call(rank, round)?.bytes);
        // Before so much is allocated.
        if len > self.words.binding().bytes() {
            return Err(Corrupt::new("length of what a member gives", rank.into()).into());
        }
        let mut bytes = vec![0; len as usize];
        self.words.read(rank, round, 0, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn check_root(&self, root: u32) -> Result<(), Error> {
        let members = self.members();
        if root < members { Ok(()) } else { Err(Error::InvalidRank { rank: root, members }) }
    }

    pub(super) fn check_len(&self, len: usize) -> Result<(), Error> {
        let (needed, largest) = (len as u64, self.words.binding().bytes());
        if needed <= largest { Ok(()) } else { Err(Error::TooLarge { needed, largest }) }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_managed::{Pool, PoolAttributes};

    use super::*;
    use crate::{Channel, ChannelAttributes, Collective};

    #[test]
    fn a_length_beyond_what_is_bound_is_corrupt_and_not_cut() {
        let name = format!("test-collective-length-{}", std::process::id());
        let pool = Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap();
        let attributes = ChannelAttributes::new().collective(Collective::of_bytes(2, 8));
        let channel = Channel::create(&pool, &attributes).unwrap();
        let (mut first, second) = (channel.join(0).unwrap(), channel.join(1).unwrap());
        for (bytes, is_right) in [(8, true), (9, false), (u32::MAX, false)] {
            let call = Call { kind: CallKind::AllGather, root: 0, bytes };
            second.words.announce(1, first.at.next(), call).unwrap();
            let gathered = first.all_gather(b"first");
            assert_eq!(gathered.is_ok(), is_right, "{gathered:?}");
            assert!(is_right || matches!(gathered, Err(Error::Corrupt { .. })), "{gathered:?}");
        }
        let round = first.at;
        first.reset().unwrap();
        let over = Err(Error::CollectiveBroken { why: weyr_shared::barrier::Broken::Reset });
        assert_eq!(first.collect(round), over, "and who reads that of another generation is told so");
        pool.destroy().unwrap();
    }
}
