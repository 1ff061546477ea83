//! `docs/CONFIGURATION.md` says what the registry of settings says.

use std::fmt::Write;

use trackerless::daemon::config::{SETTINGS, Setting, Shape};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
const BEGIN: &str = "<!-- settings: written by the test, do not edit -->\n";
const END: &str = "<!-- end of settings -->\n";

/// With `BLESS=1` the page is rewritten instead.
#[test]
fn the_page_lists_every_setting_as_it_is() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the page has its marks");
    let (_, tail) = rest.split_once(END).expect("the page has its marks");
    let expected = [head, BEGIN, &settings(), END, tail].concat();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, expected).unwrap();
    } else {
        assert!(page == expected, "docs/CONFIGURATION.md is behind: BLESS=1 cargo test --test program manual");
    }
}

fn settings() -> String {
    SETTINGS.iter().fold(String::new(), |mut text, setting| {
        let Setting { key, meaning, .. } = setting;
        write!(text, "\n### `{key}`\n\n{meaning}\n\n").unwrap();
        let (variable, default) = (setting.variable(), setting.default_text());
        writeln!(text, "Flag `{}`, variable `{variable}`. Default: {default}.", flag(setting)).unwrap();
        text
    }) + "\n"
}

/// The flag as it is typed: a switch takes its value, if any, after an equals sign.
fn flag(setting: &Setting) -> String {
    let (flag, name) = (setting.flag(), setting.form.value_name);
    match setting.form.shape {
        Shape::Switch => format!("--{flag}[={name}]"),
        _ => format!("--{flag} {name}"),
    }
}

/// Every command line in the shell blocks of README.md can be typed as it stands.
#[test]
fn the_commands_of_the_readme_exist() {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let lines: Vec<&str> = blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap().trim()).collect();
    let ours: Vec<&str> = lines.iter().filter_map(|line| Some(&line[line.find("trackerless ")?..])).collect();
    assert!(ours.len() >= 6, "{lines:?}");
    for line in ours {
        let parsed = trackerless::cli::args::parse(line.split_whitespace().map(Into::into));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}
