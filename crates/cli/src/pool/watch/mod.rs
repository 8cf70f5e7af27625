//! `weyr pool watch`: look after look at a pool, from outside.
//!
//! Every look opens the pool anew, maps it read-only and is no member: so nothing of it is ever changed, whoever was
//! stopped or killed holds nothing up, and a pool that grew, was destroyed or replaced is seen as such.

pub(crate) mod draw;
pub(crate) mod look;
mod pause;
mod screen;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use weyr::managed::Error;

use crate::arguments::{LookArguments, WatchArguments};
use crate::failure::Failure;
use crate::output::{self, Output};
use look::{Event, Look};
use pause::{Pause, Woken};
use screen::Screen;

/// Events that stay on the screen.
const EVENTS_SHOWN: usize = 5;

pub(crate) fn run(arguments: &WatchArguments, path: &Path, output: &Output) -> Result<(), Failure> {
    watch(&arguments.looks, output, |before| match before {
        None => Ok(Look::at(path)?),
        Some((before, elapsed)) => next(path, before, elapsed),
    })
}

/// What can be watched: it is written as JSON, or drawn.
pub(crate) trait Watched: Serialize {
    /// What happened since the look before.
    fn events(&self) -> &[Event];
    /// Writes a look and `told` events, cut to `room` lines if a number is given.
    fn draw(&self, to: &mut dyn Write, told: &[Event], room: Option<usize>) -> io::Result<()>;
}

impl Watched for Look {
    fn events(&self) -> &[Event] {
        &self.events
    }

    fn draw(&self, to: &mut dyn Write, told: &[Event], room: Option<usize>) -> io::Result<()> {
        draw::write(to, self, told, room)
    }
}

/// Shows look after look. `next` makes the first one, and each other from the one before and the time since.
pub(crate) fn watch<W: Watched>(
    arguments: &LookArguments,
    output: &Output,
    mut next: impl FnMut(Option<(&W, Duration)>) -> Result<W, Failure>,
) -> Result<(), Failure> {
    let mut begin = Instant::now();
    let mut look = next(None)?;
    let mut target = Target::of(arguments, output)?;
    let pause = Pause::new(matches!(target, Target::Screen { .. }))?;
    let count = if arguments.once { Some(1) } else { arguments.count };
    for number in 1.. {
        if !target.show(&look)? || count == Some(number) {
            return Ok(());
        }
        loop {
            match pause.until(begin + arguments.interval)? {
                Woken::Ended => return Ok(()),
                Woken::Resized => drop(target.show_again(&look)?),
                Woken::Due => break,
            }
        }
        let before = begin;
        begin = Instant::now();
        look = next(Some((&look, begin - before)))?;
    }
    Ok(())
}

/// The next look, at the same pool.
fn next(path: &Path, before: &Look, elapsed: Duration) -> Result<Look, Failure> {
    let gone = |how: &str| Failure::Wrong(format!("pool {:?} was {how} while it was watched", before.name));
    match Look::at(path) {
        Ok(look) if look.uuid != before.uuid => Err(gone("replaced by another")),
        Ok(look) => Ok(look.since(before, elapsed)),
        Err(Error::Destroyed | Error::NoSuchPool { .. }) => Err(gone("destroyed")),
        Err(error) => Err(error.into()),
    }
}

/// Where looks go.
enum Target {
    /// One object a line.
    Json,
    /// One text behind the other.
    Text { is_first: bool },
    /// Drawn over each other, with the events of some looks.
    Screen { screen: Screen, told: VecDeque<Event>, interval: Duration },
}

impl Target {
    fn of(arguments: &LookArguments, output: &Output) -> Result<Self, Failure> {
        let interval = arguments.interval;
        match output.json {
            true => Ok(Self::Json),
            false if arguments.once || !io::stdout().is_terminal() => Ok(Self::Text { is_first: true }),
            false => Ok(Self::Screen { screen: Screen::open()?, told: VecDeque::new(), interval }),
        }
    }

    /// False when nobody reads any more.
    fn show(&mut self, look: &impl Watched) -> Result<bool, Failure> {
        if let Self::Screen { told, .. } = self {
            told.extend(look.events().iter().cloned());
            told.drain(..told.len().saturating_sub(EVENTS_SHOWN));
        }
        self.show_again(look)
    }

    fn show_again(&mut self, look: &impl Watched) -> Result<bool, Failure> {
        output::is_read(match self {
            Self::Json => write_json(look),
            Self::Text { is_first } => write_text(look, std::mem::take(is_first)),
            Self::Screen { screen, told, interval } => {
                let footer = format!("every {interval:?}; q ends");
                screen.draw(&footer, |to, lines| look.draw(to, told.make_contiguous(), Some(lines)))
            }
        })
    }
}

fn write_json(look: &impl Watched) -> io::Result<()> {
    let mut line = serde_json::to_string(look)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

fn write_text(look: &impl Watched, is_first: bool) -> io::Result<()> {
    let mut text = Vec::new();
    if !is_first {
        writeln!(text)?;
    }
    look.draw(&mut text, look.events(), None)?;
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(&text)?;
    stdout.flush()
}
