//! Sizes as people write them.

/// `4096`, `64K`, `64KiB`, `1M`, `2G`: powers of 1024.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err("write a number with an optional suffix K, M or G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number with an optional suffix K, M or G")?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

/// A size, or a hexadecimal number after `0x`.
pub(crate) fn parse_offset(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(digits) => {
            u64::from_str_radix(digits, 16).map_err(|_| "write hexadecimal digits after 0x".into())
        }
        None => parse_bytes(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_suffixes() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("64K"), Ok(64 << 10));
        assert_eq!(parse_bytes("1 MiB"), Ok(1 << 20));
        assert_eq!(parse_bytes("2g"), Ok(2 << 30));
        assert!(
            ["", "K", "1T", "-1", "1.5M", "99999999999999G"].iter().all(|text| parse_bytes(text).is_err())
        );
    }

    #[test]
    fn offsets_are_also_hexadecimal() {
        assert_eq!((parse_offset("0x1F"), parse_offset("4K")), (Ok(31), Ok(4096)));
        assert!(parse_offset("0x").is_err() && parse_offset("0x1g").is_err());
    }
}
