//! `weyr run`: a program with a default pool.
//!
//! This process has the pool attached as long as the program runs, hands signals on to it, and ends as it ended.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use weyr::Pool;
use weyr::managed::{DIRECTORY_VARIABLE, Error, POOL_VARIABLE, name};

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::pool::explain_creation;

/// Signals that are handed on to the program.
const HANDED_ON: [i32; 8] = [SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// The exit code is the program's; 128 and the number of the signal that ended it, as shells have it.
pub(crate) fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let directory = arguments.directory.clone().unwrap_or_else(name::default_directory);
    // Before the program starts, so that no signal is lost.
    let signals = SignalsInfo::<WithOrigin>::new(HANDED_ON.iter().chain(&[SIGCHLD]));
    let mut signals = signals.map_err(Failure::system("catching signals"))?;
    let pool = Given::open(arguments, &directory)?;
    let ended = start(arguments, &pool.pool).and_then(|mut child| wait(&mut child, &mut signals));
    pool.give_back();
    Ok(exit_code(ended?))
}

/// The program's pool; destroyed when it was made for it.
struct Given {
    pool: Pool,
    destroy: bool,
}

impl Given {
    fn open(arguments: &RunArguments, directory: &Path) -> Result<Self, Failure> {
        let own = || format!("run-{}", std::process::id());
        let name = arguments.pool.clone().unwrap_or_else(own);
        let path = name::pool_path(directory, &name)?;
        loop {
            match Pool::attach_path(&path) {
                Err(Error::NoSuchPool { .. } | Error::Destroyed) => {}
                attached => return Ok(Self { pool: attached?, destroy: false }),
            }
            match Pool::create(&arguments.shape.attributes(&name, arguments.size, directory)) {
                // Another was first.
                Err(Error::NameTaken { .. }) => {}
                Err(error) => return Err(explain_creation(error, directory)),
                Ok(pool) => return Ok(Self { pool, destroy: !arguments.keep }),
            }
        }
    }

    fn give_back(self) {
        if self.destroy
            && let Err(error) = self.pool.destroy()
            && error != Error::Destroyed
        {
            crate::output::note(format!("the pool is left: {error}"));
        }
    }
}

fn start(arguments: &RunArguments, pool: &Pool) -> Result<Child, Failure> {
    let (program, rest) = arguments.program.split_first().ok_or(Failure::Usage("which program?".into()))?;
    let mut command = Command::new(program);
    command.args(rest).env(POOL_VARIABLE, value_for(arguments, pool)?);
    command.spawn().map_err(|error| {
        let why = format!("starting {}: {error}", Path::new(program).display());
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure::Usage(why),
            _ => Failure::System(why),
        }
    })
}

/// The pool's name where its directory is that of the environment; else its path, which is right in any directory.
fn value_for(arguments: &RunArguments, pool: &Pool) -> Result<PathBuf, Failure> {
    let is_absolute = std::env::var_os(DIRECTORY_VARIABLE)
        .is_none_or(|directory| directory.is_empty() || Path::new(&directory).is_absolute());
    if arguments.directory.is_none() && is_absolute {
        return Ok(pool.name().into());
    }
    std::path::absolute(pool.path()).map_err(Failure::system("finding the pool's directory"))
}

fn wait(child: &mut Child, signals: &mut SignalsInfo<WithOrigin>) -> Result<ExitStatus, Failure> {
    for origin in signals.forever() {
        if origin.signal == SIGCHLD {
            if let Some(status) = child.try_wait().map_err(Failure::system("waiting for the program"))? {
                return Ok(status);
            }
        } else {
            hand_on(child, &origin);
        }
    }
    child.wait().map_err(Failure::system("waiting for the program"))
}

/// What a terminal sends, it has sent to the program as well.
fn hand_on(child: &Child, origin: &Origin) {
    let from_terminal = matches!(origin.cause, Cause::Kernel) && origin.process.is_none();
    let target = Pid::from_raw(child.id() as i32);
    if let (false, Some(pid), Some(signal)) = (from_terminal, target, Signal::from_named_raw(origin.signal)) {
        // Refused only for a program that has ended, of which SIGCHLD tells.
        let _ = kill_process(pid, signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.map_or(1, |code| code as u8))
}
