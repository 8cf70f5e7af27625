//! The memory of a process, and the use of a pool, are the same after a million messages of each kind as before.
//!
//! Two processes, one that sends and one that receives, a channel and a kind at a time. Both look at their own
//! anonymous memory (the heap, stacks, and written copies: all but what is shared) once they are warm, and again at the
//! end: a leak of one byte a message would be several times what may be between the two. The pool must have exactly as
//! many blocks and free pages as before. A hundred thousand messages of each kind; `WEYR_CRASH=full` sends a million.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "what was done is part of the result")]

mod pools;

use std::time::Duration;

use pools::{TestPool, made_of};
use weyr_channel::{Channel, ChannelAttributes, Content, Message, Receiver, Sender};
use weyr_kill::{Outcome, Rendezvous, child, note};
use weyr_managed::{Allocation, Mode, Pool, Published};

/// Messages before the first look.
const WARM: u64 = 20_000;
/// Growth that counts as none. The kernel gives memory by pages, and a stack or an arena may take another one.
const ALLOWANCE: u64 = 32 << 10;
/// A guard against waiting for ever for one that died, not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a message that does not fit a slot.
const LARGE: usize = 200;

fn messages() -> u64 {
    match std::env::var("WEYR_CRASH").as_deref() {
        Ok("full") => 1_000_000,
        Ok("few") => 40_000,
        _ => 100_000,
    }
}

/// Bytes of memory of this process that no other shares. Source: proc(5), `smaps_rollup`.
fn own_bytes() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    };
    field("Anonymous:") + field("Swap:")
}

/// Who sends: its handle, its pool, and frozen memory.
struct Sending {
    sender: Sender,
    pool: Pool,
    frozen: Published,
}

/// Who receives, and where to.
struct Receiving {
    receiver: Receiver,
    buffer: Vec<u8>,
    pad: Allocation,
}

/// One kind of message, and one way to receive it.
struct Kind {
    name: &'static str,
    attributes: fn(ChannelAttributes) -> ChannelAttributes,
    send: fn(&Sending),
    receive: fn(&mut Receiving),
}

fn plain(attributes: ChannelAttributes) -> ChannelAttributes {
    attributes
}

fn inline(sending: &Sending) {
    sending.sender.send(&[7; 40]).unwrap();
}

fn large(sending: &Sending) {
    sending.sender.send(&[7; LARGE]).unwrap();
}

fn parcel(sending: &Sending) -> Allocation {
    sending.pool.alloc(LARGE as u64).unwrap()
}

fn message(receiving: &Receiving) -> Message {
    receiving.receiver.receive().unwrap()
}

fn bytes(receiving: &mut Receiving) {
    assert!(matches!(message(receiving).into_content(), Content::Bytes(_)));
}

fn done(receiving: &mut Receiving) {
    receiving.receiver.lease().unwrap().done().unwrap();
}

const KINDS: [Kind; 13] = [
    Kind { name: "inline", attributes: plain, send: inline, receive: bytes },
    Kind {
        name: "inline, into a buffer",
        attributes: plain,
        send: inline,
        receive: |receiving| {
            let Receiving { receiver, buffer, .. } = receiving;
            assert_eq!(receiver.receive_into(buffer), Ok(40));
        },
    },
    Kind {
        name: "inline, to a landing pad",
        attributes: plain,
        send: inline,
        receive: |receiving| {
            let Receiving { receiver, pad, .. } = receiving;
            assert_eq!(receiver.receive_to(pad).unwrap().len, 40);
        },
    },
    Kind { name: "inline, leased", attributes: plain, send: inline, receive: done },
    Kind {
        name: "side-loaded",
        attributes: |attributes| attributes.side_loading(true),
        send: large,
        receive: bytes,
    },
    Kind {
        name: "side-loaded, leased",
        attributes: |attributes| attributes.side_loading(true),
        send: large,
        receive: done,
    },
    Kind {
        name: "allocation",
        attributes: plain,
        send: |sending| sending.sender.send_allocation(parcel(sending)).unwrap(),
        receive: |receiving| drop(message(receiving).into_allocation().unwrap()),
    },
    Kind {
        name: "allocation, to a landing pad",
        attributes: plain,
        send: |sending| sending.sender.send_allocation(parcel(sending)).unwrap(),
        receive: |receiving| {
            let Receiving { receiver, pad, .. } = receiving;
            assert_eq!(receiver.receive_to(pad).unwrap().len, LARGE as u64);
        },
    },
    Kind {
        name: "allocation, leased",
        attributes: plain,
        send: |sending| sending.sender.send_allocation(parcel(sending)).unwrap(),
        receive: done,
    },
    Kind {
        name: "published",
        attributes: plain,
        send: |sending| sending.sender.send_published(parcel(sending).publish().unwrap()).unwrap(),
        receive: |receiving| match message(receiving).into_content() {
            Content::Published { published, .. } => published.free().unwrap(),
            other => panic!("{other:?}"),
        },
    },
    Kind {
        name: "frozen",
        attributes: plain,
        send: |sending| sending.sender.send_frozen(&sending.frozen).unwrap(),
        receive: |receiving| assert!(matches!(message(receiving).into_content(), Content::Frozen(_))),
    },
    Kind {
        name: "at a level",
        attributes: |attributes| attributes.priority_levels(2),
        send: |sending| {
            sending.sender.clone().with_priority(1).unwrap().send(&[7; 40]).unwrap();
        },
        receive: bytes,
    },
    Kind {
        name: "with attributes",
        attributes: |attributes| attributes.message_attributes(true),
        send: |sending| sending.sender.message().hints(11).client_id(12).send(&[7; 40]).unwrap(),
        receive: |receiving| assert_eq!(message(receiving).attributes().unwrap().hints, 11),
    },
];

