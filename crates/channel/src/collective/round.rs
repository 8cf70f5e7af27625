//! One round: give, announce, wait until all have announced, and look whether all do the same.

use weyr_shared::Sleeper;
use weyr_shared::barrier::Broken;
use weyr_shared::collective::{Announced, Call, CallKind, Rupture};

use super::Member;
use super::member::broken;
use crate::Error;
use crate::defaults::Limit;
use crate::wait::Waiter;

impl Member {
    /// Does `kind` with all the others, giving `bytes`, which are to be byte `from` on of what it gives. Behind it what all
    /// have given can be read, until this member's next round.
    ///
    /// # Errors
    /// As the public calls say; announced or not, the next call is of the next round.
    pub(super) fn round(
        &mut self,
        kind: CallKind,
        root: u32,
        (from, bytes): (u64, &[u8]),
    ) -> Result<Announced, Error> {
        self.round_within(Limit::Default, kind, root, (from, bytes))
    }

    /// The same, which lasts for at most `limit`: for a call of several rounds.
    pub(super) fn round_within(
        &mut self,
        limit: Limit,
        kind: CallKind,
        root: u32,
        (from, bytes): (u64, &[u8]),
    ) -> Result<Announced, Error> {
        self.round_of(limit, Call { kind, root: root as u16, bytes: bytes.len() as u32 }, (from, bytes))
    }

    /// The same, where what is said of the length is not what is given.
    pub(super) fn round_of(
        &mut self,
        limit: Limit,
        call: Call,
        (from, bytes): (u64, &[u8]),
    ) -> Result<Announced, Error> {
        let round = self.begin(call.kind)?;
        self.words.give(self.rank, round, from, bytes)?;
        self.at = round;
        self.words.announce(self.rank, round, call)?;
        match self.words.missing(round, 0) {
            // The last one wakes the others.
            None => self.tell(),
            Some(_) => self.wait(round, limit)?,
        }
        self.check_calls(round)?;
        Ok(round)
    }

    /// The round that comes next, if the group is whole.
    fn begin(&mut self, kind: CallKind) -> Result<Announced, Error> {
        self.check_own()?;
        self.channel.attached().check_usable()?;
        let standing = self.words.standing()?;
        broken(standing)?;
        if standing.generation != self.at.generation {
            // The second round of a call is none of another generation.
            if kind == CallKind::Share {
                return Err(Error::CollectiveBroken { why: Broken::Reset });
            }
            self.at = Announced { generation: standing.generation, round: 0 };
        }
        Ok(self.at.next())
    }

    fn wait(&self, round: Announced, limit: Limit) -> Result<(), Error> {
        let waited = match self.defaults.deadline(limit) {
            Some(deadline) => self.wait_for(round, Waiter::new(self.defaults.mode, deadline)),
            None => Err(Error::Timeout),
        };
        if waited == Err(Error::Timeout) { self.give_up(round) } else { waited }
    }

    fn wait_for(&self, round: Announced, mut waiter: Waiter) -> Result<(), Error> {
        let event = self.channel.attached().counted(Sleeper::Receiver, self.event());
        let mut first = 0;
        while let Some(rank) = self.words.missing(round, first) {
            first = rank;
            self.check_round(round)?;
            if waiter.is_inspection_due() && self.inspect(round)? {
                self.tell();
                continue;
            }
            waiter.pause(&event, false)?;
        }
        Ok(())
    }

    /// Whether those who are missing may still come.
    fn check_round(&self, round: Announced) -> Result<(), Error> {
        self.channel.attached().check_usable()?;
        let standing = self.words.standing()?;
        if standing.generation != round.generation {
            return Err(Error::CollectiveBroken { why: Broken::Reset });
        }
        match broken(standing) {
            // All came before it was broken.
            Err(_) if self.words.missing(round, 0).is_none() => Ok(()),
            outcome => outcome,
        }
    }

    /// Breaks the group, unless all have come meanwhile.
    fn give_up(&self, round: Announced) -> Result<(), Error> {
        if self.words.missing(round, 0).is_none() {
            return Ok(());
        }
        self.words.break_up(round.generation, Rupture::TimedOut, self.rank)?;
        self.tell();
        if self.words.missing(round, 0).is_none() { Ok(()) } else { Err(Error::Timeout) }
    }

    /// All members see the same calls, so all come to the same.
    fn check_calls(&self, round: Announced) -> Result<(), Error> {
        let first = self.words.call(0, round).map_err(Error::from);
        let other = first.and_then(|first| self.first_other(first, round));
        match other {
            Ok(None) => Ok(()),
            // What was read may be of the next generation by now.
            _ if !self.words.still(round.generation)? => Err(Error::CollectiveBroken { why: Broken::Reset }),
            Ok(Some(rank)) => Err(Error::OtherCall { rank }),
            Err(error) => Err(error),
        }
    }

    fn first_other(&self, first: Call, round: Announced) -> Result<Option<u32>, Error> {
        for rank in 1..self.members() {
            if !first.meets(self.words.call(rank, round)?) {
                return Ok(Some(rank));
            }
        }
        Ok(None)
    }

    /// Behind reading what the others gave: whether it counts.
    ///
    /// # Errors
    /// [`Error::CollectiveBroken`]: they may have written anew.
    pub(super) fn confirm(&self, round: Announced) -> Result<(), Error> {
        if self.words.still(round.generation)? {
            Ok(())
        } else {
            Err(Error::CollectiveBroken { why: Broken::Reset })
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_managed::{Pool, PoolAttributes};

    use super::*;
    use crate::{Channel, ChannelAttributes, Collective};

    fn member(test: &str) -> (Pool, Member) {
        let name = format!("test-collective-{test}-{}", std::process::id());
        let pool = Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap();
        let attributes = ChannelAttributes::new().collective(Collective::of_bytes(1, 8));
        let member = Channel::create(&pool, &attributes).unwrap().join(0).unwrap();
        (pool, member)
    }

    #[test]
    fn the_second_round_of_a_call_is_none_of_the_next_generation() {
        let (pool, mut member) = member("second");
        member.barrier().unwrap();
        member.reset().unwrap();
        let over = Error::CollectiveBroken { why: Broken::Reset };
        assert_eq!(member.round(CallKind::Share, 0, (0, &[])), Err(over));
        assert_eq!(member.round(CallKind::Barrier, 0, (0, &[])), Ok(Announced { generation: 2, round: 1 }));
        pool.destroy().unwrap();
    }

    #[test]
    fn who_runs_out_of_time_when_all_have_come_breaks_nothing() {
        let (pool, mut member) = member("late");
        member.barrier().unwrap();
        assert_eq!((member.give_up(member.at), member.is_broken()), (Ok(()), Ok(false)));
        assert_eq!((member.give_up(member.at.next()), member.is_broken()), (Err(Error::Timeout), Ok(true)));
        pool.destroy().unwrap();
    }
}
