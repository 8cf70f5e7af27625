//! The barest exchange between two processes: a number in a cache line there, and one back. What no channel can beat.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Result;
use crate::shared_page::SharedPage;

const THERE: usize = 0;
const BACK: usize = 1;

/// Sends `number`, and returns what comes back.
pub(crate) fn ask(page: &SharedPage, number: u64) -> Result<u64> {
    let before = page.word(BACK).load(Ordering::Relaxed);
    page.word(THERE).store(number, Ordering::Release);
    Ok(changed(page.word(BACK), before))
}

/// Answers the next number; `last` is the one before.
pub(crate) fn answer(page: &SharedPage, last: &mut u64) -> Result<()> {
    *last = changed(page.word(THERE), *last);
    page.word(BACK).store(*last, Ordering::Release);
    Ok(())
}

fn changed(word: &AtomicU64, from: u64) -> u64 {
    loop {
        let now = word.load(Ordering::Acquire);
        if now != from {
            return now;
        }
        spin_loop();
    }
}
