//! What is computed of the file: a SHA-256 of each chunk, and how often each byte value occurs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::interrupt;
use super::progress::Progress;
use crate::failure::Failure;

/// How often each byte value occurs in a chunk.
pub(crate) type Histogram = [u32; 256];
/// A SHA-256.
pub(crate) type ChunkDigest = [u8; 32];

/// What is computed of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// One for each chunk; none where no answer has come.
    pub(crate) digests: Vec<Option<ChunkDigest>>,
    /// Over all chunks.
    pub(crate) histogram: [u64; 256],
}

impl Tally {
    /// Of a file of `chunks` chunks, before any is known.
    pub(crate) fn new(chunks: u64) -> Self {
        Self { digests: vec![None; chunks as usize], histogram: [0; 256] }
    }

    /// Adds a chunk; false when it is there already, or no such chunk is.
    pub(crate) fn add(&mut self, chunk: u64, digest: ChunkDigest, histogram: &Histogram) -> bool {
        let free = usize::try_from(chunk).ok().and_then(|chunk| self.digests.get_mut(chunk));
        let Some(place @ None) = free else { return false };
        *place = Some(digest);
        self.histogram.iter_mut().zip(histogram).for_each(|(total, count)| *total += u64::from(*count));
        true
    }

    /// Chunks whose digest is another than in `other`.
    pub(crate) fn differences(&self, other: &Self) -> Vec<u64> {
        let pairs = self.digests.iter().zip(&other.digests);
        (0..).zip(pairs).filter(|(_, (own, others))| own != others).map(|(chunk, _)| chunk).collect()
    }

    /// One process's pass over the file, without shared memory.
    pub(crate) fn of_file(
        path: &Path,
        bytes: u64,
        chunk_bytes: u64,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let reading = || format!("reading {}", path.display());
        let mut file = File::open(path).map_err(Failure::system(reading()))?;
        let mut buffer = vec![0; chunk_bytes.min(bytes) as usize];
        let mut tally = Self::new(bytes.div_ceil(chunk_bytes));
        for chunk in 0..tally.digests.len() as u64 {
            interrupt::check()?;
            let data = &mut buffer[..length_of(chunk, bytes, chunk_bytes) as usize];
            file.read_exact(data).map_err(Failure::system(reading()))?;
            let mut histogram = [0; 256];
            count(data, &mut histogram);
            tally.add(chunk, digest(data), &histogram);
            progress.add(data.len() as u64);
        }
        Ok(tally)
    }
}

/// Bytes of chunk `chunk` of a file of `bytes` bytes.
pub(crate) fn length_of(chunk: u64, bytes: u64, chunk_bytes: u64) -> u64 {
    chunk_bytes.min(bytes - chunk * chunk_bytes)
}

/// SHA-256 of a chunk.
pub(crate) fn digest(data: &[u8]) -> ChunkDigest {
    Sha256::digest(data).into()
}

/// Sets `histogram` to that of a chunk.
pub(crate) fn count(data: &[u8], histogram: &mut Histogram) {
    // Four counters a value: the same value twice in a row would wait for itself.
    let mut lanes = [[0u32; 256]; 4];
    let mut quads = data.chunks_exact(4);
    for quad in &mut quads {
        quad.iter().zip(&mut lanes).for_each(|(&byte, lane)| lane[usize::from(byte)] += 1);
    }
    quads.remainder().iter().for_each(|&byte| lanes[0][usize::from(byte)] += 1);
    for (value, total) in histogram.iter_mut().enumerate() {
        *total = lanes.iter().map(|lane| lane[value]).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_counted_once() {
        let data: Vec<u8> = (0..1027u32).map(|i| (i * i) as u8).collect();
        let mut histogram = [9; 256];
        count(&data, &mut histogram);
        for value in 0..=255u8 {
            let found = data.iter().filter(|byte| **byte == value).count() as u32;
            assert_eq!(histogram[usize::from(value)], found);
        }
    }

    #[test]
    fn a_second_answer_for_a_chunk_changes_nothing() {
        let mut tally = Tally::new(2);
        assert!(tally.add(1, [1; 32], &[1; 256]));
        assert!(!tally.add(1, [2; 32], &[1; 256]));
        assert!(!tally.add(2, [2; 32], &[1; 256]), "there is no third chunk");
        assert_eq!((tally.digests[1], tally.histogram[0]), (Some([1; 32]), 1));
    }

    #[test]
    fn a_chunk_that_differs_is_named() {
        let mut tally = Tally::new(2);
        let mut other = Tally::new(2);
        tally.add(0, [1; 32], &[1; 256]);
        other.add(0, [1; 32], &[1; 256]);
        other.add(1, [1; 32], &[1; 256]);
        assert_eq!(tally.differences(&other), [1]);
        assert!(tally.differences(&tally).is_empty());
    }

    #[test]
    fn the_plain_pass_covers_the_file_to_its_last_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 1000]).unwrap();
        let tally = Tally::of_file(&path, 1000, 300, &Progress::hidden()).unwrap();
        assert_eq!(tally.histogram[7], 1000);
        assert_eq!(
            tally.digests,
            [Some(digest(&[7; 300])); 3].into_iter().chain([Some(digest(&[7; 100]))]).collect::<Vec<_>>()
        );
    }
}
