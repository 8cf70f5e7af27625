//! A fixed number of bits in shared memory, which any number of processes set, reset and look at.
//!
//! Each operation on one bit is one atomic exchange of its word, so there is no lock and nothing that a death could
//! leave half done: a bit is set or it is not. What looks at more than one bit (a count, the first set, an iteration, a
//! dump) sees each word at an instant of its own.
//!
//! Position independent: a header and its words, no pointer. What is read is believed as far as it is a bit below the
//! length that was checked when the bitset was attached.
//!
//! Source: Dragon, managed memory, bitset. What it does not do: it does not grow, and it waits for nothing.

use std::fmt::Write;

use weyr_atomic::{AtomicU64, Ordering};

use crate::{Corrupt, Region, Table};

/// First word of a bitset.
const MAGIC: u64 = u64::from_le_bytes(*b"WEYRBIT1");
/// Bits of a word.
const WORD_BITS: u64 = u64::BITS as u64;
/// Bytes of the header.
const HEADER_BYTES: u64 = 16;
const MAX_BITS: u64 = 1 << 48;
/// Bits of a line of a dump.
const DUMP_BITS: u64 = 64;

crate::layout! {
    /// What stands before the words of a bitset. Bit `i` is bit `i % 64` of word `i / 64`.
    pub struct BitsetHeader: 16, align 8 {
        /// `WEYRBIT1`; written last, by who makes it. Anything else: no bitset.
        0 => magic: AtomicU64,
        /// Number of bits, 1 to 2^48; written once, by who makes it.
        8 => bits: AtomicU64,
    }
}

/// Why an operation on a bitset was refused. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitsetError {
    /// There is no such bit.
    #[error("bit {bit} of a bitset that has {bits}; they count from 0")]
    OutOfBounds {
        /// The bit asked for.
        bit: u64,
        /// How many there are.
        bits: u64,
    },
    /// No bitset has so many bits.
    #[error("a bitset has 1 to 2^48 bits, not {0}")]
    InvalidLength(u64),
    /// The region is too small for it.
    #[error("the bitset needs {needed} bytes and the region has {there}")]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes of the region.
        there: u64,
    },
    /// There is a bitset already.
    #[error("the region holds a bitset already; attach it, or destroy it first")]
    AlreadyInitialised,
    /// The memory does not hold a bitset, or one that does not fit into the region.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// A bitset in a region, which it keeps mapped. Clones are the same bits.
///
/// ```
/// use std::sync::Arc;
/// use weyr_shared::{Bitset, Region};
/// # use weyr_sys::mapping::Mapping;
///
/// # let mapping = Arc::new(Mapping::anonymous(4096).unwrap());
/// let region = Region::new(mapping); // of memory that others map, too
/// let ours = Bitset::init(&region, 100)?;
/// let theirs = Bitset::attach(&region)?; // in any process
///
/// ours.set(3)?;
/// assert!(!theirs.set(70)?, "it was not set");
/// assert_eq!(ours.iter().collect::<Vec<_>>(), [3, 70]);
/// assert_eq!((ours.count(), ours.first_set(), ours.zeroes_to_right(3)?), (2, Some(3), 66));
/// assert!(ours.get(100).is_err());
/// # Ok::<(), weyr_shared::BitsetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bitset {
    header: Table<BitsetHeader>,
    words: Table<AtomicU64>,
    bits: u64,
}

impl Bitset {
    /// Bytes that a bitset of `bits` bits needs.
    ///
    /// # Errors
    /// [`BitsetError::InvalidLength`].
    pub fn size(bits: u64) -> Result<u64, BitsetError> {
        if !(1..=MAX_BITS).contains(&bits) {
            return Err(BitsetError::InvalidLength(bits));
        }
        Ok(HEADER_BYTES + bits.div_ceil(WORD_BITS) * 8)
    }

