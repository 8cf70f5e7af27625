//! How large an event is, and what lies where in it.

use weyr_atomic::{AtomicU64, Ordering};

use super::word::MAX_RECORDS;
use super::{BroadcastError, BroadcastHeader};
use crate::Corrupt;

pub(super) const HEADER_BYTES: u64 = 128;
pub(super) const PLACE_BYTES: u64 = 64;
pub(super) const RECORD_BYTES: u64 = 32;

const MAX_PAYLOAD: u64 = 1 << 30;
const MAX_WAITERS: u64 = 1 << 15;
const MAX_TRIGGERS: u64 = 1 << 10;
const _: () = assert!(MAX_WAITERS + MAX_TRIGGERS <= MAX_RECORDS);

/// What an event is made for.
///
/// ```
/// use weyr_shared::broadcast::{Broadcast, BroadcastAttributes, SyncType};
///
/// let attributes = BroadcastAttributes::new().max_payload(256).max_waiters(8).sync(SyncType::With(3));
/// assert_eq!(Broadcast::size(&attributes)?, 128 + 8 * 64 + (8 + 16) * (32 + 256));
/// # Ok::<(), weyr_shared::broadcast::BroadcastError>(())
/// ```
/// Source: Dragon, `dragonBCastAttr_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BroadcastAttributes {
    pub(super) payload: u64,
    pub(super) waiters: u64,
    pub(super) spinners: u64,
    pub(super) triggers: u64,
    pub(super) sync: SyncType,
}

/// Whether a trigger waits for those whom it releases.
///
/// Source: Dragon, `dragonSyncType_t`, and `sync_num` of `dragonBCastAttr_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncType {
    /// It releases who waits by then.
    #[default]
    None,
    /// It waits, up to its deadline, until so many living wait.
    With(u64),
}

impl SyncType {
    /// How many must wait.
    pub(super) fn needed(self) -> u64 {
        match self {
            Self::None => 0,
            Self::With(waiters) => waiters,
        }
    }

    fn of(needed: u64) -> Self {
        if needed == 0 { Self::None } else { Self::With(needed) }
    }
}

impl Default for BroadcastAttributes {
    fn default() -> Self {
        Self { payload: 0, waiters: 64, spinners: 16, triggers: 16, sync: SyncType::None }
    }
}

impl BroadcastAttributes {
    /// No payload, 64 waiters of which 16 may spin, 16 triggers at once, not synchronised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of a payload at most, up to 2^30.
    #[must_use]
    pub fn max_payload(self, bytes: u64) -> Self {
        Self { payload: bytes, ..self }
    }

    /// How many may wait at once, 1 to 32768, whether they live or died there. Source: Dragon, `max_procs_to_track`.
    #[must_use]
    pub fn max_waiters(self, waiters: u64) -> Self {
        Self { waiters, ..self }
    }

    /// How many of them may spin; who comes then sleeps. More than there may be waiters are all of them. Source: Dragon, `max_spinsig_num`.
    #[must_use]
    pub fn max_spinners(self, spinners: u64) -> Self {
        Self { spinners, ..self }
    }

    /// How many triggers may be at work at once, 1 to 1024, stopped ones included; who comes then waits.
    #[must_use]
    pub fn max_triggers(self, triggers: u64) -> Self {
        Self { triggers, ..self }
    }

    /// Whether a trigger waits for those whom it releases: for 1 up to all that may wait.
    #[must_use]
    pub fn sync(self, sync: SyncType) -> Self {
        Self { sync, ..self }
    }
}

/// Attributes that an event can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape(BroadcastAttributes);

impl Shape {
    /// The shape of these attributes.
    ///
    /// # Errors
    /// [`BroadcastError::InvalidAttribute`].
    pub fn new(attributes: &BroadcastAttributes) -> Result<Self, BroadcastError> {
        let BroadcastAttributes { payload, waiters, spinners, triggers, sync } = *attributes;
        let check = |attribute, given, least, most| {
            let wrong = BroadcastError::InvalidAttribute { attribute, least, most, given };
            if (least..=most).contains(&given) { Ok(()) } else { Err(wrong) }
        };
        check("the payload", payload, 0, MAX_PAYLOAD)?;
        check("the number of waiters", waiters, 1, MAX_WAITERS)?;
        check("the number of triggers", triggers, 1, MAX_TRIGGERS)?;
        check("the number of waiters to synchronise with", sync.needed().max(1), 1, waiters)?;
        if sync == SyncType::With(0) {
            check("the number of waiters to synchronise with", 0, 1, waiters)?;
        }
        Ok(Self(BroadcastAttributes { spinners: spinners.min(waiters), ..*attributes }))
    }

    pub(super) fn read(header: &BroadcastHeader) -> Result<Self, Corrupt> {
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let attributes = BroadcastAttributes {
            payload: word(&header.payload),
            waiters: word(&header.waiters),
            spinners: word(&header.spinners),
            triggers: word(&header.triggers),
            sync: SyncType::of(word(&header.sync)),
        };
        Self::new(&attributes).map_err(|_| Corrupt::new("shape of an event", 8))
    }

    pub(super) fn write(&self, header: &BroadcastHeader) {
        let BroadcastAttributes { payload, waiters, spinners, triggers, sync } = self.0;
        header.payload.store(payload, Ordering::Relaxed);
        header.waiters.store(waiters, Ordering::Relaxed);
        header.spinners.store(spinners, Ordering::Relaxed);
        header.triggers.store(triggers, Ordering::Relaxed);
        header.sync.store(sync.needed(), Ordering::Relaxed);
    }

    pub(super) fn attributes(&self) -> &BroadcastAttributes {
        &self.0
    }

    /// One for each place that may keep one, and one for each trigger at work.
    pub(super) fn records(&self) -> u64 {
        self.0.waiters + self.0.triggers
    }

    /// 64-bit words of a payload.
    pub(super) fn payload_words(&self) -> u64 {
        self.0.payload.div_ceil(8)
    }

    pub(super) fn records_at(&self) -> u64 {
        HEADER_BYTES + self.0.waiters * PLACE_BYTES
    }

    pub(super) fn payloads_at(&self) -> u64 {
        self.records_at() + self.records() * RECORD_BYTES
    }

    pub(super) fn bytes(&self) -> u64 {
        self.payloads_at() + self.records() * self.payload_words() * 8
    }

    pub(super) fn corrupt_place(place: usize) -> Corrupt {
        Corrupt::new("place of a waiter of an event", HEADER_BYTES + place as u64 * PLACE_BYTES)
    }

    pub(super) fn corrupt_record(&self, record: usize) -> Corrupt {
        Corrupt::new("record of a trigger of an event", self.records_at() + record as u64 * RECORD_BYTES)
    }
}
