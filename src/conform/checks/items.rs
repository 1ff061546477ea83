//! Items: values stored under their hash, or under a key and signed by it (BEP 44).

use ed25519_dalek::{Signer as _, SigningKey};
use sha1::{Digest as _, Sha1};

use crate::conform::Test::{NotServed, Run};
use crate::conform::probe::{Field, Probe};
use crate::conform::reply::{Reply, expect, failed, skipped};
use crate::conform::template::{fill, readable};
use crate::conform::{Check, Outcome, Source, Trouble, must, should};

const GET: &str = "BEP 44, Get";
const IMMUTABLE: &str = "BEP 44, Immutable Items";
const MUTABLE: &str = "BEP 44, Mutable Items";
const ERRORS: &str = "BEP 44, Errors";
const CAS: &str = "BEP 44, CAS";
pub(super) const ASK: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}e1:q3:get1:t4:{t}1:y1:qe";
pub(super) const ASK_SINCE: &[u8] = b"d1:ad2:id20:{id}3:seqi{seq}e6:target20:{hash}e1:q3:get1:t4:{t}1:y1:qe";
const PUT: &[u8] = b"d1:ad2:id20:{id}5:token{#token}1:v{v}e1:q3:put1:t4:{t}1:y1:qe";
const HELLO: &[u8] = b"12:Hello World!";

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("items.get.unknown", GET, "an item that it does not have is answered with a token and contacts, without v", Run(unknown)),
    must("items.get.canonical", "BEP 3, bencoding", "the answer to get is canonical bencoding", Run(|p| { speaks(p)?; p.canonical(ASK) })),
    must("items.get.target", GET, "get without a target is not served", NotServed(b"d1:ad2:id20:{id}e1:q3:get1:t4:{t}1:y1:qe")),
    must("items.immutable.string", IMMUTABLE, "a string that was put is got, byte for byte", Run(|p| immutable(p, HELLO))),
    must("items.immutable.integer", IMMUTABLE, "an integer that was put is got", Run(|p| immutable(p, b"i-42e"))),
    must("items.immutable.list", IMMUTABLE, "a list that was put is got", Run(|p| immutable(p, b"l4:spami7ele0:e"))),
    must("items.immutable.dict", IMMUTABLE, "a dict that was put is got", Run(|p| immutable(p, b"d1:ai1e1:bd1:cl1:deee"))),
    must("items.immutable.binary", IMMUTABLE, "a string of any bytes that was put is got", Run(|p| immutable(p, b"6:\x00\xffe1:x"))),
    must("items.immutable.1000", IMMUTABLE, "a value of 1,000 bytes is stored", Run(|p| immutable(p, &[b"996:".to_vec(), vec![b'v'; 996]].concat()))),
    must("items.immutable.canonical", "BEP 3, bencoding", "an answer with an item is canonical bencoding", Run(immutable_canonical)),
    must("items.immutable.others", IMMUTABLE, "an item is got by another asker", Run(other_asker)),
    must("items.immutable.plain", IMMUTABLE, "an immutable item comes without key, signature and sequence number", Run(plain)),
    must("items.token.missing", "BEP 44, Put", "a put without a token is not stored", Run(|p| not_stored(p, b"d1:ad2:id20:{id}1:v{v}e1:q3:put1:t4:{t}1:y1:qe", HELLO))),
    must("items.token.wrong", "BEP 44, Put", "a put with a made-up token is not stored", Run(|p| not_stored(p, b"d1:ad2:id20:{id}5:token8:made-up!1:v{v}e1:q3:put1:t4:{t}1:y1:qe", HELLO))),
    should("items.token.wrong.code", "BEP 5, Errors", "a put with a made-up token is refused with 203", Run(|p| { speaks(p)?; p.refused(203, b"d1:ad2:id20:{id}5:token8:made-up!1:v1:xe1:q3:put1:t4:{t}1:y1:qe", &[]) })),
    must("items.v.missing", "BEP 44, Put", "a put without a value is not served", Run(|p| { speaks(p)?; p.not_served(b"d1:ad2:id20:{id}5:token8:whatevere1:q3:put1:t4:{t}1:y1:qe") })),
    should("items.v.large", "BEP 44: v has at most 1,000 bytes", "a value of 1,001 bytes is not stored", Run(|p| not_stored(p, PUT, &[b"997:".to_vec(), vec![b'v'; 997]].concat()))),
    should("items.v.large.code", ERRORS, "a value of 1,001 bytes is refused with 205", Run(|p| put_code(p, 205, &[b"997:".to_vec(), vec![b'v'; 997]].concat()))),
    must("items.v.unsorted", "BEP 44: v must be validated", "a dict out of order is not stored", Run(|p| not_stored(p, PUT, b"d1:bi1e1:ai2ee"))),
    must("items.v.duplicate", "BEP 44: v must be validated", "a dict with a key twice is not stored", Run(|p| not_stored(p, PUT, b"d1:ai1e1:ai2ee"))),
    must("items.v.zeros", "BEP 44: v must be validated", "an integer with leading zeros is not stored", Run(|p| not_stored(p, PUT, b"i007e"))),
    must("items.mutable", MUTABLE, "a signed item that was put is got with key, signature and sequence number", Run(mutable)),
    must("items.mutable.canonical", "BEP 3, bencoding", "an answer with a signed item is canonical bencoding", Run(mutable_canonical)),
    must("items.mutable.vector", "BEP 44, test vector 1", "the item of the BEP's first test vector is stored", Run(vector)),
    must("items.mutable.vector.salt", "BEP 44, test vector 2", "the item of the BEP's second test vector, with salt, is stored", Run(vector_with_salt)),
    must("items.mutable.signature", MUTABLE, "an item whose signature is wrong is not stored", Run(|p| bad_item(p, |item| item.break_signature = true))),
    should("items.mutable.signature.code", ERRORS, "a wrong signature is refused with 206", Run(|p| item_code(p, 206, |item| item.break_signature = true))),
    must("items.mutable.signature.short", MUTABLE, "a signature of 63 bytes is not stored", Run(|p| bad_item(p, |item| item.signature_length = 63))),
    must("items.mutable.seq.negative", MUTABLE, "a negative sequence number is not stored", Run(|p| bad_item(p, |item| item.seq = -1))),
    must("items.salt", MUTABLE, "items of one key with two salts are two items; the salt is not told", Run(salt)),
    must("items.salt.signed", MUTABLE, "the salt is part of what is signed", Run(|p| bad_item(p, |item| { item.salt = b"salt".to_vec(); item.sign_salt = false; }))),
    must("items.salt.64", MUTABLE, "a salt of 64 bytes is stored", Run(|p| stored_item(p, |item| item.salt = vec![b's'; 64]))),
    must("items.salt.65", MUTABLE, "a salt of 65 bytes is not stored", Run(|p| bad_item(p, |item| item.salt = vec![b's'; 65]))),
    should("items.salt.65.code", ERRORS, "a salt of 65 bytes is refused with 207", Run(|p| item_code(p, 207, |item| item.salt = vec![b's'; 65]))),
    must("items.seq.newer", MUTABLE, "a higher sequence number replaces the value", Run(|p| update(p, 2, b"3:new", true))),
    must("items.seq.older", MUTABLE, "a lower sequence number does not replace the value", Run(|p| update(p, 0, b"3:old", false))),
    must("items.seq.equal", MUTABLE, "an equal sequence number does not replace the value by another", Run(|p| update(p, 1, b"3:two", false))),
    should("items.seq.older.code", ERRORS, "a lower sequence number is refused with 302", Run(|p| update_code(p, 302, |item| item.seq = 0))),
    should("items.seq.again", MUTABLE, "the same item can be put again, to keep it alive", Run(again)),
    must("items.seq.huge", MUTABLE, "a sequence number of 2^63 - 1 is stored", Run(|p| stored_item(p, |item| item.seq = i64::MAX))),
    must("items.get.seq.older", GET, "get with a lower seq gives the item", Run(|p| get_since(p, 0, true))),
    must("items.get.seq.current", GET, "get with the current seq gives seq alone", Run(|p| get_since(p, 1, false))),
    must("items.cas.match", CAS, "with cas equal to the stored sequence number the value is replaced", Run(|p| cas(p, 1, true))),
    must("items.cas.conflict", CAS, "with another cas it is not", Run(|p| cas(p, 7, false))),
    must("items.cas.conflict.code", CAS, "a cas that does not match is refused with 301", Run(|p| update_code(p, 301, |item| { item.seq = 9; item.cas = Some(7); }))),
    should("items.cas.first", CAS, "cas does no harm where nothing is stored", Run(|p| stored_item(p, |item| item.cas = Some(5)))),
];

