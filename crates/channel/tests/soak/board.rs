//! What the processes of a soak tell the harness: words in a memory of its own, which no pool knows of.
//!
//! Each word is changed by one instruction, so a death leaves no half of anything. The board outlives the processes,
//! and is what the pool is compared with.

use std::sync::Arc;

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{BlockReference, Region, Table};
use weyr_sys::mapping::Mapping;
use weyr_sys::object::{Access, Object};

/// Threads that put load on the pool.
pub(crate) const WORKERS: usize = 9;
/// Places where published blocks wait for somebody who frees them.
pub(crate) const CELLS: u64 = 64;

const SENT: u64 = 1;
const POSTED: u64 = 2;
const NOTE: u64 = 1 << 8;
const UNMARKED: u64 = 1 << 32;

/// One word for all.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    /// Operations so far, by everybody.
    Progress,
    /// Whoever brings the progress there says so; 0 nobody.
    Target,
    /// What the workers are to do between two operations.
    Order,
    /// Number of the next message.
    Next,
}

/// What the workers are to do.
pub(crate) const WORK: u64 = 0;
pub(crate) const PARK: u64 = 1;
pub(crate) const END: u64 = 2;

/// What was done, by everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Allocated,
    Freed,
    FreedOfOthers,
    Published,
    NoMemory,
    LettersSent,
    ParcelsSent,
    ParcelsPosted,
    Leased,
    TakenFromLease,
    GivenBack,
    Received,
    Marked,
    Channels,
}

impl Count {
    pub(crate) const ALL: [Count; 14] = [
        Self::Allocated,
        Self::Freed,
        Self::FreedOfOthers,
        Self::Published,
        Self::NoMemory,
        Self::LettersSent,
        Self::ParcelsSent,
        Self::ParcelsPosted,
        Self::Leased,
        Self::TakenFromLease,
        Self::GivenBack,
        Self::Received,
        Self::Marked,
        Self::Channels,
    ];
}

/// Words of one worker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Own {
    /// A block that it is publishing.
    Intent,
    /// A published block that it is about to free.
    Victim,
    /// Blocks that it holds while parked.
    Held,
    /// What it is doing, by its place in [`DOINGS`].
    Doing,
}

/// What a worker may be doing when it is killed or stopped.
pub(crate) const DOINGS: [&str; 7] =
    ["nothing", "alloc", "publish", "send", "lease", "receive", "make a channel"];

const OWNS: usize = 64;
const COUNTS: usize = OWNS + WORKERS * 8;
const CELL: usize = COUNTS + 64;
const MESSAGES: usize = CELL + CELLS as usize;

#[derive(Debug)]
pub(crate) struct Board {
    words: Table<AtomicU64>,
    messages: u64,
}

impl Board {
    pub(crate) fn new(messages: u64) -> Self {
        let count = MESSAGES as u64 + messages;
        let object = Object::memory("soak").unwrap();
        object.set_len(count * 8).unwrap();
        let mapping = Mapping::shared(&object, (count * 8) as usize, Access::ReadWrite).unwrap();
        let words = Region::new(Arc::new(mapping)).table(0, count, "board").unwrap();
        Self { words, messages }
    }

    fn at(&self, index: usize) -> &AtomicU64 {
        &self.words[index]
    }

    pub(crate) fn word(&self, word: Word) -> &AtomicU64 {
        self.at(word as usize * 8)
    }

    pub(crate) fn own(&self, worker: usize, own: Own) -> &AtomicU64 {
        self.at(OWNS + worker * 8 + own as usize)
    }

    pub(crate) fn cell(&self, cell: u64) -> &AtomicU64 {
        self.at(CELL + cell as usize)
    }

    pub(crate) fn count(&self, count: Count) {
        self.at(COUNTS + count as usize).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counted(&self, count: Count) -> u64 {
        self.at(COUNTS + count as usize).load(Ordering::SeqCst)
    }

    /// A number that no message had, while there are any.
    pub(crate) fn new_message(&self) -> Option<u64> {
        let number = self.word(Word::Next).fetch_add(1, Ordering::SeqCst);
        (number < self.messages).then_some(number)
    }

    pub(crate) fn next_message(&self) -> u64 {
        self.word(Word::Next).load(Ordering::SeqCst).min(self.messages)
    }

    /// Its send has returned; it is to be leased.
    pub(crate) fn sent(&self, number: u64) {
        self.at(MESSAGES + number as usize).fetch_or(SENT, Ordering::SeqCst);
    }

    /// Its send has returned; it is to be received, and can be lost with its receiver.
    pub(crate) fn posted(&self, number: u64) {
        self.at(MESSAGES + number as usize).fetch_or(POSTED, Ordering::SeqCst);
    }

    /// It was delivered. One that was delivered before must be marked.
    pub(crate) fn note(&self, number: u64, again: bool) {
        assert!(number < self.next_message(), "nobody sent message {number}");
        let step = if again { NOTE } else { NOTE + UNMARKED };
        let was = self.at(MESSAGES + number as usize).fetch_add(step, Ordering::SeqCst);
        assert!(again || was / NOTE == 0, "message {number} came again and does not say so: {was:#x}");
        if again {
            self.count(Count::Marked);
        }
    }

    /// What became of one.
    pub(crate) fn fate(&self, number: u64) -> Fate {
        let word = self.at(MESSAGES + number as usize).load(Ordering::SeqCst);
        Fate { sent: word & SENT != 0, posted: word & POSTED != 0, deliveries: word % UNMARKED / NOTE }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    /// To a channel whose messages are leased.
    pub(crate) sent: bool,
    /// To a channel whose messages are received.
    pub(crate) posted: bool,
    pub(crate) deliveries: u64,
}

/// A block in one word; pools of a soak have at most 64 MiB. Zero is none.
pub(crate) fn packed(block: BlockReference) -> u64 {
    assert!(block.offset < 64 << 20, "{block:?} lies beyond what a word can say");
    (block.offset / 64) << 44 | block.generation
}

pub(crate) fn unpacked(word: u64) -> BlockReference {
    BlockReference { offset: (word >> 44) * 64, generation: word & ((1 << 44) - 1) }
}
