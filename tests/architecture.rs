//! Guards the arrows between the rooms (docs/ARCHITECTURE.md): reads every `crate::` path in `src` against one table.
//!
//! A new arrow is a decision: it is made here and in the document, not in passing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/circles.rs"]
mod circles;

/// Which rooms a room may name. A room may always name itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("torrent", &["engine"]),
    ("sim", &["engine"]),
    ("net", &["peer", "engine"]),
    ("dht", &["net", "engine"]),
    ("conform", &["engine"]),
    ("peer", &["engine"]),
    ("tracker", &["torrent", "peer", "dht", "net", "engine"]),
    ("announcer", &["torrent", "peer", "dht", "net", "engine"]),
    ("index", &["torrent", "peer", "dht", "net", "engine"]),
    ("lab", &["sim", "announcer", "index", "engine"]),
    ("daemon", &["torrent", "peer", "announcer", "index", "tracker", "dht", "net", "engine"]),
    ("cli", &["conform", "daemon", "torrent", "peer", "announcer", "index", "dht", "net", "lab", "engine"]),
    ("main", &["cli"]),
    ("lib", &["dht", "engine"]),
];

/// Inside the engine: what everyone may name.
const VOCABULARY: &[&str] =
    &["contact", "id", "compliance", "time", "random", "keyed_hash", "presence", "owner", "rules", "limits"];

/// Inside the engine: what the parts may name besides the vocabulary. `node` composes and may name all.
const PARTS: &[(&str, &[&str])] = &[
    ("bencode", &[]),
    ("krpc", &["bencode"]),
    ("routing", &[]),
    ("lookup", &[]),
    ("transactions", &[]),
    ("tokens", &[]),
    ("budgets", &[]),
    ("peers", &["bloom"]),
    ("external", &[]),
    ("rtt", &[]),
    ("size", &[]),
    ("bloom", &[]),
    ("items", &["bencode"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of this repository").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its path below `src`, and its text without comments, strings left as they are.
fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "the sources were not found");
    let text = |path: &Path| {
        let text = fs::read_to_string(path).expect("a source file");
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        code.collect::<Vec<_>>().join("\n")
    };
    let name = |path: &Path| path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
    files.iter().map(|path| (name(path), text(path))).collect()
}

/// The first name after each `prefix` in `text`, and each name of a group in braces.
fn named_after<'t>(text: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    let ident = |text: &'t str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        &text[..end]
    };
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => drop(names.insert(ident(rest))),
            Some(group) => {
                let group = &group[..group.find(';').unwrap_or(group.len())];
                let mut depth = 0;
                let mut start = true;
                for (index, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            names.insert(ident(&group[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                    if depth < 0 {
                        break;
                    }
                }
            }
        }
    }
    names
}

/// The siblings that a file of the engine names; `inside` is its path below `engine`.
fn parts_named<'t>(inside: &str, text: &'t str) -> BTreeSet<&'t str> {
    let named = named_after(text, "crate::engine::").into_iter();
    let is_part = !inside.contains('/') || inside.ends_with("/mod.rs") && inside.matches('/').count() == 1;
    if is_part { named.chain(named_after(text, "super::")).collect() } else { named.collect() }
}

fn first_part(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

#[test]
fn rooms_name_only_the_rooms_below_them() {
    let rooms: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    for (path, text) in all_sources() {
        let room = first_part(&path);
        let allowed =
            rooms.get(room).unwrap_or_else(|| panic!("src/{path}: {room} is no room; see docs/ARCHITECTURE.md"));
        for named in named_after(&text, "crate::").into_iter().chain(named_after(&text, "trackerless::")) {
            let fine = named == room || allowed.contains(&named) || !rooms.contains_key(named);
            assert!(fine, "src/{path} names `{named}`: {room} may name only {allowed:?}");
        }
    }
}

#[test]
fn parts_of_the_engine_do_not_know_their_siblings() {
    let parts: BTreeMap<_, _> = PARTS.iter().copied().collect();
    for (path, text) in all_sources() {
        let Some(inside) = path.strip_prefix("engine/") else { continue };
        let part = first_part(inside);
        let named = parts_named(inside, &text);
        if part == "mod" || part == "node" {
            continue;
        }
        let allowed = parts.get(part).copied().unwrap_or_else(|| {
            assert!(VOCABULARY.contains(&part), "src/{path}: is {part} vocabulary or a part? Say so in this test");
            &[]
        });
        for other in named {
            let known = parts.contains_key(other) || other == "node";
            assert!(!known || other == part || allowed.contains(&other), "src/{path} names its sibling `{other}`");
        }
    }
}

#[test]
fn the_tables_hold_what_exists_and_nothing_else() {
    let (sources, mut used) = (all_sources(), BTreeSet::new());
    for (path, text) in &sources {
        let Some(inside) = path.strip_prefix("engine/") else { continue };
        used.extend(parts_named(inside, text).into_iter().map(|to| (first_part(inside), to)));
    }
    let exists = |place: String| {
        sources.iter().any(|(path, _)| path.starts_with(&format!("{place}/")) || *path == format!("{place}.rs"))
    };
    for (room, _) in ROOMS {
        assert!(exists(room.to_string()), "there is no room {room}");
    }
    for (part, arrows) in PARTS {
        assert!(exists(format!("engine/{part}")), "there is no part {part} of the engine");
        for to in *arrows {
            assert!(used.contains(&(*part, *to)), "{part} does not name {to}");
        }
    }
}

#[test]
fn the_engine_has_no_clock_no_socket_no_task_and_no_ambient_randomness() {
    const BANNED: &[&str] = &[
        "tokio",
        "std::thread",
        "std::net::UdpSocket",
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::env",
        "SysRng",
        "rand::rng(",
        "thread_rng",
        "println!",
        "unsafe ",
    ];
    for (path, text) in all_sources() {
        if path.starts_with("engine/") || path.starts_with("sim/") {
            for word in BANNED {
                assert!(!text.contains(word), "src/{path} contains `{word}`");
            }
        }
    }
}

#[test]
fn unsafe_code_lives_in_one_file() {
    for (path, text) in all_sources() {
        let has = text.contains("unsafe {") || text.contains("unsafe fn") || text.contains("unsafe impl");
        assert!(!has || path == "net/socket/batch.rs", "src/{path} has unsafe code");
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in all_sources() {
        let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let lines = text[..tests].lines().count();
        assert!(lines <= 800, "src/{path} has {lines} lines without its tests: it wants to be two files");
    }
}

#[test]
fn the_peer_wire_and_the_names_of_torrents_need_only_vocabulary_and_bencode() {
    let pure = |path: &str| path.starts_with("peer/") || path.starts_with("torrent/");
    for (path, text) in all_sources().into_iter().filter(|(path, _)| pure(path)) {
        for named in named_after(&text, "crate::engine::") {
            assert!(named == "bencode" || VOCABULARY.contains(&named), "src/{path} names engine's {named}");
        }
    }
}
#[test]
fn no_file_leads_back_to_itself() {
    let circles = circles::circles(&all_sources());
    let left: Vec<String> = circles.iter().map(|circle| circle.join(" -> ")).collect();
    assert!(left.is_empty(), "files that name each other in a circle:\n{}", left.join("\n"));
}
