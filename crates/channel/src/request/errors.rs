//! How every error crosses the wire as itself. Numbers are for ever: a new variant gets the next one.

use crate::Error;

use super::values::choice;

choice! {
    Error as u16 "error" {
        1 Full,
        2 BufferPoolFull { bytes "u64" },
        3 Empty,
        4 Reactor,
        5 InvalidSignal { number "i32" },
        6 Timeout,
        7 Destroyed,
        8 TooLarge { needed "u64", largest "u64" },
        9 Corrupt(place "corrupt place"),
        10 Forked,
        11 NoAttributes,
        12 NoAllocation,
        13 OtherType { asked "u64", agreed "u64" },
        14 BarrierBroken { why "why a barrier is broken" },
        15 InvalidParties { parties "u32", largest "u32" },
        16 NotABarrier,
        17 NotASemaphore,
        18 NotAChannel,
        19 Version { found "u32" },
        20 Stale,
        21 InvalidBlockSize { bytes "u64", smallest "u64", largest "u64" },
        22 InvalidCapacity { messages "u64", largest "u64" },
        23 InvalidLevels { levels "u32", largest "u32" },
        24 InvalidPriority { level "u32", highest "u32" },
        25 OtherPool,
        26 Pool(error "error of a pool"),
        27 BufferPool(error "error of a pool"),
        28 BufferPoolGone,
        29 InvalidBufferPool { reason "word" },
        30 DamagedDescriptor { reason "word" },
        31 InvalidName { name "text", largest "u64" },
        32 NameTaken { name "text" },
        33 NoSuchChannel { name "text", pool "text" },
        34 TooManyHandles,
        35 TooManyListeners { limit "u64" },
        36 TooManySets,
        37 NotInSet,
        38 FlowControl(flow_control "flow control"),
        39 InvalidFlowControl,
        40 NotReceived,
        41 ReceiptLost,
    }
}
