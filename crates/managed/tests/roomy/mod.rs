//! A directory for a large pool: /dev/shm of a container may hold 64 MiB.

use tempfile::TempDir;
use weyr_kill::note_skipped;

/// A new directory where so many bytes are free; none, and a note, where there is no such room.
pub(crate) fn directory(test: &str, bytes: u64) -> Option<TempDir> {
    let temporary = std::env::temp_dir();
    let places = [std::path::Path::new("/dev/shm"), &temporary, std::path::Path::new("/var/tmp")];
    let roomy = places.into_iter().find(|place| free(place).is_some_and(|free| free > bytes));
    if roomy.is_none() {
        note_skipped(test, format_args!("{bytes} bytes are free in none of {places:?}"));
    }
    roomy.map(|place| tempfile::tempdir_in(place).unwrap())
}

fn free(place: &std::path::Path) -> Option<u64> {
    let filesystem = rustix::fs::statvfs(place).ok()?;
    Some(filesystem.f_bavail * filesystem.f_frsize)
}
