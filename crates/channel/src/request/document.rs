//! `docs/wire-channels.md` is made from the declared forms and must be what they say; what crosses the wire comes back
//! as it was.
//!
//! After a change that is meant: `WEYR_BLESS=1 cargo test -p weyr-channel --lib wire_document`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use weyr_managed::Error as PoolError;
use weyr_managed::wire::{Wire, close, damaged};
use weyr_managed::{Pool, PoolAttributes, PoolDescriptor, wire};
use weyr_shared::barrier::Broken;
use weyr_shared::{BlockReference, Corrupt, FlowControl};

use super::operation::Answer;
use super::values::{Fielded, Variant, Varied};
use super::{ChannelOperation, ChannelRequest, ChannelResponse, FRAME};
use crate::{
    Channel, ChannelAttributes, ChannelDescriptor, ChannelMemory, ChannelState, CurrentAttributes, Error,
};

const HEAD: &str = r#"# What crosses the wire about channels

Made from the declarations in the source by a test; do not edit. Requests on channels that lie elsewhere, and the responses to
them, as bytes: in the same way as those on pools, whose page says how forms, descriptors of pools, words and errors of pools
look ([wire.md](wire.md)). Every value has exactly one form; numbers are never used for another.

| bytes | descriptor of a channel |
| ---: | --- |
| 4 | `WYRC` |
| 2 | version, 1 |
| 8, 8 | reference: offset and generation of its block |
| 2 | bytes of the descriptor of the pool, n |
| n | that descriptor |
| 4 | CRC-32 of all before |

| bytes | request |
| ---: | --- |
| 4 | `WYCQ` |
| 2 | version, 1 |
| 16 | id of the request, random |
| 2 | operation |
| n | its fields |
| 4 | CRC-32 of all before |

| bytes | response |
| ---: | --- |
| 4 | `WYCS` |
| 2 | version, 1 |
| 16 | id of the request |
| 1 | 0: an answer; 1: an error |
| 2 | operation |
| n | the answer, or the error: its number (2) and its fields |
| 4 | CRC-32 of all before |

| form | bytes |
| --- | --- |
| channel | 4: bytes of it; then a descriptor of a channel |
| i32 | 4, in two's complement |
| why a barrier is broken | 1: 0 aborted, 1 a party ran out of time, 2 a party died, 3 reset |
| flow control | 1: 0 none, 1 resources; 2 memory, then 8: bytes; 3 messages, then 8: how many |
"#;

fn listed(fields: &[[&str; 2]]) -> String {
    let fields: Vec<String> = fields.iter().map(|[name, form]| format!("{name}: {form}")).collect();
    if fields.is_empty() { "none".to_owned() } else { fields.join(", ") }
}

fn variants(to: &mut String, title: &str, of: &[Variant]) {
    let _ = write!(to, "\n## {title}\n\n| number | name | fields |\n| ---: | --- | --- |\n");
    for (number, name, fields) in of {
        let _ = writeln!(to, "| {number} | {name} | {} |", listed(fields));
    }
}

fn fields(to: &mut String, title: &str, of: &[[&str; 3]]) {
    let _ = write!(to, "\n## {title}\n\n| field | form | meaning |\n| --- | --- | --- |\n");
    for [name, form, meaning] in of {
        let _ = writeln!(to, "| {name} | {form} | {meaning} |");
    }
}

#[test]
fn the_wire_document_is_what_the_source_says() {
    let mut document = HEAD.to_owned();
    variants(&mut document, "Operations", ChannelOperation::VARIANTS);
    variants(&mut document, "Answers", Answer::VARIANTS);
    variants(&mut document, "Errors", Error::VARIANTS);
    fields(&mut document, "Channel attributes", ChannelAttributes::FIELDS);
    fields(&mut document, "Current attributes", CurrentAttributes::FIELDS);
    fields(&mut document, "Channel state", ChannelState::FIELDS);
    fields(&mut document, "Channel memory", ChannelMemory::FIELDS);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire-channels.md");
    if std::env::var_os("WEYR_BLESS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let Ok(found) = std::fs::read_to_string(&path) else { return };
    assert!(found == document, "docs/wire-channels.md is not what the source says; see this test's head");
}

fn pool() -> PoolDescriptor {
    PoolDescriptor { host: 1, uuid: 2, path: "/p".into() }
}

fn channel() -> ChannelDescriptor {
    ChannelDescriptor::new(pool().to_bytes(), BlockReference { offset: 64, generation: 9 })
}

/// Attributes and state of a channel that was made and is gone.
fn looked_at() -> (CurrentAttributes, ChannelState) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let pool = Pool::create(&PoolAttributes::new("looked-at", 1 << 20).directory(directory.path())).unwrap();
    let channel = Channel::create_named(&pool, "name", &ChannelAttributes::new().capacity(3)).unwrap();
    (channel.attributes().unwrap(), channel.state().unwrap())
}

