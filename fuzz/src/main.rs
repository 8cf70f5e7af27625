//! Draws inputs by a seed, from nothing and by mutation of the corpus, and gives them to the targets.
//!
//! A target is a function of bytes that panics when something is wrong; the input is then kept in `crashes/TARGET/`,
//! and `run TARGET FILE...` gives it again. What is worth keeping goes into `corpus/TARGET/`.

mod channel;
mod channel_requests;
mod descriptors;
mod heap;
mod input;
mod random;
mod requests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use random::Random;

/// A function of bytes, and how many inputs a short and a full run give it.
pub struct Target {
    name: &'static str,
    short: u64,
    full: u64,
    longest: u64,
    run: fn(&[u8]),
}

const TARGETS: [Target; 5] = [
    Target { name: "descriptors", short: 400_000, full: 20_000_000, longest: 200, run: descriptors::run },
    Target { name: "requests", short: 2_000_000, full: 100_000_000, longest: 300, run: requests::run },
    Target {
        name: "channel-requests",
        short: 300_000,
        full: 30_000_000,
        longest: 300,
        run: channel_requests::run,
    },
    Target { name: "heap", short: 1_500, full: 300_000, longest: 600, run: heap::run },
    Target { name: "channel", short: 3_000, full: 600_000, longest: 400, run: channel::run },
];

const USAGE: &str = "run [short|full] | run TARGET [INPUTS | FILE...]; WEYR_SEED=NUMBER begins elsewhere";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let clean = match words[..] {
        [] | ["short"] => TARGETS.iter().map(|target| fuzz(target, target.short)).all(|clean| clean),
        ["full"] => TARGETS.iter().map(|target| fuzz(target, target.full)).all(|clean| clean),
        [name, ref rest @ ..] => match TARGETS.iter().find(|target| target.name == name) {
            Some(target) => one_target(target, rest),
            None => {
                eprintln!("there is no target {name}; {USAGE}");
                false
            }
        },
    };
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one_target(target: &Target, rest: &[&str]) -> bool {
    match rest {
        [] => fuzz(target, target.full),
        [count] if count.parse::<u64>().is_ok() => fuzz(target, count.parse().unwrap_or(0)),
        files => files.iter().all(|file| match std::fs::read(file) {
            Ok(bytes) => catch_unwind(|| (target.run)(&bytes)).is_ok(),
            Err(error) => {
                eprintln!("{file}: {error}");
                false
            }
        }),
    }
}

fn seed() -> u64 {
    std::env::var("WEYR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// The corpus first, as it is; then what is made of it. Stops at the first input that fails.
fn fuzz(target: &Target, inputs: u64) -> bool {
    let (corpus, seed) = (corpus(target.name), seed());
    let mut random = Random::new(seed);
    let mut run = 0;
    let drawn = (0..inputs).map(|_| input::draw(&mut random, &corpus, target.longest));
    for bytes in corpus.iter().cloned().chain(drawn) {
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))).is_err() {
            println!(
                "fuzz {}: input {run} of WEYR_SEED={seed} failed; kept as {}",
                target.name,
                keep(target.name, &bytes)
            );
            return false;
        }
        run += 1;
    }
    println!("fuzz {}: {run} inputs from WEYR_SEED={seed}, {} of them the corpus", target.name, corpus.len());
    // A run without inputs shows nothing.
    run > 0
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

fn keep(target: &str, bytes: &[u8]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(target);
    let file = folder.join(format!("{:08x}", crc32fast::hash(bytes)));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, bytes));
    kept.map_or_else(|error| error.to_string(), |()| file.display().to_string())
}
