//! `weyr channel`: the channels of a pool, looked at from outside.
//!
//! Looking is read-only and invisible to those who use the channel: no message is taken, and nobody is a member.

mod find;
mod list;
mod look;
mod verify;
mod watch;

use weyr::managed::name;

use crate::arguments::{ChannelCommand, ChannelsArguments};
use crate::failure::Failure;
use crate::output::Output;
use find::Place;

pub(crate) fn run(arguments: &ChannelsArguments, output: &Output) -> Result<(), Failure> {
    let directory = arguments.directory.clone().unwrap_or_else(name::default_directory);
    match &arguments.command {
        ChannelCommand::List { pool } => list::run(&find::pool(&directory, pool.as_deref())?, output),
        ChannelCommand::Show { channel } => look::run(&Place::of(&directory, &channel.channel)?, output),
        ChannelCommand::Watch { channel, looks } => {
            watch::run(&Place::of(&directory, &channel.channel)?, looks, output)
        }
        ChannelCommand::Verify { channel, quiesced } => verify::run(&directory, channel, *quiesced, output),
    }
}
