//! Two events in a managed pool, one for each direction.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use weyr_managed::{AllocationDescriptor, Pool, PoolBroadcast};
use weyr_shared::{BroadcastAttributes, SyncType, WaitMode};

use crate::Result;
use crate::process::alone;
use crate::processor::Processors;
use crate::scratch::Scratch;

/// Nobody is away so long.
const LATE: Duration = Duration::from_secs(60);
const POOL_BYTES: u64 = 1 << 20;

/// Where the events are.
#[derive(Debug)]
pub(crate) struct WeyrEvents {
    _scratch: Scratch,
    path: PathBuf,
    there: AllocationDescriptor,
    back: AllocationDescriptor,
}

/// The events, as one process has them.
#[derive(Debug)]
pub(crate) struct Pair {
    there: PoolBroadcast,
    back: PoolBroadcast,
}

impl WeyrEvents {
    pub(crate) fn new(processors: Processors) -> Result<Self> {
        let scratch = Scratch::new()?;
        let attributes = scratch.pool("events", POOL_BYTES);
        let (path, texts) = alone(processors[0], || {
            let pool = Pool::create(&attributes)?;
            let event = || -> Result<String> {
                // A trigger waits until the other waits.
                let attributes = BroadcastAttributes::new().max_payload(8).sync(SyncType::With(1));
                Ok(pool.create_broadcast(&attributes)?.descriptor()?.to_string())
            };
            Ok((pool.path().to_owned(), (event()?, event()?)))
        })?;
        Ok(Self { _scratch: scratch, path, there: texts.0.parse()?, back: texts.1.parse()? })
    }

    pub(crate) fn attach(&self) -> Result<Pair> {
        self.open(&self.path)
    }

    fn open(&self, path: &Path) -> Result<Pair> {
        let pool = Pool::attach_path(path)?;
        Ok(Pair { there: pool.open_broadcast(&self.there)?, back: pool.open_broadcast(&self.back)? })
    }
}

impl Pair {
    pub(crate) fn ask(&self, number: u64) -> Result<u64> {
        let answer = self.back.register(WaitMode::Idle)?;
        self.there.trigger_one_until(&number.to_ne_bytes(), Instant::now() + LATE)?;
        let answer = answer.wait()?;
        Ok(u64::from_ne_bytes(answer[..].try_into()?))
    }

    pub(crate) fn answer(&self) -> Result<()> {
        let question = self.there.wait(WaitMode::Idle)?;
        self.back.trigger_one(&question)?;
        Ok(())
    }
}