fn requests() -> Vec<ChannelRequest> {
    let attributes = ChannelAttributes::new().priority_levels(3).urgent_capacity(5).side_loading(true);
    let patience = Some(Duration::from_millis(1));
    vec![
        ChannelRequest::create(&pool(), None, &attributes).0,
        ChannelRequest::create(&pool(), Some("näme"), &ChannelAttributes::new()).0,
        ChannelRequest::find(&pool(), "").0,
        ChannelRequest::destroy(&channel()).0,
        ChannelRequest::waiting(&channel()).0,
        ChannelRequest::attributes(&channel()).0,
        ChannelRequest::set_attributes(&channel(), &looked_at().0).0,
        ChannelRequest::state(&channel()).0,
        ChannelRequest::write_lock(&channel(), None).0,
        ChannelRequest::write_unlock(&channel()).0,
        ChannelRequest::read_lock(&channel(), patience).0,
        ChannelRequest::read_unlock(&channel()).0,
        ChannelRequest::quiesce(&channel(), patience).0,
        ChannelRequest::unquiesce(&channel()).0,
    ]
}

/// One of each number, in order.
fn errors() -> Vec<Error> {
    let of_pool = Box::new(PoolError::TooLarge { bytes: 1, limit: 2 });
    let name = || "name".to_owned();
    vec![
        Error::Full,
        Error::BufferPoolFull { bytes: 1 },
        Error::Empty,
        Error::Reactor,
        Error::InvalidSignal { number: -7 },
        Error::Timeout,
        Error::Destroyed,
        Error::TooLarge { needed: 1, largest: u64::MAX },
        Error::Corrupt(Corrupt::new("a slot", 3)),
        Error::Forked,
        Error::NoAttributes,
        Error::NoAllocation,
        Error::OtherType { asked: 1, agreed: 2 },
        Error::BarrierBroken { why: Broken::Died },
        Error::InvalidParties { parties: 0, largest: 1 },
        Error::NotABarrier,
        Error::NotASemaphore,
        Error::NotAChannel,
        Error::Version { found: 2 },
        Error::Stale,
        Error::InvalidBlockSize { bytes: 1, smallest: 2, largest: 3 },
        Error::InvalidCapacity { messages: 1, largest: 2 },
        Error::InvalidLevels { levels: 9, largest: 8 },
        Error::InvalidPriority { level: 1, highest: 0 },
        Error::OtherPool,
        Error::Pool(of_pool.clone()),
        Error::BufferPool(of_pool.clone()),
        Error::BufferPoolGone,
        Error::InvalidBufferPool { reason: "no reason" },
        Error::DamagedDescriptor { reason: "it is too short" },
        Error::InvalidName { name: name(), largest: 60 },
        Error::NameTaken { name: name() },
        Error::NoSuchChannel { name: name(), pool: "p".into() },
        Error::TooManyHandles,
        Error::TooManyListeners { limit: 8 },
        Error::TooManySets,
        Error::NotInSet,
        Error::FlowControl(FlowControl::Memory { bytes: 9 }),
        Error::InvalidFlowControl,
        Error::NotReceived,
        Error::ReceiptLost,
        Error::FixedAttribute { attribute: "capacity" },
        Error::InHands { process: 3 },
        Error::NotQuiesced,
        Error::Quiesced,
        Error::WriteLocked { process: 1 },
        Error::ReadLocked { process: 2 },
        Error::NotLocked,
        Error::Pending,
        Error::MemoryUnreachable(of_pool),
        Error::MemoryGone,
        Error::NotForMessages { used_as: "barrier" },
    ]
}

