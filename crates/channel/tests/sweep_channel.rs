//! Death, and a stop, at the machine instructions of the operations of a channel: in the build that users run, and
//! with the system calls that the crash face does not see.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod ledger;
#[path = "../../managed/tests/made_of/mod.rs"]
mod made_of;
mod swept;

use Fate::{Absent, Again, Fresh};
use ledger::{Fate, Ledger, assert_sound, attributes, book, letter, number_of, parcel, states};
use rustix::process::{Signal, getpid, kill_process};
use swept::{DONE, Ground, RECEIVED, SENT, Story, kill_and_stop, sweep};
use weyr_channel::{Channel, ChannelSet, Error, Lease, PollEvents, Sender, WaitMode};
use weyr_kill::{Moment, Point, child};
use weyr_managed::{Allocation, Mode, Pool, Published};
use weyr_shared::SlotState;

const LEASED: &[Story] = &[(1, &[Fresh, Again])];

#[test]
fn send() {
    let ground = Ground::new("send", |_, _| ());
    let send = |channel: &mut Channel| channel.send(&letter(100)).unwrap();
    sweep("send, inline", &ground, 6, SENT, Ground::warm, send);
}

#[test]
fn send_an_allocation() {
    let ground = Ground::new("send-allocation", |_, _| ());
    let with_parcel = |ground: &Ground| {
        let channel = ground.warm();
        let memory = parcel(channel.pool(), 100);
        (channel, Some(memory))
    };
    let send = |(channel, memory): &mut (Channel, Option<Allocation>)| {
        channel.send_allocation(memory.take().unwrap()).unwrap();
    };
    sweep("send, allocation", &ground, 8, SENT, with_parcel, send);
}

/// Who was stopped may find that another has the message.
fn receive(channel: &mut Channel) {
    if let Ok(message) = channel.try_receive() {
        drop(message.into_bytes().unwrap());
    }
}

#[test]
fn receive_bytes() {
    let ground = Ground::with_letter("receive");
    sweep("receive, inline", &ground, 3, RECEIVED, Ground::warm, receive);
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 40];
        if channel.receiver().try_receive_into(&mut bytes).is_ok() {
            assert_eq!(number_of(&bytes), 1);
        }
    };
    sweep("receive into, inline", &ground, 3, RECEIVED, Ground::warm, into_buffer);
}

#[test]
fn receive_an_allocation() {
    let ground = Ground::with_parcel("receive-allocation");
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 200];
        let _another_may_have_it = channel.receiver().try_receive_into(&mut bytes);
    };
    sweep("receive into, allocation", &ground, 5, RECEIVED, Ground::warm, into_buffer);
    sweep("receive, allocation", &ground, 5, RECEIVED, Ground::warm, receive);
}

#[test]
fn send_at_a_level_and_receive_from_it() {
    let ground = Ground::wide("send-urgent", |_, _| ());
    let with_sender = |ground: &Ground| {
        let channel = ground.warm();
        let urgent = channel.sender().with_priority(1).unwrap();
        (channel, urgent)
    };
    let send = |(_, urgent): &mut (Channel, Sender)| urgent.send(&letter(100)).unwrap();
    sweep("send, level 1 of 2", &ground, 7, SENT, with_sender, send);
    let send = |channel: &mut Channel| channel.send(&letter(100)).unwrap();
    sweep("send, level 0 of 2", &ground, 7, SENT, Ground::warm, send);
    let ground = Ground::wide("receive-urgent", |_, channel| {
        channel.sender().with_priority(1).unwrap().send(&letter(1)).unwrap();
    });
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 40];
        let _another_may_have_it = channel.receiver().try_receive_into(&mut bytes);
    };
    sweep("receive into, level 1 of 2", &ground, 3, RECEIVED, Ground::warm, into_buffer);
    sweep("receive, level 1 of 2", &ground, 3, RECEIVED, Ground::warm, receive);
}

#[test]
fn side_load() {
    let ground = Ground::wide("send-book", |_, _| ());
    let send = |channel: &mut Channel| channel.send(&book(100)).unwrap();
    sweep("send, side-loaded", &ground, 10, SENT, Ground::warm, send);
    let ground = Ground::wide("receive-book", |_, channel| channel.send(&book(1)).unwrap());
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 200];
        let _another_may_have_it = channel.receiver().try_receive_into(&mut bytes);
    };
    sweep("receive into, side-loaded", &ground, 5, RECEIVED, Ground::warm, into_buffer);
    sweep("lease done, side-loaded", &ground, 4, DONE, leased, done);
}

