//! How the values of pools cross the wire.

use weyr_shared::barrier::Broken;
use weyr_shared::{BlockReference, Corrupt, FlowControl, PayloadError};
use weyr_sys::Errno;

use crate::frame::Fields;
use crate::heap::usage::Amount;
use crate::heap::word::BlockState;
use crate::{
    AllocationDescriptor, Attributes, Error, Growth, LockKind, ManifestEntry, Observed, PoolAllocation,
    PoolAttributes, PoolDescriptor, PoolType, Preallocated, Usage,
};

#[cfg(test)]
use super::draw::Draw;
use super::operation::AllocationMode;
use super::wire::{Wire, choice, read_bytes, record, write_bytes};

record! {
    PoolAttributes "attributes" {
        name "name",
        bytes "size in bytes",
        kind "what it is made of",
        directory "where its object lies; none: where the executing process has its pools",
        mode "rights, as for chmod(2)",
        user "number of its owner",
        group "number of its group",
        growth "whether it grows",
        segment_bytes "bytes by which it grows",
        page_bytes "bytes of a page",
        processes "process slots",
        lanes "lanes",
        channels "entries of the channel table",
        manifest_entries "entries of the manifest",
        commit "whether its memory is promised at creation",
        prefault "whether its pages are provided at creation",
        zeroing "whether new allocations are zeroed",
        zero_on_free "whether what is freed is zeroed",
        huge_pages "whether huge pages are asked for",
        minimum_block "least room of an allocation in bytes; 0: none",
        alignment "of what the address of every allocation is a multiple; 0: what every block has",
        executable "whether its bytes may be executed",
        numa_nodes "nodes on which its data is placed in turn",
        node "host on which it is to be made; none: any",
        lock_kind "kind of lock; without effect",
        manifest_name "name of a file for the manifest; without effect",
        preallocated "blocks to be made ready",
    }
}

record! {
    Preallocated "blocks made ready" {
        bytes "bytes of each",
        count "how many",
    }
}

record! {
    Attributes "attributes as they are" {
        mode "rights, as for chmod(2); none where nobody opens it by rights",
        owner "number of its owner; none without an object",
        group "number of its group; none without an object",
        growth "how far it grows",
        node "host on which it was made",
        pool_type "what it is made of",
        lock_kind "kind of lock; without effect",
        name "name",
        size "bytes that it had room for when it was made",
        minimum_block "least room of an allocation in bytes; 0: none",
        alignment "of what the address of every allocation is a multiple",
        segment_size "bytes by which it grows",
        page_size "bytes of a page",
        processes "process slots",
        lanes "lanes",
        channels "entries of the channel table",
        manifest_entries "entries of the manifest",
        manifest_name "name of a file for the manifest; without effect",
        commit "whether its first segment was committed",
        prefault "whether its first segment was prefaulted",
        zeroing "whether new allocations are zeroed",
        zero_on_free "whether what is freed is zeroed",
        huge_pages "whether huge pages are asked for",
        executable "whether its bytes may be executed",
        numa_nodes "nodes on which its data is placed in turn",
        preallocated "blocks that were made ready",
        observed "what follows from all this and from use",
    }
}

record! {
    Observed "pool as it is" {
        allocatable_bytes "bytes that it has room for now",
        maximum_bytes "bytes that it has room for at most, by what can be set now",
        object_bytes "bytes of the object or memory, metadata included",
        used_bytes "bytes in allocations",
        free_bytes "bytes in no allocation",
        maximum_allocations "allocations that can exist at once",
        largest_block "bytes of the largest allocation that is possible now",
        free_blocks "free blocks of slabs, by their bytes",
        waiters "1 when somebody waits for memory, or did so when it died; else 0",
        manifest_entries "entries of the manifest in use",
        manifest_bytes "bytes of the manifest",
        segments "segments that it has",
        segment_names "names of what they lie in",
    }
}

record! {
    BlockReference "reference" {
        offset "byte of the pool's data at which the block begins",
        generation "which use of the block is meant",
    }
}

record! {
    ManifestEntry "manifest entry" {
        type_id "type; never 0",
        id "id within the type",
        reference "the block",
        bytes "bytes that were asked for",
    }
}

