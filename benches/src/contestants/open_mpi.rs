//! Open MPI, where its compiler is installed: one C program for all its rows, built when the first of them runs.

use std::process::Command;

/// Its version, or that it is not installed.
pub(crate) fn version() -> std::result::Result<String, String> {
    let output = Command::new("mpirun").arg("--version").output().map_err(|_| "not installed")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    Ok(first.rsplit(' ').next().unwrap_or_default().to_owned())
}
