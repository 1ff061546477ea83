//! `trackerless config`: the effective configuration, as a file that can be kept.

use serde::Serialize;

use super::args::ConfigArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::{Printer, write_raw};
use crate::daemon::config::Config;

pub(super) fn run(args: ConfigArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let config = Config::load(&args.settings.into_sources(environment))?;
    config.warnings.iter().for_each(|warning| eprintln_quietly(format_args!("warning: {warning}")));
    if args.json {
        let output = Printer::new(true);
        for entry in config.entries() {
            let origin = entry.origin.to_string();
            output.result("", &Record { key: entry.setting.key, value: entry.value, origin })?;
        }
    } else {
        write_raw(config.to_toml().as_bytes())?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Record {
    key: &'static str,
    value: toml::Value,
    origin: String,
}