/// What a pool's memory is used for.
fn use_of(pool: &Pool) -> (u64, u64) {
    let usage = pool.usage();
    (usage.total.blocks, usage.free_pages)
}

/// Sends, stands until it is looked at, sends again; says how much its memory grew.
fn send_all(kind: &Kind, channel: &Channel, frozen: &Published, go_on: &Rendezvous, told: &Rendezvous) {
    let channel = Channel::attach(&channel.descriptor()).unwrap();
    let frozen = channel.pool().open(&frozen.descriptor()).unwrap();
    let sending =
        Sending { sender: channel.sender().with_timeout(PATIENCE), pool: channel.pool().clone(), frozen };
    (0..WARM).for_each(|_| (kind.send)(&sending));
    go_on.wait().unwrap();
    let before = own_bytes();
    (0..messages()).for_each(|_| (kind.send)(&sending));
    told.send(own_bytes().saturating_sub(before)).unwrap();
    go_on.wait().unwrap();
}

fn assert_constant(kind: &Kind) {
    let pool = TestPool::new("constant");
    let attributes = (kind.attributes)(ChannelAttributes::new().block_size(64).capacity(8));
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let frozen = pool.0.alloc(LARGE as u64).unwrap().freeze().unwrap();
    let (go_on, told) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
    let mut child = child::spawn(|| send_all(kind, &channel, &frozen, &go_on, &told)).unwrap();
    let pad = pool.0.alloc(LARGE as u64).unwrap();
    let mut receiving =
        Receiving { receiver: channel.receiver().with_timeout(PATIENCE), buffer: vec![0; 64], pad };
    (0..WARM).for_each(|_| (kind.receive)(&mut receiving));
    let (used, before) = (use_of(&pool.0), own_bytes());
    go_on.post().unwrap();
    (0..messages()).for_each(|_| (kind.receive)(&mut receiving));
    let grown = [told.wait_from(&child).unwrap(), own_bytes().saturating_sub(before)];
    let name = kind.name;
    eprintln!(
        "memory: {} messages {name}: the sender grew by {} bytes, the receiver by {}, of {ALLOWANCE}; the pool has \
         {used:?} blocks in use and pages free",
        messages(),
        grown[0],
        grown[1]
    );
    assert_eq!(use_of(&pool.0), used, "{name}: blocks in use and pages free, before and after");
    assert!(grown.iter().all(|bytes| *bytes <= ALLOWANCE), "{name}: sender and receiver grew by {grown:?}");
    go_on.post().unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    drop(receiving);
    frozen.free().unwrap();
    channel.destroy().unwrap();
    pool.0.recover();
    assert_eq!(pool.blocks(), 0);
    assert!(pool.0.verify(Mode::Quiesced).holds());
}

#[test]
fn no_kind_of_message_leaves_anything_behind() {
    let why_not = "sender and receiver are two processes";
    if !made_of::allows("memory of messages", made_of::Made::is_shared, why_not) {
        return;
    }
    assert!(messages() > ALLOWANCE, "a byte a message is seen");
    KINDS.iter().for_each(assert_constant);
    let made = made_of::chosen().name();
    note(format_args!(
        "memory of {} kinds of message in a pool of {made}: {} cases",
        KINDS.len(),
        KINDS.len()
    ));
}