/// Whether the target knows BEP 44: it gives a token for a target. A 204, or an answer like that to `find_node`,
/// says that it does not.
pub(super) fn speaks(p: &mut Probe<'_>) -> Outcome {
    let speaks = p.fact("items", |p| {
        let reply = p.ask(ASK, &[])?;
        Ok(reply.results().is_ok_and(|results| results.get("token").is_some()))
    });
    match speaks {
        Ok(true) => Ok(()),
        Ok(false) => Err(skipped("it does not speak BEP 44: get gives no token")),
        Err(Trouble::Failed(why)) => Err(skipped(format!("it does not speak BEP 44: {why}"))),
        Err(other) => Err(other),
    }
}

/// A token for `target`.
pub(super) fn token(p: &mut Probe<'_>, target: &[u8; 20]) -> Result<Vec<u8>, Trouble> {
    Ok(p.ask(ASK, &[("hash", target)])?.results()?.bytes("token")?.to_vec())
}

/// The raw bytes of `v` in an answer, as they came: they are what was hashed and signed. In a canonical answer `v`
/// is the last key of `r`, and the transaction id follows.
pub(super) fn raw_value(reply: &Reply) -> Result<Option<Vec<u8>>, Trouble> {
    if reply.results()?.get("v").is_none() {
        return Ok(None);
    }
    let after = fill(b"e1:t{#t}", &[("t", reply.transaction())]);
    let position = |needle: &[u8]| reply.bytes.windows(needle.len()).rposition(|window| window == needle);
    let end = position(&after).ok_or_else(|| failed("where v ends cannot be told: t does not follow r"))?;
    let body = &reply.bytes[..end];
    let start = (0..body.len()).rev().find(|&at| body[at..].starts_with(b"1:v") && is_value(&body[at + 3..]));
    let start = start.ok_or_else(|| failed("v is not the last key of r"))?;
    Ok(Some(body[start + 3..].to_vec()))
}

