//! The process that reads the file into shared memory and sends it, chunk by chunk.

use std::fs::File;
use std::io::Read;

use weyr::Sender;
use zerocopy::IntoBytes as _;

use super::clock::monotonic_ns;
use super::message::{Farewell, HEADER_BYTES, Header};
use super::role::Role;
use super::tally::length_of;
use crate::arguments::ReaderArguments;
use crate::failure::Failure;

pub(crate) fn run(arguments: &ReaderArguments) -> Result<(), Failure> {
    let Some(role) = Role::attach(&arguments.channels)? else { return Ok(()) };
    let reading = || format!("reading {}", arguments.file.display());
    let mut file = File::open(&arguments.file).map_err(Failure::system(reading()))?;
    let bytes = file.metadata().map_err(Failure::system(reading()))?.len();
    let sender = role.work.sender();
    for chunk in 0..bytes.div_ceil(arguments.chunk) {
        if arguments.pause_at == Some(chunk) {
            role.hold(chunk)?;
        }
        let length = length_of(chunk, bytes, arguments.chunk);
        if arguments.copy {
            send_copy(&sender, chunk, length, &mut file)?;
        } else {
            send_memory(&role, &sender, chunk, length, &mut file)?;
        }
    }
    let statistics = sender.statistics();
    role.replies.send(Farewell::new(statistics.sent, statistics.bytes_copied_in).as_bytes())?;
    Ok(())
}

/// Reads a chunk straight into an allocation, and hands the allocation over.
fn send_memory(
    role: &Role,
    sender: &Sender,
    chunk: u64,
    length: u64,
    file: &mut File,
) -> Result<(), Failure> {
    // Waits: a worker frees its chunk a moment after the channel has room for the next.
    let mut allocation = role.pool.alloc_blocking(HEADER_BYTES + length)?;
    let (header, data) = allocation.as_mut_slice()?.split_at_mut(HEADER_BYTES as usize);
    file.read_exact(data).map_err(Failure::system("reading the file"))?;
    header.copy_from_slice(Header::new(chunk, monotonic_ns()).as_bytes());
    Ok(sender.send_allocation(allocation).map_err(|failed| failed.error)?)
}

/// Reads a chunk into private memory, and has the channel copy it.
fn send_copy(sender: &Sender, chunk: u64, length: u64, file: &mut File) -> Result<(), Failure> {
    let mut message = vec![0; (HEADER_BYTES + length) as usize];
    let (header, data) = message.split_at_mut(HEADER_BYTES as usize);
    file.read_exact(data).map_err(Failure::system("reading the file"))?;
    header.copy_from_slice(Header::new(chunk, monotonic_ns()).as_bytes());
    Ok(sender.send(&message)?)
}
