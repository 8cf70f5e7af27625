//! Requests are executed here: with what this process can reach, and so that nothing but a response comes of it.

use std::time::{Duration, Instant};

use weyr_managed::{Pool, PoolDescriptor};

use super::held::{self, Held, Kind};
use super::operation::{Answer, Outcome};
use super::{ChannelOperation, ChannelRequest, ChannelResponse};
use crate::{Channel, ChannelAttributes, ChannelDescriptor, Error};

impl ChannelRequest {
    /// Does what is asked for with this process's rights, and says what came of it: an error is a response, too.
    ///
    /// A pool that this process has attached is used as it is; another is attached for as long as this takes. Waits only
    /// where the request says how long. Look at [`operation`](Self::operation) first where strangers ask, and refuse by
    /// [`ChannelResponse::refusal`]: nothing but this process's rights is asked here. A request that is executed twice is
    /// done twice; a channel with a name is not created twice.
    /// Source: *Dragon channels*, `dragon_channel_exec_req`.
    pub fn execute(&self) -> ChannelResponse {
        ChannelResponse::new(self, self.operation.perform())
    }
}

impl ChannelOperation {
    fn perform(&self) -> Outcome {
        Ok(match self {
            Self::Create { pool, name, attributes } => {
                Answer::Create(create(&reach(pool)?, name.as_deref(), attributes)?)
            }
            Self::Find { pool, name } => {
                Answer::Find(Channel::attach_named(&reach(pool)?, name)?.descriptor())
            }
            Self::Destroy { channel } => Answer::Destroy(Channel::attach(channel)?.destroy()?),
            Self::Waiting { channel } => Answer::Waiting(Channel::attach(channel)?.len()?),
            Self::GetAttributes { channel } => Answer::GetAttributes(Channel::attach(channel)?.attributes()?),
            Self::SetAttributes { channel, attributes } => {
                Answer::SetAttributes(Channel::attach(channel)?.set_attributes(attributes)?)
            }
            Self::State { channel } => Answer::State(Channel::attach(channel)?.state()?),
            Self::WriteLock { channel, patience } => Answer::WriteLock(write_lock(channel, *patience)?),
            Self::WriteUnlock { channel } => Answer::WriteUnlock(held::unlock(channel, Kind::Write)?),
            Self::ReadLock { channel, patience } => Answer::ReadLock(read_lock(channel, *patience)?),
            Self::ReadUnlock { channel } => Answer::ReadUnlock(held::unlock(channel, Kind::Read)?),
            Self::Quiesce { channel, patience } => Answer::Quiesce(quiesce(channel, *patience)?),
            Self::Unquiesce { channel } => Answer::Unquiesce(Channel::attach(channel)?.unquiesce()?),
        })
    }
}

fn reach(pool: &PoolDescriptor) -> Result<Pool, Error> {
    Ok(Pool::attach_descriptor(pool)?)
}

fn create(
    pool: &Pool,
    name: Option<&str>,
    attributes: &ChannelAttributes,
) -> Result<ChannelDescriptor, Error> {
    let channel = match name {
        Some(name) => Channel::create_named(pool, name, attributes),
        None => Channel::create(pool, attributes),
    };
    channel.map(|channel| channel.descriptor())
}

fn write_lock(channel: &ChannelDescriptor, patience: Option<Duration>) -> Result<(), Error> {
    let there = Channel::attach(channel)?;
    let lock = match patience {
        Some(Duration::ZERO) => there.try_write_lock(),
        patience => match deadline(patience) {
            Some(deadline) => there.write_lock_until(deadline),
            None => there.write_lock(),
        },
    };
    held::keep(channel, Held::Write(lock?));
    Ok(())
}

fn read_lock(channel: &ChannelDescriptor, patience: Option<Duration>) -> Result<(), Error> {
    let there = Channel::attach(channel)?;
    let lock = match patience {
        Some(Duration::ZERO) => there.try_read_lock(),
        patience => match deadline(patience) {
            Some(deadline) => there.read_lock_until(deadline),
            None => there.read_lock(),
        },
    };
    held::keep(channel, Held::Read(lock?));
    Ok(())
}

fn quiesce(channel: &ChannelDescriptor, patience: Option<Duration>) -> Result<(), Error> {
    let there = Channel::attach(channel)?;
    match patience {
        Some(Duration::ZERO) => there.try_quiesce(),
        patience => match deadline(patience) {
            Some(deadline) => there.quiesce_until(deadline),
            None => there.quiesce(),
        },
    }
}

/// None: without limit, or beyond what clocks count.
fn deadline(patience: Option<Duration>) -> Option<Instant> {
    patience.and_then(|patience| Instant::now().checked_add(patience))
}
