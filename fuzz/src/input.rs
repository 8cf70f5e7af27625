//! Inputs: random bytes, or an entry of the corpus with some of its bytes changed.

use crate::random::Random;

pub fn draw(random: &mut Random, corpus: &[Vec<u8>], longest: u64) -> Vec<u8> {
    if corpus.is_empty() || random.below(3) == 0 {
        return (0..random.below(longest + 1)).map(|_| random.number() as u8).collect();
    }
    let mut bytes = corpus[random.below(corpus.len() as u64) as usize].clone();
    for _ in 0..1 + random.below(6) {
        change(random, &mut bytes);
    }
    bytes.truncate(longest as usize);
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() as u64 + 1) as usize;
    match random.below(6) {
        0 => bytes.insert(at, random.number() as u8),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_within(at..),
        kind if at < bytes.len() => match kind {
            3 => bytes[at] ^= 1 << random.below(8),
            4 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5) as usize],
            _ => drop(bytes.remove(at)),
        },
        _ => {}
    }
}
