//! Which machine this is, who runs here, and what it has to give: identity, user, randomness, space, processors.

use crate::private_word::PrivateWord;
use rustix::fs::statvfs;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::hash::{BuildHasher, Hash, Hasher};
use std::io::Read;
use std::path::Path;

/// The environment variable that replaces the boot id in [`id`]: any text, for tests that play several machines.
pub const HOST_ID_VARIABLE: &str = "WEYR_HOST_ID";

/// What tells this boot of this machine from others, in order of preference. The first is random for each boot.
const IDENTITY_FILES: [&str; 3] =
    ["/proc/sys/kernel/random/boot_id", "/etc/machine-id", "/proc/sys/kernel/hostname"];

/// [`id`], once it is known; 0: not yet.
static ID: PrivateWord = PrivateWord::new(0);

/// A number for this boot of this machine; the same for all its processes and containers, never 0.
///
/// It is a hash of the text in the environment variable [`HOST_ID_VARIABLE`], read once, or else of the boot id
/// that the kernel draws. Where the kernel shows none, the machine id or the host name stand in for it.
pub fn id() -> u64 {
    match ID.load() {
        0 => {
            let id = hash_of(&identity_text());
            ID.store(id);
            id
        }
        id => id,
    }
}

fn identity_text() -> Vec<u8> {
    let replaced = std::env::var_os(HOST_ID_VARIABLE).filter(|text| !text.is_empty());
    match replaced {
        Some(text) => text.into_encoded_bytes(),
        None => IDENTITY_FILES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default(),
    }
}

/// FNV-1a, which every version of this library must compute alike; 0 becomes 1. Source: Fowler, Noll and Vo.
fn hash_of(text: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = text.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    hash.max(1)
}

/// The user as whom this process creates and opens files: the effective user id.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// 128 random bits, different in every call, thread, process and forked child.
///
/// From getrandom(2), which waits for entropy only in the first seconds of a machine's life; where it is refused,
/// from `/dev/urandom`; where that is missing too, from the seed, clock and identity of this thread, which is enough
/// to be unique but not to be a secret.
pub fn random_u128() -> u128 {
    random_from_kernel().or_else(random_from_device).unwrap_or_else(random_from_circumstances)
}

fn random_from_kernel() -> Option<u128> {
    let mut bytes = [0_u8; 16];
    let read = rustix::io::retry_on_intr(|| getrandom(&mut bytes, GetRandomFlags::empty()));
    (read == Ok(bytes.len())).then(|| u128::from_le_bytes(bytes))
}

fn random_from_device() -> Option<u128> {
    let mut bytes = [0_u8; 16];
    let mut device = std::fs::File::open("/dev/urandom").ok()?;
    device.read_exact(&mut bytes).ok()?;
    Some(u128::from_le_bytes(bytes))
}

fn random_from_circumstances() -> u128 {
    (u128::from(hash_of_circumstances(0)) << 64) | u128::from(hash_of_circumstances(1))
}

fn hash_of_circumstances(half: u8) -> u64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    half.hash(&mut hasher);
    std::time::SystemTime::now().hash(&mut hasher);
    std::time::Instant::now().hash(&mut hasher);
    rustix::process::getpid().hash(&mut hasher);
    rustix::thread::gettid().hash(&mut hasher);
    hasher.finish()
}

/// Bytes that an unprivileged user may still write to the file system of `directory`; `u64::MAX` if it has no limit.
///
/// It says nothing about quotas and memory limits of a container.
///
/// # Errors
/// What statvfs(3) answers: `NOENT` no such directory, `ACCESS` it cannot be reached.
pub fn free_bytes(directory: &Path) -> Result<u64, Errno> {
    statvfs(directory).map(|status| free_bytes_of(&status))
}

/// Free bytes of a file system; one without a size (ramfs, a tmpfs with `size=0`) has no limit.
pub(crate) fn free_bytes_of(status: &rustix::fs::StatVfs) -> u64 {
    if status.f_blocks == 0 { u64::MAX } else { status.f_bavail.saturating_mul(status.f_frsize) }
}

/// Processors that this process may use at once: its affinity and its container's quota, at least 1.
pub fn online_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_hash_is_the_published_one() {
        // Test vectors of FNV-1a, 64 bits.
        assert_eq!(hash_of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash_of(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash_of(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn the_host_is_the_boot_unless_the_environment_names_it() {
        match std::env::var(HOST_ID_VARIABLE) {
            Ok(name) => assert_eq!(id(), hash_of(name.as_bytes())),
            Err(_) => {
                let boot = std::fs::read(IDENTITY_FILES[0]).expect("Linux draws a boot id");
                assert_eq!((id(), id()), (hash_of(&boot), hash_of(&boot)));
                assert!(again_under_the_name("elsewhere"));
            }
        }
    }

    fn again_under_the_name(name: &str) -> bool {
        let test = "host::tests::the_host_is_the_boot_unless_the_environment_names_it";
        let program = std::env::current_exe().expect("this program has a path");
        let run = Command::new(program).args(["--exact", test]).env(HOST_ID_VARIABLE, name).output();
        run.expect("it runs").status.success()
    }

    #[test]
    fn every_source_of_randomness_differs_each_time() {
        for source in [random_from_kernel, random_from_device, || Some(random_from_circumstances())] {
            let drawn = [source(), source()];
            assert!(drawn[0].is_some() && drawn[0] != drawn[1], "{drawn:?}");
            assert!(drawn.iter().flatten().all(|bits| bits >> 64 != bits & u128::from(u64::MAX)));
        }
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_room() {
        assert_eq!(free_bytes(Path::new("/nowhere/at/all")), Err(Errno::NOENT));
        assert!(free_bytes(Path::new("/dev/shm")).is_ok_and(|free| free > 0));
    }

    #[test]
    fn there_is_a_processor_and_a_user() {
        assert!(online_cpus() >= 1);
        assert_eq!(user_id(), rustix::process::geteuid().as_raw());
    }
}
