//! The result of a demo.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{Cell, Color, Table};
use serde::Serialize;
use weyr::{Mode, Pool};

use super::answers::MessageTimes;
use super::killing::Killed;
use crate::output::{self, ERROR, GOOD, HEADING};

/// Everything that a demo has found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    pub(crate) chunk_bytes: u64,
    pub(crate) workers: u32,
    /// `ownership`, or `copy`.
    pub(crate) mode: &'static str,
    /// From the first sending to the last answer.
    pub(crate) elapsed_ns: u64,
    /// The same work by one process, without shared memory.
    pub(crate) plain_pass_ns: u64,
    pub(crate) message_ns: MessageTimes,
    pub(crate) payload_copied: Copied,
    pub(crate) replies_copied_bytes: u64,
    pub(crate) wrong_chunks: Vec<u64>,
    pub(crate) histogram_matches: bool,
    pub(crate) second_answers_dropped: u64,
    pub(crate) delivered_again: u64,
    pub(crate) killed: Option<Killed>,
    pub(crate) pool: PoolReport,
    pub(crate) problems: Vec<String>,
    pub(crate) ok: bool,
}

/// Bytes of the file that the library has copied, as it counts them.
#[derive(Debug, Serialize)]
pub(crate) struct Copied {
    pub(crate) send_bytes: u64,
    pub(crate) receive_bytes: u64,
}

/// The pool when all was over.
#[derive(Debug, Serialize)]
pub(crate) struct PoolReport {
    pub(crate) size_bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) allocations_left: u64,
    pub(crate) findings: Vec<String>,
}

