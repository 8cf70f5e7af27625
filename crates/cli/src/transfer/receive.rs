//! `weyr recv`.
//!
//! Each message is leased until its bytes are written, so that none is lost when this process dies: the next receiver
//! gets it again.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;

use weyr::channel::Error as ChannelError;
use weyr::{Channel, Lease};

use super::{Report, deadline, open::open};
use crate::arguments::ReceiveArguments;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::pool::Users;

pub(crate) fn run(arguments: &ReceiveArguments, output: &Output) -> Result<(), Failure> {
    let channel = open(&arguments.channel)?;
    let mut report = Report { redelivered: Some(0), ..Report::of(&channel) };
    let mut target = target(arguments)?;
    let received = receive_all(&channel, arguments, &mut target, &mut report);
    if output.json && received.is_ok() {
        // Standard output may be what was received.
        if arguments.output.is_some() {
            output.write(&report, |_, _| Ok(()))?
        } else {
            output::note_json(&report)
        }
    }
    received?;
    if arguments.destroy {
        match channel.destroy() {
            Ok(()) | Err(ChannelError::Destroyed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Not behind a buffer: a line that came is seen at once.
fn target(arguments: &ReceiveArguments) -> Result<File, Failure> {
    match &arguments.output {
        Some(path) => File::create(path).map_err(Failure::system(format!("creating {}", path.display()))),
        None => {
            let copy = io::stdout().as_fd().try_clone_to_owned();
            copy.map(File::from).map_err(Failure::system("opening standard output"))
        }
    }
}

fn receive_all(
    channel: &Channel,
    arguments: &ReceiveArguments,
    target: &mut File,
    report: &mut Report,
) -> Result<(), Failure> {
    let receiver = channel.receiver();
    loop {
        let lease = receiver.lease_until(deadline(arguments.channel.timeout));
        let lease = lease.map_err(|error| explain(error, channel, arguments, report))?;
        let bytes = lease.bytes()?;
        if bytes.is_empty() {
            lease.done()?;
            report.ended = true;
            if !arguments.follow {
                return Ok(());
            }
            continue;
        }
        if !write(target, &bytes)? {
            return Ok(());
        }
        note_redelivered(&lease, report);
        lease.done()?;
        report.count(bytes.len());
    }
}

/// False when whoever read the output has seen enough; the message stays in the channel then.
fn write(target: &mut File, bytes: &[u8]) -> Result<bool, Failure> {
    match target.write_all(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::system("writing what was received")(error)),
    }
}

fn note_redelivered(lease: &Lease, report: &mut Report) {
    if lease.is_redelivered() {
        *report.redelivered.get_or_insert_default() += 1;
        output::note(
            "an earlier receiver may have written some of this: a message was delivered again, out of turn",
        );
    }
}

fn explain(error: ChannelError, channel: &Channel, arguments: &ReceiveArguments, report: &Report) -> Failure {
    match error {
        ChannelError::Timeout => {
            let users = Users::beside_this_process(&channel.pool().members());
            let others = match users.alive {
                0 => "nobody else has the pool attached: the sender has ended or died".to_owned(),
                alive => {
                    output::counted(alive, "other process has", "other processes have") + " the pool attached"
                }
            };
            let timeout = arguments.channel.timeout.unwrap_or_default();
            let received = output::counted(report.messages, "message", "messages");
            Failure::Wrong(format!(
                "no message for {timeout:?} after {received}, and no end of the stream; {others}"
            ))
        }
        error => error.into(),
    }
}
