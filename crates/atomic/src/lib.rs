//! The atomics facade of weyr: one source, four faces.
//!
//! Every shared access of the product goes through the names of this crate, so the code that ships is also the
//! code that is model-checked, killed and explored. Which face stands behind the names is chosen by a compiler
//! configuration, never by a cargo feature (features unify into the product) and never by a bare `--cfg loom`
//! (that reaches other crates):
//!
//! | face | command (each with a target folder of its own) |
//! | --- | --- |
//! | std | `cargo test -p weyr-atomic` |
//! | crash | `RUSTFLAGS='--cfg weyr_face="crash"' CARGO_TARGET_DIR=target/crash cargo test -p weyr-atomic` |
//! | loom | `RUSTFLAGS='--cfg weyr_face="loom"' CARGO_TARGET_DIR=target/loom cargo test --release -p weyr-atomic --test loom` |
//! | explore | `RUSTFLAGS='--cfg weyr_face="explore"' CARGO_TARGET_DIR=target/explore cargo test --release -p weyr-atomic --test explore` |
//!
//! # The faces
//!
//! **std** (no configuration): the types of `core`, by alias. Their sizes are 1, 4 and 8 bytes, all-zero bytes are
//! the value zero, they may lie in shared memory, and nothing is added to them.
//!
//! **crash**: the same atomics behind a counter of shared writes; a test can stop the operation just before its
//! k-th write. Proves that whatever prefix of the program-order writes of one thread a death leaves behind can be
//! recovered. Does not reorder anything: the machine's own ordering is what is seen, on one schedule.
//!
//! **loom**: the types of loom 0.7. Explores the reorderings that the C11 model allows to two to four threads.
//! Knows no deaths; its atomics must be constructed and are larger than their values; it treats `SeqCst` accesses
//! as `AcqRel`, which is why [`publish_then_look`] exists.
//!
//! **explore**: the scheduler of this crate. Explores every interleaving of a small case, with deaths and stops at
//! every access and, if asked, with the store buffers of x86 (TSO). Proves nothing about weaker machines: what an
//! `Acquire` or `Release` buys on aarch64 is the loom face's question.
//!
//! # The contract under every face
//!
//! [`AtomicU8`], [`AtomicU32`], [`AtomicU64`] with `new`, `load`, `store`, `swap`, `compare_exchange`,
//! `compare_exchange_weak`, `fetch_add`, `fetch_sub`, `fetch_or`, `fetch_and`, `fetch_max`; [`Ordering`]; [`fence`]
//! and [`compiler_fence`]; [`hint::spin_loop`] and [`thread::yield_now`]; [`Zeroed`]; [`publish_then_look`],
//! [`arm_then_look`]; [`light_barrier`], [`heavy_barrier`]. Nothing else may be relied on; `new` is not `const`
//! under loom.
//!
//! What this crate does not do: it knows no layout, no region, no futex and no system call. Whoever sleeps or
//! calls `membarrier(2)` passes the call in.
// Here, and only here, the raw types may be named.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![forbid(unsafe_code)]

#[cfg(weyr_face = "crash")]
pub mod crash;
#[cfg(weyr_face = "loom")]
mod loom_face;
mod membarrier;
mod publish;
#[cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
mod standard;
mod zeroed;

#[cfg(weyr_face = "crash")]
pub use crash::{AtomicU8, AtomicU32, AtomicU64, compiler_fence, fence, hint, thread};
#[cfg(weyr_face = "loom")]
pub use loom_face::{AtomicU8, AtomicU32, AtomicU64, compiler_fence, fence, hint, loom, thread};
#[cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
pub use standard::{AtomicU8, AtomicU32, AtomicU64, compiler_fence, fence, hint, thread};

pub use core::sync::atomic::Ordering;
pub use membarrier::{heavy_barrier, light_barrier};
pub use publish::{arm_then_look, look_after_write, publish_then_look};
pub use zeroed::Zeroed;
