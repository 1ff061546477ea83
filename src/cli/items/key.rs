//! `trackerless key`: the key pairs of owners of mutable items, each in a file that only its owner may read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::cli::args::{KeyArgs, KeyCommand};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Printer;
use crate::engine::items::Owner;
use crate::net::entropy;

pub(in crate::cli) fn run(args: &KeyArgs) -> Result<Exit, Failure> {
    let (owner, file, json) = match &args.command {
        KeyCommand::New { file, json } => (create(file)?, file, *json),
        KeyCommand::Show { file, json } => (read(file)?, file, *json),
    };
    let key = hex::encode(owner.public_key());
    Printer::new(json).result(&key, &json!({ "public_key": key, "file": file }))?;
    Ok(Exit::Done)
}

/// Makes a key pair and keeps its secret in `file`, which must not exist: a key that is lost cannot be had again.
fn create(file: &Path) -> Result<Owner, Failure> {
    let seed = entropy::seed().map_err(|error| Failure::usage(error, "try again"))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut file| {
        writeln!(file, "{}", hex::encode(seed))?;
        file.sync_all()
    });
    written.map_err(|error| unwritable(file, &error))?;
    Ok(Owner::from_seed(&seed))
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    let cure = match error.kind() {
        io::ErrorKind::AlreadyExists => "name a new file; an old key is never overwritten",
        _ => "name a file in a folder that can be written",
    };
    Failure::usage(format_args!("{}: {error}", file.display()), cure)
}

/// Reads the key pair of `file`.
pub(super) fn read(file: &Path) -> Result<Owner, Failure> {
    let cure = "make a key with `trackerless key new FILE`";
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", file.display()), cure))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed)
        .map_err(|_| Failure::usage(format_args!("{} holds no key: 64 hexadecimal digits", file.display()), cure))?;
    Ok(Owner::from_seed(&seed))
}
