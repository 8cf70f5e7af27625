//! Figures in words.

use crate::round::{RowResult, Spread};
use crate::row::{Target, Unit};

/// A figure with its unit.
pub(crate) fn amount(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => format!("{} %", digits(figure)),
        Unit::Bytes => format!("{} KiB", digits(figure / 1024.0)),
        Unit::Nanoseconds if figure >= 1e6 => format!("{} ms", digits(figure / 1e6)),
        Unit::Nanoseconds if figure >= 1e4 => format!("{} us", digits(figure / 1e3)),
        Unit::Nanoseconds => format!("{} ns", digits(figure)),
    }
}

/// Three digits that count.
fn digits(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// A size in the largest unit that divides it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} B"),
    }
}

/// How ours compares with a peer: the median ratio, the smallest and the largest. None without figures of both.
pub(crate) fn ratio(row: &RowResult, peer: usize) -> Option<String> {
    let ratio = Spread::of(&row.ratios(peer)?)?;
    Some(format!("{}x ({} to {})", digits(ratio.median), digits(ratio.least), digits(ratio.most)))
}

/// What `target` asks for.
pub(crate) fn target(target: &Target, unit: Unit) -> String {
    match target {
        Target::Times(times, _) => format!("{times}x"),
        Target::Faster(times, _) => format!("{times}x faster"),
        Target::Above(figure, _) => format!("plus {}", amount(*figure, unit)),
        Target::AtMost(figure) => amount(*figure, unit),
        Target::BestPeer { times, share, .. } => {
            format!("+{:.0} % in {:.0} % of rounds", (times - 1.0) * 100.0, share * 100.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        assert_eq!(amount(1234.5, Unit::Nanoseconds), "1234 ns");
        assert_eq!(amount(12_345.0, Unit::Nanoseconds), "12.3 us");
        assert_eq!(amount(0.415, Unit::Percent), "0.41 %");
        assert_eq!(amount(131_072.0, Unit::Bytes), "128 KiB");
    }

    #[test]
    fn a_size_has_the_unit_that_divides_it() {
        assert_eq!([8, 1024, 1500, 1 << 20].map(size), ["8 B", "1 KiB", "1500 B", "1 MiB"]);
    }
}