    /// Makes a bitset of `bits` bits, none of them set, at the start of `region`. One does so, before others know of it.
    ///
    /// Commit point: the magic, written last. Who dies before it leaves no bitset.
    ///
    /// # Errors
    /// [`BitsetError::InvalidLength`], [`BitsetError::TooSmall`], [`BitsetError::AlreadyInitialised`];
    /// [`BitsetError::Corrupt`] when the region is misaligned.
    pub fn init(region: &Region, bits: u64) -> Result<Self, BitsetError> {
        let (needed, there) = (Self::size(bits)?, region.len());
        if there < needed {
            return Err(BitsetError::TooSmall { needed, there });
        }
        let set = Self::view(region, bits)?;
        if set.header().magic.load(Ordering::Acquire) == MAGIC {
            return Err(BitsetError::AlreadyInitialised);
        }
        set.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        set.header().bits.store(bits, Ordering::Relaxed);
        // Release: pairs with the Acquire of `attach`.
        set.header().magic.store(MAGIC, Ordering::Release);
        Ok(set)
    }

    /// The bitset at the start of `region`.
    ///
    /// # Errors
    /// [`BitsetError::Corrupt`] when there is none, or it does not lie inside the region.
    pub fn attach(region: &Region) -> Result<Self, BitsetError> {
        let header = region.view::<BitsetHeader>(0)?;
        // Acquire: pairs with the Release of `init`.
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(Corrupt::new("magic of a bitset", 0).into());
        }
        let bits = header.bits.load(Ordering::Relaxed);
        Self::size(bits).map_err(|_| Corrupt::new("length of a bitset", 8))?;
        Self::view(region, bits)
    }

    fn view(region: &Region, bits: u64) -> Result<Self, BitsetError> {
        let header = region.table(0, 1, "header of a bitset")?;
        let words = region.table(HEADER_BYTES, bits.div_ceil(WORD_BITS), "words of a bitset")?;
        Ok(Self { header, words, bits })
    }

    fn header(&self) -> &BitsetHeader {
        &self.header[0]
    }

    /// Ends the bitset: nobody attaches it any more. Who has it attached can go on, with bits that mean nothing.
    pub fn destroy(self) {
        self.header().magic.store(0, Ordering::Release);
    }

    /// How many bits it has.
    pub fn bits(&self) -> u64 {
        self.bits
    }

    /// Sets a bit. Whether it was set before: of several who set it at once, one is told that it was not.
    ///
    /// What was written before a bit was changed is seen by who sees the change. Does not block.
    ///
    /// # Errors
    /// [`BitsetError::OutOfBounds`].
    pub fn set(&self, bit: u64) -> Result<bool, BitsetError> {
        let (word, mask) = self.place(bit)?;
        // AcqRel: pairs with itself, with `reset` and with the Acquire of `get`.
        Ok(word.fetch_or(mask, Ordering::AcqRel) & mask != 0)
    }

    /// Resets a bit. Whether it was set before. Does not block.
    ///
    /// # Errors
    /// [`BitsetError::OutOfBounds`].
    pub fn reset(&self, bit: u64) -> Result<bool, BitsetError> {
        let (word, mask) = self.place(bit)?;
        // AcqRel: as in `set`.
        Ok(word.fetch_and(!mask, Ordering::AcqRel) & mask != 0)
    }

    /// Whether a bit is set.
    ///
    /// # Errors
    /// [`BitsetError::OutOfBounds`].
    pub fn get(&self, bit: u64) -> Result<bool, BitsetError> {
        let (word, mask) = self.place(bit)?;
        Ok(word.load(Ordering::Acquire) & mask != 0)
    }

    fn place(&self, bit: u64) -> Result<(&AtomicU64, u64), BitsetError> {
        let word = self.words.get((bit / WORD_BITS) as usize).filter(|_| bit < self.bits);
        let word = word.ok_or(BitsetError::OutOfBounds { bit, bits: self.bits })?;
        Ok((word, 1 << (bit % WORD_BITS)))
    }

    /// How many bits in a row are not set behind `bit`, up to the next that is, or to the end. `bit` itself is not
    /// looked at.
    ///
    /// # Errors
    /// [`BitsetError::OutOfBounds`].
    pub fn zeroes_to_right(&self, bit: u64) -> Result<u64, BitsetError> {
        self.place(bit)?;
        Ok(self.next_set(bit + 1).unwrap_or(self.bits) - bit - 1)
    }

    /// How many bits are set.
    pub fn count(&self) -> u64 {
        (0..self.words.len()).map(|index| u64::from(self.word(index).count_ones())).sum()
    }

    /// The first bit that is set.
    pub fn first_set(&self) -> Option<u64> {
        self.next_set(0)
    }

    /// The first bit from `from` on that is set.
    pub fn next_set(&self, from: u64) -> Option<u64> {
        let first = (from / WORD_BITS) as usize;
        let before = (1_u64 << (from % WORD_BITS)) - 1;
        (first..self.words.len()).find_map(|index| {
            let word = self.word(index) & if index == first { !before } else { u64::MAX };
            (word != 0).then(|| index as u64 * WORD_BITS + u64::from(word.trailing_zeros()))
        })
    }

    /// The bits that are set, upwards. One that is set or reset meanwhile is among them or not.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let next = |bit: u64| self.next_set(bit);
        std::iter::successors(next(0), move |bit| next(bit + 1))
    }

    /// The word, without bits behind the end.
    fn word(&self, index: usize) -> u64 {
        let word = self.words.get(index).map_or(0, |word| word.load(Ordering::Acquire));
        word & self.mask(index)
    }

    /// Which bits of a word there are.
    fn mask(&self, index: usize) -> u64 {
        match self.bits - index as u64 * WORD_BITS {
            rest @ 1..WORD_BITS => (1 << rest) - 1,
            _ => u64::MAX,
        }
    }

    /// The bits as text, for people: 64 a line, in groups of 8, the lowest first; equal lines in a row once.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use weyr_shared::{Bitset, Region};
    /// # let region = Region::new(Arc::new(weyr_sys::mapping::Mapping::anonymous(4096).unwrap()));
    /// let bits = Bitset::init(&region, 20)?;
    /// bits.set(1)?;
    /// bits.set(16)?;
    /// assert_eq!(bits.dump(), "bitset of 20 bits, 2 set\n       0  01000000 00000000 1000\n");
    /// # Ok::<(), weyr_shared::BitsetError>(())
    /// ```
    pub fn dump(&self) -> String {
        let mut text = format!("bitset of {} bits, {} set\n", self.bits, self.count());
        let mut last = None;
        let mut is_folded = false;
        for index in 0..self.words.len() {
            let line = self.line(index);
            if last.as_ref() != Some(&line) {
                let _ = writeln!(text, "{:8}  {line}", index as u64 * DUMP_BITS);
                is_folded = false;
            } else if !is_folded {
                text.push_str("       *\n");
                is_folded = true;
            }
            last = Some(line);
        }
        text
    }

    fn line(&self, index: usize) -> String {
        let word = self.word(index);
        let bits = DUMP_BITS.min(self.bits - index as u64 * DUMP_BITS);
        let group = |first: u64| -> String {
            (first..bits.min(first + 8)).map(|bit| if word >> bit & 1 == 1 { '1' } else { '0' }).collect()
        };
        (0..bits).step_by(8).map(group).collect::<Vec<_>>().join(" ")
    }

    /// What is wrong: a header that is not what was attached, bits set behind the end. Empty for a sound bitset, whoever is
    /// in the middle of what. Does not block.
    pub fn verify(&self) -> Vec<Corrupt> {
        let mut found = Vec::new();
        if self.header().magic.load(Ordering::Acquire) != MAGIC {
            found.push(Corrupt::new("magic of a bitset", 0));
        }
        if self.header().bits.load(Ordering::Relaxed) != self.bits {
            found.push(Corrupt::new("length of a bitset", 8));
        }
        let last = self.words.len() - 1;
        if self.words[last].load(Ordering::Acquire) & !self.mask(last) != 0 {
            found.push(Corrupt::new("bits behind the end of a bitset", HEADER_BYTES + last as u64 * 8));
        }
        found
    }
}
