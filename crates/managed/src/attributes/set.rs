//! Attributes changed while a pool is in use.
//!
//! Rights and owner are the kernel's, the limit of growth is one word of the header (`heap/growth.rs`). What cannot be
//! changed is refused before anything is done.
//!
//! Crash argument: each step makes one attribute new as a whole: one compare-exchange, one call of the kernel. A death
//! between two leaves the ones behind it as they were, which is a pool like any other; nothing has to be repaired.

use weyr_sys::Errno;
use weyr_sys::object::Object;

use crate::attributes::particulars::invalid;
use crate::heap::growth::{Bound, SegmentsWord};
use crate::layout::GROWTH_UNLIMITED;
use crate::membership::attachment::Attachment;
use crate::{Attributes, Error, Growth, Pool};

impl Pool {
    /// Makes the pool's attributes those of `new`, and returns what they were.
    ///
    /// `mode`, `owner`, `group` and `growth` change, for every process at once. A new limit of growth is between the present
    /// size and the maximum that the pool was made for; of it as much counts as whole segments fill. `node`, `pool_type`,
    /// `lock_kind` and what is [observed](crate::Observed) are not looked at. Whoever may open the object for writing may
    /// set the growth; mode and group are the owner's to change, the owner is root's.
    ///
    /// Of several that set at once each attribute becomes one of theirs. A death in between leaves each attribute old or
    /// new. Does not block.
    ///
    /// ```
    /// # use weyr_managed::{Error, Growth, Pool, PoolAttributes};
    /// # let name = format!("doc-attributes-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20).growth(Growth::UpTo(8 << 20)))?;
    /// let mut attributes = pool.attributes()?;
    /// attributes.mode = Some(0o640);
    /// attributes.growth = Growth::UpTo(4 << 20);
    /// let old = pool.set_attributes(&attributes)?;
    /// assert_eq!((old.mode, old.growth), (Some(0o600), Growth::UpTo(8 << 20)));
    /// attributes.page_size *= 2;
    /// let refused = pool.set_attributes(&attributes);
    /// assert!(matches!(refused, Err(Error::InvalidAttribute { attribute: "page size", .. })));
    /// # pool.destroy()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] names what cannot be changed, or not so; [`Error::PermissionDenied`];
    /// [`Error::ReadOnly`], [`Error::Destroyed`], [`Error::Forked`], [`Error::Os`]. Nothing is changed then, unless the
    /// kernel refuses to take back what it did before it refused.
    /// Source: Dragon managed memory, `dragon_memory_pool_setattr`.
    pub fn set_attributes(&self, new: &Attributes) -> Result<Attributes, Error> {
        let attachment = self.attachment();
        attachment.membership()?;
        if self.is_destroyed() {
            return Err(Error::Destroyed);
        }
        let old = attachment.attributes()?;
        check_fixed(&old, new)?;
        attachment.check_rights(&old, new)?;
        let (before, after) = attachment.heap.bound_segments(|word| attachment.bound(new.growth, word))?;
        if let Err(error) = attachment.set_rights(&old, new) {
            attachment.heap.unbound_segments(before, after);
            return Err(error);
        }
        attachment.heap.wake_waiters();
        Ok(old)
    }
}

/// Refuses the first change of what is settled when a pool is made.
fn check_fixed(old: &Attributes, new: &Attributes) -> Result<(), Error> {
    let same = [
        (old.name == new.name, "name"),
        (old.size == new.size, "size"),
        (old.minimum_block == new.minimum_block, "minimum block"),
        (old.alignment == new.alignment, "alignment"),
        (old.segment_size == new.segment_size, "segment size"),
        (old.page_size == new.page_size, "page size"),
        (old.processes == new.processes, "processes"),
        (old.lanes == new.lanes, "lanes"),
        (old.channels == new.channels, "channels"),
        (old.manifest_entries == new.manifest_entries, "manifest entries"),
        (old.manifest_name == new.manifest_name, "manifest name"),
        (old.commit == new.commit, "commit"),
        (old.prefault == new.prefault, "prefault"),
        (old.zeroing == new.zeroing, "zeroing"),
        (old.zero_on_free == new.zero_on_free, "zero on free"),
        (old.huge_pages == new.huge_pages, "huge pages"),
        (old.executable == new.executable, "executable"),
        (old.numa_nodes == new.numa_nodes, "NUMA nodes"),
        (old.preallocated == new.preallocated, "preallocated blocks"),
    ];
    let changed = same.iter().find(|(same, _)| !same);
    changed
        .map_or(Ok(()), |(_, name)| Err(invalid(name, "it cannot be changed once the pool is made".into())))
}

