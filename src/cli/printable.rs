//! Text of strangers on a terminal: the one way on which it gets there.
//!
//! Items, names, versions and error texts come from other nodes, from torrent files and from file names. A terminal obeys
//! control characters in them: it moves the cursor over lines above, changes its title, sends answers as if they were
//! typed. Every line for people and of the logs goes through [`printable`], every line of JSON through
//! [`printable_json`].

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with its control characters as `\u{1b}`; line feeds and tabs stay.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && c != '\t' && is_control(c), |out, c| write!(out, "{}", c.escape_unicode()))
}

/// The same for text that has to stay on one line.
pub(super) fn printable_line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\t' && is_control(c), |out, c| write!(out, "{}", c.escape_unicode()))
}

/// A record of JSON with the control characters that JSON itself leaves alone as `\u009b`. They can only stand inside
/// of its strings, so its meaning stays.
pub(super) fn printable_json(record: &str) -> Cow<'_, str> {
    escaped(record, is_control, |out, c| write!(out, "\\u{:04x}", u32::from(c)))
}

/// Whether a terminal does something else with `c` than to show it, or shows what follows in another order.
fn is_control(c: char) -> bool {
    let changes_direction =
        matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || changes_direction || ends_line
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char) -> std::fmt::Result,
) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_escaped(c) {
            true => escape(&mut out, c).expect("a string takes all"),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_control_characters_are_shown() {
        for same in ["", "one\ntwo\tthree", "Grüße, 世界 🦀", "\\u{1b}"] {
            assert!(matches!(printable(same), Cow::Borrowed(text) if text == same));
        }
        assert_eq!(printable("\u{1b}]0;title\u{7}"), r"\u{1b}]0;title\u{7}");
        assert_eq!(printable("over\rwritten"), r"over\u{d}written");
        assert_eq!(printable("\u{9b}31m\u{7f}"), r"\u{9b}31m\u{7f}");
        assert_eq!(printable("a\u{202e}b"), r"a\u{202e}b");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\u{2028}\n\"\\";
        let record = serde_json::to_string(text).unwrap();
        let safe = printable_json(&record);
        assert!(!safe.chars().any(is_control), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
