//! Why the command failed, and the exit code that says so.

use std::process::ExitCode;

/// A failure, in one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something is wrong, and the output says what.
    #[error("see above")]
    Reported,
    /// Something is wrong with what was looked at.
    #[error("{0}")]
    Wrong(String),
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The system refused.
    #[error("{0}")]
    System(String),
}

impl Failure {
    /// Exit codes as `weyr --help` gives them.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Reported | Self::Wrong(_) => 1,
            Self::Usage(_) => 2,
            Self::System(_) => 3,
        })
    }

    /// For `map_err`: what was tried, and what the system says.
    pub(crate) fn system<E: std::fmt::Display>(tried: impl std::fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self::System(format!("{tried}: {error}"))
    }
}

impl From<weyr::managed::Error> for Failure {
    fn from(error: weyr::managed::Error) -> Self {
        use weyr::managed::Error as Pool;
        match error {
            Pool::InvalidAttribute { .. } => Self::Usage(error.to_string()),
            Pool::NotAPool { .. } | Pool::WrongVersion { .. } | Pool::Truncated { .. } | Pool::Corrupt(_) => {
                Self::Wrong(error.to_string())
            }
            _ => Self::System(error.to_string()),
        }
    }
}

impl From<weyr::channel::Error> for Failure {
    fn from(error: weyr::channel::Error) -> Self {
        match error {
            weyr::channel::Error::Corrupt(_) => Self::Wrong(error.to_string()),
            _ => Self::System(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::System(error.to_string())
    }
}
