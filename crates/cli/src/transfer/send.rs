//! `weyr send`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use weyr::channel::Error as ChannelError;
use weyr::managed::Error as PoolError;
use weyr::{Allocation, Channel, Sender};

use super::{Limits, Report, open::open};
use crate::arguments::SendArguments;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(arguments: &SendArguments, output: &Output) -> Result<(), Failure> {
    let mut source: Box<dyn Read> = match &arguments.file {
        // Opened before a channel is made for nothing.
        Some(path) => {
            Box::new(File::open(path).map_err(Failure::system(format!("opening {}", path.display())))?)
        }
        None => Box::new(io::stdin().lock()),
    };
    let channel = open(&arguments.channel)?;
    let limits = Limits::of(&arguments.channel);
    let sender = channel.sender().with_wait_mode(arguments.channel.wait);
    let sender =
        sender.with_priority(arguments.priority).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut stream = Stream { report: Report::of(&channel), channel: &channel, sender, limits };
    if arguments.lines {
        stream.send_lines(source, arguments.chunk)?;
    } else {
        stream.send_pieces(&mut source, arguments.chunk)?;
    }
    if !arguments.more {
        stream.send_copy(&[])?;
        stream.report.ended = true;
    }
    if output.json { output.write(&stream.report, |_, _| Ok(())) } else { Ok(()) }
}

struct Stream<'c> {
    report: Report,
    channel: &'c Channel,
    sender: Sender,
    limits: Limits,
}

impl Stream<'_> {
    /// What one read gives is one message: a line from a terminal, and whole chunks of a file.
    fn send_pieces(&mut self, source: &mut dyn Read, chunk: usize) -> Result<(), Failure> {
        let mut bytes = vec![0; chunk];
        loop {
            match source.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(read) => self.send(&bytes[..read])?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(reading(error)),
            }
        }
    }

    fn send_lines(&mut self, source: impl Read, chunk: usize) -> Result<(), Failure> {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line without an end must not take all of memory: it goes in pieces.
            let limited = &mut source.by_ref().take(chunk as u64);
            if limited.read_until(b'\n', &mut line).map_err(reading)? == 0 {
                return Ok(());
            }
            self.send(&line)?;
        }
    }

    /// Sends `bytes` as memory of the pool, or as messages that hold them where they fit, or where there is no memory.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let largest = self.channel.block_size() as usize;
        if bytes.len() > largest
            && let Some(memory) = self.memory(bytes)?
        {
            return self.send_memory(memory, bytes.len());
        }
        bytes.chunks(largest).try_for_each(|part| {
            self.send_copy(part)?;
            self.report.count(part.len());
            Ok(())
        })
    }

    /// None when the pool has no room: what waits for a receiver may have all of it.
    fn memory(&self, bytes: &[u8]) -> Result<Option<Allocation>, Failure> {
        match self.channel.pool().alloc(bytes.len() as u64) {
            Ok(mut memory) => {
                memory.write(0, bytes)?;
                Ok(Some(memory))
            }
            Err(
                PoolError::NoMemory { .. } | PoolError::TooLarge { .. } | PoolError::FilesystemFull { .. },
            ) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn send_memory(&mut self, memory: Allocation, bytes: usize) -> Result<(), Failure> {
        let sent = self.sender.send_allocation_until(memory, self.limits.deadline());
        sent.map_err(|refused| self.explain(refused.error))?;
        self.report.count(bytes);
        Ok(())
    }

    fn send_copy(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.sender.send_until(bytes, self.limits.deadline()).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: ChannelError) -> Failure {
        match error {
            ChannelError::Timeout => Failure::Wrong(format!(
                "the channel is full and nobody received {}; {} messages were sent",
                self.limits.passed(),
                self.report.messages
            )),
            error => error.into(),
        }
    }
}

fn reading(error: io::Error) -> Failure {
    Failure::system("reading what is to be sent")(error)
}
