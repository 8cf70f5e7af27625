//! `weyr pool`: this user's pools, looked at from outside.
//!
//! Looking is read-only and invisible to the pool's users, once or again and again (`watch`). `create` and `copy` make one;
//! `attr --set`, `grow`, `trim`, `repair`, `destroy` and `prune` attach, to be members while they act.

mod attributes;
mod copy;
mod create;
mod destroy;
mod dump;
mod extent;
mod list;
mod prune;
mod repair;
pub(crate) mod show;
mod users;
pub(crate) mod verify;
pub(crate) mod watch;

pub(crate) use create::explain as explain_creation;
pub(crate) use users::Users;

use std::path::{Path, PathBuf};

use weyr::managed::name;

use crate::arguments::{PoolArguments, PoolCommand};
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(arguments: &PoolArguments, output: &Output) -> Result<(), Failure> {
    let directory = arguments.directory.clone().unwrap_or_else(name::default_directory);
    match &arguments.command {
        PoolCommand::Create(create) => create::run(create, &directory, output),
        PoolCommand::List => list::run(&directory, output),
        PoolCommand::Show { name } => show::run(&path(&directory, name)?, output),
        PoolCommand::Watch(watch) => watch::run(watch, &path(&directory, &watch.name)?, output),
        PoolCommand::Attr { name, set } => attributes::run(&path(&directory, name)?, set, output),
        PoolCommand::Verify { name, quiesced } => verify::run(&path(&directory, name)?, *quiesced, output),
        PoolCommand::Dump(dump) => dump::run(dump, &path(&directory, &dump.name)?, output),
        PoolCommand::Repair { name } => repair::run(name, &path(&directory, name)?, output),
        PoolCommand::Grow { name, segments } => extent::grow(&path(&directory, name)?, *segments, output),
        PoolCommand::Trim { name } => extent::trim(&path(&directory, name)?, output),
        PoolCommand::Copy(copy) => copy::run(copy, &path(&directory, &copy.name)?, &directory, output),
        PoolCommand::Destroy { name, force } => destroy::run(name, &path(&directory, name)?, *force, output),
        PoolCommand::Prune { unused, dry_run } => prune::run(&directory, *unused, *dry_run, output),
    }
}

pub(crate) fn path(directory: &Path, name: &str) -> Result<PathBuf, Failure> {
    Ok(name::pool_path(directory, name)?)
}
