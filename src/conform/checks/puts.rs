//! Puts that must fail: keys and signatures of wrong lengths or of no worth, fields that do not belong together, values
//! out of form (BEP 44). Most are one good put with one field changed.

use ed25519_dalek::{Signer as _, SigningKey};
use sha1::{Digest as _, Sha1};

use super::items::{ASK, ASK_SINCE, expect_value, got, raw_value, speaks, target_of, token};
use crate::conform::Test::Run;
use crate::conform::probe::Probe;
use crate::conform::reply::{Reply, expect};
use crate::conform::template::fill;
use crate::conform::{Check, Outcome, Source, Trouble, must, should};

const MUTABLE: &str = "BEP 44, Mutable Items";
const VALID: &str = "BEP 44: v must be validated";
const PUT: &str = "BEP 44, Put";
const GET: &str = "BEP 44, Get";
const STRICT: &str = "RFC 8032, 5.1.7";
const MIXED: &str = "BEP 44, Put; mldht";

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("puts.good", MUTABLE, "the put that the others differ from is stored", Run(|p| stored(p, |_| {}))),
    must("puts.k.short", MUTABLE, "a key of 31 bytes is not stored", Run(|p| not_stored(p, |put| put.k.truncate(31)))),
    must("puts.k.long", MUTABLE, "a key of 33 bytes is not stored", Run(|p| not_stored(p, |put| put.k.push(0)))),
    must("puts.k.empty", MUTABLE, "an empty key is not stored", Run(|p| not_stored(p, |put| put.k.clear()))),
    should("puts.k.integer", MUTABLE, "a put whose key is a number is not stored at all", Run(|p| not_stored(p, |put| put.raw_k = Some(b"i7e")))),
    must("puts.k.other", MUTABLE, "a signature by another key is not stored", Run(|p| not_stored(p, |put| put.k = SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes().to_vec()))),
    must("puts.sig.short", MUTABLE, "a signature of 32 bytes is not stored", Run(|p| not_under_key(p, |put| put.sig.truncate(32)))),
    must("puts.sig.long", MUTABLE, "a signature of 65 bytes is not stored", Run(|p| not_under_key(p, |put| put.sig.push(0)))),
    must("puts.sig.empty", MUTABLE, "an empty signature is not stored", Run(|p| not_under_key(p, |put| put.sig.clear()))),
    must("puts.sig.zeros", MUTABLE, "a signature of 64 zeros is not stored", Run(|p| not_stored(p, |put| put.sig = vec![0; 64]))),
    must("puts.sig.integer", MUTABLE, "a signature that is a number is not stored under the key", Run(|p| not_under_key(p, |put| put.raw_sig = Some(b"i7e")))),
    must("puts.sig.seq", MUTABLE, "a signature of another sequence number is not stored", Run(|p| not_stored(p, |put| put.seq = Some(b"i2e")))),
    must("puts.sig.value", MUTABLE, "a signature of another value is not stored", Run(|p| not_stored(p, |put| put.v = b"5:other".to_vec()))),
    must("puts.sig.salt", MUTABLE, "a signature without the salt is not stored under a salt", Run(|p| not_stored(p, |put| put.salt = Some(b"3:foo")))),
    must("puts.sig.missing", MIXED, "a put with a key and no signature is not stored under the key", Run(|p| not_under_key(p, |put| put.has_sig = false))),
    must("puts.seq.missing", MIXED, "a put with a key and no sequence number is not stored under the key", Run(|p| not_under_key(p, |put| put.seq = None))),
    must("puts.k.alone", MIXED, "a put with a key alone is not stored under the key", Run(|p| not_under_key(p, |put| { put.has_sig = false; put.seq = None; }))),
    should("puts.mixed.sig", MIXED, "a put with a key and no signature is not stored at all", Run(|p| not_stored(p, |put| put.has_sig = false))),
    should("puts.mixed.seq", MIXED, "a put with a key and no sequence number is not stored at all", Run(|p| not_stored(p, |put| put.seq = None))),
    should("puts.mixed.k", MIXED, "a put with a signature and no key is not stored at all", Run(|p| not_stored(p, |put| put.has_k = false))),
    should("puts.mixed.sig-alone", MIXED, "a put with a signature alone is not stored at all", Run(|p| not_stored(p, |put| { put.has_k = false; put.seq = None; }))),
    should("puts.mixed.code", "BEP 5, Errors", "a put with a key and no signature is refused with 203", Run(mixed_code)),
    should("puts.k.code", "BEP 5, Errors; BEP 44, Errors", "a key of 31 bytes is refused with 203 or 206", Run(|p| code(p, &[203, 206], |put| put.k.truncate(31)))),
    must("puts.seq.wrapped", "BEP 44: seq has 64 bits", "a sequence number of 2^64 + 1 is not stored as 1", Run(|p| not_stored(p, |put| put.seq = Some(b"i18446744073709551617e")))),
    must("puts.seq.sign", "BEP 44: seq has 64 bits", "a sequence number of 2^63 is not stored", Run(|p| not_stored(p, |put| put.sign(b"i9223372036854775808e")))),
    must("puts.seq.minus-zero", "BEP 3, bencoding", "a sequence number of i-0e is not stored", Run(|p| not_stored(p, |put| put.sign(b"i-0e")))),
    must("puts.seq.zeros", "BEP 3, bencoding", "a sequence number of i01e is not stored", Run(|p| not_stored(p, |put| put.seq = Some(b"i01e")))),
    must("puts.seq.text", MUTABLE, "a sequence number that is a text is not stored under the key", Run(|p| not_under_key(p, |put| put.seq = Some(b"1:1")))),
    must("puts.seq.zero", MUTABLE, "a sequence number of 0 is stored", Run(|p| stored(p, |put| put.sign(b"i0e")))),
    should("puts.cas.text", "BEP 44, CAS", "a cas that is a text does not count as none", Run(|p| cas(p, b"5:wrong"))),
    should("puts.cas.wrapped", "BEP 44, CAS", "a cas of 2^64 + 1 does not match 1", Run(|p| cas(p, b"i18446744073709551617e"))),
    must("puts.v.minus-zero", VALID, "i-0e is not stored", Run(|p| bad_value(p, b"i-0e"))),
    must("puts.v.minus", VALID, "an integer that is a minus sign is not stored", Run(|p| bad_value(p, b"i-e"))),
    must("puts.v.empty-integer", VALID, "an integer without digits is not stored", Run(|p| bad_value(p, b"ie"))),
    must("puts.v.plus", VALID, "an integer with a plus sign is not stored", Run(|p| bad_value(p, b"i+5e"))),
    must("puts.v.length-zeros", VALID, "a string whose length has leading zeros is not stored", Run(|p| bad_value(p, b"03:abc"))),
    must("puts.v.key", VALID, "a dict with a number for a key is not stored", Run(|p| bad_value(p, b"di1e1:ae"))),
    must("puts.v.odd", VALID, "a dict with a key without a value is not stored", Run(|p| bad_value(p, b"d1:ae"))),
    must("puts.v.inner.unsorted", VALID, "a dict out of order deep inside is not stored", Run(|p| bad_value(p, b"ld1:ald1:bi1e1:ai2eeeee"))),
    must("puts.v.inner.duplicate", VALID, "a dict with a key twice deep inside is not stored", Run(|p| bad_value(p, b"ld1:ald1:ai1e1:ai2eeeee"))),
    must("puts.v.inner.zeros", VALID, "an integer with leading zeros deep inside is not stored", Run(|p| bad_value(p, b"ld1:ali-007eeee"))),
    should("puts.v.signed.large", "BEP 44: v has at most 1,000 bytes", "a signed value of 1,001 bytes is not stored", Run(|p| not_stored(p, |put| put.sign_value([b"997:".to_vec(), vec![b'v'; 997]].concat())))),
    must("puts.v.signed.1000", MUTABLE, "a signed value of 1,000 bytes is stored", Run(|p| stored(p, |put| put.sign_value([b"996:".to_vec(), vec![b'v'; 996]].concat())))),
    must("puts.v.signed.empty", MUTABLE, "a signed value that is an empty string is stored", Run(|p| stored(p, |put| put.sign_value(b"0:".to_vec())))),
    must("puts.v.signed.deep", MUTABLE, "a signed value of four dicts inside each other is stored", Run(|p| stored(p, |put| put.sign_value(b"d1:ad1:bd1:cd1:di7eeeee".to_vec())))),
    should("puts.v.torrent", "BEP 46", "a signed value that names a torrent is stored", Run(|p| stored(p, |put| put.sign_value(b"d2:ih20:abcdefghij0123456789e".to_vec())))),
    should("puts.small-order.1", STRICT, "the key of order 1, for which anybody can sign, is not stored", Run(|p| small_order(p, IDENTITY, &[IDENTITY]))),
    should("puts.small-order.2", STRICT, "the key of order 2, for which anybody can sign, is not stored", Run(|p| small_order(p, MINUS_ONE, &[IDENTITY, MINUS_ONE]))),
    must("puts.malleable", STRICT, "a signature whose second half was raised by the order of the group is not stored", Run(|p| not_stored(p, |put| put.raise_signature()))),
    must("puts.keeps", PUT, "a put with a wrong signature leaves the stored item as it is", Run(keeps)),
    must("puts.token.empty", PUT, "a put with an empty token is not stored", Run(|p| not_stored(p, |put| put.token = Some(b"0:")))),
    must("puts.token.integer", PUT, "a put with a token that is a number is not stored", Run(|p| not_stored(p, |put| put.token = Some(b"i5e")))),
    must("puts.token.other-ip", PUT, "a token given to one IP address does not put from another", Run(other_ip)),
    should("puts.token.other-target", "libtorrent, mldht", "a token for one target does not put to another", Run(other_target)),
    should("puts.unsorted", "BEP 44; libtorrent", "a put whose arguments are out of order is not stored", Run(|p| not_stored(p, |put| put.unsorted = true))),
    should("puts.salt.empty", MUTABLE, "an empty salt is no salt", Run(|p| stored(p, |put| put.salt = Some(b"0:")))),
    must("puts.salt.binary", MUTABLE, "a salt of any bytes is stored", Run(|p| stored(p, |put| put.sign_salted(b"6:\x00\xffe1:x", b"\x00\xffe1:x")))),
    must("puts.target", PUT, "a target in a put does not say where it is stored", Run(named_target)),
    must("puts.get.nodes", GET, "contacts come with an item", Run(nodes)),
    must("puts.get.token", GET, "a token comes with an item", Run(|p| with_item(p, |results| results.bytes("token").map(drop)))),
    must("puts.get.seq.higher", GET, "get with a higher seq than the item's gives no value", Run(|p| get_since(p, b"5", |results| results.lacks("v")))),
    should("puts.get.seq.negative", GET, "get with a seq of -1 gives the item", Run(|p| get_since(p, b"-1", |results| expect(results.get("v").is_some(), "no value")))),
    should("puts.get.seq.text", GET, "get with a seq that is a text is served", Run(|p| { let put = put_good(p, |_| {})?; p.ask(b"d1:ad2:id20:{id}3:seq1:16:target20:{hash}e1:q3:get1:t4:{t}1:y1:qe", &[("hash", &put.target())])?.results().map(drop) })),
    should("puts.get.immutable.seq", GET, "get with a seq gives an immutable item", Run(immutable_since)),
];

