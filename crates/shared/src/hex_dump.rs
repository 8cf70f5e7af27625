//! Bytes as people read them: offset, hexadecimal, ASCII, sixteen a line.
//!
//! A pure function of bytes that its caller has copied out of shared memory: it looks at nothing that others change.
//!
//! Source: hexdump(1), `-C`; Dragon, managed memory, hex dump.

use std::fmt;

/// Bytes of a line.
pub const HEX_LINE_BYTES: usize = 16;

/// Up to [`HEX_LINE_BYTES`] bytes, shown as one line without its end.
///
/// ```
/// use weyr_shared::HexLine;
///
/// let line = HexLine { offset: 0x40, bytes: b"weyr\0" };
/// assert!(line.to_string().starts_with("00000040  77 65 79 72 00 "));
/// assert!(line.to_string().trim_end().ends_with("|weyr.|"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HexLine<'b> {
    /// Byte of the whole at which it begins.
    pub offset: u64,
    /// Its bytes.
    pub bytes: &'b [u8],
}

impl fmt::Display for HexLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = |bytes: &[u8]| bytes.iter().map(|byte| format!(" {byte:02x}")).collect::<String>();
        let (first, second) = self.bytes.split_at(self.bytes.len().min(HEX_LINE_BYTES / 2));
        let text = format!("|{}|", self.bytes.iter().map(|byte| printable(*byte)).collect::<String>());
        write!(f, "{:08x} {:<24} {:<24}  {text:<18}", self.offset, half(first), half(second))
    }
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' }
}

/// What a dump consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HexItem<'b> {
    /// A line.
    Line(HexLine<'b>),
    /// Lines that are equal to the one before.
    Same {
        /// Byte of the whole at which the first of them begins.
        offset: u64,
        /// How many.
        lines: u64,
    },
}

/// The dump of `bytes`, the first of which is byte `offset` of the whole: its items one by one, or, shown, its text.
///
/// ```
/// use weyr_shared::hex_dump;
///
/// let mut bytes = vec![0; 64];
/// bytes.extend(b"behind the zeros");
/// let text = hex_dump(&bytes, 0x1000).to_string();
/// let lines: Vec<&str> = text.lines().collect();
/// assert_eq!(lines[0], "00001000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|");
/// assert_eq!(lines[1], "00001010  * 3 more");
/// assert_eq!(lines[2], "00001040  62 65 68 69 6e 64 20 74  68 65 20 7a 65 72 6f 73  |behind the zeros|");
/// ```
pub fn hex_dump(bytes: &[u8], offset: u64) -> HexDump<'_> {
    HexDump { offset, rest: bytes, last: None }
}

/// A dump: see [`hex_dump`].
#[derive(Debug, Clone)]
pub struct HexDump<'b> {
    offset: u64,
    rest: &'b [u8],
    last: Option<&'b [u8]>,
}

impl<'b> HexDump<'b> {
    /// Takes the next line's bytes.
    fn step(&mut self) -> HexLine<'b> {
        let (bytes, rest) = self.rest.split_at(self.rest.len().min(HEX_LINE_BYTES));
        let line = HexLine { offset: self.offset, bytes };
        self.offset = self.offset.wrapping_add(bytes.len() as u64);
        self.rest = rest;
        line
    }

    /// Takes the lines that are equal to the last one.
    fn skip_same(&mut self) -> u64 {
        let Some(last) = self.last else { return 0 };
        let mut lines = 0;
        while self.rest.get(..HEX_LINE_BYTES) == Some(last) {
            self.step();
            lines += 1;
        }
        lines
    }
}

impl<'b> Iterator for HexDump<'b> {
    type Item = HexItem<'b>;

    fn next(&mut self) -> Option<HexItem<'b>> {
        let offset = self.offset;
        let lines = self.skip_same();
        if lines > 0 {
            return Some(HexItem::Same { offset, lines });
        }
        (!self.rest.is_empty()).then(|| {
            let line = self.step();
            self.last = Some(line.bytes);
            HexItem::Line(line)
        })
    }
}

impl fmt::Display for HexDump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clone().try_for_each(|item| match item {
            HexItem::Line(line) => writeln!(f, "{}", line.to_string().trim_end()),
            HexItem::Same { offset, lines } => writeln!(f, "{offset:08x}  * {lines} more"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that the items stand for.
    fn read_back(items: impl Iterator<Item = HexItem<'static>>) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        for item in items {
            match item {
                HexItem::Line(line) => {
                    assert_eq!(line.offset, 5 + bytes.len() as u64);
                    bytes.extend(line.bytes);
                }
                HexItem::Same { offset, lines } => {
                    assert_eq!(offset, 5 + bytes.len() as u64);
                    let last = bytes[bytes.len() - HEX_LINE_BYTES..].to_vec();
                    (0..lines).for_each(|_| bytes.extend(&last));
                }
            }
        }
        bytes
    }

    #[test]
    fn no_byte_is_lost_or_doubled() {
        static BYTES: [u8; 100] = {
            let mut bytes = [7; 100];
            bytes[40] = 8;
            bytes
        };
        for len in 0..BYTES.len() {
            assert_eq!(read_back(hex_dump(&BYTES[..len], 5)), BYTES[..len]);
        }
    }

    #[test]
    fn a_run_is_folded_and_a_shorter_last_line_is_not() {
        let text = hex_dump(&[0x41; 50], 0).to_string();
        let starts: Vec<&str> = text.lines().map(|line| &line[..14]).collect();
        assert_eq!(starts, ["00000000  41 4", "00000010  * 2 ", "00000030  41 4"]);
        assert!(text.ends_with("|AA|\n"));
    }
}
