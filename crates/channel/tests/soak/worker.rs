//! One thread's load: every operation of heap and channels, and what is checked in doing them.

use std::time::{Duration, Instant};

use weyr_atomic::Ordering;
use weyr_channel::{Channel, ChannelAttributes, Content, Error, Lease, WaitMode};
use weyr_kill::Rendezvous;
use weyr_managed::{Allocation, AllocationDescriptor, Error as PoolError, Pool};

use crate::board::{Board, CELLS, Count, END, Own, WORK, Word, packed, unpacked};
use crate::made_of::Home;
use crate::random::Random;

/// Words of a message that is copied.
const LETTER_WORDS: usize = 6;
const HOLD: usize = 12;
/// One call in so many waits: who waits is killed in its sleep, and the others anywhere.
const WAITING: u64 = 200;

/// Where the processes of a soak meet.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) pool: Pool,
    /// Everything that comes by it is leased.
    pub(crate) leased: Channel,
    /// Allocations that come by it are received.
    pub(crate) parcels: Channel,
    /// A descriptor of this pool, to be made one of any block.
    pub(crate) sample: AllocationDescriptor,
    pub(crate) _home: Home,
}

/// How one worker and the harness meet.
#[derive(Debug)]
pub(crate) struct Meeting {
    /// It stands.
    pub(crate) parked: Rendezvous,
    pub(crate) go_on: Rendezvous,
}

pub(crate) struct Worker<'s> {
    index: usize,
    board: &'s Board,
    ground: &'s Ground,
    meeting: &'s Meeting,
    /// The progress is where it was to be.
    reached: &'s Rendezvous,
    random: Random,
    held: Vec<Allocation>,
    /// A message that was noted, and not yet received.
    lease: Option<Lease>,
}

