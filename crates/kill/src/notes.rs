//! What a test says of itself though it passed: how much it ran, or that it could not run here.
//!
//! A runner shows nothing of tests that pass. So a note is a line of the file that `WEYR_REPORT` names, which the one
//! who started the tests shows afterwards; without that variable it goes to standard error.

use std::{env, fmt, fs::OpenOptions, io, io::Write};

/// Notes what was run, with its numbers. A line of it is appended as a whole, whoever else does so.
///
/// # Panics
/// When the file that `WEYR_REPORT` names cannot be written: a number that nobody sees is no result.
pub fn note(line: impl fmt::Display) {
    append(&line).expect("the file that WEYR_REPORT names takes a line");
}

/// Notes that `test` does not run here, and why.
///
/// # Panics
/// As [`note`].
pub fn note_skipped(test: &str, why: impl fmt::Display) {
    note(format_args!("skipped: {test}: {why}"));
}

pub(crate) fn append(line: &dyn fmt::Display) -> io::Result<()> {
    let Some(path) = env::var_os("WEYR_REPORT") else {
        show(line);
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

#[allow(clippy::print_stderr, reason = "nobody else asked for it")]
fn show(line: &dyn fmt::Display) {
    eprintln!("{line}");
}
