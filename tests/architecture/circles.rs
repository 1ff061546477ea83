//! Which file names which, and whether that ever leads back.
//!
//! An edge goes from a file to the file in which a name lies that it takes by `crate::`, `super::`, `self::` or the name
//! of a module inside it; what a module only passes on (`pub use`) lies where it was written. A file may name the modules
//! that it lies in: `impl Node` needs `Node`. Test modules do not count.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// A path of names, from the root of the crate.
type Module = Vec<String>;

/// A source file as a module.
struct File {
    path: String,
    module: Module,
    /// The paths that it names, as they are written.
    named: Vec<Vec<String>>,
    /// Names that it passes on, with the path where each is taken from.
    passed_on: BTreeMap<String, Vec<String>>,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let words = words(without_tests(text));
        let mut file =
            Self { path: path.into(), module: module_of(path), named: Vec::new(), passed_on: BTreeMap::new() };
        let mut at = 0;
        while at < words.len() {
            let start = at;
            let mut paths = Vec::new();
            at = read_paths(&words, at, &[], &mut paths);
            if at == start {
                at += 1;
                continue;
            }
            if is_passed_on(&words[..start]) {
                let last = |path: &Vec<String>| path.last().filter(|name| *name != "self").cloned();
                file.passed_on.extend(paths.iter().filter_map(|path| Some((last(path)?, path.clone()))));
            }
            file.named.append(&mut paths);
        }
        file
    }
}

/// `a/b.rs` and `a/b/mod.rs` are both the module `a::b`.
fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs").trim_end_matches("mod").trim_end_matches('/');
    let root = matches!(path, "lib" | "main");
    path.split('/').filter(|name| !root && !name.is_empty()).map(Into::into).collect()
}

/// Whether a file holds only tests.
fn is_test(path: &str) -> bool {
    let name = path.trim_end_matches(".rs");
    name.ends_with("/tests") || name.ends_with("_tests") || name.contains("/tests/")
}

/// The text up to its test module: tests come last.
fn without_tests(text: &str) -> &str {
    let end = text.find("#[cfg(test)]\nmod ").or_else(|| text.find("#[cfg(test)]\n#[path")).unwrap_or(text.len());
    &text[..end]
}

/// Names, `::`, braces and commas; strings and all else between them are one unnamed word.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else if first == '"' {
            end_of_string(rest)
        } else {
            first.len_utf8()
        };
        match &rest[..len] {
            word if word.starts_with('"') => words.push("?"),
            word if word.trim().is_empty() => {}
            word => words.push(word),
        }
        rest = &rest[len..];
    }
    words
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads the path that begins at `at`, and each path of its group in braces. Returns where it ends: at `at` if there
/// is none, or if it is one name alone.
fn read_paths(words: &[&str], at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let (mut path, mut end) = (before.to_vec(), at);
    loop {
        match words.get(end).copied() {
            Some("{") if end > at || !before.is_empty() => return read_group(words, end, &path, found),
            Some(word) if is_name(word) => path.push(word.into()),
            Some("*") if end > at => {}
            _ => return at,
        }
        end += 1;
        if words.get(end).is_none_or(|word| *word != "::") {
            break;
        }
        end += 1;
    }
    if path.len() < 2 {
        return at;
    }
    found.push(path);
    end
}

fn read_group(words: &[&str], open: usize, path: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut at = open + 1;
    while at < words.len() && words[at] != "}" {
        at = read_paths(words, at, path, found).max(at + 1);
    }
    at + 1
}

/// Whether what comes before a path makes it a name that this file passes on.
fn is_passed_on(before: &[&str]) -> bool {
    let statement = before.rsplit(|word| matches!(*word, ";" | "}" | "]" | "{")).next().unwrap_or_default();
    statement.first().is_some_and(|word| *word == "pub") && statement.last().is_some_and(|word| *word == "use")
}

/// Which file names which.
struct Graph {
    files: Vec<File>,
    at: BTreeMap<Module, usize>,
}

impl Graph {
    fn of(sources: &[(String, String)]) -> Self {
        // `lib.rs` and `main.rs` are both the root; what the program's entry names leads nowhere back.
        let counts = |path: &str| path != "main.rs" && !is_test(path);
        let files: Vec<File> =
            sources.iter().filter(|(path, _)| counts(path)).map(|(path, text)| File::new(path, text)).collect();
        let at = files.iter().enumerate().map(|(index, file)| (file.module.clone(), index)).collect();
        Self { files, at }
    }

    /// The files that a file names, without those that it lies in.
    fn named_by(&self, from: usize) -> BTreeSet<usize> {
        let file = &self.files[from];
        let found = file.named.iter().filter_map(|path| self.resolve(&file.module, path, 0));
        found.filter(|&to| !file.module.starts_with(&self.files[to].module)).collect()
    }

