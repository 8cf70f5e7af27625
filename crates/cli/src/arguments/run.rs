//! `weyr run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::pool::ShapeArguments;
use super::size::parse_bytes;

/// `weyr run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Name of the pool, which is created if there is none [default: a new one of its own]
    #[arg(long, value_name = "NAME")]
    pub(crate) pool: Option<String>,
    /// Bytes of a pool that is created
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_bytes)]
    pub(crate) size: u64,
    /// Directory of the pool [default: $WEYR_DIR, else /dev/shm]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Do not destroy a pool that was created
    #[arg(long)]
    pub(crate) keep: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArguments,
    /// The program, and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}
