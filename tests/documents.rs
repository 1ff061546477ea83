//! What the documents promise must be there: docs/PROTOCOL.md names a place and a test for every requirement,
//! docs/SECURITY.md a test for every defence, docs/OPERATING.md every limit with its value.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file of this repository that may be named, by its path from the root.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "fuzz"].map(|folder| root.join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.into_iter().map(|file| file.strip_prefix(root).expect("below the root").to_owned()).collect()
}

/// `a::{b, c}` stands for `a::b` and `a::c`.
fn alternatives(name: &str) -> Vec<String> {
    match (name.find('{'), name.find('}')) {
        (Some(open), Some(close)) if open < close => name[open + 1..close]
            .split(',')
            .map(|middle| [&name[..open], middle.trim(), &name[close + 1..]].concat())
            .collect(),
        _ => vec![name.to_owned()],
    }
}

/// What stands between backticks in a cell.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).flat_map(alternatives).collect()
}

#[test]
fn every_place_and_every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files();
    let source = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "rs" || kind == "py");
    let text: String = files
        .iter()
        .filter(|file| source(file))
        .map(|file| fs::read_to_string(root.join(file)).expect("text"))
        .collect();
    let is_path = |name: &str| {
        files.iter().any(|file| file.ends_with(name) || file.starts_with(name))
            || files.iter().any(|file| file.starts_with(Path::new("src").join(name)))
    };
    let is_test = |name: &str| {
        let last = name.rsplit("::").next().unwrap_or(name);
        let of_module =
            |module: &str| files.iter().any(|file| file.with_extension("").ends_with(module.replace("::", "/")));
        ["fn ", "def "].iter().any(|kind| text.contains(&format!("{kind}{last}(")))
            || text.contains(&format!("\"{last}\""))
            || name.strip_suffix("::tests").is_some_and(of_module)
            || of_module(name)
            || is_path(&format!("fuzz/fuzz_targets/{name}.rs"))
    };
    let page = |name: &str| fs::read_to_string(root.join("docs").join(name)).expect("the page");
    let mut gone = Vec::new();
    let protocol = page("PROTOCOL.md");
    let mut tables = protocol.split("\n## Otherwise on purpose").next().expect("a first part").lines();
    for row in tables.by_ref().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, places, tests] = cells[..] else { panic!("three cells: {row}") };
        gone.extend(names(places).into_iter().filter(|place| !is_path(place)));
        gone.extend(names(tests).into_iter().filter(|test| !is_path(test) && !is_test(test)));
    }
    assert!(gone.is_empty(), "named in docs/PROTOCOL.md, but not there: {gone:#?}");
    let security = page("SECURITY.md");
    let defences = security.split("\n## What is defended").nth(1).expect("a table of defences");
    let defences = defences.split("\n## ").next().expect("a first part");
    for row in defences.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, _, tests] = cells[..] else { panic!("three cells: {row}") };
        gone.extend(names(tests).into_iter().filter(|test| !is_path(test) && !is_test(test)));
    }
    assert!(gone.is_empty(), "named in docs/SECURITY.md, but not there: {gone:#?}");
}

/// Each constant of `limits.rs`: its name, and its value as it is written.
fn limits(source: &str) -> Vec<(String, String)> {
    let constants = source.split("\npub const ").skip(1);
    let parse = |text: &str| {
        let (name, rest) = text.split_once(':').expect("a constant has a type");
        let (_, rest) = rest.split_once(" = ").expect("a constant has a value");
        let (value, _) = rest.split_once(';').expect("a constant ends");
        (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    constants.map(parse).collect()
}

#[test]
fn the_operating_page_has_every_limit_with_its_value_and_counter() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("text");
    let (limits, page, stats) =
        (limits(&read("src/engine/limits.rs")), read("docs/OPERATING.md"), read("src/engine/node/stats.rs"));
    assert!(limits.len() > 40, "the limits were not found");
    let is_source = |file: &&PathBuf| file.extension().is_some_and(|kind| kind == "rs");
    let all: String =
        files().iter().filter(is_source).map(|file| fs::read_to_string(root.join(file)).expect("text")).collect();
    let rows: Vec<Vec<&str>> = page
        .split("## All limits")
        .nth(1)
        .expect("the table of limits")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    for (name, value) in &limits {
        let row =
            rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("{name} is not in docs/OPERATING.md"));
        assert_eq!(row[1], value, "{name} has another value in docs/OPERATING.md");
        assert!(!row[2].is_empty(), "docs/OPERATING.md does not say what {name} bounds");
        let counted = row[3].is_empty() || stats.contains(&format!("pub {}: u64", row[3]));
        assert!(counted, "{name} is counted as {}, which src/engine/node/stats.rs does not have", row[3]);
        let reached = all.contains(&format!("fn {}(", row[4]));
        assert!(reached, "{name} is reached by {}, which is no test", row[4]);
    }
    assert_eq!(rows.len(), limits.len(), "docs/OPERATING.md has a limit that the node does not have");
}
