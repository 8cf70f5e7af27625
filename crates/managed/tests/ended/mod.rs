//! How a child ends that is counted, killed or stopped before a shared write.

use rustix::process::{Signal, getpid, kill_process};
use weyr_atomic::crash;

/// How the child ends at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    AfterAll,
    Killed(u64),
    StoppedThenContinued(u64),
    StoppedThenKilled(u64),
}

fn signal(which: Signal) {
    kill_process(getpid(), which).unwrap();
}

impl End {
    pub(crate) fn arm(self) {
        match self {
            Self::AfterAll => crash::arm(0, || ()),
            Self::Killed(write) => crash::arm(write, || signal(Signal::KILL)),
            Self::StoppedThenContinued(write) | Self::StoppedThenKilled(write) => {
                crash::arm(write, || signal(Signal::STOP));
            }
        }
    }
}
