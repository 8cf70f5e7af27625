//! What a process asks of the scheduler, one at a time.

/// Index of an atomic among those that the model has touched.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct CellIndex(pub(crate) u32);

/// One access to one atomic; values are widened to 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Access {
    Load,
    /// `locked`: `SeqCst`, which x86 makes an `xchg`: it needs the own store buffer empty and skips it.
    Store {
        value: u64,
        locked: bool,
    },
    Change(Change),
}

/// A read-modify-write; needs the own store buffer empty and answers the former value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Change {
    Swap(u64),
    Exchange { current: u64, new: u64 },
    Add(u64),
    Sub(u64),
    Or(u64),
    And(u64),
    Max(u64),
}

impl Change {
    /// What the cell holds afterwards; the caller cuts it to the cell's width.
    pub(crate) fn applied_to(self, former: u64) -> u64 {
        match self {
            Self::Swap(value) => value,
            Self::Exchange { current, new } => {
                if former == current {
                    new
                } else {
                    former
                }
            }
            Self::Add(value) => former.wrapping_add(value),
            Self::Sub(value) => former.wrapping_sub(value),
            Self::Or(value) => former | value,
            Self::And(value) => former & value,
            Self::Max(value) => former.max(value),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Swap(value) => format!("swap {value:#x}"),
            Self::Exchange { current, new } => format!("compare_exchange {current:#x} to {new:#x}"),
            Self::Add(value) => format!("fetch_add {value:#x}"),
            Self::Sub(value) => format!("fetch_sub {value:#x}"),
            Self::Or(value) => format!("fetch_or {value:#x}"),
            Self::And(value) => format!("fetch_and {value:#x}"),
            Self::Max(value) => format!("fetch_max {value:#x}"),
        }
    }
}

/// A scheduling point.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Operation {
    Access(CellIndex, Access),
    Fence,
    HeavyBarrier,
    Spin,
    Choose(u32),
    IsDead(u32),
    Wait(&'static str),
    Sleep {
        cell: CellIndex,
        expected: u32,
        may_time_out: bool,
    },
    Wake {
        cell: CellIndex,
        count: u32,
    },
    /// Between the last access and the end, for a process that may die there.
    Return,
    /// Nothing more is asked.
    Finished,
}

/// Answers to `Operation::Sleep`.
pub(crate) mod slept {
    pub(crate) const WOKEN: u64 = 0;
    pub(crate) const DIFFERED: u64 = 1;
    pub(crate) const TIMED_OUT: u64 = 2;
}

impl Operation {
    /// Whether the own store buffer must be empty first.
    pub(crate) fn drains(self) -> bool {
        match self {
            Self::Access(_, Access::Store { locked, .. }) => locked,
            Self::Access(_, Access::Change(_)) | Self::Fence | Self::HeavyBarrier => true,
            Self::Sleep { .. } | Self::Wake { .. } => true,
            _ => false,
        }
    }

    /// The operation in words; `name` names cells.
    pub(crate) fn describe(self, name: &dyn Fn(CellIndex) -> String) -> String {
        match self {
            Self::Access(cell, Access::Load) => format!("load {}", name(cell)),
            Self::Access(cell, Access::Store { value, locked }) => {
                format!("store {} = {value:#x}{}", name(cell), if locked { " (SeqCst)" } else { "" })
            }
            Self::Access(cell, Access::Change(change)) => format!("{} on {}", change.describe(), name(cell)),
            Self::Fence => "fence(SeqCst)".into(),
            Self::HeavyBarrier => "heavy_barrier".into(),
            Self::Spin => "spin".into(),
            Self::Choose(alternatives) => format!("choose of {alternatives}"),
            Self::IsDead(process) => format!("is_dead(P{process})"),
            Self::Wait(label) => format!("wait_until \"{label}\""),
            Self::Sleep { cell, expected, .. } => format!("futex_wait {} while {expected:#x}", name(cell)),
            Self::Wake { cell, count } => format!("futex_wake {} up to {count}", name(cell)),
            Self::Return => "return".into(),
            Self::Finished => "finished".into(),
        }
    }

    /// What the answer means, for a trace.
    pub(crate) fn describe_answer(self, answer: u64) -> String {
        match self {
            Self::Access(_, Access::Store { .. }) | Self::Fence | Self::HeavyBarrier => String::new(),
            Self::Access(_, Access::Change(Change::Exchange { current, .. })) if answer == current => {
                " -> ok".into()
            }
            Self::Access(_, Access::Change(Change::Exchange { .. })) => format!(" -> found {answer:#x}"),
            Self::Spin | Self::Wait(_) | Self::Return | Self::Finished => String::new(),
            Self::IsDead(_) => format!(" -> {}", answer == 1),
            Self::Sleep { .. } => match answer {
                slept::WOKEN => " -> sleeps".into(),
                slept::DIFFERED => " -> value differs".into(),
                _ => " -> timed out".into(),
            },
            _ => format!(" -> {answer:#x}"),
        }
    }
}
