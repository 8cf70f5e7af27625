//! Numbers for things of this process: no two of them have the same.

use crate::private_word::PrivateWord;

static LAST: PrivateWord = PrivateWord::new(0);

/// A number that no earlier call gave in this process, nor in the one that it was forked from before that; never 0.
///
/// ```
/// use weyr_sys::serial;
///
/// assert_ne!(serial::next(), serial::next());
/// ```
pub fn next() -> u64 {
    let mut last = LAST.load();
    loop {
        match LAST.exchange(last, last + 1) {
            Ok(()) => return last + 1,
            Err(now) => last = now,
        }
    }
}
