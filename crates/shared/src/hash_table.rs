//! Keys and their values in shared memory, each a fixed number of 64-bit words; found by hash.
//!
//! Open addressing with linear probing, in one array that never grows.
//!
//! **It guards nothing by itself**: who calls anything but what only reads the header holds a lock that all its users
//! take ([`crate::lock`]).
//!
//! The idea that makes it survive its users: the state word of an entry alone says whether it holds a key, and it is
//! written when key and value are there. An entry whose key was removed keeps its place in the chains that go over it,
//! as REMOVED, until the one behind it is EMPTY. Where keys come and go there may be no EMPTY entry in the end: a search
//! ends at the reach of the table, too, beyond which no key was put. Only a value may be wider than the word that commits
//! it, so its replacement is written to a log first:
//!
//! | step | of an insertion | of a removal | of a replacement |
//! | ---: | --- | --- | --- |
//! | 1 | look at all that will be used | the same | the same |
//! | 2 | `pending` = INSERTION | `pending` = REMOVAL | place and value into the log |
//! | 3 | the reach; key and value of an entry that is not FULL | | **commit**: `pending` = REPLACEMENT |
//! | 4 | **commit**: its state is FULL | **commit**: its state is REMOVED | the value into the entry |
//! | 5 | count | those that no chain goes over are EMPTY; count | |
//! | 6 | `pending` = 0 | `pending` = 0 | `pending` = 0 |
//!
//! Every store is a Release, so a death leaves a prefix of them. A log without its commit is never read. Behind an EMPTY
//! entry no chain goes on, so an entry before it may be EMPTY, too: each of those stores leaves a table as good as the
//! one before. What may be wrong is the count, a value that the log has whole, and the reach, which may be too far.
//! [`recover`](HashTable::recover) does them anew, and `pending` last, so one that dies is done again; until then every
//! operation is refused.
//!
//! Source: Dragon, hash table; Knuth, The Art of Computer Programming 3, section 6.4, algorithm L; the reach as the
//! maximum probe length of Celis, Robin Hood Hashing, 1986. What it does not do: it does not wait, and its hash withstands
//! no one who chooses keys to make it slow.

mod entries;
mod reach;
mod shape;

use weyr_atomic::{AtomicU64, Ordering};

use crate::{Corrupt, Region, Strided, Table};
pub use entries::HashTableStatistics;
use entries::State;
use shape::Shape;

/// First word of a table.
const MAGIC: u64 = u64::from_le_bytes(*b"WEYRHSH2");

const NOTHING: u64 = 0;
const INSERTION: u64 = 1;
const REMOVAL: u64 = 2;
const REPLACEMENT: u64 = 3;

crate::layout! {
    /// What stands before a hash table. Behind it: the log, one value long; then the entries.
    pub struct HashTableHeader: 64, align 8 {
        /// `WEYRHSH2`; written last, by who makes it. Anything else: no table.
        0 => magic: AtomicU64,
        /// 64-bit words of a key, 1 to 1024; written once, by who makes it.
        8 => key_words: AtomicU64,
        /// 64-bit words of a value, 1 to 65536; written once, by who makes it.
        16 => value_words: AtomicU64,
        /// Keys that it has room for, 1 to 2^32; written once, by who makes it. There are entries for a third more, up to the next power of two.
        24 => capacity: AtomicU64,
        /// Keys in it: a hint, while `pending` is not zero. Written under the users' lock. Zero: empty.
        32 => count: AtomicU64,
        /// What somebody is at, or died at: 1 insertion, 2 removal, 3 replacement, whose log is whole. Written under the users' lock. Zero: nothing.
        40 => pending: AtomicU64,
        /// Index of the entry whose value the log has. Written under the users' lock. Means nothing unless `pending` is 3.
        48 => log_entry: AtomicU64,
        /// Entries that a search goes over at most: no key lies farther from where it is looked for first. A bound, which may be too high; raised before the entry that needs it is FULL. Written under the users' lock. Zero: no key.
        56 => reach: AtomicU64,
    }
}

crate::layout! {
    /// An entry of a hash table; its key, and then its value, lie behind it.
    pub struct HashTableEntry: 8, align 8 {
        /// The truth: `hash:62 | state:2`, of the key; state 2 is FULL. 1 alone: REMOVED. Written under the users' lock. Zero: EMPTY, and no chain goes on behind it.
        0 => state: AtomicU64,
    }
}

