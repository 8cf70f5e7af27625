//! weyr's managed memory pools: all state in the memory itself, crash-safe.
#![forbid(unsafe_code)]

pub mod error;
pub mod geometry;
pub mod heap;
pub mod layout;

pub use error::Error;
