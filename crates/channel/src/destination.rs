//! Memory that goes away with a message, of the channel's pool or of another.

use weyr_managed::{Allocation, Published};

use crate::landing;

/// Memory of a pool that goes away with a message: an [`Allocation`], or an original [`Published`].
pub trait Destination: landing::LandingPad + memory::Memory {}

impl Destination for Allocation {}
impl Destination for Published {}

/// What is asked of such memory, by this crate alone.
pub(crate) mod memory {
    use weyr_managed::{Allocation, Pool, PoolDescriptor, Published};
    use weyr_shared::{BlockReference, ForeignRight};

    use crate::Error;

    /// Sealed.
    pub trait Memory {
        /// Whether it can be sent through a channel of that pool.
        ///
        /// # Errors
        /// Why not.
        fn check(&self, pool: &Pool) -> Result<(), Error>;
        /// Whether it lies in another pool.
        fn is_foreign(&self, pool: &Pool) -> bool;
        /// The pool that it lies in.
        ///
        /// # Errors
        /// [`Error::Forked`].
        fn pool_descriptor(&self) -> Result<PoolDescriptor, Error>;
        /// What its receiver may do with it.
        fn right(&self) -> ForeignRight;
        /// Its block.
        fn block(&self) -> BlockReference;
        /// Makes it another pool's, so that no death frees it.
        ///
        /// # Errors
        /// The pool's.
        fn lend(&self) -> Result<(), Error>;
        /// Makes it what it was, when it was not sent.
        ///
        /// # Errors
        /// The pool's.
        fn regain(&self) -> Result<(), Error>;
        /// Its message was sent.
        fn leave(self, pool: &Pool);
    }

    impl Memory for Allocation {
        /// Of whichever pool; refused in a forked child.
        fn check(&self, pool: &Pool) -> Result<(), Error> {
            pool.has(self)?;
            Ok(())
        }

        fn is_foreign(&self, pool: &Pool) -> bool {
            pool.has(self) == Ok(false)
        }

        fn pool_descriptor(&self) -> Result<PoolDescriptor, Error> {
            Ok(Allocation::pool_descriptor(self)?)
        }

        fn right(&self) -> ForeignRight {
            ForeignRight::Owned
        }

        fn block(&self) -> BlockReference {
            self.reference()
        }

        fn lend(&self) -> Result<(), Error> {
            Ok(Allocation::lend(self)?)
        }

        fn regain(&self) -> Result<(), Error> {
            Ok(self.regain_lent()?)
        }

        fn leave(self, pool: &Pool) {
            // Refused only in a forked child, where it is the parent's to forget.
            let _ = match self.is_foreign(pool) {
                true => self.leave_lent(),
                false => pool.end_transfer(self),
            };
        }
    }

    /// A handle on published memory frees nothing, and is not needed for it to stay.
    impl Memory for Published {
        fn check(&self, pool: &Pool) -> Result<(), Error> {
            if !self.is_original() {
                return Err(weyr_managed::Error::NotOriginal.into());
            }
            // In the channel's own pool the change of its word says so.
            if self.is_foreign(pool) { Ok(self.check_sendable()?) } else { Ok(()) }
        }

        fn is_foreign(&self, pool: &Pool) -> bool {
            !self.is_in(pool)
        }

        fn pool_descriptor(&self) -> Result<PoolDescriptor, Error> {
            Ok(Published::pool_descriptor(self))
        }

        fn right(&self) -> ForeignRight {
            if self.is_original() { ForeignRight::Original } else { ForeignRight::View }
        }

        fn block(&self) -> BlockReference {
            self.reference()
        }

        fn lend(&self) -> Result<(), Error> {
            Ok(())
        }

        fn regain(&self) -> Result<(), Error> {
            Ok(())
        }

        fn leave(self, _pool: &Pool) {}
    }
}