    /// The file in which the last name of a path lies.
    fn resolve(&self, within: &[String], path: &[String], depth: usize) -> Option<usize> {
        let mut module = within.to_vec();
        let mut names = path;
        match names.first()?.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => drop(module.pop()),
            first => {
                module.push(first.into());
                self.at.get(&module)?;
            }
        }
        names = &names[1..];
        while let Some((name, rest)) = names.split_first() {
            if name == "super" {
                module.pop();
                names = rest;
                continue;
            }
            let inner: Module = module.iter().chain([name]).cloned().collect();
            if self.at.contains_key(&inner) {
                (module, names) = (inner, rest);
                continue;
            }
            let holder = *self.at.get(&module)?;
            // A name that is passed on lies further on; one that is passed on in a ring would be an error of the compiler.
            return match self.files[holder].passed_on.get(name).filter(|_| depth < 8) {
                Some(path) => self.resolve(&module, path, depth + 1).or(Some(holder)),
                None => Some(holder),
            };
        }
        self.at.get(&module).copied()
    }

    /// The shortest way from a file back to itself.
    fn way_back(&self, edges: &[BTreeSet<usize>], start: usize) -> Option<Vec<usize>> {
        let mut came_from = BTreeMap::new();
        let mut reached = vec![start];
        let mut next = 0;
        while let Some(&at) = reached.get(next) {
            next += 1;
            for &to in &edges[at] {
                if to == start {
                    let mut way = vec![at];
                    while let Some(&before) = came_from.get(&way[way.len() - 1]) {
                        way.push(before);
                    }
                    way.reverse();
                    return Some(way);
                }
                if let Entry::Vacant(entry) = came_from.entry(to) {
                    entry.insert(at);
                    reached.push(to);
                }
            }
        }
        None
    }
}

/// Every circle of files: the shortest through each file that lies on one, from its first name on.
pub fn circles(sources: &[(String, String)]) -> BTreeSet<Vec<String>> {
    let graph = Graph::of(sources);
    let edges: Vec<BTreeSet<usize>> = (0..graph.files.len()).map(|file| graph.named_by(file)).collect();
    let ways = (0..edges.len()).filter_map(|file| graph.way_back(&edges, file));
    ways.map(|way| {
        let mut names: Vec<String> = way.iter().map(|&file| graph.files[file].path.clone()).collect();
        let first = names.iter().enumerate().min_by_key(|(_, name)| *name).map_or(0, |(at, _)| at);
        names.rotate_left(first);
        names
    })
    .collect()
}

fn circles_of(sources: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<(String, String)> = sources.iter().map(|&(path, text)| (path.into(), text.into())).collect();
    circles(&sources).into_iter().map(|circle| circle.join(" -> ")).collect()
}

#[test]
fn a_circle_is_found_however_its_names_are_written() {
    let a = |text| ("room/a.rs", text);
    let room = ("room/mod.rs", "pub mod a;\npub mod b;\npub use b::B;\n");
    let back = ("room/b.rs", "use super::a::A;\npub struct B(A);\n");
    for text in [
        "use super::b::B;",
        "use crate::room::b::B;",
        "use crate::{lib, room::{a, b::{self, B}}};",
        "fn f() { super::b::f() }",
        "fn f() -> crate::room::B { \"} // \" }",
        "use super::B;",
    ] {
        assert_eq!(circles_of(&[room, a(text), back]), ["room/a.rs -> room/b.rs"], "{text}");
    }
}

#[test]
fn what_is_no_circle_is_none() {
    let room = ("room/mod.rs", "mod a;\nmod b;\npub use b::B;\npub struct Room(a::A);\n");
    let b = ("room/b.rs", "use super::a::A;\nuse super::Room;\n");
    // A file names the module that it lies in; a test names all that it tests; a string names nothing.
    let tested = "pub struct A;\nimpl super::Room {}\nconst S: &str = \"super::b::B\";\n#[cfg(test)]\nmod tests { use super::super::b::B; }";
    assert!(circles_of(&[room, ("room/a.rs", tested), b]).is_empty());
    assert!(
        circles_of(&[room, ("room/a.rs", "mod tests;"), ("room/a/tests.rs", "use super::super::b::B;"), b]).is_empty()
    );
}

#[test]
fn a_circle_through_the_parts_of_a_module_is_one() {
    let files =
        [("a/mod.rs", "mod part;\nuse part::P;"), ("a/part.rs", "use crate::b::B;"), ("b/mod.rs", "use crate::a::A;")];
    assert_eq!(circles_of(&files), ["a/mod.rs -> a/part.rs -> b/mod.rs"]);
}
