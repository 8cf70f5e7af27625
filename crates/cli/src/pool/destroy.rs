//! `weyr pool destroy`.

use std::path::Path;

use serde::Serialize;
use weyr::Pool;
use weyr::managed::Error;

use super::users::Users;
use crate::failure::Failure;
use crate::output::{self, Output};

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    destroyed: bool,
}

pub(crate) fn run(name: &str, path: &Path, force: bool, output: &Output) -> Result<(), Failure> {
    match Pool::inspect(path) {
        Ok(pool) => {
            refuse_live_users(name, Users::of(&pool.members()), force)?;
            destroy(name, path, force)?;
        }
        Err(error) => remove_damaged(path, force, error)?,
    }
    let report = Report { name: name.to_owned(), destroyed: true };
    output.write(&report, |to, report| writeln!(to, "destroyed {}", report.name))
}

/// Destroys as a member, so that whoever came since is seen; as an outsider where it cannot become one.
fn destroy(name: &str, path: &Path, force: bool) -> Result<(), Failure> {
    match Pool::attach_path(path) {
        Ok(pool) => {
            refuse_live_users(name, Users::beside_this_process(&pool.members()), force)?;
            Ok(pool.destroy()?)
        }
        Err(Error::TableFull { .. }) => Ok(Pool::inspect(path)?.remove()?),
        Err(error) => Err(error.into()),
    }
}

fn refuse_live_users(name: &str, users: Users, force: bool) -> Result<(), Failure> {
    if users.alive == 0 || force {
        return Ok(());
    }
    let alive = output::counted(users.alive, "process uses", "processes use");
    Err(Failure::Wrong(format!("{alive} pool {name:?}; end them (`weyr pool show {name}`), or pass --force")))
}

/// Removes what has the name of a pool and cannot be opened as one.
fn remove_damaged(path: &Path, force: bool, error: Error) -> Result<(), Failure> {
    let damaged = matches!(
        error,
        Error::NotAPool { .. } | Error::WrongVersion { .. } | Error::Truncated { .. } | Error::Corrupt(_)
    );
    match (damaged, force) {
        (true, true) => std::fs::remove_file(path).map_err(Failure::system("removing the pool's file")),
        (true, false) => Err(Failure::Wrong(format!("{error}; pass --force to remove it all the same"))),
        (false, _) => Err(error.into()),
    }
}
