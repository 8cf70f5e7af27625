//! Tests: every value crosses the wire as itself, and any bytes are an error or a value that has those bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use weyr_sys::Errno;

use crate::frame::CRC_BYTES;
use crate::{Error, PoolDescriptor, Request, Response};

use super::document::Choice;
use super::draw::Draw;
use super::operation::{Answer, Operation};
use super::wire::Wire;
use super::{FRAME, MESSAGE_LIMIT, damaged};

fn sealed(body: &[u8]) -> Vec<u8> {
    crate::frame::close(body.to_vec())
}

fn body(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() - CRC_BYTES]
}

/// Several values of each variant of both.
fn messages() -> (Vec<Request>, Vec<Response>) {
    let mut draw = Draw::new(1);
    let mut requests = Vec::new();
    let mut responses = Vec::new();
    for _ in 0..20 {
        for operation in Operation::each(&mut draw) {
            requests.push(Request { id: u128::draw(&mut draw), operation });
        }
        for answer in Answer::each(&mut draw) {
            let of_kind = |request: &&Request| request.kind() == answer.kind();
            let request = requests.iter().find(of_kind).expect("a request of each kind").clone();
            responses.push(Response::new(&request, Ok(answer)));
        }
        for error in Error::each(&mut draw) {
            let request = &requests[draw.below(requests.len())];
            responses.push(Response::refusal(request, error));
        }
    }
    (requests, responses)
}

#[test]
fn every_request_and_every_response_comes_back_as_it_was() {
    let (requests, responses) = messages();
    for request in requests {
        assert_eq!(Request::from_bytes(&request.to_bytes()).as_ref(), Ok(&request));
    }
    for response in responses {
        assert_eq!(Response::from_bytes(&response.to_bytes()).as_ref(), Ok(&response));
    }
}

/// `write` of the declared forms has no arm for the rest, so a variant that is new does not compile until it has a number;
/// `each` has one value of each that has one.
#[test]
fn every_error_arrives_as_itself_and_says_the_same() {
    let pool = PoolDescriptor { host: 1, uuid: 2, path: "/p".into() };
    let errors = Error::each(&mut Draw::new(7));
    let numbers: Vec<u64> = errors.iter().map(|error| error.fields().0).collect();
    assert_eq!(numbers, (1..=errors.len() as u64).collect::<Vec<_>>());
    for error in errors {
        let (request, completion) = Request::usage(&pool);
        let there = Response::refusal(&Request::from_bytes(&request.to_bytes()).unwrap(), error.clone());
        let here = Response::from_bytes(&there.to_bytes()).unwrap();
        let arrived = completion.complete(&here).unwrap_err();
        assert_eq!((arrived.to_string(), arrived), (error.to_string(), error));
    }
}

#[test]
fn kinds_are_told_apart() {
    let (_, responses) = messages();
    let (request, completion) = Request::usage(&PoolDescriptor { host: 1, uuid: 2, path: "/p".into() });
    for response in responses {
        let other = completion.complete(&response).unwrap_err();
        assert_eq!(other, Error::OtherRequest { found: response.id(), expected: request.id() });
        // As if it were to the same request.
        let mut bytes = body(&response.to_bytes()).to_vec();
        bytes[6..22].copy_from_slice(&request.id().to_le_bytes());
        let response = Response::from_bytes(&sealed(&bytes)).unwrap();
        let found = response.kind();
        match completion.complete(&response) {
            Err(Error::OtherKind { found: said, expected }) if found != request.kind() => {
                assert_eq!((said, expected), (found.name(), "count what a pool holds"));
            }
            Ok(_) => assert!(found == request.kind() && response.error().is_none()),
            Err(error) => assert_eq!((Some(&error), found), (response.error(), request.kind())),
        }
    }
}

/// Bytes that are read are written as the same again.
fn agrees(bytes: &[u8]) -> bool {
    let request = Request::from_bytes(bytes).map(|request| assert_eq!(request.to_bytes(), bytes));
    let response = Response::from_bytes(bytes).map(|response| assert_eq!(response.to_bytes(), bytes));
    assert!(request.is_err() || response.is_err());
    request.is_ok() || response.is_ok()
}

