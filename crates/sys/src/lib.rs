//! What weyr asks of the kernel: mappings, shared objects, futexes, process liveness.
//!
//! One module a concept; each call is one request to the kernel with a plain [`Errno`] when it is refused. This is
//! the only library crate of weyr that names libc, so that every assumption about Linux can be read here.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`object`] | where shared bytes live: a named file or shm object, or a memfd |
//! | [`mapping`], [`address_space`] | how a process sees them, and how large a window it can afford |
//! | [`numa`] | on which of the machine's memories they are placed |
//! | [`futex`], [`barrier`] | how processes wait for each other, and order their stores |
//! | [`clock`] | what time it is, for words that expire |
//! | [`process`], [`thread`], [`presence`] | who is alive |
//! | [`fork`], [`private_lock`] | is this still the process that it was, and which of its locks can be waited for |
//! | [`host`] | which machine, which user, randomness, free space |
//!
//! What it does not do: it knows no pool, no channel and no layout; it reads and writes no shared memory except the
//! futex words that it is given; it never prints, and never decides that something is dead by the clock.
//!
//! Linux 4.18 and later, x86-64 and aarch64. Calls that are newer, or that a container may refuse, have a fallback
//! that is described at the call: `MADV_WIPEONFORK`, `MADV_POPULATE_WRITE`, `MADV_COLLAPSE`, `O_TMPFILE`,
//! `memfd_create` flags, `membarrier`, `futex_waitv`, `fallocate`.

pub mod address_space;
mod at_fork;
pub mod barrier;
pub mod clock;
pub mod fork;
pub mod futex;
pub mod host;
pub mod mapping;
pub mod numa;
pub mod object;
pub mod presence;
pub mod private_lock;
mod private_word;
pub mod process;
mod procfs;
pub mod serial;
pub mod thread;

pub use rustix::io::Errno;
