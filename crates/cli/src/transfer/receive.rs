//! `weyr recv`.
//!
//! Each message is leased until its bytes are written, so that none is lost when this process dies: the next receiver
//! gets it again.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;

use weyr::channel::Error as ChannelError;
use weyr::{Channel, Lease, PollEvents, Receiver};

use super::{Limits, Report, open::open};
use crate::arguments::ReceiveArguments;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::pool::Users;

pub(crate) fn run(arguments: &ReceiveArguments, output: &Output) -> Result<(), Failure> {
    let channel = open(&arguments.channel)?;
    let mut report = Report { redelivered: Some(0), ..Report::of(&channel) };
    let mut target = target(arguments)?;
    let limits = Limits::of(&arguments.channel);
    let received = match arguments.peek {
        true => peek(&channel, arguments, &limits, &mut target, &mut report),
        false => receive_all(&channel, arguments, &limits, &mut target, &mut report),
    };
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
    limits: &Limits,
    target: &mut File,
    report: &mut Report,
) -> Result<(), Failure> {
    let receiver = channel.receiver().with_wait_mode(arguments.channel.wait);
    while arguments.count != Some(report.messages) {
        let received = Received::next(&receiver, limits, arguments.no_lease);
        let received = received.map_err(|error| explain(error, channel, limits, report))?;
        let bytes = received.bytes()?;
        if bytes.is_empty() {
            received.done()?;
            report.ended = true;
            if !arguments.follow && arguments.count.is_none() {
                return Ok(());
            }
            continue;
        }
        if !write(target, &bytes)? {
            return Ok(());
        }
        note_redelivered(received.is_redelivered(), report);
        report.count(bytes.len());
        received.done()?;
    }
    Ok(())
}

/// A message: in the channel until it is done, or taken out of it already.
enum Received {
    Leased(Lease),
    Taken { bytes: Vec<u8>, redelivered: bool },
}

impl Received {
    fn next(receiver: &Receiver, limits: &Limits, no_lease: bool) -> Result<Self, ChannelError> {
        if !no_lease {
            return receiver.lease_until(limits.deadline()).map(Self::Leased);
        }
        let message = receiver.receive_until(limits.deadline())?;
        let redelivered = message.is_redelivered();
        Ok(Self::Taken { bytes: message.into_bytes()?, redelivered })
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>, ChannelError> {
        match self {
            Self::Leased(lease) => lease.bytes().map(Cow::Owned),
            Self::Taken { bytes, .. } => Ok(Cow::Borrowed(bytes)),
        }
    }

    fn is_redelivered(&self) -> bool {
        match self {
            Self::Leased(lease) => lease.is_redelivered(),
            Self::Taken { redelivered, .. } => *redelivered,
        }
    }

    fn done(self) -> Result<(), ChannelError> {
        match self {
            Self::Leased(lease) => lease.done(),
            Self::Taken { .. } => Ok(()),
        }
    }
}

/// Writes a copy of the message at the head, waiting for one.
fn peek(
    channel: &Channel,
    arguments: &ReceiveArguments,
    limits: &Limits,
    target: &mut File,
    report: &mut Report,
) -> Result<(), Failure> {
    let poller = channel.poller().with_wait_mode(arguments.channel.wait);
    loop {
        let waited = poller.poll_until(PollEvents::IN, limits.deadline());
        waited.map_err(|error| explain(error, channel, limits, report))?;
        let peeked = match channel.receiver().try_peek() {
            // Somebody was faster.
            Err(ChannelError::Empty) => continue,
            peeked => peeked?,
        };
        let Some(bytes) = peeked.bytes() else {
            let len = output::bytes(peeked.len());
            return Err(Failure::Wrong(format!(
                "the next message is memory of the pool, {len}: receive it to see what is in it"
            )));
        };
        report.count(bytes.len());
        report.ended = bytes.is_empty();
        return write(target, bytes).map(drop);
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

fn note_redelivered(redelivered: bool, report: &mut Report) {
    if redelivered {
        *report.redelivered.get_or_insert_default() += 1;
        output::note(
            "an earlier receiver may have written some of this: a message was delivered again, out of turn",
        );
    }
}

fn explain(error: ChannelError, channel: &Channel, limits: &Limits, report: &Report) -> Failure {
    match error {
        ChannelError::Timeout => {
            let users = Users::beside_this_process(&channel.pool().members());
            let others = match users.alive {
                0 => "nobody else has the pool attached: the sender has ended or died".to_owned(),
                alive => {
                    output::counted(alive, "other process has", "other processes have") + " the pool attached"
                }
            };
            let received = output::counted(report.messages, "message", "messages");
            Failure::Wrong(format!(
                "no message {} after {received}, and no end of the stream; {others}",
                limits.passed()
            ))
        }
        error => error.into(),
    }
}
