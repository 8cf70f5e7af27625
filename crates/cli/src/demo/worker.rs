//! A process that works on chunks where they lie.
//!
//! The lease is ended behind the answer: a worker that dies before has not answered for good, and the chunk is
//! delivered again. One that dies between the two has: the parent drops the second answer.

use weyr::channel::Error;
use weyr::{Lease, Owned, Receiver, TypedPool as _};
use zerocopy::IntoBytes as _;

use super::message::{Answer, Header};
use super::role::Role;
use super::tally::{self, Histogram};
use crate::arguments::WorkerArguments;
use crate::failure::Failure;

pub(crate) fn run(arguments: &WorkerArguments) -> Result<(), Failure> {
    let Some(role) = Role::attach(&arguments.channels)? else { return Ok(()) };
    let receiver = role.work.receiver();
    // In the pool too: what a killed worker leaves behind is freed by the others.
    let mut histogram: Owned<Histogram> =
        role.pool.owned(&[0; 256]).map_err(Failure::system("allocating"))?;
    loop {
        match receiver.lease() {
            Ok(lease) => work(&role, arguments, &receiver, &mut histogram, lease)?,
            // There is no more work.
            Err(Error::Destroyed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn work(
    role: &Role,
    arguments: &WorkerArguments,
    receiver: &Receiver,
    histogram: &mut Owned<Histogram>,
    lease: Lease,
) -> Result<(), Failure> {
    let mut answer = with_payload(&lease, |message| {
        let (header, data) = Header::split(message)?;
        let digest = tally::digest(data);
        if pauses(arguments, header.chunk, lease.is_redelivered()) {
            role.hold(header.chunk)?;
        }
        let histogram = histogram.as_mut().map_err(Failure::system("counting"))?;
        tally::count(data, histogram);
        let mut answer = Answer::new(arguments.worker, header, data.len() as u64);
        (answer.digest, answer.histogram) = (digest, *histogram);
        Ok(answer)
    })?;
    answer.delivered_again = lease.is_redelivered().into();
    answer.bytes_copied = receiver.statistics().bytes_copied_out;
    role.replies.send(answer.as_bytes())?;
    Ok(lease.done()?)
}

/// Calls `look` with the bytes of a message: in place when it is an allocation, else in a copy.
fn with_payload<R>(lease: &Lease, look: impl FnOnce(&[u8]) -> Result<R, Failure>) -> Result<R, Failure> {
    match lease.as_slice() {
        Ok(bytes) => look(bytes),
        Err(Error::NoAllocation) => look(&lease.bytes()?),
        Err(error) => Err(error.into()),
    }
}

/// Whether this is where the demo kills a worker.
fn pauses(arguments: &WorkerArguments, chunk: u64, delivered_again: bool) -> bool {
    match arguments.pause_at {
        Some(at) if arguments.pause_always => chunk >= at,
        Some(at) => chunk == at && !delivered_again,
        None => false,
    }
}