fn is_value(bytes: &[u8]) -> bool {
    crate::conform::tree::Tree::parse(bytes).is_some()
}

pub(super) fn got(p: &mut Probe<'_>, target: &[u8; 20]) -> Result<Option<Vec<u8>>, Trouble> {
    raw_value(&p.ask(ASK, &[("hash", target)])?)
}

pub(super) fn expect_value(got: Option<&[u8]>, wanted: &[u8]) -> Outcome {
    let shown = got.map_or_else(|| "nothing".to_owned(), readable);
    expect(got == Some(wanted), format!("got {shown}, not {}", readable(wanted)))
}

fn unknown(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    let key = p.own_nodes();
    let reply = p.ask(ASK, &[])?;
    let results = reply.results()?;
    results.bytes("token")?;
    results.contacts(key)?;
    results.lacks("v")
}

pub(super) fn target_of(value: &[u8]) -> [u8; 20] {
    Sha1::digest(value).into()
}

fn put_value(p: &mut Probe<'_>, value: &[u8]) -> Result<[u8; 20], Trouble> {
    speaks(p)?;
    let target = target_of(value);
    let token = token(p, &target)?;
    p.ask(PUT, &[("token", &token), ("v", value)])?.results()?;
    Ok(target)
}

fn immutable(p: &mut Probe<'_>, value: &[u8]) -> Outcome {
    let target = put_value(p, value)?;
    expect_value(got(p, &target)?.as_deref(), value)
}

fn immutable_canonical(p: &mut Probe<'_>) -> Outcome {
    let target = put_value(p, HELLO)?;
    let reply = p.ask(ASK, &[("hash", &target)])?;
    expect(crate::conform::tree::is_canonical(&reply.bytes), "the answer is not canonical bencoding")
}

fn other_asker(p: &mut Probe<'_>) -> Outcome {
    let target = put_value(p, HELLO)?;
    let reply = p.ask_from(Source::SecondPort, ASK, &[("hash", &target)])?;
    expect_value(raw_value(&reply)?.as_deref(), HELLO)
}

fn plain(p: &mut Probe<'_>) -> Outcome {
    let target = put_value(p, HELLO)?;
    let reply = p.ask(ASK, &[("hash", &target)])?;
    let results = reply.results()?;
    ["k", "sig", "seq"].iter().try_for_each(|key| results.lacks(key))
}

/// A value nobody stored before: `value` in a list with the random hash of this check, so that a good put of an
/// earlier run does not hide a bad one of this.
fn not_stored(p: &mut Probe<'_>, put: &[u8], value: &[u8]) -> Outcome {
    speaks(p)?;
    let value = [b"l20:", &p.hash().0[..], value, b"e"].concat();
    let value = if value.len() > 1000 { value[24..value.len() - 1].to_vec() } else { value };
    let target = target_of(&value);
    let token = token(p, &target)?;
    p.provoke(put, &[("token", &token), ("v", &value)])?;
    expect(got(p, &target)?.is_none(), "the value is stored all the same")
}