#[test]
fn side_load_elsewhere() {
    if !made_of::allows_paths("buffers in another pool") {
        return;
    }
    let ground = Ground::elsewhere("send-elsewhere", |_, _| ());
    let send = |channel: &mut Channel| channel.send(&book(100)).unwrap();
    sweep("send, elsewhere", &ground, 10, SENT, Ground::warm, send);
    let ground = Ground::elsewhere("receive-elsewhere", |_, channel| channel.send(&book(1)).unwrap());
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 200];
        let _another_may_have_it = channel.receiver().try_receive_into(&mut bytes);
    };
    sweep("receive into, elsewhere", &ground, 5, RECEIVED, Ground::warm, into_buffer);
    sweep("lease done, elsewhere", &ground, 4, DONE, leased, done);
    sweep("lease take, elsewhere", &ground, 3, DONE, leased, take);
}

/// A channel, another pool that stays attached, and memory of it.
type Foreign = (Channel, Pool, Option<Allocation>);

#[test]
fn memory_of_another_pool() {
    if !made_of::allows_paths("memory of another pool") {
        return;
    }
    foreign_through("", 512);
    foreign_through(", aside", 64);
}

/// With slots of so many bytes.
fn foreign_through(named: &str, block_size: u64) {
    let ground = Ground::foreign("send-foreign", block_size, |_, _| ());
    let send = |(channel, _, memory): &mut Foreign| {
        assert!(channel.send_allocation(memory.take().unwrap()).is_ok());
    };
    let name = format!("send, foreign{named}");
    sweep(&name, &ground, 6, SENT, Ground::warm_with_foreign, send);
    let ground = Ground::foreign("receive-foreign", block_size, |pool, channel| {
        assert!(channel.send_allocation(parcel(pool, 1)).is_ok());
    });
    let attached = |ground: &Ground| ground.warm_with_foreign();
    let receive = |(channel, _, memory): &mut Foreign| {
        drop(memory.take());
        receive(channel);
    };
    sweep(&format!("receive, foreign{named}"), &ground, 5, RECEIVED, attached, receive);
}

type Shared = (Channel, Option<Published>);

fn frozen(pool: &Pool, number: u64) -> Published {
    parcel(pool, number).freeze().unwrap()
}

fn published(pool: &Pool, number: u64) -> Published {
    parcel(pool, number).publish().unwrap()
}

#[test]
fn send_what_stays() {
    let ground = Ground::with_memory("send-frozen", |pool, _| Some(frozen(pool, 100)));
    let send = |(channel, memory): &mut Shared| {
        channel.sender().send_frozen(memory.as_ref().unwrap()).unwrap();
    };
    sweep("send, frozen", &ground, 8, SENT, Ground::warm_with_memory, send);
    let ground = Ground::with_memory("send-published", |pool, _| Some(published(pool, 100)));
    let send = |(channel, memory): &mut Shared| {
        channel.sender().send_published(memory.take().unwrap()).unwrap();
    };
    sweep("send, published", &ground, 8, SENT, Ground::warm_with_memory, send);
}

#[test]
fn receive_what_stays() {
    let ground = Ground::with_memory("receive-frozen", |pool, channel| {
        let memory = frozen(pool, 1);
        channel.sender().send_frozen(&memory).unwrap();
        Some(memory)
    });
    sweep("receive, frozen", &ground, 3, RECEIVED, Ground::warm, receive);
    let ground = Ground::with_memory("receive-published", |pool, channel| {
        let memory = published(pool, 1);
        let other = pool.open(&memory.descriptor()).unwrap();
        channel.sender().send_published(memory).unwrap();
        Some(other)
    });
    sweep("receive, published", &ground, 4, RECEIVED, Ground::warm, receive);
}

#[test]
fn receive_to_a_landing_pad() {
    let land = |(channel, pad): &mut (Channel, Allocation)| {
        if channel.receiver().try_receive_to(pad).is_ok() {
            let mut bytes = [0; 40];
            pad.read(0, &mut bytes).unwrap();
            assert_eq!(number_of(&bytes), 1);
        }
    };
    let with_pad = |ground: &Ground| {
        let channel = ground.warm();
        let pad = channel.pool().alloc(200).unwrap();
        (channel, pad)
    };
    let ground = Ground::with_letter("landing");
    sweep("receive to, inline", &ground, 3, RECEIVED, with_pad, land);
    let ground = Ground::with_parcel("landing-allocation");
    sweep("receive to, allocation", &ground, 5, RECEIVED, with_pad, land);
}

