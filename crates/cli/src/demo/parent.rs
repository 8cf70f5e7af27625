//! The process that starts the others, collects what they say, and compares.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use weyr::channel::Error;
use weyr::managed::name;
use weyr::{Channel, Mode, Pool};

use super::answers::Answers;
use super::children::{Children, Part};
use super::clock::monotonic_ns;
use super::cooperation::cooperative;
use super::input::Input;
use super::interrupt;
use super::killing::Killed;
use super::message::{Holding, Reply};
use super::plan::Plan;
use super::progress::Progress;
use super::report::{PoolReport, Report};
use super::tally::Tally;
use crate::arguments::{DemoArguments, Fault};
use crate::failure::Failure;

/// How often the children are looked at while no answer comes.
const LOOK: Duration = Duration::from_millis(20);
/// The same once they are ending.
const LAST_LOOK: Duration = Duration::from_millis(1);

/// A pool that is destroyed at the end, however the demo ends.
#[derive(Debug)]
struct OwnPool(Pool);

impl Drop for OwnPool {
    fn drop(&mut self) {
        // Destroyed by somebody else: then it is gone as well.
        let _ = self.0.destroy();
    }
}

/// Runs the demo.
pub(crate) fn run(arguments: &DemoArguments) -> Result<Report, Failure> {
    let directory: PathBuf = arguments.directory.clone().unwrap_or_else(name::default_directory);
    let input = Input::choose(arguments.file.as_deref())?;
    let plan = Plan::choose(arguments, &directory)?;
    if arguments.kill && plan.workers < 2 {
        return Err(Failure::Usage(
            "--kill needs at least two workers: one is killed, the others go on".into(),
        ));
    }
    let begin = Instant::now();
    let title = Progress::new("one process, plain", input.bytes);
    let expected = Tally::of_file(&input.path, input.bytes, plan.chunk_bytes, &title)?;
    drop(title);
    let plain_pass = begin.elapsed();
    // Declared before whatever lies in it, so that it goes last.
    let pool = OwnPool(cooperative(Pool::create(&plan.pool(&directory))?));
    let mut parent = Parent::start(arguments, &input, plan, &pool.0)?;
    parent.collect()?;
    parent.finish(&input, &expected, plain_pass)
}

/// The demo while it runs.
#[derive(Debug)]
struct Parent {
    plan: Plan,
    fault: Option<Fault>,
    pool: Pool,
    work: Channel,
    replies: Channel,
    children: Children,
    answers: Answers,
    progress: Progress,
    killed: Option<Killed>,
    problems: Vec<String>,
    chunks: u64,
}

impl Parent {
    fn start(arguments: &DemoArguments, input: &Input, plan: Plan, pool: &Pool) -> Result<Self, Failure> {
        let chunks = input.bytes.div_ceil(plan.chunk_bytes);
        let work = Channel::create(pool, &plan.work())?;
        let replies = Channel::create(pool, &plan.replies())?;
        let mut children = Children::default();
        let commands = Commands { arguments, input, plan, work: &work, replies: &replies, chunks };
        for worker in 0..plan.workers {
            children.start(Part::Worker(worker), &commands.worker(worker))?;
        }
        children.start(Part::Reader, &commands.reader())?;
        Ok(Self {
            plan,
            fault: arguments.fault,
            pool: pool.clone(),
            work,
            replies,
            children,
            answers: Answers::new(chunks),
            progress: Progress::new("through shared memory", input.bytes),
            killed: None,
            problems: Vec::new(),
            chunks,
        })
    }

    /// Receives until every chunk is answered.
    fn collect(&mut self) -> Result<(), Failure> {
        let mut look = Instant::now() + LOOK;
        while !self.answers.are_complete() {
            self.receive_until(look)?;
            if Instant::now() >= look {
                self.look()?;
                look = Instant::now() + LOOK;
            }
        }
        Ok(())
    }