impl PoolReport {
    pub(crate) fn of(pool: &Pool, mode: Mode) -> Self {
        let usage = pool.usage();
        Self {
            size_bytes: usage.pages * usage.page_bytes,
            peak_bytes: usage.peak_pages * usage.page_bytes,
            allocations_left: usage.total.blocks,
            findings: pool.verify(mode).findings.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Report {
    /// With everything that is wrong among its problems.
    pub(crate) fn judged(mut self) -> Self {
        if !self.wrong_chunks.is_empty() {
            let number = output::counted(self.wrong_chunks.len() as u64, "chunk differs", "chunks differ");
            self.problems.push(format!("{number} from the plain pass"));
        }
        if !self.histogram_matches {
            self.problems.push("the histogram differs from the plain pass".into());
        }
        if self.pool.allocations_left > 0 {
            let left = output::counted(self.pool.allocations_left, "allocation is", "allocations are");
            self.problems.push(format!("{left} left in the pool"));
        }
        self.problems
            .extend(self.pool.findings.iter().map(|finding| format!("the pool is broken: {finding}")));
        self.ok = self.problems.is_empty();
        self
    }
}

/// The report as people read it.
pub(crate) fn write(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(to, "{HEADING}{}{HEADING:#}", report.file)?;
    output::write_table(to, facts(report), "  ")?;
    for problem in &report.problems {
        writeln!(to, "{ERROR}wrong:{ERROR:#} {problem}")?;
    }
    if report.ok {
        writeln!(
            to,
            "{GOOD}All {} arrived, and nothing was lost.{GOOD:#}",
            output::counted(report.chunks, "chunk", "chunks")
        )?;
    }
    Ok(())
}

fn facts(report: &Report) -> Table {
    let mut table = output::facts();
    let mut row = |name: &str, value: Cell| {
        table.add_row([Cell::new(name), value]);
    };
    row("passed through", Cell::new(passed(report)));
    row("throughput", Cell::new(throughput(report)));
    row("time a message", Cell::new(message_times(&report.message_ns)));
    row("payload bytes copied", copied(report));
    row("answers copied", Cell::new(output::bytes(report.replies_copied_bytes)));
    row("pool", Cell::new(pool(&report.pool)));
    row(
        "allocations left",
        judged(report.pool.allocations_left.to_string(), report.pool.allocations_left == 0),
    );
    row("pool verified", verified(&report.pool));
    row("totals", totals(report));
    row("delivered again", Cell::new(delivered_again(report)));
    if let Some(killed) = &report.killed {
        row("killed", Cell::new(victim(killed)));
        row("recovered", Cell::new(recovered(killed, report.delivered_again)));
        row("recovery took", Cell::new(recovery(killed)));
    }
    table
}

fn judged(text: String, well: bool) -> Cell {
    output::coloured(text, if well { Color::DarkGreen } else { Color::DarkRed })
}

fn passed(report: &Report) -> String {
    let chunks = output::counted(report.chunks, "chunk", "chunks");
    let workers = output::counted(report.workers.into(), "worker", "workers");
    let (bytes, chunk_bytes) = (output::bytes(report.bytes), output::bytes(report.chunk_bytes));
    format!("{bytes} in {chunks} of {chunk_bytes}, to {workers}, by {}", report.mode)
}

fn throughput(report: &Report) -> String {
    let rate = |ns: u64| output::bytes((report.bytes as f64 * 1e9 / ns.max(1) as f64) as u64);
    let elapsed = output::duration(Duration::from_nanos(report.elapsed_ns));
    let (shared, plain) = (rate(report.elapsed_ns), rate(report.plain_pass_ns));
    format!("{shared}/s in {elapsed}; one process alone: {plain}/s")
}

fn message_times(times: &MessageTimes) -> String {
    let [p50, p99, max] =
        [times.p50, times.p99, times.max].map(|ns| output::duration(Duration::from_nanos(ns)));
    format!("p50 {p50}, p99 {p99}, max {max}, from its sending to its answer")
}

fn copied(report: &Report) -> Cell {
    let Copied { send_bytes, receive_bytes } = report.payload_copied;
    match (send_bytes, receive_bytes) {
        (0, 0) => output::coloured("0 by send, 0 by receive", Color::DarkGreen),
        _ => Cell::new(format!(
            "{} by send, {} by receive",
            output::bytes(send_bytes),
            output::bytes(receive_bytes)
        )),
    }
}

fn pool(pool: &PoolReport) -> String {
    format!("{} at its peak, of {}", output::bytes(pool.peak_bytes), output::bytes(pool.size_bytes))
}

fn verified(pool: &PoolReport) -> Cell {
    match pool.findings.len() as u64 {
        0 => judged("every invariant holds".into(), true),
        broken => judged(output::counted(broken, "finding", "findings"), false),
    }
}

fn totals(report: &Report) -> Cell {
    let well = report.wrong_chunks.is_empty() && report.histogram_matches;
    let text = if well {
        "every digest and the histogram match the plain pass"
    } else {
        "differ from the plain pass"
    };
    judged(text.into(), well)
}

fn delivered_again(report: &Report) -> String {
    let messages = output::counted(report.delivered_again, "message", "messages");
    let second = output::counted(report.second_answers_dropped, "second answer", "second answers");
    format!("{messages}; {second} dropped")
}

fn victim(killed: &Killed) -> String {
    format!(
        "worker {} (process {}), by SIGKILL, in the middle of chunk {}",
        killed.worker, killed.pid, killed.chunk
    )
}

fn recovered(killed: &Killed, delivered_again: u64) -> String {
    let processes = output::counted(killed.recovered_processes, "process", "processes");
    let lanes = output::counted(killed.recovered_lanes, "lane", "lanes");
    let blocks = output::counted(killed.recovered_blocks, "block", "blocks");
    let messages = output::counted(delivered_again, "message", "messages");
    format!(
        "{processes}, {lanes}, {blocks} ({}), {messages} delivered again",
        output::bytes(killed.recovered_bytes)
    )
}

fn recovery(killed: &Killed) -> String {
    let recovery = output::duration(killed.recovery());
    match killed.answered_again_ns {
        Some(ns) => {
            let answered = output::duration(Duration::from_nanos(ns));
            format!("{recovery}; another worker had answered for the chunk {answered} after the death")
        }
        None => recovery,
    }
}
