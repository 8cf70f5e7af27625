//! Who uses a pool.

use weyr::managed::Member;

/// Numbers of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Users {
    /// Members that are not known to be dead.
    pub(crate) alive: u64,
    /// Members that are.
    pub(crate) dead: u64,
}

impl Users {
    /// Counts them all.
    pub(crate) fn of(members: &[Member]) -> Self {
        let dead = members.iter().filter(|member| member.dead).count();
        Self { alive: (members.len() - dead) as u64, dead: dead as u64 }
    }

    /// Counts all but this process.
    pub(crate) fn beside_this_process(members: &[Member]) -> Self {
        let others: Vec<Member> =
            members.iter().filter(|member| member.pid != std::process::id()).copied().collect();
        Self::of(&others)
    }
}
