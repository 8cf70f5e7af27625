//! Open MPI, where its compiler is installed: a C program of two ranks, built when the first of its rows runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::processor::Processors;
use crate::row::Samples;
use crate::Result;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/open_mpi.c");
/// Seconds that one run may take.
const LIMIT: &str = "100";

/// What its two ranks do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exchange {
    Trip,
    Burst,
}

/// Its version, or that it is not installed.
pub(crate) fn version() -> std::result::Result<String, String> {
    let output = Command::new("mpirun").arg("--version").stderr(Stdio::null()).output();
    let text = output.map_err(|_| "not installed").map(|output| String::from_utf8_lossy(&output.stdout).into_owned())?;
    Ok(text.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or("unknown").to_owned())
}

/// Whether it can take part.
pub(crate) fn there() -> std::result::Result<(), String> {
    let compiler = Command::new("mpicc").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match (compiler, version()) {
        (Ok(status), Ok(_)) if status.success() => Ok(()),
        _ => Err("not installed".into()),
    }
}

/// Samples of `operations` messages of `bytes` bytes each.
pub(crate) fn measure(
    exchange: Exchange,
    bytes: usize,
    operations: u64,
    samples: u64,
    processors: Processors,
) -> Result<Samples> {
    let exchange = match exchange {
        Exchange::Trip => "trip",
        Exchange::Burst => "burst",
    };
    let mut command = Command::new("timeout");
    command.args([LIMIT, "mpirun", "-n", "2", "--bind-to", "none", "--oversubscribe"]);
    // Without oversubscription it spins, which is what is compared.
    command.args(["--mca", "mpi_yield_when_idle", "0"]);
    if rustix::process::geteuid().is_root() {
        command.arg("--allow-run-as-root");
    }
    let output = command
        .arg(program()?)
        .args(processors.map(|processor| processor.to_string()))
        .arg(exchange)
        .args([bytes as u64, operations, samples].map(|number| number.to_string()))
        .output()?;
    if !output.status.success() {
        return Err(format!("Open MPI failed: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(str::parse).collect::<std::result::Result<Samples, _>>()?)
}

/// The program, built once a run.
fn program() -> Result<&'static Path> {
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| error.to_string()));
    built.as_deref().map_err(|error| error.clone().into())
}

fn build() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("weyr-benches-open-mpi");
    let output = Command::new("mpicc").args(["-O2", "-o"]).arg(&program).arg(SOURCE).output()?;
    if !output.status.success() {
        return Err(format!("mpicc failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(program)
}
