//! `docs/CONFIGURATION.md` says what the registry of settings says.

use std::fmt::Write;

use trackerless::daemon::config::{Kind, SETTINGS, Setting};

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
        let (flag, name, variable) = (setting.flag(), setting.kind.value_name(), setting.variable());
        write!(text, "\n### `{key}`\n\n{meaning}\n\n").unwrap();
        writeln!(text, "Flag `--{flag} {name}`, variable `{variable}`. Default: {}.", default(setting)).unwrap();
        text
    }) + "\n"
}

fn default(setting: &Setting) -> String {
    match setting.kind {
        Kind::Folder => {
            "where the platform keeps the data of programs (Linux: `~/.local/share/trackerless`)".to_owned()
        }
        _ => format!("`{}`", (setting.default)().to_toml()),
    }
}