fn put_code(p: &mut Probe<'_>, code: i64, value: &[u8]) -> Outcome {
    speaks(p)?;
    let token = token(p, &target_of(value))?;
    p.refused(code, PUT, &[("token", &token), ("v", value)])
}

/// A signed item, and ways to spoil it.
#[derive(Clone)]
struct Item {
    key: SigningKey,
    salt: Vec<u8>,
    seq: i64,
    cas: Option<i64>,
    value: Vec<u8>,
    break_signature: bool,
    signature_length: usize,
    sign_salt: bool,
}

impl Item {
    /// A good one under a new key.
    fn new(p: &mut Probe<'_>) -> Self {
        let mut seed = [0; 32];
        seed[..20].copy_from_slice(&p.random().wire_id().0);
        let key = SigningKey::from_bytes(&seed);
        let (salt, value) = (Vec::new(), HELLO.to_vec());
        Self { key, salt, seq: 1, cas: None, value, break_signature: false, signature_length: 64, sign_salt: true }
    }

    fn target(&self) -> [u8; 20] {
        Sha1::digest([&self.key.verifying_key().to_bytes()[..], &self.salt].concat()).into()
    }

    fn signature(&self) -> Vec<u8> {
        let salted: &[u8] = if self.salt.is_empty() || !self.sign_salt { b"" } else { b"4:salt{#salt}" };
        let signed = [salted, b"3:seqi{seq}e1:v{v}"].concat();
        let seq = self.seq.to_string();
        let signed = fill(&signed, &[("salt", &self.salt), ("seq", seq.as_bytes()), ("v", &self.value)]);
        let mut signature = self.key.sign(&signed).to_bytes().to_vec();
        signature[10] ^= u8::from(self.break_signature);
        signature.truncate(self.signature_length);
        signature
    }

    fn put(&self, p: &mut Probe<'_>) -> Result<Reply, Trouble> {
        let token = token(p, &self.target())?;
        put_signed(p, &self.key.verifying_key().to_bytes(), &self.signature(), &token, self)
    }
}

fn put_signed(p: &mut Probe<'_>, k: &[u8], sig: &[u8], token: &[u8], item: &Item) -> Result<Reply, Trouble> {
    let cas: &[u8] = if item.cas.is_some() { b"3:casi{cas}e" } else { b"" };
    let salt: &[u8] = if item.salt.is_empty() { b"" } else { b"4:salt{#salt}" };
    let query = [
        b"d1:ad" as &[u8],
        cas,
        b"2:id20:{id}1:k32:{k}",
        salt,
        b"3:seqi{seq}e3:sig{#sig}5:token{#token}1:v{v}e1:q3:put1:t4:{t}1:y1:qe",
    ];
    let (seq, cas) = (item.seq.to_string(), item.cas.unwrap_or_default().to_string());
    let fields: [Field<'_>; 7] = [
        ("cas", cas.as_bytes()),
        ("k", k),
        ("salt", &item.salt),
        ("seq", seq.as_bytes()),
        ("sig", sig),
        ("token", token),
        ("v", &item.value),
    ];
    p.ask(&query.concat(), &fields)
}

/// An item that was put, and is stored.
fn stored(p: &mut Probe<'_>, change: impl FnOnce(&mut Item)) -> Result<Item, Trouble> {
    speaks(p)?;
    let mut item = Item::new(p);
    change(&mut item);
    item.put(p)?.results()?;
    expect_value(got(p, &item.target())?.as_deref(), &item.value)?;
    Ok(item)
}

fn stored_item(p: &mut Probe<'_>, change: fn(&mut Item)) -> Outcome {
    stored(p, change).map(drop)
}

fn bad_item(p: &mut Probe<'_>, spoil: fn(&mut Item)) -> Outcome {
    speaks(p)?;
    let mut item = Item::new(p);
    spoil(&mut item);
    let target = item.target();
    match item.put(p) {
        Ok(_) => {}
        Err(Trouble::Failed(_)) => p.alive()?,
        Err(skipped) => return Err(skipped),
    }
    expect(got(p, &target)?.is_none(), "the item is stored all the same")
}

fn item_code(p: &mut Probe<'_>, wanted: i64, spoil: fn(&mut Item)) -> Outcome {
    speaks(p)?;
    let mut item = Item::new(p);
    spoil(&mut item);
    let (code, _) = item.put(p)?.error()?;
    expect(code == wanted, format!("error {code} instead of {wanted}"))
}

