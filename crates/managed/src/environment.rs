//! The pool that a program is given by its environment: by `weyr run`, or by whoever starts it.

use std::path::Path;

use crate::{Error, Pool, PoolDescriptor};

/// Environment variable that names the default pool: its name, or, if it has a slash, the path of its object.
pub const POOL_VARIABLE: &str = "WEYR_POOL";

impl Pool {
    /// Attaches the default pool: the one that `WEYR_POOL` names, in the default directory, or by the path of its
    /// object if there is a slash in it. `weyr run -- PROGRAM` starts a program with one.
    ///
    /// # Errors
    /// [`Error::NoDefaultPool`] when the variable is not set; as [`attach`](Self::attach).
    pub fn from_environment() -> Result<Pool, Error> {
        let value = std::env::var_os(POOL_VARIABLE).filter(|value| !value.is_empty());
        let value = value.ok_or(Error::NoDefaultPool)?;
        match value.to_str() {
            Some(name) if !name.contains('/') => Pool::attach(name),
            _ => Pool::attach_path(Path::new(&value)),
        }
    }
}

impl PoolDescriptor {
    /// The descriptor in an environment variable, in its text form (base64, as [`Display`](std::fmt::Display) writes it).
    ///
    /// # Errors
    /// [`Error::NoDescriptor`] when it is not set or empty; [`Error::DamagedDescriptor`] when it holds something else.
    pub fn from_environment(variable: &str) -> Result<PoolDescriptor, Error> {
        let text = std::env::var_os(variable).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Error::NoDescriptor { variable: variable.to_owned() })?;
        text.to_string_lossy().parse()
    }
}
