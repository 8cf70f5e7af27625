//! The explore face: every interleaving of a small case, run on the product's own code.
//!
//! A model has a world (shared memory and ghosts), a few processes that are ordinary closures over it, and rules:
//!
//! ```
//! use weyr_atomic::explore::Model;
//! use weyr_atomic::{AtomicU64, Ordering, Zeroed};
//!
//! let report = Model::new("two increments")
//!     .memory(AtomicU64::zeroed)
//!     .process(|count, _| drop(count.fetch_add(1, Ordering::Relaxed)))
//!     .process(|count, _| drop(count.fetch_add(1, Ordering::Relaxed)))
//!     .at_end(|count, _| match count.load(Ordering::Relaxed) {
//!         2 => Ok(()),
//!         other => Err(format!("two increments gave {other}")),
//!     })
//!     .run();
//! report.assert_holds();
//! ```
//!
//! # What is explored
//!
//! Each access to an atomic in a process is one step, and all orders of steps of all processes are tried. A process
//! that may die can do so before each of its steps and before it returns; it is then never resumed, and its destructors
//! change nothing. With [`Model::tso`] a store goes into the process's own buffer (first in, first out), which its own
//! loads see; entries land one by one at any time, also those of a process that will not move again; a death is seen
//! by [`is_dead`] only after the last store of the dead has landed. A read-modify-write, a
//! `SeqCst` store, `fence(SeqCst)` and the futex calls need the own buffer empty. Other orderings than these make no difference: this is x86, and
//! without `tso` it is sequential consistency. What holds here is not proven for aarch64; that is the loom face's
//! question.
//!
//! `spin_loop` and `yield_now` let a process run on only if somebody else has changed memory (or died) since it
//! last passed such a point, so loops that poll are finite; see [`Model::spin_patience`] for bounded ones.
//!
//! # How
//!
//! The search is depth-first over states and keeps a 128-bit fingerprint of each: memory, store buffers, who is dead,
//! finished or asleep, the ghosts, and for each process the answers it was given since its start or since its last
//! [`checkpoint`]. A process is a coroutine; where a state is entered again its code is not run again, because its
//! local state is a function of those answers, and where a coroutine is needed at a place that it has left, a new one
//! is fed the answers. All this is right only if processes are deterministic in the answers. Whenever one does not
//! repeat itself, and at the end of each exploration for every local state at which it ended (20,000 at most), the
//! report says so as an error instead of a result.
//!
//! # What processes must keep to
//!
//! Shared state lies in atomics of the world, or in [`Ghost`]s; never in a `Cell`, a `Mutex`, a static or a
//! thread-local (all processes run on one thread). Atomics on a process's own stack are real and no scheduling
//! points; with [`Model::private_elsewhere`] so are those on its heap. One atomic cannot be seen in two widths.
//!
//! # What it does not do
//!
//! It reports no livelock: a cycle of states is not an end, and [`Model::at_end`] sees only states in which nobody
//! can go on. Compiler reorderings and torn payload copies are not modelled. Memory that is not atomic is not part of
//! the state.

mod atomic;
mod cells;
mod crew;
mod fence;
mod fingerprint;
mod futex;
mod ghost;
mod local;
mod machine;
mod model;
mod operation;
mod process;
mod report;
mod search;
mod state;
mod step;
mod trace;
mod walk;
mod worker;

pub use atomic::{AtomicU8, AtomicU32, AtomicU64};
pub(crate) use fence::drain_everybody;
pub use fence::{compiler_fence, fence, hint, thread};
pub use futex::{Woken, futex_wait, futex_wait_timed, futex_wake};
pub use ghost::{Ghost, Recorded};
pub use model::{Context, Model, Regions};
pub use process::{checkpoint, choose, ghost, is_dead, is_modelled, wait_until};
pub use report::{Fate, Outcome, Report, Violation};
