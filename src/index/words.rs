//! Words: how names are cut for search. The same rules cut names and queries, so that what is seen in a name finds it.
//!
//! Text is folded first (compatibility forms, case, accents: `Ｇröße` is `grosse`). A word is a run of letters and digits.
//! A word that is written together is also cut where a lower letter meets an upper one and where a digit meets a letter:
//! `S01E02` is `s01e02`, `s01` and `e02`; `DebianEdition12` is that, `debian`, `edition12` and `edition`. Chinese and
//! Japanese characters and kana, which have no blanks between words, are cut in pairs.
//!
//! Bounded: [`MOST_WORDS`] of a text, each of at most [`LONGEST_WORD`] characters.

use unicode_normalization::UnicodeNormalization as _;

/// Most words of one text.
pub const MOST_WORDS: usize = 128;
/// Longest word, in characters. What is longer is cut.
pub const LONGEST_WORD: usize = 40;
/// Longest text that is read, in bytes.
const LONGEST_TEXT: usize = 4_096;
/// Letters before digits that make a word of their own: `edition12` is found by `edition`, `s01` not by `s`.
const STEM: usize = 3;

/// All words under which a text is found, each once.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for run in runs(text) {
        match run {
            Run::Pairs(characters) => pairs(&characters).into_iter().for_each(|pair| add(&mut found, pair)),
            Run::Word(original) => {
                add(&mut found, fold(&original));
                parts(&original).into_iter().for_each(|part| add(&mut found, part));
            }
        }
    }
    found
}

/// The words of a query: each as it stands, without its parts. In the order of the text.
#[must_use]
pub fn query_words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for run in runs(text) {
        match run {
            Run::Pairs(characters) => found.extend(pairs(&characters)),
            Run::Word(original) => found.push(fold(&original)),
        }
    }
    found.retain(|word| !word.is_empty());
    found.truncate(MOST_WORDS);
    found
}

/// Whether `text` has the words of `phrase` one after the other.
#[must_use]
pub fn has_phrase(text: &str, phrase: &[String]) -> bool {
    match phrase.is_empty() || text.is_ascii() && text.len() <= LONGEST_TEXT {
        true => ascii_has_phrase(text, phrase),
        false => query_words(text).windows(phrase.len()).any(|window| window == phrase),
    }
}

/// The same without making the words, of which nothing but the case is folded: a search asks it of thousands of names.
fn ascii_has_phrase(text: &str, phrase: &[String]) -> bool {
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '\'');
    let words: Vec<&str> = runs.filter(|run| run.bytes().any(|byte| byte != b'\'')).take(MOST_WORDS).collect();
    let is = |(word, folded): (&&str, &String)| {
        let letters = word.bytes().filter(|byte| *byte != b'\'').map(|byte| byte.to_ascii_lowercase());
        letters.take(LONGEST_WORD).eq(folded.bytes())
    };
    phrase.is_empty() || words.windows(phrase.len()).any(|window| window.iter().zip(phrase).all(is))
}

/// A run of characters that belong together.
enum Run {
    Word(String),
    /// Characters of a script without blanks.
    Pairs(Vec<char>),
}

fn runs(text: &str) -> Vec<Run> {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST_TEXT).last();
    let text: String = text[..end.unwrap_or(0)].nfkc().collect();
    let mut runs = Vec::new();
    for c in text.chars() {
        match (kind(c), runs.last_mut()) {
            (Kind::Letter, Some(Open::Word(word))) => word.push(c),
            (Kind::Letter, _) => runs.push(Open::Word(c.to_string())),
            (Kind::Wide, Some(Open::Pairs(pairs))) => pairs.push(c),
            (Kind::Wide, _) => runs.push(Open::Pairs(vec![c])),
            (Kind::Mark, Some(Open::Word(word))) => word.push(c),
            // An apostrophe inside of a word is none of its letters, and does not end it: "it's" is "its".
            (Kind::Apostrophe, Some(Open::Word(_))) => {}
            _ => runs.push(Open::Gap),
        }
    }
    let closed = |run| match run {
        Open::Word(word) => Some(Run::Word(word)),
        Open::Pairs(pairs) => Some(Run::Pairs(pairs)),
        Open::Gap => None,
    };
    runs.into_iter().filter_map(closed).collect()
}

enum Open {
    Word(String),
    Pairs(Vec<char>),
    Gap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Letter,
    Wide,
    Mark,
    Apostrophe,
    Other,
}

fn kind(c: char) -> Kind {
    match c {
        '\'' | '\u{2019}' => Kind::Apostrophe,
        // Kana, Han with its extensions and compatibility characters.
        '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' => {
            Kind::Wide
        }
        '\u{20000}'..='\u{3134f}' => Kind::Wide,
        _ if unicode_normalization::char::is_combining_mark(c) => Kind::Mark,
        _ if c.is_alphanumeric() => Kind::Letter,
        _ => Kind::Other,
    }
}

