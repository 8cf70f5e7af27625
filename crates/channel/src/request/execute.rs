//! Requests are executed here: with what this process can reach, and so that nothing but a response comes of it.

use weyr_managed::{Pool, PoolDescriptor};

use super::operation::{Answer, Outcome};
use super::{ChannelOperation, ChannelRequest, ChannelResponse};
use crate::{Channel, ChannelAttributes, ChannelDescriptor, Error};

impl ChannelRequest {
    /// Does what is asked for with this process's rights, and says what came of it: an error is a response, too.
    ///
    /// A pool that this process has attached is used as it is; another is attached for as long as this takes. Waits for
    /// nobody. Look at [`operation`](Self::operation) first where strangers ask, and refuse by
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