fn mutable(p: &mut Probe<'_>) -> Outcome {
    let item = stored(p, |_| {})?;
    let reply = p.ask(ASK, &[("hash", &item.target())])?;
    let results = reply.results()?;
    expect(results.bytes("k")? == item.key.verifying_key().to_bytes(), "k is another key")?;
    expect(results.bytes("sig")? == item.signature(), "sig is another signature")?;
    expect(results.int("seq")? == item.seq, "seq is another number")
}

fn mutable_canonical(p: &mut Probe<'_>) -> Outcome {
    let item = stored(p, |_| {})?;
    let reply = p.ask(ASK, &[("hash", &item.target())])?;
    expect(crate::conform::tree::is_canonical(&reply.bytes), "the answer is not canonical bencoding")
}

/// The key of the BEP's test vectors; its secret half is of a form that signers do not take, so its signatures stand
/// here as they are in the BEP.
const VECTOR_KEY: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";

fn vector(p: &mut Probe<'_>) -> Outcome {
    const SIG: &str = "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
                       1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01";
    put_vector(p, b"", SIG, "4a533d47ec9c7d95b1ad75f576cffc641853b750")
}

fn vector_with_salt(p: &mut Probe<'_>) -> Outcome {
    const SIG: &str = "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
                       df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08";
    put_vector(p, b"foobar", SIG, "411eba73b6f087ca51a3795d9c8c938d365e32c1")
}

fn put_vector(p: &mut Probe<'_>, salt: &[u8], sig: &str, target: &str) -> Outcome {
    speaks(p)?;
    let bytes = |text: &str| hex::decode(text).expect("the vectors are hex");
    let target: [u8; 20] = bytes(target).try_into().expect("the vectors have 20 bytes");
    let item = Item { salt: salt.to_vec(), ..Item::new(p) };
    let token = token(p, &target)?;
    put_signed(p, &bytes(VECTOR_KEY), &bytes(sig), &token, &item)?.results()?;
    expect_value(got(p, &target)?.as_deref(), HELLO)
}

fn salt(p: &mut Probe<'_>) -> Outcome {
    let first = stored(p, |item| item.salt = b"first".to_vec())?;
    let mut second = first.clone();
    second.salt = b"second".to_vec();
    second.value = b"6:second".to_vec();
    second.put(p)?.results()?;
    expect_value(got(p, &first.target())?.as_deref(), &first.value)?;
    let reply = p.ask(ASK, &[("hash", &second.target())])?;
    expect_value(raw_value(&reply)?.as_deref(), &second.value)?;
    reply.results()?.lacks("salt")
}

/// Stores seq 1, then puts `value` with `seq`; it must replace the first value, or must not.
fn update(p: &mut Probe<'_>, seq: i64, value: &[u8], replaces: bool) -> Outcome {
    let first = stored(p, |_| {})?;
    let next = Item { seq, value: value.to_vec(), ..first.clone() };
    let reply = next.put(p)?;
    if replaces {
        reply.results()?;
    }
    let left = if replaces { &next.value } else { &first.value };
    expect_value(got(p, &first.target())?.as_deref(), left)
}

fn update_code(p: &mut Probe<'_>, wanted: i64, change: fn(&mut Item)) -> Outcome {
    let mut item = stored(p, |_| {})?;
    change(&mut item);
    item.value = b"4:next".to_vec();
    let (code, _) = item.put(p)?.error()?;
    expect(code == wanted, format!("error {code} instead of {wanted}"))
}

fn again(p: &mut Probe<'_>) -> Outcome {
    let item = stored(p, |_| {})?;
    item.put(p)?.results().map(drop)
}

fn get_since(p: &mut Probe<'_>, seq: i64, whole: bool) -> Outcome {
    let item = stored(p, |_| {})?;
    let seq = seq.to_string();
    let reply = p.ask(ASK_SINCE, &[("hash", &item.target()), ("seq", seq.as_bytes())])?;
    let results = reply.results()?;
    if whole {
        return expect_value(raw_value(&reply)?.as_deref(), &item.value);
    }
    ["v", "k", "sig"].iter().try_for_each(|key| results.lacks(key))?;
    expect(results.int("seq")? == item.seq, "seq is another number")
}

fn cas(p: &mut Probe<'_>, cas: i64, replaces: bool) -> Outcome {
    let first = stored(p, |_| {})?;
    let next = Item { seq: 2, cas: Some(cas), value: b"4:next".to_vec(), ..first.clone() };
    let reply = next.put(p)?;
    if replaces {
        reply.results()?;
    }
    let left = if replaces { &next.value } else { &first.value };
    expect_value(got(p, &first.target())?.as_deref(), left)
}
