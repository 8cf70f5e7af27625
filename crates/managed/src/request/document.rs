//! `docs/wire.md` is made from the declared forms and must be what they say.
//!
//! After a change that is meant: `WEYR_BLESS=1 cargo test -p weyr-managed --lib wire_document`.

use std::fmt::Write;
use std::path::Path;

use weyr_shared::{BlockReference, Corrupt, PayloadError};

use crate::heap::usage::Amount;
use crate::heap::word::BlockState;
use crate::{
    Attributes, Completion, Error, Growth, LockKind, ManifestEntry, Observed, PoolAllocation, PoolAttributes,
    PoolDescriptor, PoolType, Preallocated, Request, Response, Usage,
};

use super::draw::Draw;
use super::operation::{AllocationMode, Answer, Operation};
use super::wire::Wire;

/// A form of fields that follow each other: name, form and meaning of each.
pub(crate) trait Record: Wire {
    fn rows() -> Vec<[String; 3]>;
}

/// A form with variants.
pub(crate) trait Choice: Wire {
    /// One value of each variant.
    fn each(draw: &mut Draw) -> Vec<Self>;
    /// Number and name of the variant of this value; name and form of its fields.
    fn fields(&self) -> (u64, &'static str, Vec<(&'static str, String)>);
}

const HEAD: &str = r#"# What crosses the wire

Made from the declarations in the source by a test; do not edit. Descriptors, requests and responses as bytes: what is
meant by them is said where they are made ([ARCHITECTURE.md](../ARCHITECTURE.md), "A pool elsewhere"). All numbers are
little-endian, nothing is aligned or padded. Every value has exactly one form: bytes that are no form of a value are an
error, and what is read is written as the same bytes again. What changes the bytes changes the version of their frame;
numbers of operations, errors and variants are never used for another.

## Frames

| bytes | descriptor of a pool |
| ---: | --- |
| 4 | `WYRP` |
| 2 | version, 1 |
| 8 | host |
| 16 | identity (uuid) of the pool |
| 2 | bytes of the path, n |
| n | path of its object; empty for a pool without a name |
| 4 | CRC-32 of all before |

| bytes | descriptor of an allocation |
| ---: | --- |
| 4 | `WYRA` |
| 2 | version, 1 |
| 2 | bit 0: it may free the allocation; the others are 0 |
| 8 | host |
| 16 | identity (uuid) of the pool |
| 8, 8 | reference: offset and generation of the block |
| 8, 8 | view: first byte and bytes of it |
| 4 | type; 0 is none |
| 8 | id within the type |
| 4 | CRC-32 of all before |

| bytes | request |
| ---: | --- |
| 4 | `WYRQ` |
| 2 | version, 1 |
| 16 | id of the request, random |
| 2 | operation |
| n | its fields |
| 4 | CRC-32 of all before |

| bytes | response |
| ---: | --- |
| 4 | `WYRS` |
| 2 | version, 1 |
| 16 | id of the request |
| 1 | 0: an answer; 1: an error |
| 2 | operation |
| n | the answer, or the error: its number (2) and its fields |
| 4 | CRC-32 of all before |

The text form of a descriptor is its bytes in base64 with `-` and `_` and without padding (RFC 4648, section 5). The CRC-32 is
that of IEEE 802.3, of zip and of PNG. No request or response is longer than 64 MiB.

## Forms

| form | bytes |
| --- | --- |
| u8, u16, u32, u64, u128 | 1, 2, 4, 8, 16 |
| bool | 1: 0 or 1 |
| text | 4: bytes of it; then it, in UTF-8 |
| word | as text: a fixed phrase of an error, up to 160 bytes; a process keeps up to 512 different ones |
| path | 4: bytes of it; then it, any bytes |
| duration | 8: seconds; 4: nanoseconds, less than 1,000,000,000 |
| errno | 2: a number of Linux, 1 to 4095 |
| pool, block | 4: bytes of it; then a descriptor of a pool, of an allocation |
| type and id | 4, 8 |
| optional X | 1: 0 none, 1 some; then X if there is some |
| list of X | 4: how many; then each |
| table of X to Y | 4: how many; then each X and its Y, in ascending order of X |
| any other | as below: its fields in order; or the number of its variant (1), then the fields of that |
"#;

fn record<R: Record>(to: &mut String) {
    let _ = write!(to, "\n### {}\n\n| field | form | meaning |\n| --- | --- | --- |\n", R::form());
    for [name, form, meaning] in R::rows() {
        let _ = writeln!(to, "| {name} | {form} | {meaning} |");
    }
}

fn listed(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, form)| format!("{name}: {form}")).collect();
    fields.join(", ")
}

fn choice<C: Choice>(to: &mut String) {
    let _ = write!(to, "\n### {}\n\n| number | variant | fields |\n| ---: | --- | --- |\n", C::form());
    rows::<C>(to);
}

fn rows<C: Choice>(to: &mut String) {
    for value in C::each(&mut Draw::new(0)) {
        let (number, name, fields) = value.fields();
        let _ = writeln!(to, "| {number} | {name} | {} |", listed(&fields));
    }
}