/// The first bytes of a block say which it is and how long.
fn inscribe(memory: &mut Allocation, number: u64) {
    let len = memory.len();
    let mut first = [0; 24];
    for (part, value) in first.chunks_exact_mut(8).zip([packed(memory.reference()), len, number]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    memory.write(0, &first).unwrap();
    memory.write(len - 8, &len.to_le_bytes()).unwrap();
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
}

/// Checks that nobody wrote into a block of ours; returns its number.
pub(crate) fn read_inscription(memory: &Allocation) -> u64 {
    let (mut first, mut last) = ([0; 24], [0; 8]);
    memory.read(0, &mut first).unwrap();
    memory.read(memory.len() - 8, &mut last).unwrap();
    let said = words(&first);
    assert_eq!((said[0], said[1]), (packed(memory.reference()), memory.len()), "{memory:?}");
    assert_eq!(u64::from_le_bytes(last), memory.len(), "{memory:?}");
    said[2]
}

/// Which message the bytes are: all words of a letter say so, and the third of a parcel.
pub(crate) fn number_of(bytes: &[u8]) -> u64 {
    let words = words(bytes);
    if words.len() == LETTER_WORDS {
        assert!(words.iter().all(|word| *word == words[0]), "not one message: {words:?}");
        return words[0];
    }
    assert_eq!(words[1], bytes.len() as u64, "a parcel of {} bytes", bytes.len());
    words[2]
}

/// Short, so that the order to park is seen; nothing depends on how long it is.
fn patience() -> Instant {
    Instant::now() + Duration::from_millis(1)
}

fn is_waiting(error: &Error) -> bool {
    matches!(error, Error::Timeout | Error::Full | Error::Empty | Error::FlowControl(_))
}

impl<'s> Worker<'s> {
    pub(crate) fn new(
        index: usize,
        board: &'s Board,
        ground: &'s Ground,
        meeting: &'s Meeting,
        reached: &'s Rendezvous,
        random: Random,
    ) -> Self {
        Self { index, board, ground, meeting, reached, random, held: Vec::new(), lease: None }
    }

    /// Works until it is told to end.
    pub(crate) fn run(mut self) {
        loop {
            match self.board.word(Word::Order).load(Ordering::SeqCst) {
                WORK => self.step(),
                END => break,
                _ => self.park(),
            }
        }
        self.end_lease();
        for memory in &self.held {
            read_inscription(memory);
        }
    }

    fn park(&mut self) {
        self.end_lease();
        if self.random.one_in(3) {
            self.held.clear();
        }
        self.board.own(self.index, Own::Held).store(self.held.len() as u64, Ordering::SeqCst);
        self.meeting.parked.post().unwrap();
        self.meeting.go_on.wait().unwrap();
    }

    fn step(&mut self) {
        let choice = self.random.below(32);
        let doing = match choice {
            0..10 => 1,
            10..13 => 2,
            13..22 => 3,
            22..28 => 4,
            28..31 => 5,
            _ => 6,
        };
        self.board.own(self.index, Own::Doing).store(doing, Ordering::SeqCst);
        match choice {
            0..8 => self.allocate(),
            8..10 => self.free_one(),
            10..13 => self.publish(),
            13..18 => self.send_letter(),
            18..20 => self.send_parcel(),
            20..22 => self.post_parcel(),
            22..28 if self.lease.is_none() => self.lease(),
            22..28 if self.random.one_in(3) => self.end_lease(),
            22..28 => self.allocate(),
            28..31 => self.receive_parcel(),
            _ => self.make_a_channel(),
        }
        self.board.own(self.index, Own::Doing).store(0, Ordering::SeqCst);
        self.progress();
    }

    /// Counts one operation, and tells the harness when there were as many as it waits for.
    fn progress(&self) {
        let now = self.board.word(Word::Progress).fetch_add(1, Ordering::SeqCst) + 1;
        let target = self.board.word(Word::Target);
        let wanted = target.load(Ordering::SeqCst);
        let reached = wanted != 0 && now >= wanted;
        if reached && target.compare_exchange(wanted, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.reached.post().unwrap();
        }
    }

    fn alloc(&mut self, bytes: u64, number: u64) -> Option<Allocation> {
        match self.ground.pool.alloc(bytes) {
            Ok(mut memory) => {
                inscribe(&mut memory, number);
                self.board.count(Count::Allocated);
                Some(memory)
            }
            Err(PoolError::NoMemory { .. }) => {
                self.board.count(Count::NoMemory);
                self.held.clear();
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn size(&mut self) -> u64 {
        // Large ones are few: while memory is short nearly all time goes into the search for it.
        let most = match self.random.below(64) {
            0 => 700_000,
            1..3 => 150_000,
            3..20 => 20_000,
            20..40 => 2_000,
            _ => 200,
        };
        let size = 56 + self.random.below(most) / 8 * 8;
        // Six words are a letter's.
        if size == 8 * LETTER_WORDS as u64 { size + 8 } else { size }
    }

    fn allocate(&mut self) {
        let size = self.size();
        let memory = self.alloc(size, 0);
        self.held.extend(memory);
        if self.held.len() > HOLD {
            self.free_one();
        }
    }

    fn free_one(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let memory = self.held.swap_remove(self.random.below(self.held.len() as u64) as usize);
        read_inscription(&memory);
        drop(memory);
        self.board.count(Count::Freed);
    }

    /// Publishes a block into a cell, and frees the one that lay there.
    fn publish(&mut self) {
        let size = self.size().min(20_000);
        let Some(memory) = self.alloc(size, 0) else { return };
        let (intent, victim) =
            (self.board.own(self.index, Own::Intent), self.board.own(self.index, Own::Victim));
        let cell = self.board.cell(self.random.below(CELLS));
        let own = packed(memory.reference());
        intent.store(own, Ordering::SeqCst);
        let freezing = self.random.one_in(4);
        drop(if freezing { memory.freeze().unwrap() } else { memory.publish().unwrap() });
        let was = loop {
            let seen = cell.load(Ordering::SeqCst);
            victim.store(seen, Ordering::SeqCst);
            if cell.compare_exchange(seen, own, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                break seen;
            }
        };
        intent.store(0, Ordering::SeqCst);
        self.board.count(Count::Published);
        if was != 0 {
            self.free_published(was);
        }
        victim.store(0, Ordering::SeqCst);
    }

    fn free_published(&self, word: u64) {
        let descriptor =
            AllocationDescriptor { reference: unpacked(word), view_bytes: 56, ..self.ground.sample };
        let opened = self.ground.pool.open(&descriptor).unwrap();
        let mut first = [0; 8];
        opened.read(0, &mut first).unwrap();
        assert_eq!(u64::from_le_bytes(first), word);
        opened.free().unwrap();
        self.board.count(Count::FreedOfOthers);
    }

    fn mode(&mut self) -> WaitMode {
        [WaitMode::Idle, WaitMode::Idle, WaitMode::Adaptive, WaitMode::Spin][self.random.below(4) as usize]
    }

    fn send_letter(&mut self) {
        let Some(number) = self.board.new_message() else { return };
        let bytes = number.to_le_bytes().repeat(LETTER_WORDS);
        let sender = self.ground.leased.sender().with_wait_mode(self.mode());
        let sent = if self.random.one_in(WAITING) {
            sender.send_until(&bytes, patience())
        } else {
            self.ground.leased.try_send(&bytes)
        };
        match sent {
            Ok(()) => {
                self.board.sent(number);
                self.board.count(Count::LettersSent);
            }
            Err(error) => assert!(is_waiting(&error), "{error}"),
        }
    }

    fn send_parcel(&mut self) {
        self.post(false, Count::ParcelsSent);
    }

    fn post_parcel(&mut self) {
        self.post(true, Count::ParcelsPosted);
    }

    fn post(&mut self, to_be_received: bool, count: Count) {
        let size = self.size().min(20_000);
        let Some(number) = self.board.new_message() else { return };
        let Some(memory) = self.alloc(size, number) else { return };
        let ground = self.ground;
        let channel = if to_be_received { &ground.parcels } else { &ground.leased };
        let sender = channel.sender().with_wait_mode(self.mode());
        let sent = if self.random.one_in(WAITING) {
            sender.send_allocation_until(memory, patience())
        } else {
            sender.try_send_allocation(memory)
        };
        match sent {
            Ok(()) => {
                if to_be_received {
                    self.board.posted(number)
                } else {
                    self.board.sent(number)
                }
                self.board.count(count);
            }
            Err(failed) => {
                assert!(is_waiting(&failed.error), "{failed}");
                self.held.extend(failed.payload);
            }
        }
    }

    fn lease(&mut self) {
        let receiver = self.ground.leased.receiver().with_wait_mode(self.mode());
        let lease =
            if self.random.one_in(WAITING) { receiver.lease_until(patience()) } else { receiver.try_lease() };
        match lease {
            Ok(lease) => self.look_at(lease),
            Err(error) => assert!(is_waiting(&error), "{error}"),
        }
    }

    fn look_at(&mut self, lease: Lease) {
        let number = number_of(&lease.bytes().unwrap());
        if self.random.one_in(16) {
            self.board.count(Count::GivenBack);
            return drop(lease);
        }
        self.board.note(number, lease.is_redelivered());
        self.board.count(Count::Leased);
        // Deaths from here on deliver it again.
        self.lease = Some(lease);
        if self.random.one_in(2) {
            self.end_lease();
        }
    }

    fn end_lease(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        if self.random.one_in(3) {
            self.board.count(Count::TakenFromLease);
            self.keep(lease.take().unwrap().into_content());
        } else {
            lease.done().unwrap();
        }
    }

    fn keep(&mut self, content: Content) {
        if let Content::Allocation { allocation, .. } = content {
            read_inscription(&allocation);
            self.held.push(allocation);
        }
    }

    fn receive_parcel(&mut self) {
        let receiver = self.ground.parcels.receiver().with_wait_mode(self.mode());
        let message = if self.random.one_in(WAITING) {
            receiver.receive_until(patience())
        } else {
            receiver.try_receive()
        };
        match message {
            Ok(message) => {
                let again = message.is_redelivered();
                let memory = message.into_allocation().expect("parcels alone come by it");
                self.board.note(read_inscription(&memory), again);
                self.board.count(Count::Received);
                self.held.push(memory);
            }
            Err(error) => assert!(is_waiting(&error), "{error}"),
        }
    }

    /// A channel of its own, with messages in it when it is destroyed.
    fn make_a_channel(&mut self) {
        let attributes = ChannelAttributes::new().block_size(64).capacity(3);
        let channel = match Channel::create(&self.ground.pool, &attributes) {
            Ok(channel) => channel,
            Err(error) => return assert_is_crowded(&error),
        };
        channel.try_send(b"a letter").unwrap();
        if let Some(memory) = self.alloc(200, 0) {
            channel.send_allocation(memory).unwrap();
        }
        assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), b"a letter");
        channel.destroy().unwrap();
        self.board.count(Count::Channels);
    }
}

fn assert_is_crowded(error: &Error) {
    let crowded = matches!(error, Error::Pool(error) if matches!(**error,
        PoolError::NoMemory { .. } | PoolError::TableFull { .. }));
    assert!(crowded, "{error}");
}