/// Why an operation on a hash table was refused. The table is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashTableError {
    /// The key has not as many words as those of this table, or no table has such keys.
    #[error("a key of {0} words; those of a table have 1 to 1024, and all the same number")]
    InvalidKey(u64),
    /// The value has not as many words as those of this table, or no table has such values.
    #[error("a value of {0} words; those of a table have 1 to 65536, and all the same number")]
    InvalidValue(u64),
    /// No table has such a capacity.
    #[error("a hash table has room for 1 to 2^32 keys, not for {0}")]
    InvalidCapacity(u64),
    /// The region is too small for it.
    #[error("the hash table needs {needed} bytes and the region has {there}")]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes of the region.
        there: u64,
    },
    /// There is a table already.
    #[error("the region holds a hash table already; attach it, or destroy it first")]
    AlreadyInitialised,
    /// There is no room for another key.
    #[error("the hash table is full; remove a key first")]
    Full,
    /// The key is there already.
    #[error("the key is in the hash table already; replace its value, or remove it first")]
    DuplicateKey,
    /// The key is not there.
    #[error("the key is not in the hash table")]
    KeyNotFound,
    /// Somebody died in the middle of an operation, or is at one without the lock.
    #[error("an operation on the hash table was not finished; recover it, with the lock held")]
    Interrupted,
    /// The memory does not hold a table, or something of it holds what nobody writes there.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// A hash table in a region, which it keeps mapped. Clones are the same table. See the [module](self) for the lock.
///
/// ```
/// use std::sync::Arc;
/// use weyr_shared::{HashTable, HashTableError, Region};
/// # use weyr_sys::mapping::Mapping;
///
/// # let mapping = Arc::new(Mapping::anonymous(16384).unwrap());
/// let region = Region::new(mapping); // of memory that others map, too
/// // Room for 100 keys of one word, with values of two; the users' lock is held.
/// let table = HashTable::init(&region, 100, 1, 2)?;
/// table.insert(&[7], &[70, 71])?;
/// assert_eq!(table.insert(&[7], &[0, 0]), Err(HashTableError::DuplicateKey));
/// table.replace(&[7], &[72, 73])?;
///
/// let theirs = HashTable::attach(&region)?; // in any process
/// assert_eq!(theirs.get(&[7])?, [72, 73]);
/// assert_eq!(theirs.get(&[8]), Err(HashTableError::KeyNotFound));
/// for entry in theirs.iter()? {
///     let (key, value) = entry?;
///     assert_eq!((key, value), (vec![7], vec![72, 73]));
/// }
/// theirs.remove(&[7])?;
/// assert!(table.is_empty());
/// # Ok::<(), HashTableError>(())
/// ```
#[derive(Debug, Clone)]
pub struct HashTable {
    header: Table<HashTableHeader>,
    log: Table<AtomicU64>,
    entries: Strided<HashTableEntry>,
    words: Table<AtomicU64>,
    shape: Shape,
}

/// Where a key is, or else where it could be put, if nothing beyond the reach is nearer.
enum Search {
    Found(usize),
    Absent(Option<usize>),
}

impl HashTable {
    /// Bytes that a table needs with room for `capacity` keys of `key_words` words and values of `value_words`.
    ///
    /// # Errors
    /// [`HashTableError::InvalidCapacity`], [`HashTableError::InvalidKey`], [`HashTableError::InvalidValue`].
    pub fn size(capacity: u64, key_words: u64, value_words: u64) -> Result<u64, HashTableError> {
        Ok(Shape::new(capacity, key_words, value_words)?.bytes())
    }

    /// Makes an empty table at the start of `region`. One does so, before others know of it.
    ///
    /// Commit point: the magic, written last. Who dies before it leaves no table.
    ///
    /// # Errors
    /// As [`size`](Self::size); [`HashTableError::TooSmall`], [`HashTableError::AlreadyInitialised`];
    /// [`HashTableError::Corrupt`] when the region is misaligned.
    pub fn init(
        region: &Region,
        capacity: u64,
        key_words: u64,
        value_words: u64,
    ) -> Result<Self, HashTableError> {
        let shape = Shape::new(capacity, key_words, value_words)?;
        let (needed, there) = (shape.bytes(), region.len());
        if there < needed {
            return Err(HashTableError::TooSmall { needed, there });
        }
        let table = Self::view(region, shape)?;
        if table.header().magic.load(Ordering::Acquire) == MAGIC {
            return Err(HashTableError::AlreadyInitialised);
        }
        table.clear();
        // Release: pairs with the Acquire of `attach`.
        table.header().magic.store(MAGIC, Ordering::Release);
        Ok(table)
    }

    fn clear(&self) {
        let entries = (0..self.shape.entries).filter_map(|entry| self.entries.get(entry));
        entries.for_each(|entry| entry.state.store(0, Ordering::Relaxed));
        let header = self.header();
        self.shape.write(header);
        header.count.store(0, Ordering::Relaxed);
        header.reach.store(0, Ordering::Relaxed);
        header.pending.store(NOTHING, Ordering::Relaxed);
    }