fn responses() -> Vec<ChannelResponse> {
    let requests = requests();
    let (attributes, state) = looked_at();
    let answers = [
        Answer::Create(channel()),
        Answer::Create(channel()),
        Answer::Find(channel()),
        Answer::Destroy(()),
        Answer::Waiting(7),
        Answer::GetAttributes(attributes.clone()),
        Answer::SetAttributes(attributes),
        Answer::State(state),
        Answer::WriteLock(()),
        Answer::WriteUnlock(()),
        Answer::ReadLock(()),
        Answer::ReadUnlock(()),
        Answer::Quiesce(()),
        Answer::Unquiesce(()),
    ];
    assert_eq!(answers.len(), requests.len());
    let answered =
        requests.iter().zip(answers).map(|(request, answer)| ChannelResponse::new(request, Ok(answer)));
    let refused = errors().into_iter().map(|error| ChannelResponse::refusal(&requests[3], error));
    answered.chain(refused).collect()
}

#[test]
fn every_request_and_every_response_comes_back_as_it_was() {
    for request in requests() {
        assert_eq!(ChannelRequest::from_bytes(&request.to_bytes()).as_ref(), Ok(&request));
    }
    for response in responses() {
        assert_eq!(ChannelResponse::from_bytes(&response.to_bytes()).as_ref(), Ok(&response));
    }
}

/// The declared form has no arm for the rest, so a variant that is new does not compile until it has a number.
#[test]
fn every_error_arrives_as_itself_and_says_the_same() {
    let mut numbers = Vec::new();
    for error in errors() {
        let mut bytes = Vec::new();
        error.write(&mut bytes);
        numbers.push(u64::from(bytes[0]));
        let (request, completion) = ChannelRequest::waiting(&channel());
        let there = ChannelResponse::refusal(&request, error.clone()).to_bytes();
        let arrived = completion.complete(&ChannelResponse::from_bytes(&there).unwrap()).unwrap_err();
        assert_eq!((arrived.to_string(), arrived), (error.to_string(), error));
    }
    assert_eq!(numbers, Error::VARIANTS.iter().map(|(number, ..)| *number).collect::<Vec<_>>());
}

#[test]
fn a_response_to_another_request_or_of_another_kind_is_refused() {
    let (request, completion) = ChannelRequest::waiting(&channel());
    for response in responses() {
        let other = PoolError::OtherRequest { found: response.id(), expected: request.id() };
        assert_eq!(completion.complete(&response), Err(other.into()));
        // As if it were to the same request.
        let mut bytes = response.to_bytes();
        bytes.truncate(bytes.len() - 4);
        bytes[6..22].copy_from_slice(&request.id().to_le_bytes());
        let response = ChannelResponse::from_bytes(&close(bytes)).unwrap();
        let completed = completion.complete(&response);
        if response.kind() == request.kind() {
            assert_eq!(completed, Ok(7));
        } else {
            let expected = "count the messages of a channel";
            let other = PoolError::OtherKind { found: response.kind().name(), expected };
            assert_eq!(completed, Err(other.into()));
        }
    }
}

/// Bytes that are read are written as the same again.
fn agrees(bytes: &[u8]) -> bool {
    let request = ChannelRequest::from_bytes(bytes).map(|request| assert_eq!(request.to_bytes(), bytes));
    let response = ChannelResponse::from_bytes(bytes).map(|response| assert_eq!(response.to_bytes(), bytes));
    request.is_ok() || response.is_ok()
}

#[test]
fn bytes_that_were_changed_under_a_right_checksum_are_an_error_or_another_value() {
    let requests = requests();
    let all = requests.iter().map(ChannelRequest::to_bytes);
    for bytes in all.chain(responses().iter().map(ChannelResponse::to_bytes)) {
        let body = &bytes[..bytes.len() - 4];
        assert!(agrees(&bytes) && !agrees(body) && !agrees(&close([body, &[0]].concat())));
        for at in 0..body.len() {
            assert!(!agrees(&close(body[..at].to_vec())), "cut at {at}");
            for value in [0, 1, 2, 0x7f, 0xff] {
                let mut changed = body.to_vec();
                changed[at] = value;
                agrees(&close(changed));
            }
        }
    }
    let refused = |body: &[u8]| ChannelRequest::from_bytes(&close(body.to_vec())).unwrap_err();
    assert_eq!(refused(b"WYRQ\x01\0"), damaged("it is no request on a channel").into());
    let mut later = FRAME.begin();
    later[4] = 2;
    assert_eq!(refused(&later), damaged("it is of another version of weyr").into());
    let long = ChannelRequest::from_bytes(&vec![0; weyr_managed::MESSAGE_LIMIT + 1]);
    assert_eq!(long, Err(damaged("it is longer than any can be").into()));
    assert!(wire::check_length(&[]).is_ok());
}