type Leasing = (Channel, Option<Lease>);

fn lease((channel, lease): &mut Leasing) {
    *lease = channel.receiver().try_lease().ok();
}

fn leased(ground: &Ground) -> Leasing {
    let mut state = (ground.warm(), None);
    lease(&mut state);
    state
}

fn done((_, lease): &mut Leasing) {
    lease.take().unwrap().done().unwrap();
}

fn take((_, lease): &mut Leasing) {
    std::mem::forget(lease.take().unwrap().take().unwrap());
}

fn put_back((_, lease): &mut Leasing) {
    drop(lease.take());
}

const PUT_BACK: &[Story] = &[(1, &[Again, Fresh])];

#[test]
fn lease_bytes() {
    let ground = Ground::with_letter("lease");
    sweep("lease, inline", &ground, 2, LEASED, |ground| (ground.warm(), None), lease);
    sweep("lease done, inline", &ground, 1, DONE, leased, done);
    sweep("lease take, inline", &ground, 1, DONE, leased, take);
    sweep("lease put back, inline", &ground, 2, PUT_BACK, leased, put_back);
}

#[test]
fn lease_an_allocation() {
    let ground = Ground::with_parcel("lease-allocation");
    sweep("lease, allocation", &ground, 2, LEASED, |ground| (ground.warm(), None), lease);
    sweep("lease done, allocation", &ground, 4, DONE, leased, done);
    sweep("lease take, allocation", &ground, 3, DONE, leased, take);
    sweep("lease put back, allocation", &ground, 2, PUT_BACK, leased, put_back);
}

/// Attached; and then one died who held messages 1 and 2, had sent message 3, and had memory of his own.
fn beside_a_dead_one(ground: &Ground) -> Channel {
    let channel = ground.warm();
    let mut victim = child::spawn(|| {
        let channel = ground.attach();
        let leases = [(); 2].map(|()| channel.receiver().try_lease().unwrap());
        channel.send(&letter(3)).unwrap();
        std::mem::forget((leases, parcel(channel.pool(), 4)));
        kill_process(getpid(), Signal::KILL).unwrap();
    })
    .unwrap();
    assert!(victim.wait().unwrap().was_killed());
    channel
}

#[test]
fn recovery() {
    let ground = Ground::new("recovery", |pool, channel| {
        channel.send(&letter(1)).unwrap();
        channel.send_allocation(parcel(pool, 2)).unwrap();
    });
    let stories: &[Story] = &[(1, &[Again]), (2, &[Again]), (3, &[Fresh])];
    let recover = |channel: &mut Channel| {
        channel.pool().recover();
    };
    sweep("recovery", &ground, 12, stories, beside_a_dead_one, recover);
}

#[test]
fn receive_what_was_given_back() {
    let ground = Ground::with_letter("returned");
    let mut victim = child::spawn(|| {
        let channel = ground.attach();
        std::mem::forget(channel.receiver().try_lease().unwrap());
        kill_process(getpid(), Signal::KILL).unwrap();
    })
    .unwrap();
    assert!(victim.wait().unwrap().was_killed());
    ground.pool().recover();
    sweep("receive, returned", &ground, 4, &[(1, &[Again, Absent])], Ground::warm, receive);
}

#[test]
fn send_round_a_leased_slot() {
    let ground = Ground::new("round", |_, channel| {
        (1..4).for_each(|number| channel.send(&letter(number)).unwrap());
    });
    let leasing = |ground: &Ground| {
        let channel = ground.warm();
        let lease = channel.receiver().try_lease().unwrap();
        (0..2).for_each(|_| receive(&mut channel.clone()));
        (channel, lease)
    };
    let send = |(channel, _): &mut (Channel, Lease)| channel.send(&letter(100)).unwrap();
    let stories = &[(1, &[Again] as &[Fate]), (2, &[Absent]), (3, &[Absent]), (100, &[Absent, Fresh])];
    sweep("send, round a leased slot", &ground, 6, stories, leasing, send);
}

