//! What the workers and the reader have said.

use std::collections::BTreeMap;

use serde::Serialize;

use super::message::{Answer, Farewell};
use super::report::Copied;
use super::tally::Tally;

/// Everything said so far.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) tally: Tally,
    /// Bytes of the chunks that were answered.
    pub(crate) bytes: u64,
    /// For each chunk, from its sending to its answer.
    message_ns: Vec<u64>,
    /// Answers for chunks that had one.
    pub(crate) second: u64,
    /// Answers for chunks that another worker had before.
    pub(crate) delivered_again: u64,
    /// By worker.
    bytes_copied: BTreeMap<u64, u64>,
    pub(crate) farewell: Option<Farewell>,
    first_sent_ns: u64,
    last_answer_ns: u64,
}

impl Answers {
    /// Of a file of `chunks` chunks, before anybody has said anything.
    pub(crate) fn new(chunks: u64) -> Self {
        Self {
            tally: Tally::new(chunks),
            bytes: 0,
            message_ns: Vec::with_capacity(chunks as usize),
            second: 0,
            delivered_again: 0,
            bytes_copied: BTreeMap::new(),
            farewell: None,
            first_sent_ns: u64::MAX,
            last_answer_ns: 0,
        }
    }

    /// Adds an answer that came in at `now_ns`; false when the chunk had one.
    pub(crate) fn add(&mut self, answer: &Answer, now_ns: u64) -> bool {
        self.delivered_again += answer.delivered_again;
        self.bytes_copied.insert(answer.worker, answer.bytes_copied);
        let first = self.tally.add(answer.chunk, answer.digest, &answer.histogram);
        if !first {
            self.second += 1;
            return false;
        }
        self.bytes += answer.bytes;
        self.message_ns.push(now_ns.saturating_sub(answer.sent_at_ns));
        self.first_sent_ns = self.first_sent_ns.min(answer.sent_at_ns);
        self.last_answer_ns = self.last_answer_ns.max(now_ns);
        true
    }

    /// Whether nothing more has to come.
    pub(crate) fn are_complete(&self) -> bool {
        self.farewell.is_some() && self.tally.digests.iter().all(Option::is_some)
    }

    /// From the first sending to the last answer.
    pub(crate) fn elapsed_ns(&self) -> u64 {
        self.last_answer_ns.saturating_sub(self.first_sent_ns).max(1)
    }

    /// Payload bytes that the reader's sender and the workers' receivers have copied.
    pub(crate) fn payload_copied(&self) -> Copied {
        Copied {
            send_bytes: self.farewell.map_or(0, |farewell| farewell.bytes_copied),
            receive_bytes: self.bytes_copied.values().sum(),
        }
    }

    /// How long messages took.
    pub(crate) fn message_times(&self) -> MessageTimes {
        let mut sorted = self.message_ns.clone();
        sorted.sort_unstable();
        MessageTimes::of(&sorted)
    }
}

/// From sending a chunk to having its answer, in nanoseconds; waiting in the channel included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct MessageTimes {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl MessageTimes {
    /// Of sorted times.
    fn of(sorted: &[u64]) -> Self {
        let rank =
            |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Self { p50: rank(50).unwrap_or(0), p99: rank(99).unwrap_or(0), max: rank(100).unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::message::Header;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!(MessageTimes::of(&times), MessageTimes { p50: 100, p99: 198, max: 200 });
        assert_eq!(MessageTimes::of(&[5]), MessageTimes { p50: 5, p99: 5, max: 5 });
        assert_eq!(MessageTimes::of(&[]), MessageTimes { p50: 0, p99: 0, max: 0 });
    }

    #[test]
    fn answers_are_complete_with_every_chunk_and_the_farewell() {
        let mut answers = Answers::new(2);
        assert!(answers.add(&Answer::new(0, Header::new(0, 100), 10), 150));
        assert!(!answers.add(&Answer::new(1, Header::new(0, 100), 10), 160));
        assert!(answers.add(&Answer::new(1, Header::new(1, 120), 10), 190));
        assert_eq!((answers.bytes, answers.second, answers.elapsed_ns()), (20, 1, 90));
        assert!(!answers.are_complete());
        answers.farewell = Some(Farewell::new(2, 0));
        assert!(answers.are_complete());
    }
}
