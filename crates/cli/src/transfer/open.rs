//! The channel that the command line names, with its pool.

use std::path::{Path, PathBuf};

use weyr::managed::{Error as PoolError, name};
use weyr::{Channel, ChannelAttributes, Pool, PoolAttributes};

use crate::arguments::{ChannelArguments, ChannelName};
use crate::failure::Failure;
use crate::pool::explain_creation;

/// Attaches the channel; creates what is missing, if that is allowed.
pub(super) fn open(arguments: &ChannelArguments) -> Result<Channel, Failure> {
    let pool = open_pool(arguments)?;
    let name = &arguments.channel.name;
    if arguments.create {
        let attributes = ChannelAttributes::new()
            .capacity(arguments.capacity)
            .block_size(arguments.block_size)
            .priority_levels(arguments.levels);
        return Channel::attach_or_create(&pool, name, &attributes).map_err(|error| refused(error, name));
    }
    Channel::attach_named(&pool, name).map_err(|error| refused(error, name))
}

fn refused(error: weyr::channel::Error, name: &str) -> Failure {
    use weyr::channel::Error as Channel;
    match error {
        Channel::NoSuchChannel { pool, .. } => Failure::System(format!(
            "no channel named {name:?} in pool {pool:?}; pass --create, or see `weyr pool show {pool}`"
        )),
        Channel::InvalidName { .. }
        | Channel::InvalidCapacity { .. }
        | Channel::InvalidBlockSize { .. }
        | Channel::InvalidLevels { .. } => Failure::Usage(error.to_string()),
        Channel::Pool(error) => Failure::from(*error),
        error => error.into(),
    }
}

fn open_pool(arguments: &ChannelArguments) -> Result<Pool, Failure> {
    let ChannelName { pool: Some(pool), .. } = &arguments.channel else {
        return Pool::from_environment().map_err(|error| match error {
            PoolError::NoDefaultPool => {
                Failure::Usage("which pool? Write POOL/NAME, or set WEYR_POOL (`weyr run` does)".into())
            }
            error => error.into(),
        });
    };
    let directory = arguments.directory.clone().unwrap_or_else(name::default_directory);
    let path = name::pool_path(&directory, pool)?;
    if arguments.create {
        attach_or_create(arguments.size, pool, &directory, &path)
    } else {
        attach(pool, path)
    }
}

fn attach(pool: &str, path: PathBuf) -> Result<Pool, Failure> {
    Pool::attach_path(&path).map_err(|error| match error {
        PoolError::NoSuchPool { .. } => Failure::System(format!(
            "{error}; create it with `weyr pool create {pool} --size SIZE`, or pass --create"
        )),
        error => error.into(),
    })
}

fn attach_or_create(size: u64, pool: &str, directory: &Path, path: &Path) -> Result<Pool, Failure> {
    loop {
        match Pool::attach_path(path) {
            // Destroyed and still there: its name goes at once.
            Err(PoolError::NoSuchPool { .. } | PoolError::Destroyed) => {}
            attached => return Ok(attached?),
        }
        match Pool::create(&PoolAttributes::new(pool, size).directory(directory)) {
            // Another was first.
            Err(PoolError::NameTaken { .. }) => {}
            created => return created.map_err(|error| explain_creation(error, directory)),
        }
    }
}
