//! The pool that a program is given by its environment: by `weyr run`, or by whoever starts it.

use std::path::Path;

use crate::{Error, Pool};

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
