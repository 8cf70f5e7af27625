//! Steps of the protocol that a model can leave out, to show that it would see their absence.
//!
//! Outside the explore face nothing is ever left out, and the question costs nothing.
#![cfg_attr(not(weyr_face = "explore"), allow(unreachable_pub, reason = "models see it, nobody else"))]

/// A step whose absence a model must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(weyr_face = "explore"), allow(unreachable_pub, reason = "the models choose by it"))]
pub enum Fault {
    /// Whoever marks a page used because it was found so looks at it again.
    SecondLook,
    /// Who frees another lane's block loads the page word again behind the remote bit.
    PageWordAgain,
    /// A helper asks whether the life it helps is still the same, before each change.
    Authority,
    /// A page is left only when it was seen twice without anything of the dead.
    PageSeenClean,
    /// Blocks of a new slab begin above every generation that the page ever had.
    GenerationBase,
    /// Every page of a slab takes over the largest generation.
    BaseOfEveryPage,
    /// A tail is that of a head only when its distance says so.
    TailDistance,
    /// An entry of the channel table counts from before its block becomes a channel.
    EntryBeforeChannel,
    /// The generation base goes up before a span is kept.
    BaseOfKept,
    /// The owner says that it is inside an operation.
    OperationWord,
    /// A lane's thread counts only with the life of the lane that it belongs to.
    ThreadOfThisLife,
    /// Who waits for memory tries behind the arming of the event on which it will sleep, not before.
    TryBehindArming,
    /// Who waits for memory makes the stores of those who free visible before it tries.
    BarrierBehindArming,
    /// A helper asks whether the resize that it helps still goes on, before each tail that it frees.
    ResizeStillGoesOn,
    /// A revoker asks whether its flag still stands, before each change.
    FlagStillStands,
    /// Who has entered a record of the manifest looks at the others of its key.
    LookBehindEntering,
    /// Of several that have entered for one key only the one in front may win.
    ShutOut,
    /// Each filling of a record has a version of its own.
    RecordVersion,
    /// Who empties the records of nobody asks who has a lane behind its look at the record.
    LaneBehindRecord,
    /// Who repairs the manifest looks for the record of a block behind its look at the block.
    RecordBehindBlock,
    /// A limit of segments is set on the number that it was judged by, not on what there is by then.
    LimitOfWhatWasSeen,
}

#[cfg(weyr_face = "explore")]
mod switch {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static LEFT_OUT: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    pub(crate) fn leaves_out(step: Fault) -> bool {
        LEFT_OUT.get() == Some(step)
    }

    /// Leaves `step` out on this thread while `run` runs.
    pub fn without<R>(step: Fault, run: impl FnOnce() -> R) -> R {
        LEFT_OUT.set(Some(step));
        let result = run();
        LEFT_OUT.set(None);
        result
    }
}

#[cfg(weyr_face = "explore")]
pub(crate) use switch::leaves_out;
#[cfg(weyr_face = "explore")]
pub use switch::without;

#[cfg(not(weyr_face = "explore"))]
pub(crate) const fn leaves_out(_: Fault) -> bool {
    false
}
