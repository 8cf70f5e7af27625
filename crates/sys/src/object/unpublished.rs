//! An object that gets its name only when it is complete, so that nobody opens a half-made one.
//!
//! It is an unnamed file (`O_TMPFILE`) that linkat(2) names; if its maker dies before that, nothing is left. Where the
//! file system has no unnamed files it bears a temporary name, which renameat2(2) changes; a maker that dies leaves a
//! file behind whose name begins with [`TEMPORARY_PREFIX`]. Both refuse a name that is taken.

use super::{Object, unlink};
use crate::host::random_u128;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, renameat_with};
use rustix::io::{Errno, retry_on_intr};
use std::path::{Path, PathBuf};

/// How temporary names begin, where the file system has no unnamed files.
pub const TEMPORARY_PREFIX: &str = ".weyr-unpublished.";

/// An object without its name. Dropping it leaves nothing behind.
///
/// ```
/// use weyr_sys::object::{Access, Object, Unpublished};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
/// let path = directory.join("pool");
/// let pool = Unpublished::create(directory, 0o600)?;
/// pool.object().set_len(1 << 20)?;
/// pool.publish(&path)?;
/// assert_eq!(Object::open(&path, Access::ReadOnly)?.len(), Ok(1 << 20));
/// # Ok::<(), weyr_sys::Errno>(())
/// ```
#[derive(Debug)]
pub struct Unpublished {
    object: Object,
    /// `None`: it has no name at all.
    temporary: Option<TemporaryName>,
}

/// A name that is removed when dropped; by then it may have become another one.
#[derive(Debug)]
struct TemporaryName(PathBuf);

impl Unpublished {
    /// Creates an empty object without a name on the file system of `directory`, with exactly the rights `mode`, open
    /// for reading and writing.
    ///
    /// # Errors
    /// `NOENT`: no such directory. `ACCESS`, `ROFS`: it may not be written to. `NOSPC`: no room for another file.
    pub fn create(directory: &Path, mode: u32) -> Result<Unpublished, Errno> {
        match Unpublished::create_unnamed(directory, mode) {
            // ISDIR and NOENT are what kernels and file systems without O_TMPFILE answer.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => {
                Unpublished::create_named(directory, mode)
            }
            answer => answer,
        }
    }

    fn create_unnamed(directory: &Path, mode: u32) -> Result<Unpublished, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let descriptor = retry_on_intr(|| rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR))?;
        let object = Object::from(descriptor);
        object.set_mode(mode)?;
        Ok(Unpublished { object, temporary: None })
    }

    fn create_named(directory: &Path, mode: u32) -> Result<Unpublished, Errno> {
        let path = directory.join(format!("{TEMPORARY_PREFIX}{:032x}", random_u128()));
        let object = Object::create(&path, mode)?;
        Ok(Unpublished { object, temporary: Some(TemporaryName(path)) })
    }

    /// The object, to be filled.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Gives the object the name `path`, on the same file system, and returns it.
    ///
    /// Commit point: the linkat(2) or renameat2(2) that makes the name; before it there is no such name, after it the
    /// object is complete. (Where neither renameat2 nor unnamed files exist, a death right after the commit also
    /// leaves the temporary name.)
    ///
    /// # Errors
    /// `EXIST`: the name is taken; what has it is untouched. `XDEV`: another file system. `NOENT`: no such directory,
    /// or `/proc` is not mounted. `ACCESS`: the directory may not be written to. After an error nothing is left of
    /// the object.
    pub fn publish(self, path: &Path) -> Result<Object, Errno> {
        match &self.temporary {
            None => self.link_unnamed(path)?,
            Some(temporary) => rename_exclusive(&temporary.0, path)?,
        }
        Ok(self.object)
    }

    fn link_unnamed(&self, path: &Path) -> Result<(), Errno> {
        linkat(CWD, self.object.path_of_descriptor(), CWD, path, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        // After publishing there is no such name; one that cannot be removed says that it is nobody's.
        let _ = unlink(&self.0);
    }
}

fn rename_exclusive(from: &Path, to: &Path) -> Result<(), Errno> {
    rename_through(from, to, |from, to| renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE))
}

fn rename_through(
    from: &Path,
    to: &Path,
    rename: impl FnOnce(&Path, &Path) -> Result<(), Errno>,
) -> Result<(), Errno> {
    match rename(from, to) {
        // A second name; the temporary one is removed afterwards.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => linkat(CWD, from, CWD, to, AtFlags::empty()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Access;
    use std::fs::{read_dir, write};

    type Create = fn(&Path, u32) -> Result<Unpublished, Errno>;
    const WAYS: [Create; 2] = [Unpublished::create_unnamed, Unpublished::create_named];

    fn names_in(directory: &Path) -> Vec<String> {
        let entries = read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn a_taken_name_is_refused_and_nothing_is_left_behind() {
        for create in WAYS {
            let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
            let path = directory.path().join("pool");
            write(&path, "somebody's").expect("written");
            let unpublished = create(directory.path(), 0o600).expect("created");
            assert_eq!(unpublished.publish(&path).err(), Some(Errno::EXIST));
            assert_eq!(names_in(directory.path()), ["pool"]);
            assert_eq!(std::fs::read(&path).expect("read"), b"somebody's");
        }
    }

    #[test]
    fn what_is_not_published_is_gone_when_dropped() {
        for create in WAYS {
            let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
            drop(create(directory.path(), 0o600).expect("created"));
            assert_eq!(names_in(directory.path()), Vec::<String>::new());
        }
    }

    #[test]
    fn both_ways_publish_the_same_object_under_one_name() {
        for create in WAYS {
            let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
            let path = directory.path().join("pool");
            let unpublished = create(directory.path(), 0o600).expect("created");
            let identity = unpublished.object().identity();
            let object = unpublished.publish(&path).expect("published");
            assert_eq!(object.identity(), identity);
            assert_eq!(Object::open(&path, Access::ReadWrite).expect("opened").identity(), identity);
            assert_eq!(names_in(directory.path()), ["pool"]);
        }
    }

    #[test]
    fn without_an_exclusive_rename_a_link_does_it() {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let refused = |_: &Path, _: &Path| Err(Errno::INVAL);
        for (to, answer) in [("pool", Ok(())), ("pool", Err(Errno::EXIST))] {
            let object = Object::create(&at("temporary"), 0o600).expect("created");
            let temporary = TemporaryName(at("temporary"));
            assert_eq!(rename_through(&temporary.0, &at(to), refused), answer);
            drop((temporary, object));
            assert_eq!(names_in(directory.path()), ["pool"]);
        }
    }
}
