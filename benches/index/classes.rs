//! The classes of searches, each with another word for each number.

use crate::law::Law;

/// A class of searches: its name, and the query of a number.
pub type Class = (&'static str, fn(&Law, u64) -> String);

pub const CLASSES: [Class; 7] = [
    ("a rare word", |law, number| law.word(50_000 + number % 50_000)),
    ("a common word", |law, number| law.word(number % 20)),
    ("two common words", |law, number| format!("{} {}", law.word(number % 20), law.word(20 + number % 17))),
    ("a phrase", |law, number| {
        let name = law.torrent(number % 1_000_000 * 7 % 100_000).name;
        let words: Vec<&str> = name.split(['.', ' ']).take(2).collect();
        format!("\"{}\"", words.join(" "))
    }),
    ("a prefix", |law, number| format!("{}*", law.word(100 + number % 5_000).chars().take(4).collect::<String>())),
    ("common, with bounds", |law, number| format!("{} seeds>=5 size<4GiB", law.word(number % 20))),
    ("common, by size", |law, number| format!("{} sort:size", law.word(number % 20))),
];
