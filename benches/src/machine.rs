//! The facts of the machine and of the peers, without which a figure says nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::contestants::{boost, open_mpi};
use crate::processor::Processors;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) processors_online: usize,
    pub(crate) processors_used: Processors,
    /// Of one minute, when the run ended.
    pub(crate) load: String,
    /// Seconds since 1970, UTC.
    pub(crate) unix_time: u64,
    pub(crate) peers: Vec<(String, String)>,
    pub(crate) command: String,
}

pub(crate) fn facts(processors: Processors) -> Machine {
    let name = rustix::system::uname();
    let unix_time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Machine {
        kernel: format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
        processor: field("/proc/cpuinfo", "model name")
            .unwrap_or_else(|| name.machine().to_string_lossy().into()),
        processors_online: std::thread::available_parallelism().map_or(0, usize::from),
        processors_used: processors,
        load: first_word("/proc/loadavg"),
        unix_time,
        peers: peers(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
    }
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_word(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn peers() -> Vec<(String, String)> {
    vec![
        ("mimalloc".into(), mimalloc_version()),
        ("glibc".into(), glibc_version()),
        ("crossbeam-channel".into(), locked_version("crossbeam-channel")),
        ("boost".into(), boost::version().unwrap_or_else(|why| why)),
        ("Open MPI".into(), open_mpi::version().unwrap_or_else(|why| why)),
    ]
}

fn mimalloc_version() -> String {
    // SAFETY: takes nothing and reads a constant.
    let number = unsafe { libmimalloc_sys::mi_version() };
    // Two digits a part since 3.0, one before.
    let base = if number >= 10_000 { 100 } else { 10 };
    format!("{}.{}.{}", number / base / base, number / base % base, number % base)
}

fn glibc_version() -> String {
    // SAFETY: takes nothing; the string is static.
    let text = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: glibc's version is a string that ends with zero and is never freed.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The version of a crate that this program was built with.
fn locked_version(package: &str) -> String {
    let mut lines = include_str!("../Cargo.lock").lines();
    let wanted = format!("name = \"{package}\"");
    let found = lines.by_ref().find(|line| *line == wanted).and_then(|_| lines.next());
    found.map_or("unknown".into(), |line| line.trim_start_matches("version = ").trim_matches('"').to_owned())
}