/// The neutral element: with it as a key, and as the first half of a signature with 0 as the second, every value is
/// signed.
const IDENTITY: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 1;
    point
};
/// The point of order 2: signed are those values whose hash is even.
const MINUS_ONE: [u8; 32] = {
    let mut point = [0xff; 32];
    point[0] = 0xec;
    point[31] = 0x7f;
    point
};
/// The order of the group of Ed25519, least byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A put as it goes over the wire: values are bencoded already where they may be wrong.
#[derive(Clone)]
struct Put {
    signer: SigningKey,
    has_k: bool,
    k: Vec<u8>,
    raw_k: Option<&'static [u8]>,
    salt: Option<&'static [u8]>,
    /// The salt that the target is made of.
    salted: &'static [u8],
    seq: Option<&'static [u8]>,
    cas: Option<&'static [u8]>,
    has_sig: bool,
    sig: Vec<u8>,
    raw_sig: Option<&'static [u8]>,
    token: Option<&'static [u8]>,
    v: Vec<u8>,
    unsorted: bool,
}

impl Put {
    /// A good one: a new key, a new value.
    fn new(p: &mut Probe<'_>) -> Self {
        let mut seed = [0; 32];
        seed[..20].copy_from_slice(&p.random().wire_id().0);
        let signer = SigningKey::from_bytes(&seed);
        let k = signer.verifying_key().to_bytes().to_vec();
        let v = [b"l20:", &p.random().wire_id().0[..], b"e"].concat();
        let (raw_k, salt, salted, cas, raw_sig, token) = (None, None, &b""[..], None, None, None);
        let (has_k, has_sig, unsorted, sig, seq) = (true, true, false, Vec::new(), None);
        let mut put =
            Self { signer, has_k, k, raw_k, salt, salted, seq, cas, has_sig, sig, raw_sig, token, v, unsorted };
        put.sign(b"i1e");
        put
    }

