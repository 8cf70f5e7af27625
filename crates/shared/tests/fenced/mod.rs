//! A region between fences: bytes that must be as they were, whatever is done inside.
#![allow(dead_code, reason = "each test that has this module uses a part of it")]

use std::sync::Arc;

use weyr_atomic::{AtomicU8, Ordering};
use weyr_shared::{Region, Table};
use weyr_sys::mapping::Mapping;

/// Bytes of a fence.
const FENCE: u64 = 4096;
const FENCE_BYTE: u8 = 0xA5;

pub(crate) struct Fenced {
    whole: Table<AtomicU8>,
    inside: Region,
}

impl Fenced {
    /// Zeros.
    pub(crate) fn new(bytes: u64) -> Self {
        let mapping = Mapping::anonymous((2 * FENCE + bytes).next_multiple_of(FENCE) as usize).unwrap();
        let region = Region::new(Arc::new(mapping));
        let fenced = Self {
            whole: region.table(0, region.len(), "whole").unwrap(),
            inside: region.part(FENCE, bytes).unwrap(),
        };
        fenced.fences().for_each(|byte| byte.store(FENCE_BYTE, Ordering::Relaxed));
        fenced
    }

    pub(crate) fn region(&self) -> &Region {
        &self.inside
    }

    /// Writes bytes over what is inside.
    pub(crate) fn overwrite(&self, offset: u64, bytes: &[u8]) {
        let inside: Table<AtomicU8> = self.inside.table(0, self.inside.len(), "inside").unwrap();
        let words = inside.iter().skip(offset as usize);
        words.zip(bytes).for_each(|(word, byte)| word.store(*byte, Ordering::Relaxed));
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let inside: Table<AtomicU8> = self.inside.table(0, self.inside.len(), "inside").unwrap();
        inside.iter().map(|byte| byte.load(Ordering::Relaxed)).collect()
    }

    /// A copy at another address.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(self.inside.len());
        copy.overwrite(0, &self.bytes());
        copy
    }

    pub(crate) fn assert_fences(&self) {
        assert!(self.fences().all(|byte| byte.load(Ordering::Relaxed) == FENCE_BYTE), "written outside");
    }

    fn fences(&self) -> impl Iterator<Item = &AtomicU8> {
        let (fence, bytes) = (FENCE as usize, self.inside.len() as usize);
        self.whole[..fence].iter().chain(&self.whole[fence + bytes..])
    }
}
