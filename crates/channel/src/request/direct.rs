//! Tests: the three steps of a request equal the direct call, whatever was called before, errors included.

use std::time::Duration;

use proptest::prelude::*;
use weyr_managed::{Mode, Pool, PoolAttributes};
use weyr_shared::{BlockReference, FlowControl};

use super::{ChannelCompletion, ChannelRequest, ChannelResponse};
use crate::{Channel, ChannelAttributes, ChannelDescriptor, Error, ReadLock, WriteLock};

/// The three steps, with bytes between them.
fn ask<T>((request, completion): (ChannelRequest, ChannelCompletion<T>)) -> Result<T, Error> {
    let request = ChannelRequest::from_bytes(&request.to_bytes()).unwrap();
    completion.complete(&ChannelResponse::from_bytes(&request.execute().to_bytes()).unwrap())
}

/// Two pools that differ in identity and directory only: one called directly, one asked.
struct Pair {
    _directories: [tempfile::TempDir; 2],
    direct: Pool,
    /// Kept attached, as who serves requests does.
    asked: Pool,
    /// Every channel there ever was, in both.
    channels: Vec<[ChannelDescriptor; 2]>,
    /// Locks that were taken directly, each with the channel that was asked for one as well.
    locks: Vec<(BlockReference, Lock, ChannelDescriptor)>,
    done: [u32; 2],
}

#[derive(Debug)]
enum Lock {
    Write(WriteLock),
    Read(ReadLock),
}

impl Lock {
    fn is_write(&self) -> bool {
        matches!(self, Self::Write(_))
    }

