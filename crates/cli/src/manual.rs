//! `weyr man` and `weyr completions`: made from the command line itself, so that they cannot say anything else.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

/// Writes the pages of all commands into `directory`, or that of the whole to standard output.
pub(crate) fn pages(directory: Option<&Path>, output: &Output) -> Result<(), Failure> {
    match directory {
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .map_err(Failure::system(format!("making {}", directory.display())))?;
            clap_mangen::generate_to(Arguments::command(), directory)
                .map_err(Failure::system(format!("writing into {}", directory.display())))
        }
        None => output.stream(|to| clap_mangen::Man::new(Arguments::command()).render(&mut Plain(to))),
    }
}

/// Writes the completions for a shell to standard output.
pub(crate) fn completions(shell: Shell, output: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "weyr", &mut script);
    output.stream(|to| to.write_all(&script))
}

/// As a sized writer.
struct Plain<'t>(&'t mut dyn Write);

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
