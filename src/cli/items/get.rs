//! `trackerless get`: an item by its target or its owner's key, or a file by the root of its tree.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::download::{Download, unwritable};
use super::public_key;
use crate::cli::args::GetArgs;
use crate::cli::failure::{Exit, Failure, eprintln_quietly};
use crate::cli::network::{self, Base, Network};
use crate::cli::output::{Printer, counted};
use crate::cli::progress::Progress;
use crate::cli::session;
use crate::dht::tree::Index;
use crate::engine::id::Target;
use crate::engine::items::{Item, target_of_key};

pub(in crate::cli) fn run(args: GetArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let wanted = Wanted::new(&args)?;
    let (base, output) = network::begin(args.setup, environment)?;
    match wanted {
        Wanted::Item(item) => session::block_on(item.get(&base, output)),
        Wanted::File(file) if file.out.is_none() && output.is_json() => Err(Failure::usage(
            "--json and the file would both go to standard output",
            "name a file with -o, or leave --json out",
        )),
        Wanted::File(file) => session::block_on(file.run(&base, output)),
    }
}

/// What is looked for.
enum Wanted {
    Item(WantedItem),
    File(Download),
}

/// A single item.
struct WantedItem {
    target: Target,
    salt: Vec<u8>,
    /// Where its value goes; standard output where this is missing.
    out: Option<PathBuf>,
    /// Longest time for joining the DHT.
    patience: Duration,
}

impl Wanted {
    fn new(args: &GetArgs) -> Result<Self, Failure> {
        let out = args.out.clone().filter(|out| out != Path::new("-"));
        if let Some(folder) = out.as_deref().filter(|out| out.is_dir()) {
            return Err(Failure::usage(
                format_args!("{}: it is a folder", folder.display()),
                "name a file in it with -o",
            ));
        }
        let patience = args.joining.patience();
        if let Some(root) = &args.file {
            return Ok(Self::File(Download { root: target(root)?, out, most: args.max_size, patience }));
        }
        let salt = args.salt.clone().unwrap_or_default().into_bytes();
        let target = match (&args.target, &args.public_key) {
            (Some(text), _) => target(text)?,
            (None, key) => target_of_key(&public_key(key.as_deref().unwrap_or_default())?, &salt),
        };
        Ok(Self::Item(WantedItem { target, salt, out, patience }))
    }
}

fn target(text: &str) -> Result<Target, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(format_args!("TARGET {text:?}: {error}"), "give the target that `trackerless put` printed")
    })
}

impl WantedItem {
    async fn get(&self, base: &Base, output: Printer) -> Result<Exit, Failure> {
        let target = self.target;
        let progress = Progress::new("joining the DHT");
        let network = Network::open(base, self.patience).await?;
        progress.say("asking the nodes nearest to the item");
        let found = network.get_item(target, &self.salt).await?;
        drop(progress);
        network.close().await?;
        let Some(item) = found.item else {
            eprintln_quietly(format_args!("no item {target} was found; {} answered", counted(found.answered, "node")));
            return Ok(Exit::Nothing);
        };
        if Index::read(item.value()).is_some() {
            eprintln_quietly(format_args!(
                "note: this is the root of a file; `trackerless get --file {target}` gets it"
            ));
        }
        self.hand_over(&item, output)?;
        Ok(Exit::Done)
    }

    /// Writes the value where it should go: bytes as they were put, with a line feed after them for people.
    fn hand_over(&self, item: &Item, output: Printer) -> Result<(), Failure> {
        let value = item.value();
        let contents = value.contents().unwrap_or_else(|| value.as_bencode());
        if let Some(out) = &self.out {
            std::fs::write(out, contents).map_err(|error| unwritable(out, &error))?;
            let text = format!("{}  {}", out.display(), counted(contents.len(), "byte"));
            return output.result(text, &self.record(item));
        }
        if output.is_json() {
            return output.result("", &self.record(item));
        }
        output.bytes(contents)
    }

    fn record(&self, item: &Item) -> serde_json::Value {
        let value = item.value();
        let text = value.contents().and_then(|contents| std::str::from_utf8(contents).ok());
        let key = match item {
            Item::Immutable(_) => None,
            Item::Mutable(item) => Some(hex::encode(item.key)),
        };
        json!({
            "target": self.target.to_string(),
            "text": text,
            "bencode": hex::encode(value.as_bencode()),
            "public_key": key,
            "seq": item.seq(),
            "file": self.out,
        })
    }
}
