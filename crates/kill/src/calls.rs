//! Which system calls a piece of work makes.
//!
//! Source: ptrace(2), `PTRACE_SYSCALL`.
//!
//! What it does *not* do: calls of other threads are not counted, nor what the kernel does without being called.

use std::collections::BTreeMap;

use crate::Error;
use crate::trace::Traced;

/// Runs `prepare` and then `operation` in a forked child; how often the operation made each system call, by the call's
/// number. Waits for its end, for at most `seconds`.
///
/// ```
/// # #[cfg(target_arch = "x86_64")] {
/// let calls = weyr_kill::system_calls_during(|| (), |()| std::thread::yield_now(), 60)?;
/// assert_eq!(calls.into_iter().collect::<Vec<_>>(), [(libc::SYS_sched_yield as u64, 1)]);
/// # }
/// # Ok::<(), weyr_kill::Error>(())
/// ```
///
/// # Errors
/// [`Error`]: the child could not be traced, or did not come to the end of its operation.
pub fn system_calls_during<T>(
    prepare: impl Fn() -> T,
    operation: impl Fn(&mut T),
    seconds: u32,
) -> Result<BTreeMap<u64, u64>, Error> {
    let mut traced = Traced::start(&prepare, &operation, seconds)?;
    let mut made = Vec::new();
    while let Some(number) = traced.next_call()? {
        made.push(number);
    }
    // The stop that says that it is over.
    let _stop = made.pop();
    let mut counts = BTreeMap::new();
    for number in made {
        *counts.entry(number).or_default() += 1;
    }
    Ok(counts)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_one_by_one_and_computing_makes_none() {
        let work = |calls: &mut u64| {
            for _ in 0..*calls {
                std::thread::yield_now();
                std::hint::black_box(rustix::process::getppid());
            }
        };
        for calls in [0, 1, 7] {
            let counted = system_calls_during(|| calls, work, 60).unwrap();
            let expected = [(libc::SYS_sched_yield, calls), (libc::SYS_getppid, calls)];
            let expected = expected.map(|(number, count)| (number as u64, count));
            assert_eq!(counted, expected.into_iter().filter(|(_, count)| *count > 0).collect());
        }
    }
}
