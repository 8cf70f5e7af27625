//! The C library's mutex, robust and shared among processes.

use std::mem::MaybeUninit;

use crate::Result;
use crate::contestants::mutual::Mutual;
use crate::shared_page::SharedPage;

/// Line of the page on which it lies.
const LINE: usize = 16;

/// A mutex on a page that a parent and its children share.
#[derive(Debug)]
pub(crate) struct RobustMutex(SharedPage);

impl RobustMutex {
    pub(crate) fn new() -> Result<Self> {
        let mutex = Self(SharedPage::new()?);
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let own = attributes.as_mut_ptr();
        // SAFETY: the attributes are this function's own.
        check(unsafe { libc::pthread_mutexattr_init(own) })?;
        // SAFETY: initialised above.
        check(unsafe { libc::pthread_mutexattr_setpshared(own, libc::PTHREAD_PROCESS_SHARED) })?;
        // SAFETY: as above.
        check(unsafe { libc::pthread_mutexattr_setrobust(own, libc::PTHREAD_MUTEX_ROBUST) })?;
        // SAFETY: zeros of a page that nobody uses yet, aligned and large enough for a mutex, as its lines are.
        check(unsafe { libc::pthread_mutex_init(mutex.place(), own) })?;
        Ok(mutex)
    }

    fn place(&self) -> *mut libc::pthread_mutex_t {
        const { assert!(size_of::<libc::pthread_mutex_t>() <= 128) };
        std::ptr::from_ref(self.0.word(LINE)).cast_mut().cast()
    }
}

impl Mutual for RobustMutex {
    #[inline]
    fn inside<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        // SAFETY: initialised by `new`, and on a page that lives as long as `self`.
        check(unsafe { libc::pthread_mutex_lock(self.place()) })?;
        let done = act();
        // SAFETY: as above; this thread has it.
        check(unsafe { libc::pthread_mutex_unlock(self.place()) })?;
        Ok(done)
    }
}

fn check(code: libc::c_int) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(code).into()) }
}
