//! Tokens: whoever announces must have asked first, from the same address (BEP 5, `get_peers` and `announce_peer`).

use crate::conform::Test::Run;
use crate::conform::probe::Probe;
use crate::conform::reply::{expect, failed, skipped};
use crate::conform::{Check, Outcome, Source, Trouble, must, should};

const GET: &str = "BEP 5, get_peers";
const ANNOUNCE: &str = "BEP 5, announce_peer";
const ERRORS: &str = "BEP 5, Errors";
/// The arguments of a plain announce.
const ARGUMENTS: &[u8] = b"9:info_hash20:{hash}4:porti{port}e5:token{#token}";
const PORT: u16 = 7001;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("tokens.given", GET, "get_peers is answered with a token, a string that is not empty", Run(given)),
    must("tokens.short", "jech/dht drops 40 bytes and more", "a token has fewer than 40 bytes", Run(short)),
    must("tokens.accepted", ANNOUNCE, "an announce with the token is accepted", Run(|p| p.announce(Source::Main, PORT))),
    must("tokens.again", GET, "a token can be used again within minutes", Run(again)),
    must("tokens.missing", ANNOUNCE, "an announce without a token is not stored", Run(missing)),
    must("tokens.wrong", ANNOUNCE, "an announce with a made-up token is not stored", Run(|p| forged(p, |_| b"made-up!".to_vec()))),
    must("tokens.empty", ANNOUNCE, "an announce with an empty token is not stored", Run(|p| forged(p, |_| Vec::new()))),
    must("tokens.flipped", ANNOUNCE, "a token with one bit changed is not stored", Run(|p| forged(p, flipped))),
    must("tokens.truncated", ANNOUNCE, "a token without its last byte is not stored", Run(|p| forged(p, |token| token[..token.len().saturating_sub(1)].to_vec()))),
    must("tokens.extended", ANNOUNCE, "a token with a byte more is not stored", Run(|p| forged(p, |token| [token, b"x"].concat()))),
    must("tokens.huge", "rTorrent crashed on such a token", "a token of 600 bytes is not stored", Run(|p| forged(p, |_| vec![b'x'; 600]))),
    must("tokens.integer", ANNOUNCE, "a token that is a number is not stored", Run(integer)),
    should("tokens.wrong.code", ERRORS, "a made-up token is refused with 203", Run(|p| code(p, ARGUMENTS))),
    should("tokens.missing.code", ERRORS, "an announce without a token is refused with 203", Run(|p| code(p, b"9:info_hash20:{hash}4:porti{port}e"))),
    must("tokens.other-ip", GET, "a token given to one IP address is not accepted from another", Run(other_ip)),
    must("tokens.differ", GET, "two IP addresses are given two tokens", Run(differ)),
    should("tokens.other-port", "NATs rewrite ports", "a token is accepted from another port of the same IP address", Run(other_port)),
    should("tokens.other-hash", "libtorrent, mldht", "a token for one infohash does not open another", Run(other_hash)),
    must("tokens.unforgeable", GET, "tokens of three addresses do not add up to that of a fourth, as a checksum's would", Run(unforgeable)),
    must("tokens.zeros", ANNOUNCE, "a token of zeros is not stored", Run(|p| forged(p, |token| vec![0; token.len()]))),
    must("tokens.reversed", ANNOUNCE, "a token read backwards is not stored", Run(|p| forged(p, |token| token.iter().rev().copied().collect()))),
    must("tokens.half", ANNOUNCE, "the first half of a token is not stored", Run(|p| forged(p, |token| token[..token.len() / 2].to_vec()))),
    must("tokens.first", ANNOUNCE, "a token with its first bit changed is not stored", Run(|p| forged(p, |token| [&[token.first().copied().unwrap_or_default() ^ 0x80], token.get(1..).unwrap_or_default()].concat()))),
    must("tokens.list", ANNOUNCE, "a token inside of a list is not stored", Run(|p| refused_with_own(p, b"9:info_hash20:{hash}4:porti{port}e5:tokenl{#token}e"))),
    must("tokens.outside", ANNOUNCE, "a token outside of the arguments does not count", Run(|p| refused_with_own(p, b"9:info_hash20:{hash}4:porti{port}ee5:token{#token}1:xd"))),
    must("tokens.older", GET, "a token is still accepted when a newer one was given", Run(older)),
];

