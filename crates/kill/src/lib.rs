//! Test harness of weyr: kill and stop a process at any instruction.
//!
//! A crash-safe structure claims that a participant may die anywhere. This crate makes the claim testable for
//! real: [`Sweep`] runs an operation in a forked process, one machine instruction at a time, ends it at each point
//! that changed the shared bytes, and lets the test look at what the others find.
//!
//! - [`child`]: forked children with an outcome, and [`Rendezvous`] to meet them without sleeping;
//! - [`Sweep`], [`Segment`], [`Report`]: death and stop at each instruction;
//! - [`note`]: the numbers of a test that passes, for whom its runner shows nothing;
//! - [`CountingAllocator`]: what must not ask for private memory;
//! - [`system_calls_during`]: what must not call the kernel;
//! - [`refuse`](refuse()): a kernel that lacks the named calls, for the fallbacks.
//!
//! A file that gets its data before its length is never seen with a length and without data:
//!
//! ```
//! # #[cfg(target_arch = "x86_64")] {
//! use std::os::unix::fs::FileExt;
//! use weyr_kill::{Choice, FileSegment, Sweep};
//!
//! let file = tempfile::NamedTempFile::new()?;
//! file.as_file().write_all_at(&[0; 16], 0)?;
//! let segment = FileSegment::open(file.path())?;
//! let report = Sweep::new("append", &segment).floor(4).choose(Choice::from_environment(20)).run(
//!     || file.reopen().unwrap(),
//!     |own| {
//!         own.write_all_at(b"data", 8).unwrap();
//!         own.write_all_at(&[4], 0).unwrap();
//!     },
//!     |_point| match std::fs::read(file.path()) {
//!         Ok(bytes) if bytes[0] == 4 && &bytes[8..12] != b"data" => Err("length without data".to_owned()),
//!         Ok(_) => Ok(()),
//!         Err(error) => Err(error.to_string()),
//!     },
//! )?;
//! report.assert_clean();
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: ptrace(2), fork(2), waitpid(2), seccomp(2), lseek(2).
//!
//! What it does *not* do: it never interleaves two processes (the models do), it does not reorder stores (a process
//! killed between two instructions has made all earlier stores visible), and state that the kernel keeps outside
//! the segment (locks, futex queues) makes no point of its own.

#![cfg(target_os = "linux")]

mod affinity;
mod allocations;
mod calls;
pub mod child;
mod choice;
mod error;
mod notes;
mod path;
mod point;
mod refuse;
mod rendezvous;
mod report;
mod segment;
mod segments;
mod stops;
mod sweep;
mod trace;
mod walk;

pub use allocations::{CountingAllocator, allocations_during};
pub use calls::system_calls_during;
pub use child::{Child, Outcome};
pub use choice::{Choice, FEW, is_few_points, is_few_writes, writes_to_end_at};
pub use error::Error;
pub use notes::{note, note_skipped};
pub use point::{Moment, Place, Point};
pub use refuse::{Refusal, Syscall, refuse, refuse_with};
pub use rendezvous::Rendezvous;
pub use report::{Failure, Report};
pub use segment::{FileSegment, Image, Segment};
pub use segments::Segments;
pub use stops::Stops;
pub use sweep::{Mode, Points, Sweep};
