//! Death, and a stop, at the machine instructions of a send whose claim a receiver revokes: the sender takes its block
//! back, gives its slot back, and begins again. In the build that users run.
//!
//! The message sleeps between its filling and its publish, once; then another process receives until the claim is
//! revoked. All else is the product's.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod ledger;
#[path = "../../managed/tests/made_of/mod.rs"]
mod made_of;
mod swept;

use std::cell::Cell;

use ledger::{letter, parcel, states};
use swept::{Ground, Onlooker, SENT, beside_another, kill_and_stop_at, until_alone};
use weyr_channel::protocol::{Attached, Bytes, Claim, Outgoing, PoolHost, SendSide, Transfer};
use weyr_channel::{Channel, Error, WaitMode};
use weyr_kill::{Moment, Point, Rendezvous, Stops};
use weyr_managed::Allocation;
use weyr_shared::{MessageReference, Ring, SlotState};

/// A message that loses its first turn.
struct Slow<M> {
    message: M,
    loses: Cell<bool>,
    lost: Rendezvous,
}

impl<M: Outgoing<PoolHost>> Outgoing<PoolHost> for Slow<M> {
    fn fill(&self, host: &PoolHost, ring: &Ring, claim: Claim) -> Result<(), Error> {
        self.message.fill(host, ring, claim)?;
        if self.loses.take() {
            self.lost.wait().unwrap();
        }
        Ok(())
    }

    fn take_back(&self, host: &PoolHost) -> Result<(), Error> {
        self.message.take_back(host)
    }

    fn bytes_copied(&self) -> u64 {
        self.message.bytes_copied()
    }
}

/// A send of the product's own steps.
struct Sending<M> {
    attached: Attached<PoolHost>,
    side: SendSide,
    message: Slow<M>,
    _memory: Option<Allocation>,
}

impl<M: Outgoing<PoolHost>> Sending<M> {
    /// In a process beside which another revokes the claim.
    fn new(
        ground: &Ground,
        level: u32,
        message: impl FnOnce(&Channel) -> (M, Option<Allocation>),
    ) -> Sending<M> {
        let lost = Rendezvous::new().unwrap();
        let channel = beside_another(ground, |channel| {
            // The others may have revoked it while the sender stood.
            while states(channel).contains(&SlotState::Filling) {
                assert_eq!(channel.try_receive().err(), Some(Error::Empty));
            }
            lost.post().unwrap();
        });
        let (message, memory) = message(&channel);
        let (pool, reference) = (channel.pool(), channel.descriptor().reference());
        let bytes = pool.channel_block(reference).unwrap().bytes;
        let ring = Ring::open(&pool.region().part(reference.offset, bytes).unwrap(), reference).unwrap();
        let attached = Attached::new(ring, reference, PoolHost::new(pool)).unwrap();
        let message = Slow { message, loses: Cell::new(true), lost };
        // It does not leave, it dies.
        std::mem::forget(channel);
        Self { attached, side: SendSide::at_level(level), message, _memory: memory }
    }

    fn send(&mut self) {
        self.attached.send_until(&self.side, &self.message, WaitMode::Idle, None).unwrap();
        assert!(!self.message.loses.get());
    }
}

fn sweep<M: Outgoing<PoolHost>>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> Sending<M>,
) {
    let mut onlooker = Onlooker::new(ground, SENT);
    let look = |point: &Point| {
        if point.moment != Moment::Stopped {
            until_alone(ground);
        }
        onlooker.look(point);
    };
    kill_and_stop_at(&Stops::of_varying(8), name, ground, floor, prepare, Sending::send, look);
    onlooker.assert_told();
}

fn with_letter(ground: &Ground, level: u32) -> Sending<Bytes<'static>> {
    Sending::new(ground, level, |_| (Bytes(Vec::leak(letter(100))), None))
}

fn with_parcel(ground: &Ground) -> Sending<Transfer> {
    Sending::new(ground, 0, |channel| {
        let memory = parcel(channel.pool(), 100);
        let message = MessageReference { block: memory.reference(), view_offset: 0, view_len: memory.len() };
        (Transfer(message), Some(memory))
    })
}

#[test]
fn a_sender_that_lost_its_turn() {
    let ground = Ground::new("revoked", |_, _| ());
    sweep("send, revoked, inline", &ground, 10, |ground| with_letter(ground, 0));
    let ground = Ground::new("revoked-allocation", |_, _| ());
    sweep("send, revoked, allocation", &ground, 12, with_parcel);
    let ground = Ground::wide("revoked-urgent", |_, _| ());
    sweep("send, revoked, level 1 of 2", &ground, 10, |ground| with_letter(ground, 1));
}
