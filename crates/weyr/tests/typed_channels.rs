//! Typed channels as their users see them: plain data, and what serde encodes.
#![cfg(feature = "serde")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use weyr::prelude::*;
use weyr::typed::GroupChannel;
use weyr::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, TryFromBytes};
use weyr::{Buffer, Error, channel, managed, typed};
use weyr_kill::Outcome;

/// A pool that is destroyed at the end of the test, however it ends.
struct Scratch(Pool);

impl Scratch {
    fn new(test: &str) -> Self {
        let name = format!("typed-channels-{test}-{}", std::process::id());
        Self(Pool::create(&PoolAttributes::new(name, 8 << 20)).unwrap())
    }

    fn channel(&self) -> Channel {
        Channel::create(&self.0, &ChannelAttributes::new().block_size(64).capacity(8)).unwrap()
    }

    /// Blocks beside those of the channels that were made.
    fn blocks(&self, channels: u64) -> u64 {
        self.0.usage().total.blocks - channels
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _destroyed_by_the_test = self.0.destroy();
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Reading {
    celsius: f64,
    sensor: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(u8)]
enum Light {
    Red = 1,
    Green = 3,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Frame {
    camera: String,
    tags: BTreeMap<u32, String>,
    pixels: Buffer,
    masks: Vec<Buffer>,
}

fn frame(pixels: usize) -> Frame {
    let pixels: Vec<u8> = (0..pixels).map(|index| index as u8).collect();
    Frame {
        camera: "door".into(),
        tags: BTreeMap::from([(1, "one".into())]),
        masks: vec![pixels[..pixels.len() / 3].into(), Buffer::from(vec![]), vec![9; 65].into()],
        pixels: pixels.into(),
    }
}

#[test]
fn values_of_every_size_arrive_as_they_were_sent_and_leave_no_memory() {
    let pool = Scratch::new("sizes");
    fn round<const N: usize>(pool: &Scratch) {
        let channel = pool.channel();
        let (sender, receiver) =
            (channel.typed_sender::<[u8; N]>().unwrap(), channel.typed_receiver::<[u8; N]>().unwrap());
        let value = std::array::from_fn(|index| index as u8);
        sender.send(&value).unwrap();
        assert_eq!(pool.blocks(1), u64::from(N > 64), "what fits a block takes no memory: {N}");
        assert_eq!(receiver.receive_until(soon()).unwrap(), value);
        sender.try_send(&value).unwrap();
        assert_eq!(receiver.try_receive_owned().unwrap().get().unwrap(), value);
        assert_eq!(pool.blocks(1), 0);
        channel.destroy().unwrap();
    }
    round::<0>(&pool);
    round::<1>(&pool);
    round::<64>(&pool);
    round::<65>(&pool);
    round::<1024>(&pool);
    round::<100_000>(&pool);
}

#[test]
fn an_owned_value_changes_hands_in_place() {
    let pool = Scratch::new("owned");
    let channel = pool.channel();
    let (sender, receiver) =
        (channel.typed_sender::<[u32]>().unwrap(), channel.typed_receiver::<[u32]>().unwrap());
    let numbers = pool.0.owned(&[1_u32, 2, 3][..]).unwrap().into_allocation();
    let reference = numbers.reference();
    sender.send_owned(Owned::from_allocation(numbers).unwrap()).unwrap();
    let numbers = receiver.receive_owned_until(soon()).unwrap();
    assert_eq!((numbers.len(), numbers.get(2).unwrap()), (3, 3));
    assert_eq!(numbers.into_allocation().reference(), reference);

    sender.send(&[4, 5][..]).unwrap();
    assert_eq!(receiver.try_receive_owned().unwrap().get(1).unwrap(), 5);
    let long: Vec<u32> = (0..1000).collect();
    sender.send_until(&long[..], soon()).unwrap();
    assert_eq!(receiver.receive_owned().unwrap().get(999).unwrap(), 999);
    assert_eq!(pool.blocks(1), 0);
}

#[test]
fn a_full_channel_gives_an_owned_value_back() {
    let pool = Scratch::new("full");
    let channel = pool.channel();
    let sender = channel.typed_sender::<u64>().unwrap();
    (0..8).for_each(|number| sender.send(&number).unwrap());
    assert_eq!(sender.try_send(&8), Err(Error::Channel(channel::Error::Full)));
    let failed = sender.try_send_owned(pool.0.owned(&9).unwrap()).unwrap_err();
    assert_eq!((failed.error, failed.payload.unwrap().get().unwrap()), (channel::Error::Full, 9));
    let past = Instant::now();
    assert_eq!(sender.send_until(&8, past), Err(Error::Channel(channel::Error::Timeout)));
    let receiver = channel.typed_receiver::<u64>().unwrap();
    let numbers: Vec<u64> = receiver.try_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    let empty = Err(Error::Channel(channel::Error::Empty));
    assert_eq!(receiver.try_receive(), empty);
    assert_eq!(receiver.with_timeout(Duration::ZERO).receive(), empty);
}

#[test]
fn large_values_wait_for_memory_as_long_as_for_room() {
    let pool = Scratch::new("memory");
    let channel = pool.channel();
    let sender = channel.typed_sender::<[u8]>().unwrap();
    let large = vec![1; 3 << 20];
    (0..2).for_each(|_| sender.try_send(&large[..]).unwrap());
    let refused = sender.try_send(&large[..]);
    assert!(matches!(refused, Err(Error::Channel(channel::Error::BufferPoolFull { .. }))), "{refused:?}");
    let refused = sender.send_until(&large[..], Instant::now());
    assert_eq!(refused, Err(Error::Channel(channel::Error::Timeout)));
    let receiver = channel.typed_receiver::<[u8]>().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| sender.send_until(&large[..], soon()));
        drop(receiver.receive_owned_until(soon()).unwrap());
        waiting.join().unwrap().unwrap();
    });
    (0..2).for_each(|_| drop(receiver.try_receive_owned().unwrap()));
    assert_eq!(pool.blocks(1), 0);
    let impossible = sender.send(&vec![0; 64 << 20][..]);
    assert!(matches!(impossible, Err(Error::Channel(channel::Error::TooLarge { .. }))), "{impossible:?}");
}

