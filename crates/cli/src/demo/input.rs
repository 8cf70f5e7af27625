//! Which file passes through.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::output;

/// The file of a demo.
#[derive(Debug)]
pub(crate) struct Input {
    /// Its real path.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
}

impl Input {
    /// The file asked for; else the largest of the Rust toolchain; else this command itself.
    pub(crate) fn choose(asked: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = asked {
            return Self::open(path);
        }
        match toolchain_library().and_then(|library| largest_file(&library)) {
            Some(path) => Self::open(&path),
            None => {
                let own =
                    std::env::current_exe().map_err(Failure::system("finding this command's own file"))?;
                output::note(format_args!("no Rust toolchain found; using {}", own.display()));
                Self::open(&own)
            }
        }
    }

    fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let refused = |error| Failure::System(format!("{shown}: {error}; name a file that you may read"));
        let path = fs::canonicalize(path).map_err(refused)?;
        let metadata = File::open(&path).and_then(|file| file.metadata()).map_err(refused)?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Err(Failure::Usage(format!("{shown} is empty or no regular file; name another")));
        }
        Ok(Self { path, bytes: metadata.len() })
    }
}

/// The `lib` folder of the toolchain that `rustc` belongs to.
fn toolchain_library() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(Path::new(sysroot.trim()).join("lib"))
}

/// The largest regular file under a folder; links to folders are not followed.
fn largest_file(folder: &Path) -> Option<PathBuf> {
    let mut largest = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What cannot be read is not a candidate.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match (entry.file_type(), fs::metadata(entry.path())) {
                (Ok(kind), _) if kind.is_dir() => folders.push(entry.path()),
                (Ok(_), Ok(metadata)) if metadata.is_file() => {
                    largest = largest.max(Some((metadata.len(), entry.path())));
                }
                _ => {}
            }
        }
    }
    largest.map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_is_found_in_any_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("small"), b"1").unwrap();
        fs::write(folder.path().join("inner/large"), b"12345").unwrap();
        assert_eq!(largest_file(folder.path()), Some(folder.path().join("inner/large")));
    }

    #[test]
    fn a_folder_without_files_has_no_largest() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(largest_file(folder.path()), None);
        assert_eq!(largest_file(&folder.path().join("missing")), None);
    }
}