fn operations(to: &mut String) {
    to.push_str(
        "\n## Operations\n\n| number | operation | fields of the request | answer |\n| ---: | --- | --- | --- |\n",
    );
    let answers = Answer::each(&mut Draw::new(0));
    for (operation, answer) in Operation::each(&mut Draw::new(0)).iter().zip(answers) {
        let ((number, name, fields), (same, _, answer)) = (operation.fields(), answer.fields());
        assert_eq!(number, same);
        let _ = writeln!(to, "| {number} | {name} | {} | {} |", listed(&fields), answer[0].1);
    }
}

fn hexadecimal(to: &mut String, title: &str, bytes: &[u8]) {
    let _ = write!(to, "\n{title}\n\n```\n");
    for line in bytes.chunks(16) {
        let numbers: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let text: String = line.iter().map(shown).collect();
        let _ = writeln!(to, "{:47}  {text}", numbers.join(" "));
    }
    to.push_str("```\n");
}

fn examples(to: &mut String) {
    let pool = PoolDescriptor { host: 0x11, uuid: 0x22, path: "/dev/shm/weyr.0.p".into() };
    let (request, _) = Request::allocate_typed(&pool, 4096, 7, 42);
    let request = Request { id: 0x33, ..request };
    to.push_str("\n## Examples\n");
    hexadecimal(
        to,
        "Request 0x33 for 4096 bytes of type 7 and id 42, of a pool of host 0x11:",
        &request.to_bytes(),
    );
    let response = Response::refusal(&request, Error::KeyTaken { type_id: 7, id: 42 });
    hexadecimal(to, "The response that they are taken:", &response.to_bytes());
}

fn document() -> String {
    let mut document = HEAD.to_owned();
    let to = &mut document;
    operations(to);
    to.push_str("\n## Values\n");
    record::<PoolAttributes>(to);
    record::<Preallocated>(to);
    record::<Attributes>(to);
    record::<Observed>(to);
    record::<BlockReference>(to);
    record::<ManifestEntry>(to);
    record::<PoolAllocation>(to);
    record::<Amount>(to);
    record::<Usage>(to);
    record::<Corrupt>(to);
    choice::<Growth>(to);
    choice::<PoolType>(to);
    choice::<LockKind>(to);
    choice::<BlockState>(to);
    choice::<AllocationMode>(to);
    choice::<PayloadError>(to);
    to.push_str("\n## Errors\n\n| number | error | fields |\n| ---: | --- | --- |\n");
    rows::<Error>(to);
    examples(to);
    document
}

#[test]
fn the_wire_document_is_what_the_source_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire.md");
    if std::env::var_os("WEYR_BLESS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap();
    let differs = "docs/wire.md is out of date; run with WEYR_BLESS=1 and look at the difference";
    assert!(checked_in == document(), "{differs}");
}

#[test]
fn every_form_is_described() {
    let document = document();
    let described =
        |form: &str| document.contains(&format!("| {form} |")) || document.contains(&format!("### {form}\n"));
    let parts = |form: &str| -> Vec<String> {
        let bare = form.replace("optional ", "").replace("list of ", "").replace("table of ", "");
        bare.split(" to ").map(str::to_owned).collect()
    };
    let fields = Operation::each(&mut Draw::new(0)).into_iter().flat_map(|value| value.fields().2);
    let fields = fields.chain(Answer::each(&mut Draw::new(0)).into_iter().flat_map(|value| value.fields().2));
    let fields = fields.chain(Error::each(&mut Draw::new(0)).into_iter().flat_map(|value| value.fields().2));
    let numbers = ["u8", "u16", "u32", "u64", "u128", "pool", "block", "nothing"];
    let of_pools = [PoolAttributes::rows(), Attributes::rows(), Observed::rows()].concat();
    let rows = [of_pools, ManifestEntry::rows(), PoolAllocation::rows(), Usage::rows()];
    let fields = fields.map(|(_, form)| form).chain(rows.into_iter().flatten().map(|[_, form, _]| form));
    for form in fields.flat_map(|form| parts(&form)).filter(|form| !numbers.contains(&form.as_str())) {
        assert!(described(&form), "{form}");
    }
}

#[test]
fn a_request_has_its_bytes_where_the_document_says() {
    let pool = PoolDescriptor { host: 0x11, uuid: 0x22, path: "/p".into() };
    let (request, completion): (Request, Completion<()>) = Request::destroy(&pool);
    let bytes = request.to_bytes();
    assert_eq!((&bytes[..6], &bytes[6..22]), (&b"WYRQ\x01\0"[..], &request.id().to_le_bytes()[..]));
    assert_eq!((&bytes[22..24], &bytes[24..28]), (&[2, 0][..], &[38, 0, 0, 0][..]));
    assert_eq!((&bytes[28..66], bytes.len()), (&pool.to_bytes()[..], 70));
    assert_eq!(bytes[66..], crc32fast::hash(&bytes[..66]).to_le_bytes());
    let response = Response::refusal(&request, Error::Stale { offset: 1, meant: 2, found: 3 }).to_bytes();
    assert_eq!((&response[..6], &response[6..22]), (&b"WYRS\x01\0"[..], &completion.id().to_le_bytes()[..]));
    assert_eq!(response[22..27], [1, 2, 0, 20, 0]);
    assert_eq!((&response[27..35], &response[35..43]), (&1u64.to_le_bytes()[..], &2u64.to_le_bytes()[..]));
    assert_eq!((&response[43..51], response.len()), (&3u64.to_le_bytes()[..], 55));
}