#[test]
fn a_channel_has_the_type_that_its_first_typed_handle_said() {
    let pool = Scratch::new("agreed");
    let channel = pool.channel();
    assert_eq!(channel.message_type(), None);
    let _first = channel.typed_sender::<Reading>().unwrap();
    let agreed = channel.message_type().unwrap();
    assert_eq!(agreed, <Reading as typed::Checked>::fingerprint());
    let other = Channel::attach_in(&pool.0, &channel.descriptor()).unwrap();
    assert!(other.typed_receiver::<Reading>().is_ok());
    let refused = |error| matches!(error, Some(Error::Channel(channel::Error::OtherType { .. })));
    assert!(refused(other.typed_receiver::<u128>().err()));
    assert!(refused(other.typed_receiver::<[Reading]>().err()));
    assert!(refused(other.encoded_receiver::<Frame>().err()));
    assert!(refused(other.encoded_sender::<Frame>().err()));
    assert_eq!(channel.message_type(), Some(agreed));

    let encoded = pool.channel();
    let _first = encoded.encoded_sender::<Frame>().unwrap();
    assert!(refused(encoded.encoded_receiver::<String>().err()));
    assert!(encoded.encoded_receiver::<Frame>().is_ok());

    // A channel in memory that was another's begins without one.
    drop((channel, other, _first));
    encoded.destroy().unwrap();
    assert_eq!(pool.channel().message_type(), None);
}