/// Lower case, without accents, at most [`LONGEST_WORD`] characters.
fn fold(word: &str) -> String {
    let plain = word.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c));
    let folded = plain.flat_map(char::to_lowercase).flat_map(|c| match c {
        'ß' => ['s', 's'],
        'æ' => ['a', 'e'],
        'œ' => ['o', 'e'],
        c => [c, '\0'],
    });
    folded.filter(|c| *c != '\0').take(LONGEST_WORD).collect()
}

/// The parts of a word that is written together; none where it has but one.
fn parts(word: &str) -> Vec<String> {
    let mut cut: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    for c in word.chars() {
        let begins = match before {
            None => true,
            Some(before) => before.is_lowercase() && c.is_uppercase() || before.is_numeric() && c.is_alphabetic(),
        };
        match cut.last_mut() {
            Some(part) if !begins => part.push(c),
            _ => cut.push(c.to_string()),
        }
        before = Some(c);
    }
    let stems: Vec<String> = cut.iter().filter_map(|part| stem(part)).collect();
    let alone = cut.len() == 1;
    cut.retain(|part| !alone && part.chars().nth(1).is_some());
    cut.iter().chain(&stems).map(|part| fold(part)).collect()
}

/// The letters before the digits of a part.
fn stem(part: &str) -> Option<String> {
    let letters: String = part.chars().take_while(|c| !c.is_numeric()).collect();
    (letters.len() < part.len() && letters.chars().count() >= STEM).then_some(letters)
}

fn pairs(characters: &[char]) -> Vec<String> {
    match characters {
        [single] => vec![single.to_string()],
        several => several.windows(2).map(|pair| pair.iter().collect()).collect(),
    }
}

fn add(found: &mut Vec<String>, word: String) {
    if !word.is_empty() && found.len() < MOST_WORDS && !found.contains(&word) {
        found.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_cut_as_people_read_them() {
        for (name, expected) in [
            ("The.Show.S01E02.1080p", &["the", "show", "s01e02", "s01", "e02", "1080p", "1080"][..]),
            ("debian-12.5.0-amd64-DVD-1.iso", &["debian", "12", "5", "0", "amd64", "amd", "dvd", "1", "iso"]),
            ("DebianEdition12", &["debianedition12", "debian", "edition12", "edition"]),
            ("Ｇröße Über_alles", &["grosse", "uber", "alles"]),
            ("Поиск Ёлка", &["поиск", "елка"]),
            ("東京物語 1953", &["東京", "京物", "物語", "1953"]),
            ("猫 cat", &["猫", "cat"]),
            ("it's O’Brien", &["its", "obrien"]),
            ("...", &[]),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn a_query_asks_for_each_word_as_it_stands() {
        assert_eq!(query_words("S01E02 The  show"), ["s01e02", "the", "show"]);
        assert_eq!(query_words("東京物"), ["東京", "京物"]);
    }

    #[test]
    fn whole_words_match_and_parts_of_words_do_not() {
        assert!(!words("The Boys").contains(&"boy".to_owned()));
        assert!(has_phrase("The.Quick-Brown_Fox", &query_words("quick brown")));
        assert!(!has_phrase("The.Quick.Red.Brown", &query_words("quick brown")));
    }

    proptest! {
        #[test]
        fn what_a_query_reads_in_a_name_finds_that_name(name in "[a-zA-Z0-9 ._äöüß東京物語-]{0,60}") {
            let indexed = words(&name);
            for word in query_words(&name) {
                prop_assert!(indexed.contains(&word), "{name:?}: {word} not in {indexed:?}");
            }
        }

        #[test]
        fn a_phrase_is_found_in_ascii_as_in_every_text(
            text in "([a-zA-Z0-9]{1,3}|[a-z]{40,43}|['. _-]{1,2}){0,60}", from in 0usize..20, length in 1usize..4, other in "[a-z ]{1,8}",
        ) {
            let words = query_words(&text);
            let within = words.iter().skip(from).take(length).cloned().collect::<Vec<_>>();
            for phrase in [within, query_words(&other)] {
                let expected = phrase.is_empty() || words.windows(phrase.len()).any(|window| window == phrase);
                prop_assert_eq!(has_phrase(&text, &phrase), expected, "{:?} in {:?}", phrase, text);
            }
        }

        #[test]
        fn words_are_bounded_and_alphanumeric(text in "\\PC{0,300}") {
            let found = words(&text);
            prop_assert!(found.len() <= MOST_WORDS);
            for word in found {
                prop_assert!(!word.is_empty() && word.chars().count() <= LONGEST_WORD);
                prop_assert!(!word.chars().any(char::is_whitespace), "{word:?}");
            }
        }
    }
}
