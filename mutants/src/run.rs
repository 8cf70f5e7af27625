//! One test, with something broken or as it is.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::build::Test;

/// A test that takes longer hangs, which is a way of noticing.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether it passes, with `mutant` broken.
pub(crate) fn passes(test: &Test, mutant: Option<&str>) -> Result<bool> {
    let mut command = Command::new(&test.program);
    command.args([&test.name, "--exact"]).current_dir(&test.folder).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_remove("WEYR_MUTANT");
    if let Some(mutant) = mutant {
        command.env("WEYR_MUTANT", mutant);
    }
    let mut child = command.spawn().with_context(|| test.name.clone())?;
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= end {
            // The whole group: a test may have children.
            let _gone_by_now = Command::new("kill").args(["-9", "--", &format!("-{}", child.id())]).status();
            child.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