record! {
    PoolAllocation "allocation" {
        reference "the block",
        room "bytes that it has room for",
        state "whose it is",
        process "process slot of its owner, or of the sender of the message that has it",
        entry "its entry in the manifest",
    }
}

record! {
    Amount "amount" {
        blocks "number of blocks",
        bytes "bytes of room in them",
    }
}

record! {
    Usage "usage" {
        page_bytes "bytes of a page",
        pages "pages there are",
        maximum_pages "pages that there may be",
        free_pages "pages that are free",
        orphan_pages "pages of slabs that no lane owns",
        peak_pages "most pages ever in use at once",
        backed_bytes "bytes that the filesystem has promised",
        total "all blocks that are not free",
        by_process "those owned by a process, by process slot",
        by_size "by room of a block in bytes",
        by_state "by state",
        processes "process slots in use",
        lanes "lanes in use",
        manifest_entries "entries of the manifest in use",
        manifest_limit "entries that the manifest has",
        recoveries "process slots recovered so far",
    }
}

record! {
    Corrupt "corrupt place" {
        what "what was looked at",
        offset "byte of the object",
    }
}

choice! {
    Growth as u8 "growth" {
        0 None,
        1 UpTo(bytes),
        2 Unlimited,
    }
}

choice! {
    LockKind as u8 "kind of lock" {
        0 Fifo,
        1 FifoLite,
        2 Greedy,
    }
}

choice! {
    PoolType as u8 "pool type" {
        0 SharedMemory,
        1 File,
        2 Private,
        3 HugePages,
        4 Sealed,
        5 Lent,
    }
}

choice! {
    BlockState as u8 "state" {
        0 Free,
        1 Alloc,
        2 Pool,
        3 Typed,
        4 InFlightAlloc,
        5 InFlightPool,
        6 InFlightTyped,
        7 Freeing,
        8 Resizing,
        9 Frozen,
        10 Channel,
        11 Unknown,
    }
}

choice! {
    AllocationMode as u8 "mode" {
        0 AtOnce,
        1 Aligned(alignment),
        2 Zeroed(alignment),
        3 Within(patience),
        4 Blocking,
    }
}

choice! {
    PayloadError as u8 "payload error" {
        0 OutOfRange { offset, len, size },
        1 NotCooperative,
    }
}

choice! {
    Broken as u8 "why a barrier is broken" {
        0 Aborted,
        1 TimedOut,
        2 Died,
        3 Reset,
    }
}

choice! {
    FlowControl as u8 "flow control" {
        0 None,
        1 Resources,
        2 Memory { bytes },
        3 Messages { messages },
    }
}

/// Type and id.
impl Wire for (u32, u64) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        Ok((u32::read(from)?, u64::read(from)?))
    }

    #[cfg(test)]
    fn form() -> String {
        "type and id".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        (u32::draw(draw), u64::draw(draw))
    }
}

/// A number of the kernel: the same on every architecture that there is a weyr for.
impl Wire for Errno {
    fn write(&self, to: &mut Vec<u8>) {
        (self.raw_os_error() as u16).write(to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        match u16::read(from)? {
            number @ 1..4096 => Ok(Errno::from_raw_os_error(number.into())),
            _ => Err(from.damaged("it has a number that no kernel answers")),
        }
    }

    #[cfg(test)]
    fn form() -> String {
        "errno".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        Errno::from_raw_os_error(1 + draw.below(4095) as i32)
    }
}

impl Wire for PoolDescriptor {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(&self.to_bytes(), to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        Self::from_bytes(read_bytes(from)?)
    }

    #[cfg(test)]
    fn form() -> String {
        "pool".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        Self { host: Wire::draw(draw), uuid: Wire::draw(draw), path: Wire::draw(draw) }
    }
}

impl Wire for AllocationDescriptor {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(&self.to_bytes(), to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        Self::from_bytes(read_bytes(from)?)
    }

    #[cfg(test)]
    fn form() -> String {
        "block".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        Self {
            original: Wire::draw(draw),
            host: Wire::draw(draw),
            uuid: Wire::draw(draw),
            reference: Wire::draw(draw),
            view_offset: Wire::draw(draw),
            view_bytes: Wire::draw(draw),
            type_id: Wire::draw(draw),
            id: Wire::draw(draw),
        }
    }
}
