//! The facts of the machine, of what was built and of the peers, without which a figure says nothing. Nothing of them
//! names the machine, who uses it, or where anything lies.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::contestants::{boost, iceoryx, not_built, open_mpi, python};
use crate::date;
use crate::processor::Processors;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors_online: usize,
    pub(crate) processors_used: Processors,
    /// How the kernel chooses the clock rate, where it says so.
    pub(crate) governor: Option<String>,
    pub(crate) virtual_machine: bool,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) compiler: String,
    /// Of weyr: its version, and the commit where git knows it.
    pub(crate) weyr: String,
    pub(crate) peers: Vec<Peer>,
    /// Of one minute.
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    /// UTC, when the run ended.
    pub(crate) date: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// Or why it is absent.
    pub(crate) version: String,
}

pub(crate) fn facts(processors: Processors, load_before: String) -> Machine {
    let name = rustix::system::uname();
    let unix_time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Machine {
        processor: field("/proc/cpuinfo", "model name")
            .unwrap_or_else(|| name.machine().to_string_lossy().into()),
        processors_online: std::thread::available_parallelism().map_or(0, usize::from),
        processors_used: processors,
        governor: governor(processors[0]),
        virtual_machine: field("/proc/cpuinfo", "flags")
            .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        memory_bytes: memory_bytes(),
        kernel: format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
        compiler: env!("WEYR_COMPILER").to_owned(),
        weyr: weyr(),
        peers: peers(),
        load_before,
        load_after: load(),
        date: date::of(unix_time),
    }
}

/// Of one minute.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn governor(processor: usize) -> Option<String> {
    let path = format!("/sys/devices/system/cpu/cpu{processor}/cpufreq/scaling_governor");
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

fn memory_bytes() -> u64 {
    let kibibytes = field("/proc/meminfo", "MemTotal");
    kibibytes.and_then(|text| text.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn weyr() -> String {
    let version = locked_version("weyr-channel");
    if env!("WEYR_COMMIT").is_empty() { version } else { format!("{version} ({})", env!("WEYR_COMMIT")) }
}

fn peers() -> Vec<Peer> {
    let built = |built: bool, version: String| if built { version } else { not_built() };
    let peers = [
        ("mimalloc", mimalloc_version()),
        ("jemalloc", built(cfg!(feature = "jemalloc"), jemalloc_version())),
        ("snmalloc", built(cfg!(feature = "snmalloc"), locked_version("snmalloc-sys"))),
        ("glibc", glibc_version()),
        ("boost", boost::version().unwrap_or_else(|why| why)),
        ("Python", python::version().unwrap_or_else(|why| why)),
        ("Open MPI", open_mpi::version().unwrap_or_else(|why| why)),
        ("iceoryx2", built(iceoryx::there().is_ok(), locked_version("iceoryx2"))),
        ("crossbeam-channel", locked_version("crossbeam-channel")),
        ("kanal", locked_version("kanal")),
    ];
    peers.map(|(name, version)| Peer { name: name.to_owned(), version }).to_vec()
}

/// The crate's version ends with that of the library: `0.7.1+5.3.1-0-g...`.
fn jemalloc_version() -> String {
    let locked = locked_version("tikv-jemalloc-sys");
    locked.split(['+', '-']).nth(1).unwrap_or(&locked).to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_name_no_machine_no_user_and_no_place() {
        let text = serde_json::to_string(&facts([0, 1], load())).unwrap();
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let words = || text.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
        assert!(!words().any(|word| word == name), "{name} is the machine's name: {text}");
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{text}");
        for variable in ["HOME", "USER"] {
            let value = std::env::var(variable).unwrap_or_default();
            assert!(value.is_empty() || !words().any(|word| word == value), "{variable}: {text}");
        }
    }

    #[test]
    fn crates_have_the_versions_that_are_locked() {
        assert!(locked_version("crossbeam-channel").starts_with("0.5."));
        assert_eq!(locked_version("no-such-crate"), "unknown");
    }
}
