//! `trackerless put`: stores a value on the nodes closest to its target, or a file as a tree of such values.

use std::io::Read;
use std::time::Duration;

use serde_json::json;

use super::upload::Upload;
use super::{check_salt, key};
use crate::cli::args::PutArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::keep;
use crate::cli::network::{self, Base, Network};
use crate::cli::output::{Printer, counted};
use crate::cli::progress::Progress;
use crate::cli::session;
use crate::dht::ItemStored;
use crate::dht::tree::Existing;
use crate::engine::items::{Item, MAX_VALUE, Mutable, Owner, Value, target_of_key};
use crate::engine::limits::ITEM_RENEWAL;

pub(in crate::cli) fn run(args: PutArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    if let Some(file) = &args.file {
        let existing = if args.resume { Existing::LeaveAlone } else { Existing::Renew };
        let upload = Upload::new(file, args.max_size, existing, args.joining.patience())?;
        let (base, output) = network::begin(args.setup, environment)?;
        return session::block_on(upload.run(&base, args.keep, output.staying(args.keep)));
    }
    let what = What::new(&args)?;
    let (base, output) = network::begin(args.setup, environment)?;
    let output = output.staying(args.keep);
    session::block_on(what.store(&base, args.keep, |item, stored| report(item, stored, output)))
}

/// What is to be stored.
pub(super) struct What {
    pub(super) value: Value,
    /// Whose item it is, for a mutable one.
    pub(super) owner: Option<Owner>,
    pub(super) salt: Vec<u8>,
    pub(super) seq: Option<i64>,
    pub(super) cas: Option<i64>,
    /// Longest time for joining the DHT.
    pub(super) patience: Duration,
}

impl What {
    fn new(args: &PutArgs) -> Result<Self, Failure> {
        let contents = match args.value.as_deref() {
            Some("-") => standard_input()?,
            Some(text) => text.as_bytes().to_vec(),
            None => Vec::new(),
        };
        let value = if args.bencode { Value::from_bencode(&contents) } else { Value::from_contents(&contents) };
        let salt = args.salt.clone().unwrap_or_default().into_bytes();
        check_salt(&salt)?;
        let owner = args.key.as_deref().map(key::read).transpose()?;
        Ok(Self { value: value?, owner, salt, seq: args.seq, cas: args.cas, patience: args.joining.patience() })
    }

    /// Stores it, and says what exactly, and where; with `keep`, again every hour until it is stopped or another has put a
    /// newer value. Where every node refuses it for the same reason, that is the failure.
    pub(super) async fn store(
        &self,
        base: &Base,
        keep: bool,
        report: impl Fn(&Item, &ItemStored) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        if keep {
            return keep::until_stopped(self.keep(base, report)).await;
        }
        let progress = Progress::new("joining the DHT");
        let network = Network::open(base, self.patience).await?;
        progress.say("storing");
        let item = self.item(&network).await?;
        let stored = network.put_item(item.clone(), self.cas).await?;
        drop(progress);
        network.close().await?;
        refusal(&item, self.cas, &stored).map_or_else(|| report(&item, &stored), Err)
    }

    async fn keep(
        &self,
        base: &Base,
        report: impl Fn(&Item, &ItemStored) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let progress = Progress::new("joining the DHT");
        let network = Network::open_whenever(base, self.patience, &progress).await?;
        drop(progress);
        let item = self.item(&network).await?;
        let mut cas = self.cas;
        let round = async || {
            let stored = network.put_item(item.clone(), cas).await?;
            if let Some(refusal) = refusal(&item, cas, &stored) {
                return Err(refusal);
            }
            if !stored.stored_at.is_empty() {
                // From now on it is this very value that is there.
                cas = None;
            }
            report(&item, &stored)
        };
        let (renewals, _teller) = network.renewals();
        keep::again_and_again(ITEM_RENEWAL, *item.target(), renewals, round).await
    }

    /// The item, signed if it is a mutable one. Without a sequence number it gets the next one.
    async fn item(&self, network: &Network) -> Result<Item, Failure> {
        let Some(owner) = &self.owner else { return Ok(Item::Immutable(self.value.clone())) };
        let seq = match self.seq {
            Some(seq) => seq,
            None => next_seq(network, owner, &self.salt).await?,
        };
        Ok(Item::Mutable(Mutable::sign(owner, &self.salt, seq, self.value.clone())?))
    }
}

/// One more than what the network has; 1 for a new item.
async fn next_seq(network: &Network, owner: &Owner, salt: &[u8]) -> Result<i64, Failure> {
    let target = target_of_key(&owner.public_key(), salt);
    let found = network.get_item(target, salt).await?;
    match found.item.as_ref().and_then(Item::seq) {
        None => Ok(1),
        Some(i64::MAX) => Err(Failure::usage("the item has the highest sequence number", "use another --salt")),
        Some(seq) => Ok(seq + 1),
    }
}

/// As much of standard input as an item could hold, and a byte more, so that too much is noticed.
fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = MAX_VALUE as u64 + 1;
    let read = std::io::stdin().lock().take(most).read_to_end(&mut bytes);
    read.map_err(|error| Failure::usage(format_args!("standard input: {error}"), "give the value as an argument"))?;
    Ok(bytes)
}

fn report(item: &Item, stored: &ItemStored, output: Printer) -> Result<Exit, Failure> {
    let (count, target) = (stored.stored_at.len(), item.target());
    let key = match item {
        Item::Immutable(_) => None,
        Item::Mutable(item) => Some(hex::encode(item.key)),
    };
    let record = json!({ "target": target.to_string(), "public_key": key, "seq": item.seq(), "stored_at": count });
    let seq = item.seq().map(|seq| format!("  seq {seq}")).unwrap_or_default();
    let outcome = match (count, stored.refused.first()) {
        (0, Some((_, code))) => format!("not stored: the nodes refuse it with error {code}; try again later"),
        (0, None) => "not stored: no node took it; try again later".to_owned(),
        _ => format!("stored at {}", counted(count, "node")),
    };
    output.result(format_args!("{target}{seq}  {outcome}"), &record)?;
    Ok(if count == 0 { Exit::Nothing } else { Exit::Done })
}

/// Why it is not what the network has now, where the nodes said so and the user can do something about it.
fn refusal(item: &Item, cas: Option<i64>, stored: &ItemStored) -> Option<Failure> {
    let (seq, there) = (item.seq(), stored.before.as_ref().and_then(Item::seq));
    let code = match stored.refused.first() {
        Some((_, code)) if stored.stored_at.is_empty() => *code,
        // Those that took it have not heard of the newer one yet.
        _ if there > seq => 302,
        _ => return None,
    };
    let taken = seq == there;
    let (seq, there) = (seq.unwrap_or_default(), there.map_or_else(|| "another".to_owned(), |seq| seq.to_string()));
    match code {
        301 => Some(Failure::refused(
            format_args!("--cas {} is out of date: the stored item has seq {there}", cas.unwrap_or_default()),
            format_args!("get the item, see what has changed, and put again with --cas {there}"),
        )),
        302 if taken => Some(Failure::refused(
            format_args!("seq {seq} is taken: the stored item has this number and another value"),
            "leave --seq out for the next one, or give a higher one",
        )),
        302 => Some(Failure::refused(
            format_args!("seq {seq} is out of date: the stored item has seq {there}"),
            "leave --seq out for the next one, or give a higher one",
        )),
        206 => {
            Some(Failure::refused("the nodes say that the signature is wrong", "see that --key names the right file"))
        }
        _ => None,
    }
}
