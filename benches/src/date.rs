//! A day from the seconds since 1970.

const DAY: u64 = 24 * 60 * 60;

/// The day of `unix_time`, UTC, as `2026-01-31` (the proleptic Gregorian calendar; Hinnant, *chrono-compatible
/// low-level date algorithms*, `civil_from_days`).
pub(crate) fn of(unix_time: u64) -> String {
    let days = unix_time / DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[test]
fn days_are_those_of_the_calendar() {
    assert_eq!(of(0), "1970-01-01");
    assert_eq!(of(951_782_400), "2000-02-29");
    assert_eq!(of(1_735_689_599), "2024-12-31");
    assert_eq!(of(1_795_282_800), "2026-11-21");
}
