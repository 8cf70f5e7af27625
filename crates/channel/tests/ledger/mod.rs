//! Which messages there are, and who has seen them: what the tests of deaths and stops count.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weyr_channel::{Channel, ChannelAttributes, Error, Message, WaitMode};
use weyr_kill::is_few_writes;
use weyr_managed::{Allocation, Mode, Pool};
use weyr_shared::{Ring, SlotState};

/// Messages from this number on are sent and received by those who are not disturbed.
pub(crate) const PASSING: u64 = 1000;
const LETTER_WORDS: usize = 5;
const PARCEL_WORDS: usize = 25;

/// A guard against waiting for ever, not a measure of anything.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The bytes of message `number`; each word of them says which it is.
pub(crate) fn letter(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(LETTER_WORDS)
}

/// Message `number` as an allocation.
pub(crate) fn parcel(pool: &Pool, number: u64) -> Allocation {
    let mut memory = pool.alloc((PARCEL_WORDS * 8) as u64).unwrap();
    memory.write(0, &book(number)).unwrap();
    memory
}

/// Message `number` as bytes that do not fit a block.
pub(crate) fn book(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(PARCEL_WORDS)
}

/// Which message the bytes are; all of them must say so.
pub(crate) fn number_of(bytes: &[u8]) -> u64 {
    assert!([LETTER_WORDS * 8, PARCEL_WORDS * 8].contains(&bytes.len()), "{} bytes", bytes.len());
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    assert!(words.iter().all(|word| *word == words[0]), "not one message: {words:?}");
    words[0]
}

/// Whether what was told is the story, or where few points of it were looked at, parts of it in their order.
pub(crate) fn tells(told: &[Fate], story: &[Fate]) -> bool {
    let mut rest = story.iter();
    let in_order = told.iter().all(|fate| rest.any(|next| next == fate));
    in_order && (is_few_writes() || told.len() == story.len())
}

pub(crate) fn attributes(capacity: u64) -> ChannelAttributes {
    ChannelAttributes::new().block_size(64).capacity(capacity)
}

/// Two levels, and books are sent as well.
pub(crate) fn wide_attributes(capacity: u64) -> ChannelAttributes {
    attributes(capacity).priority_levels(2).side_loading(true)
}

/// What the slots of a channel say.
pub(crate) fn states(channel: &Channel) -> Vec<SlotState> {
    let (pool, reference) = (channel.pool(), channel.descriptor().reference());
    let bytes = pool.channel_block(reference).unwrap().bytes;
    let ring = Ring::open(&pool.region().part(reference.offset, bytes).unwrap(), reference).unwrap();
    (0..ring.slot_count()).map(|index| ring.load(index).unwrap().state).collect()
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Absent,
    Fresh,
    /// Marked as delivered again.
    Again,
}

/// How often each message was received.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    seen: BTreeMap<u64, Vec<bool>>,
    passed: u64,
}

impl Ledger {
    pub(crate) fn note(&mut self, number: u64, again: bool) {
        self.seen.entry(number).or_default().push(again);
    }

    fn note_message(&mut self, message: Message) -> u64 {
        let again = message.is_redelivered();
        let number = number_of(&message.into_bytes().unwrap());
        self.note(number, again);
        number
    }

    pub(crate) fn count(&self, number: u64) -> usize {
        self.seen.get(&number).map_or(0, Vec::len)
    }

    pub(crate) fn fate(&self, number: u64) -> Fate {
        match self.seen.get(&number).map(Vec::as_slice) {
            None => Fate::Absent,
            Some([false]) => Fate::Fresh,
            Some([true]) => Fate::Again,
            Some(more) => panic!("message {number} was received {} times", more.len()),
        }
    }

    /// No message but `expected` and those passed was seen, and these all, once, unmarked.
    pub(crate) fn assert_passed(&self, expected: impl Fn(u64) -> bool) {
        for (number, marks) in &self.seen {
            assert!(expected(*number) || *number >= PASSING, "nobody sent {number}");
            assert!(*number < PASSING || marks == &[false], "message {number}: {marks:?}");
        }
        let passed = self.seen.range(PASSING..).count() as u64;
        assert_eq!(passed, self.passed, "messages that passed");
    }

    /// A thread sends ten times as many messages as the channel can hold, and this one receives all of them, in order.
    pub(crate) fn pass(&mut self, channel: &Channel, mode: WaitMode) -> Result<(), Error> {
        let first = PASSING + self.passed;
        let last = first + 10 * u64::from(channel.capacity());
        let (sender, receiver) =
            (channel.sender().with_wait_mode(mode), channel.receiver().with_wait_mode(mode));
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || {
                (first..last).try_for_each(|number| sender.send_until(&letter(number), soon()))
            });
            let mut next = first;
            let mut received = Ok(());
            while next < last && received.is_ok() {
                received = receiver.receive_until(soon()).map(|message| {
                    let number = self.note_message(message);
                    assert!(number < PASSING || number == next, "{number} came and {next} was due");
                    next += u64::from(number == next);
                });
            }
            self.passed += next - first;
            sending.join().unwrap().and(received)
        })
    }

    /// Receives all that waits.
    pub(crate) fn drain(&mut self, channel: &Channel) {
        loop {
            match channel.try_receive() {
                Ok(message) => drop(self.note_message(message)),
                Err(Error::Empty) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Nobody acts: the invariants hold, and as many blocks are there as the test knows of.
pub(crate) fn assert_sound(pool: &Pool, blocks: u64) {
    let verification = pool.verify(Mode::Quiesced);
    assert!(verification.holds(), "{:#?}", verification.findings);
    assert_eq!((verification.blocks, pool.usage().total.blocks), (blocks, blocks));
}

/// Nothing is left, and nothing is lost: the pool can be had in one piece.
pub(crate) fn assert_whole(pool: &Pool) {
    assert_sound(pool, 0);
    drop(pool.alloc(pool.maximum_size()).expect("the pool in one piece"));
    assert_sound(pool, 0);
}
