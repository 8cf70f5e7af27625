//! What is bound to a collective channel: how many they are, of what, and what is done with it.

use weyr_atomic::Ordering;

use super::CollectiveRecord;

/// Of what type the elements are that members give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ElementType {
    /// Of the users' own: bytes, of which only they know what they mean.
    Custom = 0,
    /// `u8`.
    U8,
    /// `u16`.
    U16,
    /// `u32`.
    U32,
    /// `u64`.
    U64,
    /// `i8`.
    I8,
    /// `i16`.
    I16,
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
}

impl ElementType {
    /// All of them, by their code.
    pub const ALL: [Self; 11] = [
        Self::Custom,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F32,
        Self::F64,
    ];

    /// The one with that number, which stays the same for ever.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// Bytes of an element; none: the users say.
    pub const fn bytes(self) -> Option<u32> {
        match self {
            Self::Custom => None,
            Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
        }
    }

    /// Whether it is a number with a point.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

/// What a reduction does with two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// There are no reductions.
    None = 0,
    /// Adds them; integers wrap.
    Sum,
    /// The lesser one. A number is less than what is not a number.
    Minimum,
    /// The greater one. A number is greater than what is not a number.
    Maximum,
    /// Bit by bit; integers only.
    And,
    /// Bit by bit; integers only.
    Or,
    /// Bit by bit; integers only.
    Xor,
    /// What the users' own function does.
    Custom,
}

impl Operation {
    /// All of them, by their code.
    pub const ALL: [Self; 8] =
        [Self::None, Self::Sum, Self::Minimum, Self::Maximum, Self::And, Self::Or, Self::Xor, Self::Custom];

    /// The one with that number, which stays the same for ever.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| *operation as u8 == code)
    }

    /// Whether it can be done with elements of that type.
    pub const fn takes(self, element: ElementType) -> bool {
        match self {
            Self::None | Self::Custom => true,
            Self::Sum | Self::Minimum | Self::Maximum => element as u8 != ElementType::Custom as u8,
            Self::And | Self::Or | Self::Xor => {
                element as u8 != ElementType::Custom as u8 && !element.is_float()
            }
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sum => "sum",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
            Self::Custom => "custom",
        }
    }
}

/// What is bound to a collective channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Number of members.
    pub members: u32,
    /// Of what type elements are.
    pub element: ElementType,
    /// What reductions do.
    pub operation: Operation,
    /// Bytes of an element.
    pub element_bytes: u32,
    /// The most elements that a member gives in a round.
    pub elements: u32,
    /// Of the users' own operation; 0 where it is none of theirs.
    pub fingerprint: u64,
}

impl Binding {
    /// The most members that a group can have.
    pub const MOST_MEMBERS: u32 = 4096;
    /// One member that gives nothing: to be changed where something else is wanted.
    pub const BYTES: Self = Self {
        members: 1,
        element: ElementType::U8,
        operation: Operation::None,
        element_bytes: 1,
        elements: 0,
        fingerprint: 0,
    };

    /// The most bytes that a member gives in a round.
    pub const fn bytes(&self) -> u64 {
        self.element_bytes as u64 * self.elements as u64
    }

    /// What is wrong with it, in words that begin a sentence. None: nothing.
    pub fn fault(&self) -> Option<&'static str> {
        let custom = self.operation == Operation::Custom;
        let faults = [
            (!(1..=Self::MOST_MEMBERS).contains(&self.members), "a group has 1 to 4096 members"),
            (!self.operation.takes(self.element), "that operation is none of elements of that type"),
            (self.element_bytes == 0, "an element has at least one byte"),
            (
                self.element.bytes().is_some_and(|bytes| bytes != self.element_bytes),
                "an element has other bytes",
            ),
            (self.bytes() > u32::MAX.into(), "a member gives less than 4 GiB at once"),
            (custom != (self.fingerprint != 0), "the users' own operation, and no other, has a fingerprint"),
        ];
        faults.into_iter().find(|(is, _)| *is).map(|(_, reason)| reason)
    }

    pub(super) fn stored_in(record: &CollectiveRecord) -> Option<Self> {
        let kind = record.kind.load(Ordering::Relaxed);
        let binding = Self {
            members: record.members.load(Ordering::Relaxed),
            element: ElementType::of_code((kind >> 8) as u8).filter(|_| kind >> 16 == 0)?,
            operation: Operation::of_code(kind as u8)?,
            element_bytes: record.element_bytes.load(Ordering::Relaxed),
            elements: record.elements.load(Ordering::Relaxed),
            fingerprint: record.fingerprint.load(Ordering::Relaxed),
        };
        binding.fault().is_none().then_some(binding)
    }

    pub(super) fn store_in(&self, record: &CollectiveRecord) {
        let kind = u32::from(self.element as u8) << 8 | u32::from(self.operation as u8);
        record.members.store(self.members, Ordering::Relaxed);
        record.kind.store(kind, Ordering::Relaxed);
        record.element_bytes.store(self.element_bytes, Ordering::Relaxed);
        record.elements.store(self.elements, Ordering::Relaxed);
        record.fingerprint.store(self.fingerprint, Ordering::Relaxed);
    }
}
