//! What lets in one at a time.

use crate::Result;

pub(crate) trait Mutual {
    /// Does `act` inside.
    fn inside<T>(&self, act: impl FnOnce() -> T) -> Result<T>;
}
