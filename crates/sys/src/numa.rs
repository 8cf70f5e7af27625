//! On which nodes of the machine's memory pages are placed. Source: mbind(2), get_mempolicy(2), cpuset(7).
//!
//! A policy of shared memory (tmpfs, memfd, hugetlbfs) is the object's: it holds for whoever makes a page of it, from
//! then on and in any process. A policy of private memory is the mapping's. A file of a disk has none: its pages are
//! placed as the process that reads or writes them likes.
//!
//! What it does not do: it moves nothing that is there already, and chooses no node by itself.

use std::ops::Range;

use crate::mapping::{Mapping, page_size};
use rustix::io::Errno;

/// Numbers of nodes that a set can hold: as many as Linux can be built for.
pub const NODE_LIMIT: usize = 1024;

const WORDS: usize = NODE_LIMIT / 64;
/// The kernel counts one bit more than it reads.
const BITS: usize = NODE_LIMIT + 1;

/// A set of nodes, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nodes([u64; WORDS]);

impl Nodes {
    /// The set of these; none when a number is [`NODE_LIMIT`] or more.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Option<Nodes> {
        let mut nodes = Nodes::default();
        for number in numbers {
            *nodes.0.get_mut(number as usize / 64)? |= 1 << (number % 64);
        }
        Some(nodes)
    }

    /// The set whose member `n` is bit `n % 64` of word `n / 64`.
    pub fn from_words(words: [u64; WORDS]) -> Nodes {
        Nodes(words)
    }

    /// What [`from_words`](Self::from_words) takes.
    pub fn words(&self) -> &[u64; WORDS] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Its members, in order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let is_member = |number: &u32| self.0[*number as usize / 64] >> (number % 64) & 1 == 1;
        (0..NODE_LIMIT as u32).filter(is_member)
    }

    /// Those of this set that `other` has not.
    pub fn without(&self, other: &Nodes) -> Nodes {
        Nodes(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }
}

/// The nodes with memory that this thread may use; node 0 where the kernel does not say.
pub fn available() -> Nodes {
    let with_memory = std::fs::read_to_string("/sys/devices/system/node/has_memory");
    let status = std::fs::read_to_string("/proc/thread-self/status");
    let allowed = status.as_deref().ok().and_then(allowed_in);
    let with_memory = with_memory.ok().and_then(|text| parse_list(text.trim()));
    match (with_memory, allowed) {
        (Some(some), Some(others)) => some.without(&some.without(&others)),
        (Some(nodes), None) | (None, Some(nodes)) => nodes,
        (None, None) => Nodes::of([0]).unwrap_or_default(),
    }
}

fn allowed_in(status: &str) -> Option<Nodes> {
    let mut lines = status.lines();
    parse_list(lines.find_map(|line| line.strip_prefix("Mems_allowed_list:"))?.trim())
}

/// `0-3,5`, as the kernel writes lists of nodes.
fn parse_list(text: &str) -> Option<Nodes> {
    let range = |part: &str| -> Option<Range<u32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..last.parse::<u32>().ok()?.checked_add(1)?)
    };
    let ranges: Option<Vec<_>> = text.split(',').filter(|part| !part.is_empty()).map(range).collect();
    Nodes::of(ranges?.into_iter().flat_map(|range| range.take(NODE_LIMIT + 1)))
}

/// Has the pages of `range` (bytes from the start, widened to whole pages) that are made from now on placed on `nodes`
/// in turn. Does not block.
///
/// # Errors
/// `INVAL`: the range is not within the mapping, or none of the nodes can be used; those of several that cannot are left
/// out by the kernel without a word (see [`available`]). `NOSYS`, `PERM`: a kernel without such policies, or a filter.
pub fn interleave(mapping: &Mapping, range: Range<usize>, nodes: &Nodes) -> Result<(), Errno> {
    const MPOL_INTERLEAVE: libc::c_int = 3;
    if range.start > range.end || range.end > mapping.len() {
        return Err(Errno::INVAL);
    }
    let start = range.start - range.start % page_size();
    let address = mapping.as_ptr().wrapping_add(start);
    let (len, mask) = (range.end - start, nodes.0.as_ptr());
    // SAFETY: the range lies within the mapping, a policy changes no byte of it, and the mask has as many bits as is said.
    let answer = unsafe { libc::syscall(libc::SYS_mbind, address, len, MPOL_INTERLEAVE, mask, BITS, 0) };
    answered(answer)
}

