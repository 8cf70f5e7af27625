//! Ctrl-C, SIGTERM and SIGHUP: noticed by who waits, so that the pool is destroyed and the children are reaped.

use std::sync::OnceLock;

use crate::failure::Failure;

static INTERRUPTED: OnceLock<()> = OnceLock::new();

/// From now on the signals are noticed instead of ending the process.
pub(crate) fn catch() -> Result<(), Failure> {
    let noticed = || {
        // Set before: interrupted twice is interrupted.
        let _ = INTERRUPTED.set(());
    };
    ctrlc::set_handler(noticed).map_err(Failure::system("catching Ctrl-C"))
}

/// Fails when one came.
pub(crate) fn check() -> Result<(), Failure> {
    match INTERRUPTED.get() {
        Some(()) => {
            Err(Failure::System("interrupted; the processes were ended and the pool was destroyed".into()))
        }
        None => Ok(()),
    }
}
