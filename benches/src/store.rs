//! The folder of results that are kept: a run's data, and the plots that are made from it.

use std::path::{Path, PathBuf};

use crate::run::Run;
use crate::{Result, markdown, plot};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// Where a run called `name` is kept.
///
/// # Errors
/// A name of anything but letters, digits, `-`, `_` and `.`, or that begins with the latter.
pub(crate) fn place(name: &str) -> Result<PathBuf> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return Err(format!("{name:?} is no name to keep a run by: letters, digits, -, _ and .").into());
    }
    Ok(Path::new(FOLDER).join(format!("{name}.json")))
}

/// Writes the run's data to `path`.
pub(crate) fn write(run: &Run, path: &Path) -> Result<()> {
    write_file(path, &run.to_json()?)
}

/// Draws the plots of `run` beside its data at `path`, and returns where they are.
pub(crate) fn draw(run: &Run, path: &Path) -> Result<Vec<PathBuf>> {
    let stem = path.file_stem().ok_or("a file without a name")?.to_string_lossy();
    let drawn = plot::drawn(run).into_iter().map(|(end, text)| {
        let path = path.with_file_name(format!("{stem}-{end}"));
        write_file(&path, &text)?;
        Ok(path)
    });
    drawn.collect()
}

/// Puts the tables of the run at `path` into the README.
///
/// # Errors
/// A file outside the project, which the README could not lead to; a README without the marks.
pub(crate) fn write_readme(run: &Run, path: &Path) -> Result<()> {
    let (root, path) = (Path::new(ROOT).canonicalize()?, path.canonicalize()?);
    let inside = path.strip_prefix(&root).map_err(|_| "the README can only lead to a file of the project")?;
    let stem = inside.with_extension("");
    let readme = root.join("README.md");
    let page = std::fs::read_to_string(&readme)?;
    write_file(&readme, &markdown::replaced(&page, &markdown::section(run, &stem.to_string_lossy()))?)
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn plots_are_made_from_data_without_running_anything() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kept.json");
        write(&sample::run(), &path).unwrap();
        let drawn = draw(&Run::read(&path).unwrap(), &path).unwrap();
        let names: Vec<_> = drawn.iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["kept-latency.svg", "kept-throughput.svg"]);
        assert!(drawn.iter().all(|path| std::fs::read_to_string(path).unwrap().starts_with("<svg ")));
    }

    #[test]
    fn what_is_kept_can_be_read_and_its_plots_are_made_from_it() {
        for entry in std::fs::read_dir(FOLDER).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let run = Run::read(&path).unwrap();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            for (end, text) in plot::drawn(&run) {
                let kept = std::fs::read_to_string(path.with_file_name(format!("{stem}-{end}"))).unwrap();
                assert_eq!(kept, text, "{stem}-{end}: ./x bench --plot makes it anew");
            }
        }
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(place("2026-01-31_idle.2").is_ok());
        for name in ["", "../up", "a/b", ".hidden", "a b"] {
            assert!(place(name).is_err(), "{name}");
        }
    }
}
