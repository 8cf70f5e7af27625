//! Names of pools, and the paths of the objects that carry them.
//!
//! A pool called NAME of user UID is the file `weyr.UID.NAME` of its directory, so users do not take each other's
//! names, and what is not weyr's is never touched.

use std::path::{Path, PathBuf};

use crate::Error;

/// Environment variable that names the directory of pools.
pub const DIRECTORY_VARIABLE: &str = "WEYR_DIR";
/// Directory of pools where nothing else is said: a tmpfs on every Linux.
pub const DEFAULT_DIRECTORY: &str = "/dev/shm";

/// The directory that pools lie in unless a call names another.
pub fn default_directory() -> PathBuf {
    std::env::var_os(DIRECTORY_VARIABLE)
        .filter(|name| !name.is_empty())
        .map_or_else(|| DEFAULT_DIRECTORY.into(), PathBuf::from)
}

/// Path of this user's pool `name` in `directory`.
///
/// # Errors
/// [`Error::InvalidAttribute`] when `name` is empty, longer than 200 bytes, starts with a dot, or has other
/// characters than letters, digits, `.`, `-` and `_`.
pub fn pool_path(directory: &Path, name: &str) -> Result<PathBuf, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let valid = (1..=200).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed);
    if !valid {
        let reason =
            format!("{name:?}: use 1 to 200 of letters, digits, '.', '-' and '_', not starting with '.'");
        return Err(Error::InvalidAttribute { attribute: "name", reason });
    }
    Ok(directory.join(format!("{}{name}", file_prefix())))
}

/// What the file names of this user's pools begin with.
pub fn file_prefix() -> String {
    format!("weyr.{}.", weyr_sys::host::user_id())
}

/// Names and paths of this user's pools in `directory`, sorted by name.
///
/// # Errors
/// [`Error::Os`] when the directory cannot be read.
pub fn list(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let failed = |error: std::io::Error| Error::Os {
        operation: "reading the directory of pools",
        errno: weyr_sys::Errno::from_io_error(&error).unwrap_or(weyr_sys::Errno::IO),
    };
    let prefix = file_prefix();
    let mut pools = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_prefix(&prefix)) {
            pools.push((name.to_owned(), entry.path()));
        }
    }
    pools.sort();
    Ok(pools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        let long = "x".repeat(201);
        for name in ["", ".", "..", ".hidden", "a/b", "a b", "ä", "a\0b", long.as_str()] {
            assert!(pool_path(Path::new("/d"), name).is_err(), "{name:?}");
        }
        let path = pool_path(Path::new("/d"), "a-b_c.d0").unwrap();
        assert_eq!(path, Path::new("/d").join(format!("weyr.{}.a-b_c.d0", weyr_sys::host::user_id())));
    }
}
