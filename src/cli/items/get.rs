//! `trackerless get`: an item by its target or its owner's key, or a file by the root of its tree.

use serde_json::json;

use super::{PATIENCE, download, public_key};
use crate::cli::args::GetArgs;
use crate::cli::failure::{Exit, Failure, eprintln_quietly};
use crate::cli::output::{Output, counted};
use crate::cli::progress::Progress;
use crate::cli::session::{self, Session};
use crate::daemon::config::Config;
use crate::engine::id::Id;
use crate::engine::items::{Item, target_of_key};

pub(in crate::cli) fn run(args: GetArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let wanted = Wanted::new(&args)?;
    let (config, output) = session::begin(args.setup, environment)?;
    match wanted {
        Wanted::Item { target, salt } => session::block_on(get(&config, target, &salt, output)),
        Wanted::File { root, out } => session::block_on(download::run(&config, root, &out, args.max_size, output)),
    }
}

/// What is looked for.
enum Wanted {
    Item { target: Id, salt: Vec<u8> },
    File { root: Id, out: std::path::PathBuf },
}

impl Wanted {
    fn new(args: &GetArgs) -> Result<Self, Failure> {
        if let (Some(root), Some(out)) = (&args.file, &args.out) {
            return Ok(Self::File { root: target(root)?, out: out.clone() });
        }
        let salt = args.salt.clone().unwrap_or_default().into_bytes();
        let target = match (&args.target, &args.public_key) {
            (Some(text), _) => target(text)?,
            (None, key) => target_of_key(&public_key(key.as_deref().unwrap_or_default())?, &salt),
        };
        Ok(Self::Item { target, salt })
    }
}

fn target(text: &str) -> Result<Id, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(format_args!("TARGET {text:?}: {error}"), "give the target that `trackerless put` printed")
    })
}

async fn get(config: &Config, target: Id, salt: &[u8], output: Output) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let session = Session::open(config, PATIENCE).await?;
    progress.say("asking the nodes nearest to the item");
    let found = session.get_item(target, salt).await;
    drop(progress);
    session.close().await;
    let Some(item) = found.item else {
        eprintln_quietly(format_args!("no item {target} was found; {} answered", counted(found.answered, "node")));
        return Ok(Exit::Nothing);
    };
    if output.is_json() {
        output.result("", &record(target, &item))?;
    } else {
        let value = item.value();
        output.bytes(value.contents().unwrap_or_else(|| value.as_bencode()))?;
    }
    Ok(Exit::Done)
}

fn record(target: Id, item: &Item) -> serde_json::Value {
    let value = item.value();
    let text = value.contents().and_then(|contents| std::str::from_utf8(contents).ok());
    let key = match item {
        Item::Immutable(_) => None,
        Item::Mutable(item) => Some(hex::encode(item.key)),
    };
    json!({
        "target": target.to_string(),
        "text": text,
        "bencode": hex::encode(value.as_bencode()),
        "public_key": key,
        "seq": item.seq(),
    })
}
