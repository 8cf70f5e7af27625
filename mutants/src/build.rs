//! One build with all breaks in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::change::{self, Mutant};
use crate::table::Row;
use crate::tree;

/// How often what does not compile is left out, and the rest built again.
const TRIES: u32 = 6;

/// The test programs, and what is broken in them.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) mutants: Vec<Mutant>,
    /// By the path of the file with its root.
    programs: BTreeMap<String, PathBuf>,
    copy: PathBuf,
}

/// One test of one program.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) program: PathBuf,
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl Built {
    /// The test of a row: of a program of its own, or among those of a crate.
    pub(crate) fn test_of(&self, row: &Row) -> Result<Test> {
        let (file, name) = row.test().split_once("::").context("a test is path::function")?;
        let package = file.split('/').take(2).collect::<Vec<_>>().join("/");
        let found = self.programs_with(file, &package).find_map(|program| {
            let found = full_name(program, name).transpose()?;
            Some(found.map(|full| (program.clone(), full)))
        });
        let (program, name) = found.with_context(|| format!("no program has {}", row.test()))??;
        Ok(Test { program, name, folder: self.copy.join(package) })
    }

    /// The program of a file, or those of its crate that may have it as a module.
    fn programs_with<'b>(&'b self, file: &str, package: &str) -> impl Iterator<Item = &'b PathBuf> {
        let main = file.replacen(".rs", "/main.rs", 1);
        let own = [file, &main].into_iter().find_map(|root| self.programs.get(root));
        let is_module_of_tests = file.starts_with(&format!("{package}/tests/"));
        let roots =
            if is_module_of_tests { format!("{package}/tests/") } else { format!("{package}/src/lib.rs") };
        let others = self.programs.iter().filter(move |(root, _)| own.is_none() && root.starts_with(&roots));
        own.into_iter().chain(others.map(|(_, program)| program))
    }
}

/// How a program calls the test of this name, if it has one.
fn full_name(program: &Path, name: &str) -> Result<Option<String>> {
    let listed = Command::new(program).args(["--list", "--format", "terse"]).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let is_it = |line: &&str| line == &name || line.ends_with(&format!("::{name}"));
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).find(is_it).map(str::to_owned))
}

/// Builds the copy with all breaks; those that do not compile are marked, and left out.
pub(crate) fn all(copy: &Path, build: &Path, mut mutants: Vec<Mutant>, rows: &[Row]) -> Result<Built> {
    let mut packages = BTreeSet::new();
    for row in rows {
        packages.insert(package_of(copy, row.test())?);
    }
    let originals = originals(copy, &mutants)?;
    for _ in 0..TRIES {
        write(copy, &originals, &mutants)?;
        match compile(copy, build, &packages)? {
            Ok(programs) => {
                return Ok(Built { mutants, programs, copy: copy.to_owned() });
            }
            Err(places) => leave_out(&mut mutants, &places)?,
        }
    }
    bail!("it does not build, whatever is left out")
}

fn package_of(copy: &Path, test: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let folder = test.split('/').take(2).collect::<Vec<_>>().join("/");
    let text = std::fs::read_to_string(copy.join(&folder).join("Cargo.toml")).with_context(|| folder)?;
    Ok(toml::from_str::<Manifest>(&text)?.package.name)
}

fn originals(copy: &Path, mutants: &[Mutant]) -> Result<BTreeMap<String, String>> {
    let read = |file: &String| Ok((file.clone(), std::fs::read_to_string(copy.join(file))?));
    mutants.iter().map(|mutant| read(&mutant.file)).collect()
}

fn write(copy: &Path, originals: &BTreeMap<String, String>, mutants: &[Mutant]) -> Result<()> {
    for (file, text) in originals {
        let here: Vec<&Mutant> =
            mutants.iter().filter(|mutant| &mutant.file == file && !mutant.is_dropped).collect();
        tree::write(&copy.join(file), change::apply(text, &here).as_bytes())?;
    }
    Ok(())
}

/// File and line of what does not compile.
type Places = BTreeSet<(String, usize)>;

#[derive(Debug, Deserialize)]
struct Line {
    reason: String,
    message: Option<Message>,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Message {
    level: String,
    rendered: Option<String>,
    spans: Vec<Span>,
}

#[derive(Debug, Deserialize)]
struct Span {
    file_name: String,
    line_start: usize,
}

#[derive(Debug, Deserialize)]
struct Target {
    src_path: PathBuf,
}

fn compile(
    copy: &Path,
    build: &Path,
    packages: &BTreeSet<String>,
) -> Result<Result<BTreeMap<String, PathBuf>, Places>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--no-run", "--lib", "--tests", "--message-format=json"]);
    for package in packages {
        cargo.args(["-p", package]);
    }
    cargo.current_dir(copy).env("CARGO_TARGET_DIR", build).env("RUSTFLAGS", "--cap-lints=warn");
    let output = cargo.stderr(Stdio::inherit()).output().context("cargo")?;
    let (mut programs, mut places, mut said) = (BTreeMap::new(), Places::new(), String::new());
    for line in String::from_utf8(output.stdout)?.lines() {
        let line: Line = serde_json::from_str(line)?;
        if let Some(message) = line.message.filter(|message| message.level == "error") {
            places.extend(message.spans.iter().map(|span| (span.file_name.clone(), span.line_start)));
            said += &message.rendered.unwrap_or_default();
        }
        if let (Some(target), Some(program)) = (line.target, line.executable)
            && line.reason == "compiler-artifact"
        {
            programs.insert(crate::relative(copy, &target.src_path), program);
        }
    }
    match (output.status.success(), places.is_empty()) {
        (true, _) => Ok(Ok(programs)),
        (false, false) => Ok(Err(places)),
        (false, true) => bail!("cargo failed without an error of the compiler: {said}"),
    }
}

fn leave_out(mutants: &mut [Mutant], places: &Places) -> Result<()> {
    let mut left_out = 0;
    for mutant in mutants.iter_mut().filter(|mutant| !mutant.is_dropped) {
        if places.contains(&(mutant.file.clone(), mutant.line)) {
            mutant.is_dropped = true;
            left_out += 1;
        }
    }
    if left_out == 0 {
        bail!("errors where nothing was broken: {places:?}");
    }
    Ok(())
}
