//! Words of errors (`&'static str` here) that came over the wire.
//!
//! The idea: a process keeps each different word that it was sent for as long as it lives, up to a fixed number of
//! fixed length; so an error is the same value here as where it was made, be it of a program that knows more words.
//! Only who completes requests reads errors, and only from those whom it asked.

use std::sync::Mutex;

use crate::Error;
use crate::frame::Fields;

#[cfg(test)]
use super::draw::Draw;
use super::wire::{Wire, read_bytes, write_bytes};

/// Different words that a process keeps.
const KEPT: usize = 512;
/// Bytes of the longest.
const LONGEST: usize = 160;

/// Each place is written once.
static WORDS: [Mutex<Option<&'static str>>; KEPT] = [const { Mutex::new(None) }; KEPT];

/// Does not wait: a place that another thread is at is passed over, as it would be for ever in a forked child; the word
/// is then kept twice.
fn keep(word: &str) -> Option<&'static str> {
    for place in WORDS.iter().filter_map(|place| place.try_lock().ok()) {
        match *place {
            Some(kept) if kept == word => return Some(kept),
            Some(_) => {}
            None => return Some(fill(place, word)),
        }
    }
    None
}

fn fill(mut place: std::sync::MutexGuard<'_, Option<&'static str>>, word: &str) -> &'static str {
    place.insert(String::from(word).leak())
}

impl Wire for &'static str {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(self.as_bytes(), to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        let word = read_bytes(from)?;
        let word = Some(word).filter(|word| word.len() <= LONGEST).and_then(|word| str::from_utf8(word).ok());
        let word = word.ok_or_else(|| from.damaged("it has a word that no error has"))?;
        keep(word).ok_or_else(|| from.damaged("it has more words than this process keeps"))
    }

    #[cfg(test)]
    fn form() -> String {
        "word".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        ["", "sending it", "the kernel's answer"][draw.below(3)]
    }
}
