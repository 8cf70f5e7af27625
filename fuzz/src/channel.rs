//! Calls on a channel beside a plain model: a queue, a bag of messages that were given back, and leases.

use std::collections::{BTreeSet, VecDeque};

use weyr_channel::{Channel, ChannelAttributes, Error, Lease, Message};
use weyr_managed::{Mode, Pool, PoolAttributes};

const BLOCK: usize = 64;

struct Calls {
    pool: Pool,
    channel: Channel,
    next: u64,
    waiting: VecDeque<u64>,
    /// Given back: they come again before or between the others.
    returned: BTreeSet<u64>,
    leases: Vec<(u64, Lease)>,
    /// Messages sent since a slot was last leased or given back. Senders pass over such a slot for one lap, also when
    /// it is free again within it.
    undisturbed: u64,
}

pub fn run(input: &[u8]) {
    let Some((first, calls)) = input.split_first() else { return };
    let name = format!("fuzz-channel-{}", std::process::id());
    let attributes = PoolAttributes::new(name, 1 << 20).page_size(4096).processes(3).lanes(4).channels(2);
    let pool = Pool::create(&attributes).expect("a pool");
    let attributes = ChannelAttributes::new().block_size(BLOCK as u64).capacity(1 + u64::from(first % 8));
    let channel = Channel::create(&pool, &attributes).expect("a channel");
    let (waiting, returned, leases) = (VecDeque::new(), BTreeSet::new(), Vec::new());
    let mut model = Calls { pool, channel, next: 1, waiting, returned, leases, undisturbed: u64::MAX / 2 };
    calls.chunks_exact(2).for_each(|call| model.one(call[0], usize::from(call[1])));
    model.end();
}

impl Calls {
    fn one(&mut self, kind: u8, how: usize) {
        if !self.leases.is_empty() || !self.returned.is_empty() {
            self.undisturbed = 0;
        }
        match kind % 12 {
            0..3 => self.send(how),
            3 => self.send_allocation(how),
            4..6 => self.receive(),
            6..8 => self.lease(how),
            8..11 => self.end_lease(how),
            _ => self.look(how),
        }
    }

    fn slots_in_use(&self) -> usize {
        self.waiting.len() + self.returned.len() + self.leases.len()
    }

    fn is_full(&self) -> bool {
        self.slots_in_use() == self.channel.capacity() as usize
    }

    fn sent(&mut self, said: Result<(), Error>) {
        let full = self.is_full();
        match said {
            Ok(()) => {
                assert!(!full, "more messages than slots");
                self.undisturbed += 1;
                self.waiting.push_back(self.next);
                self.next += 1;
            }
            Err(Error::Full) => {
                let passed_over = self.undisturbed < u64::from(self.channel.capacity());
                let waiting = !self.waiting.is_empty() || !self.returned.is_empty();
                assert!(
                    full || passed_over && waiting,
                    "{} slots of {}",
                    self.slots_in_use(),
                    self.channel.capacity()
                );
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn send(&mut self, how: usize) {
        let mut bytes = self.next.to_le_bytes().to_vec();
        bytes.resize(8 + how, how as u8);
        let said = self.channel.try_send(&bytes);
        if bytes.len() > BLOCK {
            assert!(matches!(said, Err(Error::TooLarge { .. })), "{said:?}");
        } else {
            self.sent(said);
        }
    }

    fn send_allocation(&mut self, how: usize) {
        let mut memory = self.pool.alloc(8 + how as u64 * 20).expect("a pool with room");
        memory.write(0, &self.next.to_le_bytes()).expect("room for a number");
        let said = self.channel.sender().try_send_allocation(memory).map_err(Error::from);
        self.sent(said);
    }

    /// A message that came is the first that waits, or one that was given back.
    fn came(&mut self, bytes: &[u8], again: bool) -> u64 {
        let number = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        if self.returned.remove(&number) {
            return number;
        }
        assert_eq!((Some(number), again), (self.waiting.pop_front(), false));
        number
    }

    fn assert_empty(&self, error: &Error) {
        assert_eq!(error, &Error::Empty);
        assert!(
            self.waiting.is_empty() && self.returned.is_empty(),
            "{:?} {:?}",
            self.waiting,
            self.returned
        );
    }

    fn receive(&mut self) {
        match self.channel.try_receive() {
            Ok(message) => {
                let again = message.is_redelivered();
                let bytes = message.into_bytes().expect("what was sent");
                self.came(&bytes, again);
            }
            Err(error) => self.assert_empty(&error),
        }
    }

    fn lease(&mut self, how: usize) {
        match self.channel.receiver().try_lease() {
            Ok(lease) => {
                self.undisturbed = 0;
                let bytes = lease.bytes().expect("what was sent");
                assert_eq!(lease.len(), Ok(bytes.len() as u64));
                let number = self.came(&bytes, lease.is_redelivered());
                self.leases.push((number, lease));
                if how.is_multiple_of(4) {
                    self.end_lease(how);
                }
            }
            Err(error) => self.assert_empty(&error),
        }
    }

    fn end_lease(&mut self, how: usize) {
        let Some(index) = how.checked_rem(self.leases.len()) else { return };
        let (number, lease) = self.leases.swap_remove(index);
        match how % 3 {
            0 => lease.done().expect("own"),
            1 => drop(lease.take().and_then(Message::into_bytes).expect("own")),
            _ => {
                drop(lease);
                self.returned.insert(number);
            }
        }
    }

    fn look(&mut self, how: usize) {
        let waiting = self.waiting.len() + self.returned.len();
        assert_eq!(self.channel.len(), Ok(waiting as u32));
        if how.is_multiple_of(2) {
            self.pool.recover();
        }
        let verification = self.pool.verify(Mode::Quiesced);
        assert!(verification.holds(), "{:#?}", verification.findings);
    }

    fn end(mut self) {
        self.look(0);
        self.leases.clear();
        drop(self.channel.destroy());
        self.pool.recover();
        assert_eq!(self.pool.usage().total.blocks, 0);
        self.pool.destroy().expect("once");
    }
}
