//! Numbers and times in the words of people: plurals, ages, estimates.

use std::time::Duration;

/// A number of things: `1 node`, `3 nodes`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A time span; its largest unit is enough.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    counted(usize::try_from(number).unwrap_or(usize::MAX), unit)
}

/// An estimated number of things, two digits of it: it is not more exact. Nothing where more than that are `known`: an
/// estimate from few answers may be far too low.
pub(super) fn estimated(estimate: u64, known: usize) -> Option<u64> {
    let unit = 10u64.pow(estimate.max(1).ilog10().saturating_sub(1));
    let rounded = (estimate + unit / 2) / unit * unit;
    (rounded > known as u64).then_some(rounded)
}

/// A number and how far off it may be; small ones are exact.
pub(super) fn about(count: u64, spread: u64) -> String {
    if spread == 0 { count.to_string() } else { format!("{count} ± {spread}") }
}

/// A number of bytes in its largest unit.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(name, shift)| format!("{:.1} {name}", bytes as f64 / (1u64 << shift) as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_unit() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (700 << 20, "700.0 MiB"), (3 << 40, "3.0 TiB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(["0 nodes", "1 node", "2 nodes"], [0, 1, 2].map(|count| counted(count, "node")));
    }

    #[test]
    fn spans_have_one_unit() {
        let cases =
            [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (7_199, "119 minutes")];
        let more = [(7_200, "2 hours"), (172_799, "47 hours"), (172_800, "2 days"), (8_640_000, "100 days")];
        for (seconds, text) in cases.into_iter().chain(more) {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn an_estimate_has_two_digits_and_is_more_than_what_is_known() {
        let cases = [(13, 229, None), (229, 229, Some(230)), (7, 3, Some(7)), (0, 0, None)];
        for (estimate, known, told) in cases.into_iter().chain([(12_345_678, 1, Some(12_000_000))]) {
            assert_eq!(estimated(estimate, known), told, "{estimate} {known}");
        }
    }
}
