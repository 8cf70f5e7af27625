//! What can be put right in a pool, in one list.
//!
//! Whoever needs something repairs it in passing; this is for who asks for all of it. Others go on meanwhile, and the
//! one that repairs may die: each step is made of steps that are killable (`docs/recovery.md`).
//!
//! A further kind of damage is a further line of [`STEPS`].

use std::path::Path;

use crate::heap::verify::{Mode, Verification};
use crate::membership::attachment::Attachment;
use crate::{BufferPool, Error, Pool};

/// One thing that was looked for, and how much of it was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong, in the plural.
    pub what: &'static str,
    /// How many of it were put right.
    pub count: u64,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// What was wrong before.
    pub before: Verification,
    /// All that was looked for.
    pub repairs: Vec<Repair>,
    /// What is wrong still.
    pub after: Verification,
}

type Step = fn(&Attachment) -> Result<Vec<Repair>, Error>;

/// In this order: what the dead held comes back first, for it makes pages free and slabs ownerless. Slots before the
/// messages in them, and these before their blocks; messages before the manifest, for blocks with keys are sent.
const STEPS: [Step; 5] =
    [recover_the_dead, repair_channel_table, repair_messages, repair_manifest, rebuild_hints];

fn recover_the_dead(attachment: &Attachment) -> Result<Vec<Repair>, Error> {
    let dead = attachment.with_lane(|own, _| {
        attachment.heap.recover_dead(own, &attachment.liveness(), &attachment.channels())
    })?;
    // Attached for this alone, where it can be: what a recovery cannot reach is freed here at the latest.
    attachment.free_destroyed_channels(|ring| BufferPool::attach(ring).unwrap_or(BufferPool::Unknown));
    Ok(vec![
        Repair { what: "dead processes", count: dead.processes },
        Repair { what: "lanes of the dead", count: dead.lanes },
        Repair { what: "blocks of the dead", count: dead.blocks },
        Repair { what: "bytes of the dead", count: dead.bytes },
    ])
}

fn repair_channel_table(attachment: &Attachment) -> Result<Vec<Repair>, Error> {
    let heap = &attachment.heap;
    let entered = heap.enter_missing_channels().map_err(Error::os("backing the channel table"))?;
    Ok(vec![
        Repair { what: "channels that were not in the table", count: entered },
        Repair { what: "channel table entries without a channel", count: heap.clear_leftover_entries() },
    ])
}

fn repair_messages(attachment: &Attachment) -> Result<Vec<Repair>, Error> {
    let me = attachment.membership()?.actor;
    Ok(vec![
        Repair { what: "message slots of nobody", count: attachment.repair_nobodys_slots() },
        Repair { what: "messages without their block", count: attachment.remove_lost_messages() },
        Repair { what: "blocks in flight without a message", count: attachment.publish_lost_blocks(me) },
    ])
}

fn repair_manifest(attachment: &Attachment) -> Result<Vec<Repair>, Error> {
    let (heap, me) = (&attachment.heap, attachment.membership()?.actor.process);
    Ok(vec![
        Repair { what: "manifest entries that nobody makes", count: heap.empty_nobodys_records(me) },
        Repair { what: "manifest entries of blocks that are gone", count: heap.clear_leftovers() },
        Repair { what: "manifest entries of blocks without a type", count: heap.empty_records_of_others() },
        Repair { what: "second manifest entries of one key", count: heap.empty_second_records() },
        Repair { what: "typed blocks without a manifest entry", count: heap.untype_blocks_without_record() },
    ])
}

fn rebuild_hints(attachment: &Attachment) -> Result<Vec<Repair>, Error> {
    let heap = &attachment.heap;
    let empty = attachment.with_lane(|own, _| heap.give_back_empty_orphans(own))?;
    Ok(vec![
        Repair { what: "empty slabs without owner", count: empty },
        Repair { what: "slabs without owner that no hint showed", count: heap.mark_orphans() },
        Repair { what: "free pages that a hint hid", count: heap.unhide_free_pages() },
    ])
}

/// Puts right whatever can be.
pub(crate) fn repair_all(attachment: &Attachment) -> Result<Vec<Repair>, Error> {
    let mut repairs = Vec::new();
    for step in STEPS {
        repairs.extend(step(attachment)?);
    }
    Ok(repairs)
}

impl Pool {
    /// Attaches the pool whose object is `path`, as a member of its own, puts right whatever can be, and says what that
    /// was. Others go on meanwhile; takes time with the size of the pool.
    ///
    /// No payload is touched, and none is lost that anybody could still reach: a typed block whose entry is gone stays
    /// as published memory without a key, and one whose message is gone becomes published memory (where recovery has not
    /// taken it for unsent: when whoever had its sender's process slot by then died). Left alone is what a living
    /// process may be in the middle of: its blocks in flight, its entries of the manifest, its slots. A pool that was in
    /// use when the machine stopped is rebuilt, as by who attaches it.
    ///
    /// ```
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-repair-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let repaired = Pool::repair(pool.path())?;
    /// assert!(repaired.after.holds() && repaired.repairs.iter().all(|repair| repair.count == 0));
    /// # pool.destroy()?;
    /// # Ok::<(), weyr_managed::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`attach_path`](Self::attach_path). What was put right before an error stays so.
    pub fn repair(path: &Path) -> Result<Repaired, Error> {
        let before = Pool::inspect(path)?.verify(Mode::Online);
        let pool = Pool::join_alone(path)?;
        let repairs = match pool.rebuilt() {
            Some(rebuilt) => rebuilt.repairs.clone(),
            None => repair_all(pool.attachment())?,
        };
        Ok(Repaired { before, repairs, after: pool.verify(Mode::Online) })
    }
}