#[test]
fn bytes_that_were_changed_under_a_right_checksum_are_an_error_or_another_value() {
    let (requests, responses) = messages();
    let all = requests.iter().map(Request::to_bytes).chain(responses.iter().map(Response::to_bytes));
    let (mut draw, mut values) = (Draw::new(3), 0);
    for bytes in all {
        assert!(agrees(&bytes));
        for length in 0..bytes.len() {
            assert!(!agrees(&bytes[..length]) && !agrees(&sealed(&bytes[..length.min(bytes.len() - 5)])));
        }
        for at in 6..bytes.len() - CRC_BYTES {
            let mut changed = body(&bytes).to_vec();
            changed[at] =
                if draw.below(2) == 0 { draw.number() as u8 } else { changed[at] ^ 1 << draw.below(8) };
            values += u32::from(agrees(&sealed(&changed)));
            assert!(
                !agrees(&[&changed[..], &bytes[bytes.len() - CRC_BYTES..]].concat())
                    || changed == body(&bytes)
            );
        }
        assert!(!agrees(&sealed(&[body(&bytes), &[0]].concat())));
    }
    assert!(values > 1000, "{values}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let pool = PoolDescriptor { host: 1, uuid: 2, path: "/p".into() };
    let (request, _) = Request::exists(&pool, 3, 4);
    let bytes = body(&request.to_bytes()).to_vec();
    let refusal = |bytes: &[u8]| Request::from_bytes(&sealed(bytes)).unwrap_err();
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        refusal(&bytes)
    };
    assert_eq!(refusal(b"WYRS\x01\0"), damaged("it is no request"));
    assert_eq!(Response::from_bytes(&request.to_bytes()), Err(damaged("it is no response")));
    assert_eq!(changed(4, 2), damaged("it is of another version of weyr"));
    assert_eq!(changed(22, 0xee), damaged("it has a number that no operation of this version has"));
    assert_eq!(changed(24, 0xff), damaged("it is too short"));
    assert!(matches!(changed(30, 0), Error::DamagedDescriptor { .. }));
    assert_eq!(refusal(&[&bytes[..], b"x"].concat()), damaged("it has bytes too many"));
    assert_eq!(
        Request::from_bytes(&vec![0; MESSAGE_LIMIT + 1]),
        Err(damaged("it is longer than any can be"))
    );
}

/// The value whose bytes these are.
fn value<T: Wire>(form: &[u8]) -> Result<T, Error> {
    let bytes = crate::frame::close([FRAME.begin(), form.to_vec()].concat());
    let mut fields = FRAME.open(&bytes)?;
    let value = T::read(&mut fields)?;
    fields.end()?;
    Ok(value)
}

#[test]
fn each_form_refuses_what_it_is_not() {
    type Table = BTreeMap<u8, u8>;
    assert_eq!(value::<Table>(&[2, 0, 0, 0, 1, 7, 2, 8]), Ok(Table::from([(1, 7), (2, 8)])));
    let order = damaged("it has a table that is not in order");
    assert_eq!(value::<Table>(&[2, 0, 0, 0, 2, 7, 1, 8]), Err(order.clone()));
    assert_eq!(value::<Table>(&[2, 0, 0, 0, 1, 7, 1, 8]), Err(order));
    assert_eq!(value::<Vec<u16>>(&[255, 255, 255, 255, 1, 0]), Err(damaged("it is too short")));
    assert_eq!(value::<bool>(&[2]), Err(damaged("it says neither yes nor no")));
    assert_eq!(value::<Option<u8>>(&[1, 9]), Ok(Some(9)));
    assert_eq!(value::<Option<u8>>(&[2, 9]), Err(damaged("it says neither yes nor no")));
    assert_eq!(value::<String>(&[1, 0, 0, 0, 0xff]), Err(damaged("it has text that is not UTF-8")));
    assert_eq!(value::<PathBuf>(&[1, 0, 0, 0, 0xff]), Ok(OsStr::from_bytes(&[0xff]).into()));
    let nanoseconds =
        |count: u32| value::<Duration>(&[&[1, 0, 0, 0, 0, 0, 0, 0][..], &count.to_le_bytes()].concat());
    assert_eq!(nanoseconds(999_999_999), Ok(Duration::new(1, 999_999_999)));
    assert_eq!(nanoseconds(1_000_000_000), Err(damaged("it has a second of too many nanoseconds")));
    let errno = |number: u16| value::<Errno>(&number.to_le_bytes());
    assert_eq!((errno(1), errno(4095)), (Ok(Errno::PERM), Ok(Errno::from_raw_os_error(4095))));
    let no_kernel = Err(damaged("it has a number that no kernel answers"));
    assert_eq!((errno(0), errno(4096)), (no_kernel.clone(), no_kernel));
}

#[test]
fn a_process_keeps_so_many_words_and_no_more() {
    let pool = PoolDescriptor { host: 1, uuid: 2, path: "/p".into() };
    let (request, _) = Request::usage(&pool);
    let said = |word: &'static str| {
        Response::refusal(&request, Error::DamagedDescriptor { reason: word }).to_bytes()
    };
    let known = said("a word that is kept from the start");
    assert!(Response::from_bytes(&known).is_ok());
    // In a process of its own: nobody else here should be short of words.
    let child = weyr_kill::child::spawn(|| {
        let words = (0..600).map(|number| &*format!("word {number}").leak());
        let kept = words.filter(|word| Response::from_bytes(&said(word)).is_ok()).count();
        assert!((400..=512).contains(&kept), "{kept}");
        assert!(Response::from_bytes(&known).is_ok());
        let more = Response::from_bytes(&said("one more"));
        assert_eq!(more, Err(damaged("it has more words than this process keeps")));
    });
    assert_eq!(child.unwrap().wait().unwrap(), weyr_kill::Outcome::Exited(0));
    let long = String::from("x").repeat(161).leak();
    assert_eq!(Response::from_bytes(&said(long)), Err(damaged("it has a word that no error has")));
}