fn given(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    expect(!token.is_empty(), "the token is empty")
}

fn short(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    expect(token.len() < 40, format!("the token has {} bytes", token.len()))
}

fn again(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    for _ in 0..2 {
        p.announce_by(Source::Main, ARGUMENTS, PORT, &token)?.results()?;
    }
    p.expect_listed(Source::Main, PORT)
}

/// Announces with what `forge` makes of a good token; the peer must not be listed then.
fn forged(p: &mut Probe<'_>, forge: fn(&[u8]) -> Vec<u8>) -> Outcome {
    let token = p.token(Source::Main)?;
    refused_with(p, Source::Main, ARGUMENTS, &forge(&token))
}

fn refused_with(p: &mut Probe<'_>, source: Source, arguments: &[u8], token: &[u8]) -> Outcome {
    match p.announce_by(source, arguments, PORT, token) {
        Ok(_) => {}
        Err(Trouble::Failed(_)) => p.alive()?,
        Err(other) => return Err(other),
    }
    expect(!p.lists(source, PORT)?, "the peer is stored all the same")
}

/// Announces with a good token that is not where it must be.
fn refused_with_own(p: &mut Probe<'_>, arguments: &[u8]) -> Outcome {
    let token = p.token(Source::Main)?;
    refused_with(p, Source::Main, arguments, &token)
}

fn older(p: &mut Probe<'_>) -> Outcome {
    let first = p.token(Source::Main)?;
    p.token(Source::Main)?;
    p.announce_by(Source::Main, ARGUMENTS, PORT, &first)?.results()?;
    p.expect_listed(Source::Main, PORT)
}

fn flipped(token: &[u8]) -> Vec<u8> {
    let mut token = token.to_vec();
    if let Some(byte) = token.last_mut() {
        *byte ^= 1;
    }
    token
}

fn missing(p: &mut Probe<'_>) -> Outcome {
    refused_with(p, Source::Main, b"9:info_hash20:{hash}4:porti{port}e", b"")
}

fn integer(p: &mut Probe<'_>) -> Outcome {
    refused_with(p, Source::Main, b"9:info_hash20:{hash}4:porti{port}e5:tokeni5e", b"")
}

fn code(p: &mut Probe<'_>, arguments: &[u8]) -> Outcome {
    let (code, _) = p.announce_by(Source::Main, arguments, PORT, b"made-up!")?.error()?;
    expect(code == 203, format!("error {code} instead of 203"))
}

fn other_ip(p: &mut Probe<'_>) -> Outcome {
    p.address(Source::Other)?;
    let token = p.token(Source::Main)?;
    refused_with(p, Source::Other, ARGUMENTS, &token)
}

fn differ(p: &mut Probe<'_>) -> Outcome {
    p.address(Source::Other)?;
    let (ours, theirs) = (p.token(Source::Main)?, p.token(Source::Other)?);
    expect(ours != theirs, "both have the same token")
}

fn other_port(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    p.announce_by(Source::SecondPort, ARGUMENTS, PORT, &token)?.results().map(drop)
}

fn other_hash(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    p.next_hash();
    refused_with(p, Source::Main, ARGUMENTS, &token)
}

/// A checksum over a secret and the address is linear: the XOR of the tokens of three addresses is the token of the
/// XOR of these addresses, so that anyone with three can have every other's.
fn unforgeable(p: &mut Probe<'_>) -> Outcome {
    let sources = [Source::Main, Source::Other, Source::Mute, Source::ReadOnly];
    let mut ips = 0u128;
    for source in sources {
        ips ^= match p.ip(source)? {
            std::net::IpAddr::V4(ip) => u128::from(u32::from(ip)),
            std::net::IpAddr::V6(ip) => u128::from(ip),
        };
    }
    if ips != 0 || p.ip(Source::Main)? == p.ip(Source::Other)? {
        return Err(skipped("it takes four IP addresses whose XOR is zero"));
    }
    let mut sum: Vec<u8> = Vec::new();
    for source in sources {
        let token = p.token(source)?;
        sum.resize(token.len(), 0);
        sum.iter_mut().zip(&token).for_each(|(sum, byte)| *sum ^= byte);
    }
    if sum.iter().all(|&byte| byte == 0) {
        return Err(failed("the tokens of four such addresses cancel out: anyone can forge one for any address"));
    }
    Ok(())
}