#[test]
fn messages_with_attributes() {
    let with_attributes = attributes(3).message_attributes(true);
    let ground = Ground::of("attributes", &with_attributes, |_, _| None);
    let send = |channel: &mut Channel| {
        channel.sender().message().hints(11).client_id(12).send(&letter(100)).unwrap();
    };
    sweep("send, attributes", &ground, 10, SENT, Ground::warm, send);
    let ground = Ground::of("with-attributes", &with_attributes, |_, channel| {
        channel.sender().message().hints(11).client_id(12).send(&letter(1)).unwrap();
        None
    });
    let receive = |channel: &mut Channel| {
        if let Ok(message) = channel.try_receive() {
            let attributes = message.attributes().unwrap();
            assert_eq!((attributes.hints, attributes.client_id, attributes.sequence), (11, 12, 1));
        }
    };
    sweep("receive, attributes", &ground, 3, RECEIVED, Ground::warm, receive);
}

/// Nothing is written, so a stop may fall anywhere: meanwhile the message that is looked at is received, and its slot
/// used again and again.
#[test]
fn peek() {
    let ground = Ground::with_letter("peek");
    let peek = |channel: &mut Channel| {
        if let Ok(message) = channel.receiver().try_peek() {
            assert_eq!(number_of(message.bytes().unwrap()), 1);
        }
    };
    sweep("peek", &ground, 2, &[(1, &[Fresh])], Ground::warm, peek);
}

#[test]
fn landing_pads_for_what_stays() {
    let ground = Ground::with_memory("send-into", |pool, _| Some(parcel(pool, 100).publish().unwrap()));
    let send = |(channel, memory): &mut Shared| {
        channel.sender().message().send_into(memory.take().unwrap(), &book(100)[..]).unwrap();
    };
    sweep("send, into published", &ground, 8, SENT, Ground::warm_with_memory, send);
    let land = |(channel, pad): &mut (Channel, Vec<u8>)| {
        if channel.receiver().try_receive_to(&mut pad[..]).is_ok() {
            assert_eq!(number_of(pad), 1);
        }
    };
    let with_pad = |ground: &Ground| (ground.warm(), book(0));
    let ground = Ground::with_memory("land-frozen", |pool, channel| {
        let memory = frozen(pool, 1);
        channel.sender().send_frozen(&memory).unwrap();
        Some(memory)
    });
    sweep("receive to, frozen", &ground, 3, RECEIVED, with_pad, land);
    let ground = Ground::with_memory("land-published", |pool, channel| {
        let memory = published(pool, 1);
        let other = pool.open(&memory.descriptor()).unwrap();
        channel.sender().send_published(memory).unwrap();
        Some(other)
    });
    sweep("receive to, published", &ground, 4, RECEIVED, with_pad, land);
}

/// With a set that the channel tells.
fn listening(ground: &Ground) -> (Channel, ChannelSet) {
    let (channel, mut set) = (ground.warm(), ChannelSet::new().with_wait_mode(WaitMode::Idle));
    set.add(&channel, PollEvents::IN, 7).unwrap();
    assert_eq!(set.wait_until(&mut Vec::new(), std::time::Instant::now()), Err(Error::Timeout));
    (channel, set)
}

#[test]
fn sets() {
    let ground = Ground::new("send-to-set", |_, _| ());
    let send = |(channel, _): &mut (Channel, ChannelSet)| channel.send(&letter(100)).unwrap();
    sweep("send, to a set", &ground, 8, SENT, listening, send);
    let ground = Ground::with_letter("set");
    let come_and_go = |channel: &mut Channel| {
        let (mut set, mut ready) = (ChannelSet::new().with_wait_mode(WaitMode::Idle), Vec::new());
        let key = set.add(channel, PollEvents::IN, 7).unwrap();
        set.try_wait(&mut ready).unwrap();
        set.modify(key, PollEvents::FULL).unwrap();
        set.try_wait(&mut ready).unwrap();
        let second = set.add(channel, PollEvents::OUT, 8).unwrap();
        set.remove(key).unwrap();
        assert_ne!(key, second);
    };
    sweep("set, adds and leaves", &ground, 5, &[(1, &[Fresh])], Ground::warm, come_and_go);
}

/// Releases a quiesce by going, as locks are.
struct Rest(Channel);

impl Drop for Rest {
    fn drop(&mut self) {
        self.0.unquiesce().unwrap();
    }
}

fn rest(channel: &Channel) -> Result<Rest, Error> {
    channel.try_quiesce().map(|()| Rest(channel.clone()))
}