#[test]
fn of_many_that_say_a_type_at_once_one_type_wins() {
    let pool = Scratch::new("race");
    for _ in 0..50 {
        let channel = pool.channel();
        let won: usize = std::thread::scope(|scope| {
            let numbers = scope.spawn(|| channel.typed_sender::<u64>().is_ok());
            let words = scope.spawn(|| channel.encoded_sender::<String>().is_ok());
            [numbers, words].into_iter().filter_map(|said| said.join().ok()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
        channel.destroy().unwrap();
    }
}

#[test]
fn a_message_that_is_no_value_is_an_error_and_the_next_is_received() {
    let pool = Scratch::new("no-value");
    let channel = pool.channel();
    let (sender, receiver) =
        (channel.typed_sender::<Reading>().unwrap(), channel.typed_receiver::<Reading>().unwrap());
    let reading = Reading { celsius: 1.0, sensor: 2 };
    let spoil = |channel: &Channel| {
        channel.send(&[1; 15]).unwrap();
        channel.send(&[1; 17]).unwrap();
        channel.send_allocation(pool.0.alloc(100).unwrap()).unwrap();
        channel.send(b"").unwrap();
    };
    spoil(&channel);
    sender.send(&reading).unwrap();
    let sizes: Vec<u64> = (0..4).map(|_| found(receiver.try_receive())).collect();
    assert_eq!(sizes, [15, 17, 100, 0]);
    assert_eq!(receiver.try_receive(), Ok(reading));

    spoil(&channel);
    let sizes: Vec<u64> = (0..4).map(|_| found(receiver.try_receive_owned())).collect();
    assert_eq!(sizes, [15, 17, 100, 0]);

    // An iterator goes on behind them.
    spoil(&channel);
    sender.send(&reading).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = receiver.try_iter().partition(Result::is_ok);
    assert_eq!((good, bad.len()), (vec![Ok(reading)], 4));
    assert_eq!(pool.blocks(1), 0);
}

fn found<T>(outcome: Result<T, Error>) -> u64 {
    match outcome.err() {
        Some(Error::WrongSize { found, .. }) => found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_are_no_value_of_an_enum_are_refused() {
    let pool = Scratch::new("enum");
    let channel = pool.channel();
    let (sender, receiver) =
        (channel.typed_sender::<Light>().unwrap(), channel.typed_receiver::<Light>().unwrap());
    channel.send(&[2]).unwrap();
    sender.send(&Light::Green).unwrap();
    sender.send(&Light::Red).unwrap();
    assert!(matches!(receiver.receive(), Err(Error::InvalidValue { .. })));
    assert_eq!([receiver.receive(), receiver.receive()], [Ok(Light::Green), Ok(Light::Red)]);
}

#[test]
fn an_iterator_ends_when_the_channel_is_destroyed() {
    let pool = Scratch::new("iterators");
    let channel = pool.channel();
    let sender = channel.typed_sender::<u64>().unwrap();
    let receivers = [(); 3].map(|()| channel.typed_receiver::<u64>().unwrap());
    let [by_reference, by_value, late] = receivers;
    let counts: u64 = std::thread::scope(|scope| {
        let first = scope.spawn(|| by_reference.iter().map(Result::unwrap).sum::<u64>());
        let second = scope.spawn(|| by_value.into_iter().map(Result::unwrap).sum::<u64>());
        (1..=1000).for_each(|number| sender.send(&number).unwrap());
        while !channel.is_empty().unwrap() {
            std::thread::yield_now();
        }
        channel.clone().destroy().unwrap();
        first.join().unwrap() + second.join().unwrap()
    });
    assert_eq!(counts, 500_500);
    assert_eq!((late.iter().next(), late.try_iter().next()), (None, None));
}

#[test]
fn an_error_that_would_come_again_is_an_iterators_last_item() {
    let pool = Scratch::new("last-item");
    let channel = pool.channel();
    let receiver = channel.typed_receiver::<u64>().unwrap().with_timeout(Duration::from_nanos(1));
    let items: Vec<_> = receiver.iter().collect();
    assert_eq!(items, [Err(Error::Channel(channel::Error::Timeout))]);
}

#[test]
fn many_threads_share_a_typed_channel() {
    let pool = Scratch::new("threads");
    let channel = pool.channel();
    let sums: u64 = std::thread::scope(|scope| {
        let receiving: Vec<_> = (0..3)
            .map(|_| channel.typed_receiver::<Reading>().unwrap())
            .map(|receiver| scope.spawn(move || receiver.iter().map(|it| it.unwrap().sensor).sum::<u64>()))
            .collect();
        let sending: Vec<_> = (0..4_u64)
            .map(|_| channel.typed_sender::<Reading>().unwrap())
            .map(|sender| {
                scope.spawn(move || {
                    for sensor in 1..=2000 {
                        sender.send(&Reading { celsius: 0.0, sensor }).unwrap();
                    }
                })
            })
            .collect();
        sending.into_iter().for_each(|thread| thread.join().unwrap());
        while !channel.is_empty().unwrap() {
            std::thread::yield_now();
        }
        channel.clone().destroy().unwrap();
        receiving.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(sums, 4 * 2_001_000);
}

#[test]
fn a_forked_child_uses_its_parents_typed_handles() {
    let pool = Scratch::new("forked");
    let (out, back) = (pool.channel(), pool.channel());
    let (sender, receiver) =
        (out.typed_sender::<Reading>().unwrap(), back.encoded_receiver::<Frame>().unwrap());
    let (requests, answers) =
        (out.typed_receiver::<Reading>().unwrap(), back.encoded_sender::<Frame>().unwrap());
    let mut child = weyr_kill::child::spawn(|| {
        let reading = requests.receive_until(soon()).unwrap();
        let answer = Frame { camera: format!("{reading:?}"), ..frame(1000) };
        answers.send_until(&answer, soon()).unwrap();
    })
    .unwrap();
    sender.send(&Reading { celsius: 2.5, sensor: 4 }).unwrap();
    let answer = receiver.receive_until(soon()).unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    assert_eq!(answer.camera, "Reading { celsius: 2.5, sensor: 4 }");
    assert_eq!(answer.pixels, frame(1000).pixels, "its memory outlives its sender");
    drop(answer);
    assert_eq!(pool.blocks(2), 0);
}

#[test]
fn an_encoded_value_brings_its_buffers_in_one_allocation_and_frees_it_with_the_last() {
    let pool = Scratch::new("buffers");
    let channel = pool.channel();
    let (sender, receiver) =
        (channel.encoded_sender::<Frame>().unwrap(), channel.encoded_receiver::<Frame>().unwrap());
    for size in [0, 1, 100, 200_000] {
        sender.send(&frame(size)).unwrap();
        assert_eq!(pool.blocks(1), 1, "one message, one block");
        let received = receiver.receive_until(soon()).unwrap();
        assert_eq!(received, frame(size));
        assert!(received.pixels.is_in_pool() && received.masks.iter().all(Buffer::is_in_pool));
        let masks = received.masks.clone();
        drop(received);
        assert_eq!(pool.blocks(1), 1, "masks still lie there");
        drop(masks);
        assert_eq!(pool.blocks(1), 0);
    }
    // What was received is sent on: copied from one allocation to the next.
    sender.send(&frame(20_000)).unwrap();
    let received = receiver.try_receive().unwrap();
    sender.try_send(&received).unwrap();
    drop(received);
    assert_eq!(receiver.try_iter().map(Result::unwrap).collect::<Vec<_>>(), [frame(20_000)]);
}

#[test]
fn buffers_are_seen_in_place_in_a_cooperative_pool_only() {
    let pool = Scratch::new("in-place");
    let channel = pool.channel();
    let sender = channel.encoded_sender::<Vec<Buffer>>().unwrap();
    // SAFETY: only this test opens the pool, and it keeps to owners.
    let cooperative = pool.0.clone().cooperative(unsafe { Cooperative::assume() });
    let there = Channel::attach_in(&cooperative, &channel.descriptor()).unwrap();
    let value = vec![Buffer::from(vec![5; 1000]), vec![6; 10].into()];
    sender.send(&value).unwrap();
    let received = there.encoded_receiver::<Vec<Buffer>>().unwrap().try_receive().unwrap();
    assert_eq!(received[0].as_slice().unwrap(), [5; 1000]);
    assert_eq!(received[0].as_slice().unwrap().as_ptr().align_offset(64), 0);
    assert_eq!(received[1].as_slice().unwrap(), [6; 10]);

    sender.send(&received).unwrap();
    let received = channel.encoded_receiver::<Vec<Buffer>>().unwrap().try_receive().unwrap();
    assert!(matches!(received[0].as_slice(), Err(Error::Pool(managed::Error::Payload(_)))));
    assert_eq!(received[0].to_vec().unwrap(), [5; 1000]);
    assert_eq!(received[1].read(9, &mut [0; 2]), Err(Error::NoElement { index: 11, len: 10 }));
    assert!(received[1].read(usize::MAX, &mut [0; 2]).is_err());
    assert_ne!(received[0], received[1]);
}

#[test]
fn small_encoded_values_take_no_memory_and_large_ones_without_buffers_do() {
    let pool = Scratch::new("encoded");
    let channel = pool.channel();
    let (sender, receiver) =
        (channel.encoded_sender::<String>().unwrap(), channel.encoded_receiver::<String>().unwrap());
    for (len, blocks) in [(0, 0), (40, 0), (48, 1), (5000, 1)] {
        sender.send(&"x".repeat(len)).unwrap();
        assert_eq!(pool.blocks(1), blocks, "{len}");
        assert_eq!(receiver.receive().unwrap(), "x".repeat(len));
    }
    assert_eq!(pool.blocks(1), 0);
}

#[test]
fn a_message_that_is_no_encoded_value_is_an_error_and_the_next_is_received() {
    let pool = Scratch::new("undecodable");
    let channel = pool.channel();
    let (sender, receiver) = (
        channel.encoded_sender::<Vec<Buffer>>().unwrap(),
        channel.encoded_receiver::<Vec<Buffer>>().unwrap(),
    );
    let frame = |count: u8, encoding: &[u8]| {
        let mut bytes = vec![1, 0, 0, 0, count, 0, 0, 0, encoding.len() as u8, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(encoding);
        bytes
    };
    let reasons: Vec<String> =
        [b"short".to_vec(), vec![2; 16], frame(0, &[1, 0]), frame(0, &[0, 0]), frame(9, b"")]
            .into_iter()
            .map(|bytes| {
                channel.send(&bytes).unwrap();
                match receiver.try_receive() {
                    Err(Error::Undecodable { reason, .. }) => reason,
                    other => panic!("{other:?}"),
                }
            })
            .collect();
    let parts = ["shorter", "another version", "", "left over", "longer than the message"];
    reasons.iter().zip(parts).for_each(|(reason, part)| assert!(reason.contains(part), "{reason}"));
    channel.send_allocation(pool.0.alloc_zeroed(1000, 1).unwrap()).unwrap();
    assert!(matches!(receiver.try_receive(), Err(Error::Undecodable { .. })));
    sender.send(&vec![]).unwrap();
    assert_eq!(receiver.try_receive().unwrap(), []);
    assert_eq!(pool.blocks(1), 0);
}

#[test]
fn a_value_that_cannot_be_encoded_is_an_error_and_nothing_was_sent() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let pool = Scratch::new("unencodable");
    let channel = pool.channel();
    let sent = channel.encoded_sender::<Broken>().unwrap().send(&Broken);
    assert!(matches!(sent, Err(Error::Unencodable { .. })), "{sent:?}");
    assert!(channel.is_empty().unwrap());
}

#[test]
fn outside_of_a_channel_a_buffer_is_bytes() {
    let encoded = postcard::to_allocvec(&Buffer::from(&b"abc"[..])).unwrap();
    assert_eq!(encoded, b"\x03abc");
    assert_eq!(postcard::from_bytes::<Buffer>(&encoded).unwrap(), b"abc"[..].into());
}

#[test]
fn the_example_sends_readings_and_a_frame_to_its_child() {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap().join("examples/typed_channels");
    assert!(built.exists(), "{} is missing; build it with `cargo build -p weyr --examples`", built.display());
    let output = Command::new(built).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines = [
        "another type: messages of this channel are of type 0x",
        "sensor 2: 21 degrees",
        "60.5 degrees in all",
        "door: (640, 480), 307200 bytes in the pool: true, the last is 7",
        "the child exit status: 0",
    ];
    lines.iter().for_each(|line| assert!(said.contains(line), "{line} is missing in:\n{said}"));
}

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Range {
    least: f32,
    greatest: f32,
}

fn widest(a: &Range, b: &Range) -> Range {
    Range { least: a.least.min(b.least), greatest: a.greatest.max(b.greatest) }
}

#[test]
fn a_group_folds_values_of_its_own_by_its_own_function() {
    let scratch = Scratch::new("group");
    let pool = &scratch.0;
    let group = typed::collective::<Range>(3, "widest", 4);
    let bound = Channel::create(pool, &ChannelAttributes::new().collective(group)).unwrap();
    let of = |rank: u32| Range { least: -(rank as f32), greatest: 10.0 * rank as f32 };
    let take_part = |bound: Channel, rank: u32| {
        let mut member = bound.join_typed(rank, "widest", widest).unwrap();
        member.barrier().unwrap();
        let mut values = [of(rank), of(7)];
        let reduced = member.reduce(2, &values).unwrap();
        member.all_reduce(&mut values).unwrap();
        assert_eq!(values, [Range { least: -2.0, greatest: 20.0 }, of(7)]);
        assert_eq!(reduced, (rank == 2).then(|| values.to_vec()));
        member.broadcast(1, &mut values[..1]).unwrap();
        let gathered = member.gather(0, &[of(rank)]).unwrap();
        assert_eq!(gathered, (rank == 0).then(|| (0..3).map(|rank| vec![of(rank)]).collect()));
        // As many as each has.
        let all = member.all_gather(&vec![of(rank); rank as usize]).unwrap();
        assert_eq!(all, (0..3).map(|rank| vec![of(rank); rank as usize]).collect::<Vec<_>>());
        // Bytes that are no values.
        if rank == 0 {
            member.untyped().all_gather(&[0; 5]).unwrap();
        } else {
            assert!(matches!(member.all_gather(&[]), Err(Error::WrongSize { .. })));
        }
    };
    std::thread::scope(|scope| {
        let bound = &bound;
        let take_part = &take_part;
        (0..3).for_each(|rank| drop(scope.spawn(move || take_part(bound.clone(), rank))));
    });
    type Fold = fn(&Range, &Range) -> Range;
    let mut member = bound.join_typed(1, "widest", widest as Fold).unwrap();
    assert_eq!((member.rank(), member.members(), member.joined()), (1, 3, Ok(1)));
    // The others have left by now, which one that comes again tells of.
    assert_eq!((member.is_broken(), member.reset(), member.is_broken()), (Ok(true), Ok(()), Ok(false)));
    member.set_timeout(Some(std::time::Duration::ZERO));
    assert_eq!(member.barrier(), Err(Error::Channel(channel::Error::Timeout)));
    assert_eq!((member.abort(), member.reset()), (Ok(false), Ok(())));
    assert_eq!((member.abort(), member.is_broken()), (Ok(true), Ok(true)));
    drop(member);
    let other = bound.join_typed(0, "narrowest", widest as Fold).err();
    assert!(matches!(other, Some(Error::Channel(channel::Error::OtherType { .. }))), "{other:?}");
    let other = bound.join_typed(0, "widest", |a: &u64, _: &u64| *a).err();
    assert!(matches!(other, Some(Error::Channel(channel::Error::OtherType { .. }))), "{other:?}");
    bound.destroy().unwrap();
    let plain = Channel::create(pool, &ChannelAttributes::new()).unwrap();
    let refused = plain.join_typed(0, "widest", widest as Fold).err();
    assert_eq!(refused, Some(Error::Channel(channel::Error::NotCollective)));
    plain.destroy().unwrap();
}
