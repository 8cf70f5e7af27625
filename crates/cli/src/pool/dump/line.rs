//! One line of a dump: up to 16 bytes, and what they are called.

use serde::Serialize;
use weyr::managed::{Field, Section};

/// Bytes of a line.
pub(super) const LINE_BYTES: u64 = weyr::HEX_LINE_BYTES as u64;

/// What a dump consists of.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Item {
    /// From here on.
    Part { name: &'static str, holds: &'static str, offset: u64, bytes: u64 },
    /// Bytes that are not all zero, or a field.
    Line(Line),
    /// A run of zeros.
    Zeros { offset: u64, bytes: u64 },
}

#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// Byte of the object.
    pub(super) offset: u64,
    #[serde(serialize_with = "hexadecimal")]
    pub(super) bytes: Vec<u8>,
    /// Which record of the part; none in payload, and where there is only one.
    pub(super) record: Option<u64>,
    pub(super) field: Option<&'static str>,
    /// A field of 4 or 8 bytes as a number.
    pub(super) value: Option<u64>,
}

fn hexadecimal<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

impl Item {
    pub(super) fn part(section: &Section) -> Self {
        let (part, offset, bytes) = (section.part, section.offset, section.bytes);
        Self::Part { name: part.name, holds: part.holds, offset, bytes }
    }
}

/// Where a line begins and ends, and its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) end: u64,
    pub(super) field: Option<&'static Field>,
    /// Bytes of the whole field.
    field_bytes: u64,
}

impl Cut {
    /// The line of `section` that begins at byte `at` of the object.
    pub(super) fn at(section: &Section, at: u64) -> Self {
        let record = at - (at - section.offset) % section.stride;
        let inside = (at - record) as usize;
        let next = section.fields.iter().find(|field| field.offset > inside);
        let field = section.fields.iter().rev().find(|field| field.offset <= inside);
        let end_of_fields = record + section.stride;
        let field_end = next.map_or(end_of_fields, |next| record + next.offset as u64);
        // A field of 8 bytes ends where it ends: behind the last one of a slot lies payload.
        let field_end = match field {
            Some(field) if next.is_none() && !is_array(field) => record + field.offset as u64 + size(field),
            _ => field_end,
        };
        if section.fields.is_empty() || at >= field_end {
            let end =
                (at + LINE_BYTES).min(if section.fields.is_empty() { section.end() } else { end_of_fields });
            return Self { end, field: None, field_bytes: 0 };
        }
        let begin = field.map_or(0, |field| field.offset as u64);
        Self { end: field_end.min(at + LINE_BYTES), field, field_bytes: field_end - record - begin }
    }

    /// Whether a line of zeros says nothing.
    pub(super) fn folds(&self) -> bool {
        self.field.is_none_or(|field| is_array(field) || field.name.starts_with("reserved"))
    }

    /// The line with these bytes.
    pub(super) fn line(&self, section: &Section, offset: u64, bytes: &[u8]) -> Line {
        let is_payload = section.part.name == "data";
        let is_single = section.bytes <= section.stride;
        let record = (!is_payload && !is_single).then(|| (offset - section.offset) / section.stride);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let value = matches!(self.field_bytes, 4 | 8).then(|| number(bytes));
        Line { offset, bytes: bytes.to_vec(), record, field: self.field.map(|field| field.name), value }
    }
}

fn is_array(field: &Field) -> bool {
    field.kind.starts_with('[')
}

fn size(field: &Field) -> u64 {
    if field.kind.ends_with("32") { 4 } else { 8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weyr::managed::Part;

    const fn field(name: &'static str, kind: &'static str, offset: usize) -> Field {
        Field { name, kind, offset, doc: "" }
    }
    static FIELDS: [Field; 3] =
        [field("a", "AtomicU32", 0), field("b", "[AtomicU32; 5]", 4), field("c", "AtomicU64", 24)];

    fn section(stride: u64, fields: &'static [Field]) -> Section {
        let part = Part { name: "test", holds: "" };
        Section { part, offset: 64, bytes: 128, stride, fields }
    }

    fn cuts(section: &Section, end: u64) -> Vec<(u64, Option<&'static str>)> {
        let mut at = section.offset;
        let mut cuts = Vec::new();
        while at < end {
            let cut = Cut::at(section, at);
            cuts.push((at, cut.field.map(|field| field.name)));
            at = cut.end;
        }
        cuts
    }

    #[test]
    fn lines_end_where_fields_and_records_do() {
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        let record = [(64, a), (68, b), (84, b), (88, c), (96, None), (112, None), (120, a)];
        assert_eq!(cuts(&section(56, &FIELDS), 121), record);
        assert_eq!(cuts(&section(8, &[]), 112), [(64, None), (80, None), (96, None)]);
    }

    #[test]
    fn numbers_are_little_endian_and_arrays_have_none() {
        let section = section(32, &FIELDS);
        let line = |at, bytes: &[u8]| Cut::at(&section, at).line(&section, at, bytes);
        assert_eq!(line(96, &[1, 2, 0, 0]).value, Some(513));
        assert_eq!((line(96, &[0; 4]).record, line(96, &[0; 4]).field), (Some(1), Some("a")));
        assert_eq!(line(68, &[1; 16]).value, None);
    }
}
