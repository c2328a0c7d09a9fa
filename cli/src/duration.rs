//! Durations as people write them.

use std::time::Duration;

/// Reads `10s`, `500ms`, `2m`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: Option<u64> = number.parse().ok();
    let duration = match (number, unit) {
        (Some(number), "ms") => Some(Duration::from_millis(number)),
        (Some(number), "s") => Some(Duration::from_secs(number)),
        (Some(number), "m") => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    };
    // An hour is far beyond any sensible choice, and keeps all sums of durations in range.
    let in_range = duration.filter(|duration| *duration <= Duration::from_secs(3_600));
    in_range.ok_or_else(|| "write a whole number with a unit, up to an hour, such as 500ms, 10s or 2m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_with_a_unit_is_a_duration() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "10", "s", "-1s", "1.5s", "1h", "99999999999999999999s", "61m", "1 s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