    /// The table at the start of `region`. Needs no lock.
    ///
    /// # Errors
    /// [`HashTableError::Corrupt`] when there is none, or it does not lie inside the region.
    pub fn attach(region: &Region) -> Result<Self, HashTableError> {
        let header = region.view::<HashTableHeader>(0)?;
        // Acquire: pairs with the Release of `init`.
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(Corrupt::new("magic of a hash table", 0).into());
        }
        Self::view(region, Shape::read(header)?)
    }

    fn view(region: &Region, shape: Shape) -> Result<Self, HashTableError> {
        let (entries, count) = (shape.entries_at(), shape.entries as u64);
        Ok(Self {
            header: region.table(0, 1, "header of a hash table")?,
            log: region.table(shape::HEADER_BYTES, shape.value_words as u64, "log of a hash table")?,
            entries: region.strided(entries, shape.stride(), count, "entries of a hash table")?,
            words: region.table(entries, count * shape.stride() / 8, "entries of a hash table")?,
            shape,
        })
    }

    fn header(&self) -> &HashTableHeader {
        &self.header[0]
    }

    /// Ends the table and what is in it: nobody attaches it any more.
    pub fn destroy(self) {
        self.header().magic.store(0, Ordering::Release);
    }

    /// Keys that it has room for.
    pub fn capacity(&self) -> u64 {
        self.shape.capacity as u64
    }

    /// 64-bit words of a key.
    pub fn key_words(&self) -> u64 {
        self.shape.key_words as u64
    }

    /// 64-bit words of a value.
    pub fn value_words(&self) -> u64 {
        self.shape.value_words as u64
    }

    /// Keys in it: of this instant, where the lock is not held.
    pub fn len(&self) -> u64 {
        self.header().count.load(Ordering::Relaxed)
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody died in the middle of an operation, or, where the lock is not held, is at one.
    pub fn is_interrupted(&self) -> bool {
        self.pending() != NOTHING
    }

    fn pending(&self) -> u64 {
        self.header().pending.load(Ordering::Acquire)
    }

    fn begin(&self, operation: u64) {
        self.header().pending.store(operation, Ordering::Release);
    }

    fn finish(&self, count: u64) {
        self.header().count.store(count, Ordering::Release);
        self.header().pending.store(NOTHING, Ordering::Release);
    }

    /// Puts a key in that is not there. Does not block.
    ///
    /// Commit point: the state of its entry. Whoever dies before it has put nothing in.
    ///
    /// # Errors
    /// [`HashTableError::InvalidKey`], [`HashTableError::InvalidValue`], [`HashTableError::DuplicateKey`],
    /// [`HashTableError::Full`], [`HashTableError::Interrupted`], [`HashTableError::Corrupt`].
    pub fn insert(&self, key: &[u64], value: &[u64]) -> Result<(), HashTableError> {
        self.check_value(value)?;
        let count = self.ready(key)?;
        let Search::Absent(free) = self.search(key)? else { return Err(HashTableError::DuplicateKey) };
        if count == self.capacity() {
            return Err(HashTableError::Full);
        }
        let entry =
            free.or_else(|| self.free_beyond(key)).ok_or(Corrupt::new("count of a hash table", 32))?;
        let state = &self.entry(entry)?.state;
        self.begin(INSERTION);
        self.reach_to(entry, key);
        store(self.key_at(entry), key);
        store(self.value_at(entry), value);
        state.store(State::full(key).to_word(), Ordering::Release);
        self.finish(count + 1);
        Ok(())
    }

    /// Gives a key that is there another value. Does not block.
    ///
    /// Commit point: `pending`, behind the log. Whoever dies before it has changed nothing; behind it the value is what
    /// the log has.
    ///
    /// # Errors
    /// [`HashTableError::InvalidKey`], [`HashTableError::InvalidValue`], [`HashTableError::KeyNotFound`],
    /// [`HashTableError::Interrupted`], [`HashTableError::Corrupt`].
    pub fn replace(&self, key: &[u64], value: &[u64]) -> Result<(), HashTableError> {
        self.check_value(value)?;
        let count = self.ready(key)?;
        let entry = self.find(key)?;
        self.header().log_entry.store(entry as u64, Ordering::Release);
        store(&self.log, value);
        self.begin(REPLACEMENT);
        store(self.value_at(entry), value);
        self.finish(count);
        Ok(())
    }

    /// The value of a key. Does not block.
    ///
    /// # Errors
    /// [`HashTableError::InvalidKey`], [`HashTableError::KeyNotFound`], [`HashTableError::Interrupted`],
    /// [`HashTableError::Corrupt`].
    pub fn get(&self, key: &[u64]) -> Result<Vec<u64>, HashTableError> {
        self.ready(key)?;
        Ok(load(self.value_at(self.find(key)?)))
    }

    /// Takes out a key and its value. Does not block.
    ///
    /// Commit point: the state of its entry. Whoever dies before it has taken nothing out.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn remove(&self, key: &[u64]) -> Result<(), HashTableError> {
        let count = self.ready(key)?;
        let entry = self.find(key)?;
        let less = count.checked_sub(1).ok_or(Corrupt::new("count of a hash table", 32))?;
        let state = &self.entry(entry)?.state;
        self.begin(REMOVAL);
        state.store(State::Removed.to_word(), Ordering::Release);
        self.tidy_before(entry + 1);
        if less == 0 {
            self.set_reach(0);
        }
        self.finish(less);
        Ok(())
    }

    /// Makes removed entries EMPTY that lie before one that is.
    fn tidy_before(&self, behind: usize) {
        let mask = self.shape.entries - 1;
        if self.state(behind & mask) != Ok(State::Empty) {
            return;
        }
        let before = (1..=self.shape.entries).map(|distance| behind.wrapping_sub(distance) & mask);
        for entry in before.take_while(|entry| self.state(*entry) == Ok(State::Removed)) {
            if let Some(entry) = self.entries.get(entry) {
                entry.state.store(State::Empty.to_word(), Ordering::Release);
            }
        }
    }

    /// The keys with their values, in no order that means something; the lock is held to the end.
    ///
    /// # Errors
    /// [`HashTableError::Interrupted`]; of each entry: [`HashTableError::Corrupt`].
    pub fn iter(&self) -> Result<impl Iterator<Item = HashTableItem> + '_, HashTableError> {
        if self.is_interrupted() {
            return Err(HashTableError::Interrupted);
        }
        Ok((0..self.shape.entries).filter_map(|entry| self.item(entry)))
    }

    fn item(&self, entry: usize) -> Option<HashTableItem> {
        match self.state(entry) {
            Ok(State::Full(_)) => Some(Ok((load(self.key_at(entry)), load(self.value_at(entry))))),
            Ok(State::Empty | State::Removed) => None,
            Err(wrong) => Some(Err(wrong.into())),
        }
    }

    fn check_value(&self, value: &[u64]) -> Result<(), HashTableError> {
        let words = value.len() as u64;
        if words == self.value_words() { Ok(()) } else { Err(HashTableError::InvalidValue(words)) }
    }

    /// The count, if nobody is at an operation or died there, and the key is one for this table.
    fn ready(&self, key: &[u64]) -> Result<u64, HashTableError> {
        let words = key.len() as u64;
        if words != self.key_words() {
            return Err(HashTableError::InvalidKey(words));
        }
        if self.is_interrupted() {
            return Err(HashTableError::Interrupted);
        }
        let count = self.len();
        if count > self.capacity() {
            return Err(Corrupt::new("count of a hash table", 32).into());
        }
        Ok(count)
    }

    fn find(&self, key: &[u64]) -> Result<usize, HashTableError> {
        match self.search(key)? {
            Search::Found(entry) => Ok(entry),
            Search::Absent(_) => Err(HashTableError::KeyNotFound),
        }
    }

    /// Finishes what was not finished, and makes count and reach anew; returns whether something was not finished. Takes time in
    /// proportion to the capacity; the lock is held.
    ///
    /// Commit point: `pending` is 0. Who dies before it leaves the table to be recovered again.
    ///
    /// # Errors
    /// [`HashTableError::Corrupt`] when an entry, the log or `pending` holds what nobody writes there. Nothing was changed.
    pub fn recover(&self) -> Result<bool, HashTableError> {
        let pending = self.pending();
        let (count, reach) = (self.count_full()?, self.needed_reach()?);
        match pending {
            NOTHING | INSERTION | REMOVAL => {}
            REPLACEMENT => self.replace_from_log()?,
            _ => return Err(Corrupt::new("pending operation of a hash table", 40).into()),
        }
        self.set_reach(reach);
        self.finish(count);
        Ok(pending != NOTHING)
    }

    fn count_full(&self) -> Result<u64, Corrupt> {
        let mut count = 0;
        for entry in 0..self.shape.entries {
            count += u64::from(matches!(self.state(entry)?, State::Full(_)));
        }
        if count > self.capacity() { Err(Corrupt::new("count of a hash table", 32)) } else { Ok(count) }
    }

    fn replace_from_log(&self) -> Result<(), Corrupt> {
        let wrong = Corrupt::new("log of a hash table", 48);
        let entry = self.header().log_entry.load(Ordering::Relaxed) as usize;
        if !self.state(entry).is_ok_and(|state| matches!(state, State::Full(_))) {
            return Err(wrong);
        }
        store(self.value_at(entry), &load(&self.log));
        Ok(())
    }
}

/// A key and its value, or that the entry holds neither.
pub type HashTableItem = Result<(Vec<u64>, Vec<u64>), HashTableError>;

fn store(words: &[AtomicU64], values: &[u64]) {
    words.iter().zip(values).for_each(|(word, value)| word.store(*value, Ordering::Release));
}

fn load(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}
