//! Peers in other languages: built from `foreign/` when the first of their rows runs, and run as programs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::Result;
use crate::row::Samples;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/foreign");
/// Seconds that one run may take.
const LIMIT: &str = "40";

/// What [`built`] has built in this run, by source: building is not tried twice.
static BUILT: Mutex<Option<HashMap<&str, std::result::Result<PathBuf, String>>>> = Mutex::new(None);

/// Whether `program` can be run at all.
pub(crate) fn is_installed(program: &str) -> bool {
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The program that `compiler` makes of a file in `foreign/`.
pub(crate) fn built(compiler: &str, source: &'static str) -> Result<PathBuf> {
    let mut built = BUILT.lock().map_err(|_| "building a peer panicked")?;
    let built = built.get_or_insert_default();
    let program =
        built.entry(source).or_insert_with(|| build(compiler, source).map_err(|error| error.to_string()));
    program.clone().map_err(Into::into)
}

fn build(compiler: &str, source: &str) -> Result<PathBuf> {
    let stem = Path::new(source).with_extension("");
    let program = std::env::current_exe()?.with_file_name(format!("weyr-benches-{}", stem.display()));
    let source = place(source);
    let output = Command::new(compiler).args(["-O2", "-o"]).arg(&program).arg(source).arg("-lrt").output()?;
    if !output.status.success() {
        return Err(format!("{compiler} failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(program)
}

/// Where a file in `foreign/` is.
pub(crate) fn place(source: &str) -> PathBuf {
    Path::new(SOURCES).join(source)
}

/// A command that ends in time.
pub(crate) fn limited(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).arg(program);
    command
}

/// Runs what prints a sample a line.
pub(crate) fn samples(command: &mut Command) -> Result<Samples> {
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("{}: {said}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(str::parse).collect::<std::result::Result<Samples, _>>()?)
}
