//! Which channel is meant.

use std::path::{Path, PathBuf};

use weyr::managed::{ChannelDetails, ChannelFacts, Inspection, POOL_VARIABLE};

use crate::arguments::{ChannelName, parse_offset};
use crate::failure::Failure;
use crate::pool;

/// Where a pool lies: the one of that name, or the one that the environment names.
pub(super) fn pool(directory: &Path, name: Option<&str>) -> Result<PathBuf, Failure> {
    let given = std::env::var(POOL_VARIABLE).ok().filter(|value| !value.is_empty());
    match (name, given) {
        (Some(name), _) => pool::path(directory, name),
        (None, Some(path)) if path.contains('/') => Ok(path.into()),
        (None, Some(name)) => pool::path(directory, &name),
        (None, None) => Err(Failure::Usage("which pool? Name it, or set WEYR_POOL (`weyr run` does)".into())),
    }
}

/// A channel, wherever its pool is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    channel: String,
}

impl Place {
    pub(super) fn of(directory: &Path, name: &ChannelName) -> Result<Self, Failure> {
        Ok(Self { path: pool(directory, name.pool.as_deref())?, channel: name.name.clone() })
    }

    /// The channel that is there now.
    pub(super) fn look(&self, pool: &Inspection) -> Result<ChannelDetails, Failure> {
        let facts = facts(pool, &self.channel)?;
        // Gone between the two looks.
        pool.channel_details(facts.reference).ok_or_else(|| missing(pool, &self.channel))
    }
}

/// The channel of that name, or at that offset.
pub(super) fn facts(pool: &Inspection, channel: &str) -> Result<ChannelFacts, Failure> {
    let channels = pool.channels();
    let named = channels.iter().find(|facts| facts.name.as_deref() == Some(channel));
    let offset = parse_offset(channel).ok();
    let at = || channels.iter().find(|facts| Some(facts.reference.offset) == offset);
    named.or_else(at).cloned().ok_or_else(|| missing(pool, channel))
}

fn missing(pool: &Inspection, channel: &str) -> Failure {
    let name = pool.name();
    Failure::System(format!("no channel {channel:?} in pool {name:?}; see `weyr channel list {name}`"))
}
