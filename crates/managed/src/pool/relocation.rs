//! A pool as bytes: copied while nobody uses it, and opened under another name, at other addresses, on another machine.
//!
//! Nothing in a pool says where it lies: offsets count from its start, members are judged by the locks of the object that
//! they are in, and who is on another host or of another boot is no member of the copy. So a copy is a pool with the
//! same identity, the same allocations and the same manifest, and descriptors of allocations lead to them in both.

use std::path::{Path, PathBuf};

use weyr_sys::Errno;
use weyr_sys::object::Unpublished;

use crate::pool::Inspection;
use crate::pool::creation::{creation_error, path_error};
use crate::{Error, name};

/// Bytes that are copied at a time.
const CHUNK: u64 = 1 << 20;

impl Inspection {
    /// Copies the pool, which nobody is attached to, to this user's `name` in `directory`: a pool with the same identity
    /// and content. Holes stay holes. Nobody sees the copy before it is complete. Blocks while it is copied.
    ///
    /// Returns the path of the copy's object.
    ///
    /// # Errors
    /// [`Error::InUse`] when a living process has it attached; [`Error::NameTaken`], [`Error::FilesystemFull`],
    /// [`Error::PermissionDenied`], [`Error::NoSuchPool`] when the directory is not there, [`Error::Os`]. Nothing is left
    /// of the copy then.
    pub fn copy_to(&self, directory: &Path, name: &str) -> Result<PathBuf, Error> {
        self.require_unused()?;
        let path = name::pool_path(directory, name)?;
        let failed = |errno| creation_error(directory, &path, name, errno);
        let own = self.attachment().object().ok_or(Error::Nameless { uuid: self.uuid() })?;
        let metadata = own.metadata().map_err(Error::os("looking at the pool's object"))?;
        let copy = Unpublished::create(directory, metadata.mode & 0o777).map_err(failed)?;
        copy.object().set_len(metadata.len_bytes).map_err(failed)?;
        self.copy_stored(&copy, failed)?;
        // Somebody may have come meanwhile: then the copy is of no single moment.
        self.require_unused()?;
        copy.publish(&path).map_err(|errno| path_error(&path, name, errno))?;
        Ok(path)
    }

    fn require_unused(&self) -> Result<(), Error> {
        let living = self.members().iter().filter(|member| !member.dead).count();
        if living == 0 {
            Ok(())
        } else {
            Err(Error::InUse { name: self.name().to_owned(), processes: living })
        }
    }

    fn copy_stored(&self, copy: &Unpublished, failed: impl Fn(Errno) -> Error) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK as usize];
        let mut at = 0;
        while let Some(stored) = self.next_stored(at)? {
            for start in (stored.start..stored.end).step_by(CHUNK as usize) {
                let part = &mut buffer[..(stored.end - start).min(CHUNK) as usize];
                let read = self.read(start, part)?;
                copy.object().write_at(start, &part[..read]).map_err(&failed)?;
            }
            at = stored.end;
        }
        Ok(())
    }
}