/// Nothing is locked any more, whoever died; all that waits is received, and nothing else is left.
fn assert_open(ground: &Ground, expected: &[u64]) {
    let channel = ground.attach();
    channel.pool().recover();
    let state = channel.state().unwrap();
    assert_eq!((state.write_locked_by, state.read_locked_by), (None, None));
    if state.quiesced {
        // Whoever died in it: another brings it to rest, and wakes it.
        channel.quiesce().unwrap();
        assert!(channel.is_quiesced());
        channel.unquiesce().unwrap();
    }
    let mut ledger = Ledger::default();
    ledger.pass(&channel, WaitMode::Adaptive).unwrap();
    ledger.drain(&channel);
    ledger.assert_passed(|number| expected.contains(&number));
    assert!(states(&channel).iter().all(|state| *state == SlotState::Empty));
    assert_sound(channel.pool(), 1);
}

/// At whatever instruction `operate` is stopped: when a lock has returned, no message enters or leaves any more, though
/// the stopped process goes on.
fn locked_out<L>(
    name: &str,
    ground: &Ground,
    floor: usize,
    expected: &[u64],
    lock: impl Fn(&Channel) -> Result<L, Error>,
    operate: impl Fn(&mut Channel),
) {
    let mut held: Option<(Channel, L, u32)> = None;
    let look = |point: &Point| {
        if point.moment == Moment::Stopped {
            let channel = ground.attach();
            held = match lock(&channel) {
                Ok(lock) => {
                    let depth = channel.state().unwrap().depth;
                    Some((channel, lock, depth))
                }
                Err(Error::InHands { .. }) => None,
                Err(error) => panic!("{error}"),
            };
            return;
        }
        if let Some((channel, lock, depth)) = held.take() {
            assert_eq!(channel.state().unwrap().depth, depth, "messages behind the lock");
            drop(lock);
        }
        assert_open(ground, expected);
    };
    kill_and_stop(name, ground, floor, Ground::warm, operate, look);
}

#[test]
fn a_lock_holds_at_whatever_instruction_others_stand() {
    let send = |channel: &mut Channel| {
        let sent = channel.try_send(&letter(100));
        assert!(matches!(sent, Ok(()) | Err(Error::WriteLocked { .. } | Error::Quiesced)), "{sent:?}");
    };
    let ground = Ground::new("locked-send", |_, _| ());
    locked_out("send, locked out", &ground, 6, &[100], Channel::try_write_lock, send);
    locked_out("send, put to rest", &ground, 6, &[100], rest, send);
    let receive = |channel: &mut Channel| {
        let received = channel.receiver().try_receive_into(&mut [0; 40]);
        assert!(matches!(received, Ok(40) | Err(Error::ReadLocked { .. } | Error::Quiesced)), "{received:?}");
    };
    let ground = Ground::with_letter("locked-receive");
    locked_out("receive into, locked out", &ground, 3, &[1], Channel::try_read_lock, receive);
    locked_out("receive into, put to rest", &ground, 3, &[1], rest, receive);
}

#[test]
fn a_process_may_die_or_stand_anywhere_in_a_lock_or_a_quiesce() {
    type Work = fn(&mut Channel);
    let works: [(&str, usize, Work); 4] = [
        ("write lock and unlock", 3, |channel| channel.try_write_lock().unwrap().unlock().unwrap()),
        ("read lock and unlock", 3, |channel| channel.try_read_lock().unwrap().unlock().unwrap()),
        ("quiesce and unquiesce", 3, |channel| {
            channel.try_quiesce().unwrap();
            channel.unquiesce().unwrap();
        }),
        ("set attributes", 1, |channel| {
            let mut attributes = channel.attributes().unwrap();
            attributes.max_spinners = 5;
            assert_eq!(channel.set_attributes(&attributes).unwrap().max_spinners, 0);
        }),
    ];
    let ground = Ground::with_letter("locking");
    for (name, floor, work) in works {
        let look = |point: &Point| {
            if point.moment == Moment::Stopped {
                let channel = ground.attach();
                let state = channel.state().unwrap();
                assert_eq!((state.depth, state.in_hands), (1, 0));
                assert!(channel.pool().verify(Mode::Online).holds());
                return;
            }
            let spinners = ground.attach().attributes().unwrap().max_spinners;
            assert!(spinners == 0 || spinners == 5);
            assert_open(&ground, &[1]);
        };
        kill_and_stop(name, &ground, floor, Ground::warm, work, look);
    }
}
