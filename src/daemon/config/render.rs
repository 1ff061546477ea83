//! The configuration as commented TOML: what each setting means, how else to set it, where its value comes from.

use std::fmt::Write;

use super::{Entry, FILE_VARIABLE};

/// Comments are wrapped at this width.
const WIDTH: usize = 100;

/// All of `entries`, in their order.
pub(super) fn render<'a>(entries: impl Iterator<Item = Entry<'a>>) -> String {
    let mut text = format!(
        "# The configuration of trackerless. Flags override variables, variables override the file,\n\
         # the file overrides the defaults. The file is named by --config FILE or {FILE_VARIABLE}.\n"
    );
    for entry in entries {
        text.push('\n');
        comment(&mut text, entry.setting.meaning);
        let setting = entry.setting;
        comment(&mut text, &format!("Flag --{}, variable {}.", setting.flag(), setting.variable()));
        comment(&mut text, &format!("From: {}", entry.origin));
        writeln!(text, "{} = {}", setting.key, entry.value).expect("a string takes all");
    }
    text
}

/// Appends `words` as comment lines. Control characters, as a file name may hold, would end the comment.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line.clear();
            line.push('#');
        }
        line.push(' ');
        line.extend(word.chars().filter(|c| !c.is_control()));
    }
    text.push_str(&line);
    text.push('\n');
}
