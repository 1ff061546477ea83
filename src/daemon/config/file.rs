//! The configuration file: flat TOML, one `key = value` per setting, every key known.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, Origin, Replaced, Setting};
use crate::announcer::clients::without_password;

/// Reads the file at `path` over `config`.
pub(super) fn read_into(config: &mut Config, path: &Path) -> Result<(), ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    read_text_into(config, &text, path)
}

/// The same for the text of a file that is, or would be, at `path`.
pub(super) fn read_text_into(config: &mut Config, text: &str, path: &Path) -> Result<(), ConfigError> {
    let origin = |offset: usize| Origin::File { path: path.to_owned(), line: line_of(text, offset) };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        origin: origin(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    for (key, value) in table.get_ref() {
        let origin = origin(key.span().start);
        let setting = named(key.get_ref(), &origin)?;
        let texts = texts(setting, value.get_ref(), &text[value.span()], &origin)?;
        config.set(setting, &texts, &origin)?;
    }
    Ok(())
}

fn named(key: &str, origin: &Origin) -> Result<&'static Setting, ConfigError> {
    let origin = || origin.clone();
    match (Setting::named(key), Replaced::named(key)) {
        (Some(setting), _) => Ok(setting),
        (None, Some(replaced)) => Err(ConfigError::Replaced { origin: origin(), replaced }),
        (None, None) => Err(ConfigError::UnknownKey { origin: origin(), key: key.to_owned() }),
    }
}

fn texts(
    setting: &'static Setting,
    value: &DeValue<'_>,
    written: &str,
    origin: &Origin,
) -> Result<Vec<String>, ConfigError> {
    setting.form.shape.texts_of(value).map_err(|why| ConfigError::WrongValue {
        origin: origin.clone(),
        key: setting.key,
        value: without_password(written),
        why,
        cure: (setting.form.cure)(),
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}
