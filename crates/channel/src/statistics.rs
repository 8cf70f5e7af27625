//! What went through a handle.

use std::ops::Add;

/// Counts of one handle since it was made, kept in private memory. Threads that share a handle may lose some of each
/// other's counts; a clone counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Messages sent.
    pub sent: u64,
    /// Payload bytes that sending copied into the channel; a message that is an allocation adds none.
    pub bytes_copied_in: u64,
    /// Claims that this handle lost to a receiver because it was too slow; each was followed by another.
    pub claims_lost: u64,
    /// Messages received, and leases taken.
    pub received: u64,
    /// Payload bytes that receiving copied out of the channel; an allocation that is kept adds none.
    pub bytes_copied_out: u64,
    /// Of the messages received, those that an earlier receiver may have seen.
    pub redelivered: u64,
    /// Claims of slow senders that this handle has revoked.
    pub claims_revoked: u64,
}

impl Add for Statistics {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            bytes_copied_in: self.bytes_copied_in + other.bytes_copied_in,
            claims_lost: self.claims_lost + other.claims_lost,
            received: self.received + other.received,
            bytes_copied_out: self.bytes_copied_out + other.bytes_copied_out,
            redelivered: self.redelivered + other.redelivered,
            claims_revoked: self.claims_revoked + other.claims_revoked,
        }
    }
}