impl Attachment {
    /// Refuses rights that no object can have, and those of memory.
    fn check_rights(&self, old: &Attributes, new: &Attributes) -> Result<(), Error> {
        let named =
            [(old.mode, new.mode, "mode"), (old.owner, new.owner, "owner"), (old.group, new.group, "group")];
        for (old, new, name) in named {
            match (old, new) {
                (None, Some(_)) => {
                    let kind = self.medium.kind.name();
                    return Err(invalid(name, format!("nobody opens a pool of type {kind} by its rights")));
                }
                (Some(_), None) => return Err(invalid(name, "every object has one".into())),
                _ => {}
            }
        }
        match new.mode.filter(|mode| *mode > 0o777) {
            Some(mode) => {
                Err(invalid("mode", format!("{mode:o} is more than the nine bits of rights (777)")))
            }
            None => Ok(()),
        }
    }

    /// The limit that `growth` means to a pool with so many segments; none when it is that already.
    fn bound(&self, growth: Growth, word: SegmentsWord) -> Result<Option<Bound>, Error> {
        let geometry = &self.heap.geometry;
        let bytes_of = |pages: u64| pages << geometry.shape.page_shift;
        if growth == self.growth_of(word) {
            return Ok(None);
        }
        match growth {
            Growth::None => Ok(Some(Bound::Present)),
            Growth::Unlimited if self.particulars.growth == GROWTH_UNLIMITED => Ok(Some(Bound::Maximum)),
            Growth::Unlimited => Err(self.beyond_tables("without a limit")),
            Growth::UpTo(bytes) if bytes > geometry.maximum_bytes() => {
                Err(self.beyond_tables(&format!("to {bytes} bytes")))
            }
            Growth::UpTo(bytes) => {
                let present = bytes_of(geometry.pages(word.segments()));
                if bytes < present {
                    let reason = format!("the pool has {present} bytes already, more than {bytes}");
                    return Err(invalid("growth", reason));
                }
                Ok(Some(Bound::Segments(geometry.segments_within(bytes))))
            }
        }
    }

    fn beyond_tables(&self, how_far: &str) -> Error {
        let maximum = self.heap.geometry.maximum_bytes();
        invalid("growth", format!("the pool was made for {maximum} bytes at most, and cannot grow {how_far}"))
    }

    fn set_rights(&self, old: &Attributes, new: &Attributes) -> Result<(), Error> {
        let Some(object) = self.object() else { return Ok(()) };
        let changed = |old: Option<u32>, new: Option<u32>| new.filter(|_| old != new);
        if let Some(mode) = changed(old.mode, new.mode) {
            object.set_mode(mode).map_err(|errno| self.rights_error("mode", errno))?;
        }
        let (user, group) = (changed(old.owner, new.owner), changed(old.group, new.group));
        if user.is_none() && group.is_none() {
            return Ok(());
        }
        object.set_owner(user, group).map_err(|errno| {
            self.take_back_mode(object, old, new);
            self.rights_error(if user.is_some() { "owner" } else { "group" }, errno)
        })
    }

    fn take_back_mode(&self, object: &Object, old: &Attributes, new: &Attributes) {
        if let Some(mode) = old.mode.filter(|_| old.mode != new.mode)
            && let Err(errno) = object.set_mode(mode)
        {
            tracing::warn!(pool = self.name, %errno, "the former rights could not be given back");
        }
    }

    fn rights_error(&self, attribute: &'static str, errno: Errno) -> Error {
        match errno {
            Errno::PERM | Errno::ACCESS => Error::PermissionDenied { name: self.name.clone() },
            Errno::INVAL | Errno::OPNOTSUPP => invalid(attribute, format!("the kernel refuses it: {errno}")),
            errno => Error::Os { operation: "changing the rights of the pool's object", errno },
        }
    }
}
