//! Whole numbers within bounds, as flags take them.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Reads a number within `bounds`; whatever else is written, the error says what is wanted.
pub(super) fn whole<T>(bounds: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text: &str| match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(format!("a whole number from {} to {} is wanted", bounds.start(), bounds.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_within_the_bounds_is_told_what_is_wanted() {
        let port = whole(1..=u16::MAX);
        assert_eq!((port("1"), port("65535")), (Ok(1), Ok(u16::MAX)));
        for wrong in ["0", "65536", "-1", "1s", "", " 1", "1.5", "1e3", "99999999999999999999999"] {
            assert_eq!(port(wrong), Err("a whole number from 1 to 65535 is wanted".to_owned()), "{wrong}");
        }
    }
}