    fn unlock(self) -> Result<(), (Error, Self)> {
        match self {
            Self::Write(lock) => lock.unlock().map_err(|refused| (refused.error, Self::Write(refused.lock))),
            Self::Read(lock) => lock.unlock().map_err(|refused| (refused.error, Self::Read(refused.lock))),
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for (_, lock, channel) in self.locks.drain(..) {
            let write = lock.is_write();
            // Refused where it is quiesced: this process ends with it.
            let _ = ask(unlock_request(&channel, write));
        }
    }
}

fn unlock_request(channel: &ChannelDescriptor, write: bool) -> (ChannelRequest, ChannelCompletion<()>) {
    if write { ChannelRequest::write_unlock(channel) } else { ChannelRequest::read_unlock(channel) }
}

const NAMES: [Option<&str>; 6] = [None, None, Some("a"), Some("b"), Some("no name"), Some("")];
const CAPACITIES: [u64; 4] = [1, 3, 0, 1 << 23];

impl Pair {
    fn new() -> Self {
        let directories = [(); 2].map(|()| tempfile::tempdir_in("/dev/shm").unwrap());
        let create = |directory: &tempfile::TempDir| {
            Pool::create(&PoolAttributes::new("asked", 1 << 20).directory(directory.path()).channels(4))
                .unwrap()
        };
        let [direct, asked] = [create(&directories[0]), create(&directories[1])];
        Self {
            _directories: directories,
            direct,
            asked,
            channels: Vec::new(),
            locks: Vec::new(),
            done: [0; 2],
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, direct: &Result<T, Error>, asked: &Result<T, Error>) {
        self.done[usize::from(direct.is_err())] += 1;
        assert_eq!(direct, asked);
    }

    /// Both name a channel at the same place of their pools, or failed alike.
    fn same_channel(
        &mut self,
        direct: Result<ChannelDescriptor, Error>,
        asked: Result<ChannelDescriptor, Error>,
    ) {
        let both = direct.as_ref().ok().cloned().zip(asked.as_ref().ok().cloned());
        let place = |found: Result<ChannelDescriptor, Error>| found.map(|channel| channel.reference());
        self.same(&place(direct), &place(asked));
        self.channels.extend(both.map(|(direct, asked)| [direct, asked]));
    }

    fn create(&mut self, how: [u8; 3]) {
        let name = NAMES[usize::from(how[0]) % NAMES.len()];
        let attributes = ChannelAttributes::new()
            .block_size(if how[1] & 16 > 0 { 17 } else { 64 })
            .capacity(CAPACITIES[usize::from(how[1]) % CAPACITIES.len()])
            .priority_levels(u32::from(how[2] % 10))
            .side_loading(how[2] & 32 > 0)
            .flow_control(FlowControl::Messages { messages: u64::from(how[1] >> 5) })
            .message_attributes(how[2] & 64 > 0);
        let direct = match name {
            Some(name) => Channel::create_named(&self.direct, name, &attributes),
            None => Channel::create(&self.direct, &attributes),
        };
        let direct = direct.map(|channel| channel.descriptor());
        let asked = ask(ChannelRequest::create(&self.asked.descriptor(), name, &attributes));
        self.same_channel(direct, asked);
    }

    fn find(&mut self, how: u8) {
        let name = NAMES[usize::from(how) % NAMES.len()].unwrap_or("nobody");
        let direct = Channel::attach_named(&self.direct, name).map(|channel| channel.descriptor());
        let asked = ask(ChannelRequest::find(&self.asked.descriptor(), name));
        self.same_channel(direct, asked);
    }

    /// Also one that is gone, and one that never was.
    fn meant(&self, how: u8) -> Option<[ChannelDescriptor; 2]> {
        let index = usize::from(how).checked_rem(self.channels.len())?;
        let pair = self.channels[index].clone();
        if how < 240 {
            return Some(pair);
        }
        let nowhere = BlockReference { offset: 64 << 10, generation: 1 };
        Some(pair.map(|channel| ChannelDescriptor::new(channel.pool().to_vec(), nowhere)))
    }

    fn destroy(&mut self, how: u8) {
        let Some([direct, asked]) = self.meant(how) else { return };
        let direct = Channel::attach(&direct).and_then(Channel::destroy);
        let asked = ask(ChannelRequest::destroy(&asked));
        self.same(&direct, &asked);
    }

    fn count(&mut self, how: u8) {
        let Some([direct, asked]) = self.meant(how) else { return };
        let direct = Channel::attach(&direct).and_then(|channel| channel.len());
        let asked = ask(ChannelRequest::waiting(&asked));
        self.same(&direct, &asked);
    }

    fn lock(&mut self, how: u8, write: bool) {
        let Some([direct, asked]) = self.meant(how) else { return };
        let there = Channel::attach(&direct);
        let taken = there.and_then(|channel| {
            if write {
                channel.try_write_lock().map(Lock::Write)
            } else {
                channel.try_read_lock().map(Lock::Read)
            }
        });
        let at_once = Some(Duration::ZERO);
        let done = ask(match write {
            true => ChannelRequest::write_lock(&asked, at_once),
            false => ChannelRequest::read_lock(&asked, at_once),
        });
        self.same(&taken.as_ref().map(drop).map_err(Clone::clone), &done);
        self.locks.extend(taken.ok().map(|lock| (direct.reference(), lock, asked)));
    }

    fn unlock(&mut self, how: u8, write: bool) {
        let Some([direct, asked]) = self.meant(how) else { return };
        let is_it = |held: &(BlockReference, Lock, ChannelDescriptor)| {
            held.0 == direct.reference() && held.1.is_write() == write
        };
        let unlocked = match self.locks.iter().position(is_it) {
            None => Err(Error::NotLocked),
            Some(place) => {
                let (reference, lock, there) = self.locks.swap_remove(place);
                lock.unlock().map_err(|(error, lock)| {
                    self.locks.push((reference, lock, there));
                    error
                })
            }
        };
        let asked = ask(unlock_request(&asked, write));
        self.same(&unlocked, &asked);
    }

    fn rest(&mut self, how: [u8; 3]) {
        let Some([direct, asked]) = self.meant(how[0]) else { return };
        let there = Channel::attach(&direct);
        if how[1].is_multiple_of(2) {
            let direct = there.and_then(|channel| channel.try_quiesce());
            self.same(&direct, &ask(ChannelRequest::quiesce(&asked, Some(Duration::ZERO))));
        } else {
            let direct = there.and_then(|channel| channel.unquiesce());
            self.same(&direct, &ask(ChannelRequest::unquiesce(&asked)));
        }
    }

    fn look(&mut self, how: [u8; 3]) {
        let Some([direct, asked]) = self.meant(how[0]) else { return };
        let there = Channel::attach(&direct);
        let attributes = there.as_ref().map_err(Clone::clone).and_then(Channel::attributes);
        self.same(&attributes, &ask(ChannelRequest::attributes(&asked)));
        let state = there.as_ref().map_err(Clone::clone).and_then(Channel::state);
        self.same(&state, &ask(ChannelRequest::state(&asked)));
        if let Ok(mut new) = attributes {
            new.max_spinners = how[1].into();
            new.capacity += u32::from(how[2].is_multiple_of(4));
            let direct = there.and_then(|channel| channel.set_attributes(&new));
            self.same(&direct, &ask(ChannelRequest::set_attributes(&asked, &new)));
        }
    }

    /// A message in both, by nobody's request.
    fn send(&mut self, how: u8) {
        let Some(both) = self.meant(how) else { return };
        let sent = both.map(|channel| Channel::attach(&channel).and_then(|channel| channel.try_send(&[how])));
        assert_eq!(sent[0], sent[1]);
    }

    fn step(&mut self, what: u8, how: [u8; 3]) {
        match what % 14 {
            0..3 => self.create(how),
            3 => self.find(how[0]),
            4 => self.destroy(how[0]),
            5 | 6 => self.send(how[0]),
            7 => self.count(how[0]),
            8 | 9 => self.lock(how[0], how[1].is_multiple_of(2)),
            10 => self.unlock(how[0], how[1].is_multiple_of(2)),
            11 => self.rest(how),
            _ => self.look(how),
        }
        for pool in [&self.direct, &self.asked] {
            let verification = pool.verify(Mode::Quiesced);
            assert!(verification.holds(), "{:#?}", verification.findings);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn three_steps_equal_the_direct_call(steps in prop::collection::vec(any::<(u8, [u8; 3])>(), 1..60)) {
        let mut pair = Pair::new();
        steps.into_iter().for_each(|(what, how)| pair.step(what, how));
        prop_assert!(pair.done[0] + pair.done[1] <= 180);
    }
}

#[test]
fn what_cannot_be_reached_is_said_as_itself() {
    use weyr_managed::{Error as PoolError, PoolDescriptor};
    let pair = Pair::new();
    let elsewhere = PoolDescriptor { host: !pair.asked.descriptor().host, ..pair.asked.descriptor() };
    let asked = ask(ChannelRequest::create(&elsewhere, None, &ChannelAttributes::new()));
    assert!(matches!(asked, Err(Error::Pool(error)) if matches!(*error, PoolError::OtherHost { .. })));
    let there =
        ask(ChannelRequest::create(&pair.asked.descriptor(), None, &ChannelAttributes::new())).unwrap();
    pair.asked.destroy().unwrap();
    let asked = ask(ChannelRequest::waiting(&there));
    let direct = Channel::attach(&there).and_then(|channel| channel.len());
    assert_eq!(asked, direct);
    assert!(asked.is_err());
    let refusal = ChannelResponse::refusal(&ChannelRequest::destroy(&there).0, Error::Forked);
    assert_eq!(refusal.error(), Some(&Error::Forked));
}

#[test]
fn a_lock_that_was_asked_for_is_kept_until_it_is_asked_to_end() {
    let pair = Pair::new();
    let there =
        ask(ChannelRequest::create(&pair.asked.descriptor(), None, &ChannelAttributes::new())).unwrap();
    let channel = Channel::attach(&there).unwrap();
    let patience = Some(Duration::from_secs(60));
    ask(ChannelRequest::write_lock(&there, patience)).unwrap();
    assert!(matches!(channel.try_send(b"no"), Err(Error::WriteLocked { .. })));
    let again = ask(ChannelRequest::write_lock(&there, Some(Duration::ZERO)));
    assert!(matches!(again, Err(Error::WriteLocked { .. })));
    ask(ChannelRequest::quiesce(&there, None)).unwrap();
    assert_eq!(ask(ChannelRequest::write_unlock(&there)), Err(Error::Quiesced));
    ask(ChannelRequest::unquiesce(&there)).unwrap();
    ask(ChannelRequest::write_unlock(&there)).unwrap();
    assert_eq!(ask(ChannelRequest::write_unlock(&there)), Err(Error::NotLocked));
    channel.try_send(b"yes").unwrap();
    ask(ChannelRequest::read_lock(&there, None)).unwrap();
    assert!(matches!(channel.try_receive(), Err(Error::ReadLocked { .. })));
    ask(ChannelRequest::read_unlock(&there)).unwrap();
    assert!(channel.try_receive().is_ok());
}