    /// Signs it, with `seq` as it will be on the wire.
    fn sign(&mut self, seq: &'static [u8]) {
        self.seq = Some(seq);
        let salt: &[u8] = if self.salted.is_empty() { b"" } else { b"4:salt{#salted}" };
        let signed = [salt, b"3:seq{seq}1:v{v}"].concat();
        let signed = fill(&signed, &[("salted", self.salted), ("seq", seq), ("v", &self.v)]);
        self.sig = self.signer.sign(&signed).to_bytes().to_vec();
    }

    fn sign_value(&mut self, v: Vec<u8>) {
        self.v = v;
        self.sign(b"i1e");
    }

    fn sign_salted(&mut self, salt: &'static [u8], salted: &'static [u8]) {
        (self.salt, self.salted) = (Some(salt), salted);
        self.sign(b"i1e");
    }

    /// Adds the order of the group to the second half of the signature: the same point, other bytes.
    fn raise_signature(&mut self) {
        let mut carry = 0;
        for (byte, add) in self.sig[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
    }

    fn target(&self) -> [u8; 20] {
        Sha1::digest([&self.k, self.salted].concat()).into()
    }

    /// The targets under which a node may take it: its key's, without and with its salt, and its value's.
    fn targets(&self) -> Vec<[u8; 20]> {
        let mut targets = vec![self.target(), target_of(&self.v)];
        if let Some(salt) = self.salt {
            targets.push(Sha1::digest([&self.k, &salt[salt.len().min(2)..]].concat()).into());
        }
        targets
    }

    fn arguments(&self, token: &[u8]) -> Vec<u8> {
        let string = |bytes: &[u8]| [format!("{}:", bytes.len()).as_bytes(), bytes].concat();
        let field = |key: &[u8], value: Option<Vec<u8>>| value.map(|value| [key, &value].concat()).unwrap_or_default();
        let raw = |raw: Option<&[u8]>| raw.map(<[u8]>::to_vec);
        let sig = raw(self.raw_sig).unwrap_or_else(|| string(&self.sig));
        let k = raw(self.raw_k).unwrap_or_else(|| string(&self.k));
        let token = raw(self.token).unwrap_or_else(|| string(token));
        let mut fields = [
            field(b"3:cas", raw(self.cas)),
            b"2:id20:{id}".to_vec(),
            field(b"1:k", self.has_k.then_some(k)),
            field(b"4:salt", raw(self.salt)),
            field(b"3:seq", raw(self.seq)),
            field(b"3:sig", self.has_sig.then_some(sig)),
            field(b"5:token", Some(token)),
            field(b"1:v", Some(self.v.clone())),
        ];
        if self.unsorted {
            fields.reverse();
        }
        fields.concat()
    }

    /// Sends it, with a token for `target`; whatever comes of it.
    fn send(&self, p: &mut Probe<'_>, target: &[u8; 20]) -> Result<Option<Reply>, Trouble> {
        let token = token(p, target)?;
        let arguments = self.arguments(&token);
        let (head, tail) = split_at_id(&arguments);
        let query = b"d1:ad{head}2:id20:{id}{tail}e1:q3:put1:t4:{t}1:y1:qe";
        p.provoke_answer(query, &[("head", head), ("tail", tail)])
    }
}

/// What stands before and after the id, a hole of the template.
fn split_at_id(arguments: &[u8]) -> (&[u8], &[u8]) {
    let hole = b"2:id20:{id}";
    let at = arguments.windows(hole.len()).position(|window| window == hole).expect("a put has an id");
    (&arguments[..at], &arguments[at + hole.len()..])
}

/// A good put, changed by `change`, that must be stored.
fn put_good(p: &mut Probe<'_>, change: fn(&mut Put)) -> Result<Put, Trouble> {
    speaks(p)?;
    let mut put = Put::new(p);
    change(&mut put);
    let target = put.target();
    put.send(p, &target)?;
    expect_value(got(p, &target)?.as_deref(), &put.v)?;
    Ok(put)
}

fn stored(p: &mut Probe<'_>, change: fn(&mut Put)) -> Outcome {
    put_good(p, change).map(drop)
}

/// A good put, spoilt by `spoil`, that must not be stored: under no target that a node might take for its own.
fn not_stored(p: &mut Probe<'_>, spoil: fn(&mut Put)) -> Outcome {
    speaks(p)?;
    let mut put = Put::new(p);
    spoil(&mut put);
    none_of(p, &put, &put.targets())
}

/// The same for what may be taken for an immutable item: only under the target of the key it must not be stored.
fn not_under_key(p: &mut Probe<'_>, spoil: fn(&mut Put)) -> Outcome {
    speaks(p)?;
    let mut put = Put::new(p);
    spoil(&mut put);
    none_of(p, &put, &[put.target()])
}

/// Sends it with a token for each of `targets`; under none of them it must be stored.
fn none_of(p: &mut Probe<'_>, put: &Put, targets: &[[u8; 20]]) -> Outcome {
    for target in targets {
        put.send(p, target)?;
        for target in targets {
            expect(got(p, target)?.is_none(), "it is stored all the same")?;
        }
    }
    Ok(())
}

/// A value out of form: alone, and signed.
fn bad_value(p: &mut Probe<'_>, value: &'static [u8]) -> Outcome {
    speaks(p)?;
    let mut put = Put::new(p);
    put.sign_value([b"l20:", &p.hash().0[..], value, b"e"].concat());
    none_of(p, &put, &[put.target()])?;
    (put.has_k, put.has_sig, put.seq) = (false, false, None);
    none_of(p, &put, &[target_of(&put.v)])
}

/// Signatures that are made without a secret key: `firsts` are the first halves to try, the second is 0.
fn small_order(p: &mut Probe<'_>, key: [u8; 32], firsts: &[[u8; 32]]) -> Outcome {
    speaks(p)?;
    for first in firsts {
        let mut put = Put::new(p);
        put.k = key.to_vec();
        // Half of all values are signed so for a key of order 2.
        for _ in 0..4 {
            put.v = [b"l20:", &p.random().wire_id().0[..], b"e"].concat();
            put.sig = [&first[..], &[0; 32]].concat();
            none_of(p, &put, &[put.target()])?;
        }
    }
    Ok(())
}

fn code(p: &mut Probe<'_>, wanted: &[i64], spoil: fn(&mut Put)) -> Outcome {
    speaks(p)?;
    let mut put = Put::new(p);
    spoil(&mut put);
    let target = put.target();
    let reply = put.send(p, &target)?.ok_or_else(|| crate::conform::reply::failed("no answer"))?;
    let (code, _) = reply.error()?;
    expect(wanted.contains(&code), format!("error {code} instead of {wanted:?}"))
}

fn mixed_code(p: &mut Probe<'_>) -> Outcome {
    code(p, &[203], |put| put.has_sig = false)
}

/// With seq 1 stored, a put of seq 2 with this `cas` must not replace it.
fn cas(p: &mut Probe<'_>, cas: &'static [u8]) -> Outcome {
    let first = put_good(p, |_| {})?;
    let mut next = first.clone();
    next.v = b"4:next".to_vec();
    next.sign(b"i2e");
    next.cas = Some(cas);
    next.send(p, &first.target())?;
    expect_value(got(p, &first.target())?.as_deref(), &first.v)
}

fn keeps(p: &mut Probe<'_>) -> Outcome {
    let first = put_good(p, |_| {})?;
    let mut next = first.clone();
    next.v = b"4:next".to_vec();
    next.seq = Some(b"i2e");
    next.send(p, &first.target())?;
    expect_value(got(p, &first.target())?.as_deref(), &first.v)
}

fn other_ip(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.address(Source::Other)?;
    let put = Put::new(p);
    let target = put.target();
    let reply = p.ask_from(Source::Other, ASK, &[("hash", &target)])?;
    let theirs = reply.results()?.bytes("token")?.to_vec();
    put_with(p, &put, &theirs)?;
    expect(got(p, &target)?.is_none(), "it is stored all the same")
}

fn other_target(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    let put = Put::new(p);
    let other = token(p, &[0x5a; 20])?;
    put_with(p, &put, &other)?;
    expect(got(p, &put.target())?.is_none(), "it is stored all the same")
}

fn put_with(p: &mut Probe<'_>, put: &Put, token: &[u8]) -> Result<Option<Reply>, Trouble> {
    let arguments = put.arguments(token);
    let (head, tail) = split_at_id(&arguments);
    p.provoke_answer(b"d1:ad{head}2:id20:{id}{tail}e1:q3:put1:t4:{t}1:y1:qe", &[("head", head), ("tail", tail)])
}

/// The `mainline` crate names a target in its puts: others must not believe it.
fn named_target(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    let (put, victim) = (Put::new(p), p.random().wire_id().0);
    let token = token(p, &victim)?;
    let query = b"d1:ad2:id20:{id}6:target20:{victim}5:token{#token}1:v{v}e1:q3:put1:t4:{t}1:y1:qe";
    p.provoke_answer(query, &[("victim", &victim), ("token", &token), ("v", &put.v)])?;
    expect(got(p, &victim)?.is_none(), "a value is stored under a target that is not its hash")
}

fn nodes(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    let put = put_good(p, |_| {})?;
    p.ask(ASK, &[("hash", &put.target())])?.results()?.contacts(key).map(drop)
}

type Judge = fn(crate::conform::reply::Results<'_>) -> Outcome;

fn with_item(p: &mut Probe<'_>, judge: Judge) -> Outcome {
    let put = put_good(p, |_| {})?;
    let reply = p.ask(ASK, &[("hash", &put.target())])?;
    judge(reply.results()?)
}

fn get_since(p: &mut Probe<'_>, seq: &[u8], judge: Judge) -> Outcome {
    let put = put_good(p, |_| {})?;
    let reply = p.ask(ASK_SINCE, &[("hash", &put.target()), ("seq", seq)])?;
    judge(reply.results()?)
}

fn immutable_since(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    let mut put = Put::new(p);
    (put.has_k, put.has_sig, put.seq) = (false, false, None);
    let target = target_of(&put.v);
    put.send(p, &target)?;
    let reply = p.ask(ASK_SINCE, &[("hash", &target), ("seq", b"5")])?;
    expect_value(raw_value(&reply)?.as_deref(), &put.v)
}