/// The nodes that the policy for the page at byte `offset` of the mapping names; none where it has no policy of its own.
///
/// # Errors
/// `INVAL`: the offset is not within the mapping. `NOSYS`, `PERM` as for [`interleave`].
pub fn nodes_at(mapping: &Mapping, offset: usize) -> Result<Nodes, Errno> {
    const MPOL_F_ADDR: libc::c_int = 2;
    if offset >= mapping.len() {
        return Err(Errno::INVAL);
    }
    let mut nodes = Nodes::default();
    let (address, mask) = (mapping.as_ptr().wrapping_add(offset), nodes.0.as_mut_ptr());
    let no_mode = std::ptr::null_mut::<libc::c_int>();
    // SAFETY: the kernel writes as many bits as is said into the mask, which has so many, and nothing anywhere else.
    let answer = unsafe { libc::syscall(libc::SYS_get_mempolicy, no_mode, mask, BITS, address, MPOL_F_ADDR) };
    answered(answer).map(|()| nodes)
}

fn answered(answer: libc::c_long) -> Result<(), Errno> {
    if answer == 0 {
        return Ok(());
    }
    let errno = std::io::Error::last_os_error().raw_os_error();
    Err(errno.map_or(Errno::INVAL, Errno::from_raw_os_error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(numbers: &[u32]) -> Nodes {
        Nodes::of(numbers.iter().copied()).unwrap()
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        assert_eq!(nodes(&[63, 0, 1023]).numbers().collect::<Vec<_>>(), [0, 63, 1023]);
        assert_eq!(Nodes::of([1024]), None);
        assert!(Nodes::default().is_empty() && !nodes(&[70]).is_empty());
        assert_eq!(nodes(&[1, 70, 71]).without(&nodes(&[70])), nodes(&[1, 71]));
    }

    #[test]
    fn lists_of_the_kernel_are_read() {
        assert_eq!(parse_list("0"), Some(nodes(&[0])));
        assert_eq!(parse_list("0-2,5,7-8"), Some(nodes(&[0, 1, 2, 5, 7, 8])));
        assert_eq!(parse_list(""), Some(Nodes::default()));
        assert!(
            ["a", "1-", "1024", "0-99999999999", "0-4000000000"]
                .iter()
                .all(|text| parse_list(text).is_none())
        );
        assert_eq!(allowed_in("Name:\tx\nMems_allowed_list:\t0-1\n"), Some(nodes(&[0, 1])));
        assert_eq!(allowed_in("Name:\tx\n"), None);
    }

    #[test]
    fn a_policy_is_what_was_asked_for() {
        let mapping = Mapping::anonymous(4 * page_size()).unwrap();
        let wanted = available();
        match interleave(&mapping, page_size()..3 * page_size(), &wanted) {
            Ok(()) => {
                assert_eq!(nodes_at(&mapping, page_size()), Ok(wanted));
                assert_eq!(nodes_at(&mapping, 2 * page_size()), Ok(wanted));
                assert_eq!(nodes_at(&mapping, 0), Ok(Nodes::default()));
                assert_eq!(nodes_at(&mapping, 3 * page_size()), Ok(Nodes::default()));
            }
            // A kernel without nodes, or a filter.
            Err(errno) => assert!(matches!(errno, Errno::NOSYS | Errno::PERM), "{errno}"),
        }
        assert_eq!(interleave(&mapping, 0..4 * page_size() + 1, &wanted), Err(Errno::INVAL));
        assert_eq!(nodes_at(&mapping, 4 * page_size()), Err(Errno::INVAL));
    }
}