    fn receive_until(&mut self, deadline: Instant) -> Result<(), Failure> {
        match self.replies.receive_until(deadline) {
            Ok(message) => self.hear(&Reply::parse(&message.into_bytes()?)?),
            Err(Error::Timeout) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn hear(&mut self, reply: &Reply) -> Result<(), Failure> {
        match reply {
            Reply::Answer(answer) => {
                if self.answers.add(answer, monotonic_ns()) {
                    self.progress.add(answer.bytes);
                }
                if let Some(killed) = &mut self.killed {
                    killed.answered(answer.chunk);
                }
            }
            Reply::Holding(holding) => self.kill(holding)?,
            Reply::Farewell(farewell) => self.answers.farewell = Some(*farewell),
        }
        Ok(())
    }

    /// Kills whoever waits for it: as the demo shows, or unexpectedly for itself.
    fn kill(&mut self, holding: &Holding) -> Result<(), Failure> {
        let Some(victim) = self.children.find(holding.pid) else { return Ok(()) };
        match self.fault {
            None => self.killed = Some(Killed::kill(&self.pool, victim, holding)?),
            Some(Fault::Stall) => {}
            Some(Fault::Reader | Fault::Worker | Fault::Workers) => victim.kill()?,
        }
        Ok(())
    }

    /// Whether everybody is well, and nobody wants to end this.
    fn look(&mut self) -> Result<(), Failure> {
        interrupt::check()?;
        for (part, pid, status) in self.children.reap()? {
            if part != Part::Reader || !status.success() {
                self.lost(part, pid, status)?;
            }
        }
        Ok(())
    }

    /// Somebody has died unexpectedly. Without the reader or the last worker nothing can go on.
    fn lost(&mut self, part: Part, pid: u32, status: ExitStatus) -> Result<(), Failure> {
        let problem = unexpected(part, pid, status);
        if part == Part::Reader {
            return Err(Failure::Wrong(format!("{problem}; the file was not read to its end")));
        }
        if self.children.workers_left() == 0 {
            return Err(Failure::Wrong(format!("{problem}; it was the last worker")));
        }
        self.problems.push(problem);
        self.pool.recover();
        Ok(())
    }

    /// Ends the others, receives what they still say, looks at what is left, and compares.
    fn finish(mut self, input: &Input, expected: &Tally, plain_pass: Duration) -> Result<Report, Failure> {
        self.work.clone().destroy()?;
        while !self.children.have_ended() {
            self.receive_until(Instant::now() + LAST_LOOK)?;
            self.look_at_the_end()?;
        }
        self.problems.extend(self.killed.as_ref().and_then(Killed::problem));
        let replies_copied_bytes = self.replies.statistics().bytes_copied_out;
        drop(self.work);
        self.replies.destroy()?;
        self.pool.recover();
        let report = Report {
            file: input.path.display().to_string(),
            bytes: input.bytes,
            chunks: self.chunks,
            chunk_bytes: self.plan.chunk_bytes,
            workers: self.plan.workers,
            mode: if self.plan.copy { "copy" } else { "ownership" },
            elapsed_ns: self.answers.elapsed_ns(),
            plain_pass_ns: plain_pass.as_nanos() as u64,
            message_ns: self.answers.message_times(),
            payload_copied: self.answers.payload_copied(),
            replies_copied_bytes,
            wrong_chunks: self.answers.tally.differences(expected),
            histogram_matches: self.answers.tally.histogram == expected.histogram,
            second_answers_dropped: self.answers.second,
            delivered_again: self.answers.delivered_again,
            killed: self.killed,
            pool: PoolReport::of(&self.pool, Mode::Quiesced),
            problems: self.problems,
            ok: false,
        };
        Ok(report.judged())
    }

    /// Whether those that end do so as they should.
    fn look_at_the_end(&mut self) -> Result<(), Failure> {
        interrupt::check()?;
        let failed = self.children.reap()?.into_iter().filter(|(_, _, status)| !status.success());
        self.problems.extend(failed.map(|(part, pid, status)| unexpected(part, pid, status)));
        Ok(())
    }
}

fn unexpected(part: Part, pid: u32, status: ExitStatus) -> String {
    format!("{part} (process {pid}) ended unexpectedly, by {status}")
}

/// What the children are called with.
#[derive(Debug)]
struct Commands<'a> {
    arguments: &'a DemoArguments,
    input: &'a Input,
    plan: Plan,
    work: &'a Channel,
    replies: &'a Channel,
    chunks: u64,
}

impl Commands<'_> {
    fn channels(&self, part: &str) -> Vec<OsString> {
        let (work, replies) = (self.work.descriptor(), self.replies.descriptor());
        let words = [part, "--work", &work.to_string(), "--replies", &replies.to_string()];
        words.map(OsString::from).to_vec()
    }

    fn reader(&self) -> Vec<OsString> {
        let mut words = self.channels("demo-reader");
        words.extend(["--file".into(), self.input.path.clone().into()]);
        words.extend(["--chunk".into(), self.plan.chunk_bytes.to_string().into()]);
        words.extend(self.plan.copy.then(|| "--copy".into()));
        if self.arguments.fault == Some(Fault::Reader) {
            words.extend(["--pause-at".into(), (self.chunks / 2).to_string().into()]);
        }
        words
    }

    fn worker(&self, worker: u32) -> Vec<OsString> {
        let mut words = self.channels("demo-worker");
        words.extend(["--worker".into(), worker.to_string().into()]);
        let every = matches!(self.arguments.fault, Some(Fault::Workers | Fault::Stall));
        if every || self.arguments.kill || self.arguments.fault == Some(Fault::Worker) {
            words.extend(["--pause-at".into(), (self.chunks / 2).to_string().into()]);
        }
        words.extend(every.then(|| "--pause-always".into()));
        words
    }
}
