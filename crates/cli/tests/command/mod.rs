//! The built command, run by tests in a directory of their own.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory of pools that no other test has.
pub(crate) struct Pools(TempDir);

impl Pools {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// `weyr WORDS`, with this directory.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weyr"));
        command.args(words).env("WEYR_DIR", self.directory()).stdin(Stdio::null());
        command
    }

    /// What `weyr WORDS` does.
    pub(crate) fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What `weyr WORDS --json` says, and its exit code.
    pub(crate) fn json<W: AsRef<OsStr>>(&self, words: &[W]) -> (Value, i32) {
        let output = self.command(words).arg("--json").output().unwrap();
        let said = serde_json::from_slice(&output.stdout);
        let value = said.unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
        (value, output.status.code().unwrap())
    }

    /// Whether no file is left.
    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(self.directory()).unwrap().next().is_none()
    }
}

/// Everything that a command has written.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
