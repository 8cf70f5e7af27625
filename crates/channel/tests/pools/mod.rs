//! Pools and child processes for tests.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::env;
use std::process::{Child, Command, Stdio};

#[path = "../../../managed/tests/made_of/mod.rs"]
pub(crate) mod made_of;

use made_of::{Home, Made};
use weyr_atomic::{AtomicU64, Ordering};
use weyr_channel::{Channel, ChannelAttributes, ChannelDescriptor};
use weyr_managed::{Mode, Pool, PoolAttributes};

const ROLE: &str = "WEYR_TEST_CHILD";
const CHANNELS: &str = "WEYR_TEST_CHANNELS";

/// A pool that is destroyed with the test.
pub(crate) struct TestPool(pub(crate) Pool, Option<Home>);

impl TestPool {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("test-{test}-{}", std::process::id());
        Self::of(&PoolAttributes::new(name, 4 << 20))
    }

    /// One of a name that no other test has, and shaped by `shape`.
    pub(crate) fn with(test: &str, bytes: u64, shape: impl Fn(PoolAttributes) -> PoolAttributes) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let words = test.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let name = format!("test-{words}-{}-{number}", std::process::id());
        Self::of(&shape(PoolAttributes::new(name, bytes)))
    }

    /// Made of what this run's pools are made of.
    fn of(attributes: &PoolAttributes) -> Self {
        match made_of::chosen() {
            Made::SharedMemory => Self(Pool::create(attributes).unwrap(), None),
            made => {
                let (pool, home) = made.create(attributes);
                Self(pool, Some(home))
            }
        }
    }

    pub(crate) fn channel(&self, capacity: u64) -> Channel {
        Channel::create(&self.0, &ChannelAttributes::new().block_size(64).capacity(capacity)).unwrap()
    }

    /// Nobody acts any more: the pool's words agree with each other.
    pub(crate) fn assert_verified(&self) {
        let verification = self.0.verify(Mode::Quiesced);
        assert!(verification.findings.is_empty(), "{:#?}", verification.findings);
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.0.usage().total.blocks
    }
}

impl Drop for TestPool {
    fn drop(&mut self) {
        let _ = self.0.destroy();
    }
}

/// Runs the test called `test` of this binary again, as a child that finds its channels in the environment.
pub(crate) fn child(test: &str, channels: &[&Channel]) -> Child {
    let descriptors: Vec<String> = channels.iter().map(|channel| channel.descriptor().to_string()).collect();
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, test)
        .env(CHANNELS, descriptors.join(","))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// In the child of test `test`: its channels.
pub(crate) fn as_child(test: &str) -> Option<Vec<Channel>> {
    if env::var(ROLE).ok()? != test {
        return None;
    }
    let descriptors = env::var(CHANNELS).ok()?;
    let attach = |text: &str| Channel::attach(&text.parse::<ChannelDescriptor>().unwrap()).unwrap();
    Some(descriptors.split(',').map(attach).collect())
}
