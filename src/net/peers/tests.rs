//! Clients of every manner on loopback, one honest one among them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::stream;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::peer::encryption::responder::{self, Responder};
use crate::peer::extension::OUR_METADATA_ID;
use crate::peer::handshake::{self, Handshake};
use crate::peer::message::{Front, push_extended, split};
use crate::peer::pieces::PIECE_LEN;

const THEIR_ID: u8 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Gives,
    GivesOtherBytes,
    GivesOtherLength,
    GivesWhatWasNotAsked,
    ClaimsOtherSize,
    ClaimsTooMuch,
    Rejects,
    NoneYet,
    OffersNone,
    NoExtensions,
    OtherTorrent,
    OtherProtocol,
    Garbage,
    ClosesAtOnce,
    ClosesAfterGreeting,
    SaysNothing,
    OffersAndSaysNothing,
    EndlessMessage,
    /// It closes plain connections. Of encrypted ones it takes those by RC4, and those that are plain after the handshake ...
    TakesEncrypted,
    TakesEncryptedHandshakes,
    /// ... or closes them in the middle, answers none, or answers something else.
    ClosesEncrypted,
    SaysNothingEncrypted,
    GarbageEncrypted,
}

const ALL: [Manner; 23] = [
    Manner::GivesOtherBytes,
    Manner::GivesOtherLength,
    Manner::GivesWhatWasNotAsked,
    Manner::ClaimsOtherSize,
    Manner::ClaimsTooMuch,
    Manner::Rejects,
    Manner::NoneYet,
    Manner::OffersNone,
    Manner::NoExtensions,
    Manner::OtherTorrent,
    Manner::OtherProtocol,
    Manner::Garbage,
    Manner::ClosesAtOnce,
    Manner::ClosesAfterGreeting,
    Manner::SaysNothing,
    Manner::OffersAndSaysNothing,
    Manner::EndlessMessage,
    Manner::ClosesEncrypted,
    Manner::SaysNothingEncrypted,
    Manner::GarbageEncrypted,
    Manner::TakesEncryptedHandshakes,
    Manner::TakesEncrypted,
    Manner::Gives,
];

fn metadata(pieces: usize) -> Arc<Vec<u8>> {
    Arc::new((0..pieces * PIECE_LEN - 77).map(|i| (i / 13) as u8).collect())
}

fn hash(metadata: &[u8]) -> InfoHash {
    InfoHash::new(Sha1::digest(metadata).into())
}

impl Manner {
    const fn gives(self) -> bool {
        matches!(self, Self::Gives | Self::TakesEncrypted | Self::TakesEncryptedHandshakes)
    }
}

/// Clients that live as long as this, and how many connections they had.
#[derive(Default)]
struct Clients(JoinSet<()>, Arc<AtomicUsize>);

impl Clients {
    async fn add(&mut self, manner: Manner, metadata: &Arc<Vec<u8>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, metadata) = (listener.local_addr().unwrap(), Arc::clone(metadata));
        let connections = Arc::clone(&self.1);
        self.0.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Relaxed);
                // A connection that we close in the middle is no fault of the test.
                let _ = behave(manner, &metadata, stream).await;
            }
        });
        addr
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

async fn behave(manner: Manner, metadata: &[u8], mut stream: impl Socket) -> io::Result<()> {
    let mut ours = [0; handshake::LEN];
    match manner {
        Manner::TakesEncrypted
        | Manner::TakesEncryptedHandshakes
        | Manner::ClosesEncrypted
        | Manner::SaysNothingEncrypted
        | Manner::GarbageEncrypted => return behave_encrypted(manner, metadata, stream).await,
        Manner::ClosesAtOnce => return Ok(()),
        Manner::SaysNothing => return std::future::pending().await,
        Manner::Garbage => return stream.write_all(&[0x5a; 4000]).await,
        _ => {}
    }
    stream.read_exact(&mut ours).await?;
    let asked = Handshake::decode(&ours).expect("our handshake");
    let info_hash = if manner == Manner::OtherTorrent { InfoHash::new([9; 20]) } else { asked.info_hash };
    let extensions = manner != Manner::NoExtensions;
    let mut out = Handshake { info_hash, peer_id: [b'p'; 20], extensions }.encode().to_vec();
    out[3] ^= u8::from(manner == Manner::OtherProtocol);
    if manner == Manner::ClosesAfterGreeting {
        return stream.write_all(&out).await;
    }
    push_extended(&mut out, 0, hello(manner, metadata.len()).as_bytes());
    if manner == Manner::EndlessMessage {
        out.extend([0xff; 4]);
        out.extend(vec![0x14; 100_000]);
    }
    stream.write_all(&out).await?;
    if manner == Manner::OffersAndSaysNothing {
        return std::future::pending().await;
    }
    give(manner, metadata, stream).await
}

/// A client that takes only encrypted connections.
async fn behave_encrypted(manner: Manner, metadata: &[u8], mut stream: impl Socket) -> io::Result<()> {
    let mut key = [0; 96];
    stream.read_exact(&mut key[..20]).await?;
    if key.starts_with(b"\x13BitTorrent protocol") {
        return Ok(());
    }
    stream.read_exact(&mut key[20..]).await?;
    match manner {
        Manner::SaysNothingEncrypted => return std::future::pending().await,
        Manner::GarbageEncrypted => return stream.write_all(&[0x5a; 4000]).await,
        _ => {}
    }
    stream.write_all(&responder::public_key()).await?;
    if manner == Manner::ClosesEncrypted {
        return Ok(());
    }
    let cipher = if manner == Manner::TakesEncrypted { 2 } else { 1 };
    let mut responder = Responder::new(hash(metadata).as_bytes(), &key);
    let (mut input, mut buffer) = (Vec::new(), vec![0; 4096]);
    let offer = loop {
        let length = stream.read(&mut buffer).await?;
        input.extend_from_slice(&buffer[..length]);
        match responder.read_offer(&input) {
            Some(offer) => break offer,
            None if length == 0 => return Ok(()),
            None => {}
        }
    };
    stream.write_all(&responder.choose(cipher, 100)).await?;
    let (near, mut far) = tokio::io::duplex(64 << 10);
    far.write_all(&offer.first).await?;
    let pump = pump(cipher, responder, stream, far);
    let (spoken, pumped) = tokio::join!(behave_boxed(metadata, near), pump);
    spoken.and(pumped)
}

/// An honest client. Boxed, because what leads here is called from there.
fn behave_boxed(metadata: &[u8], stream: DuplexStream) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
    Box::pin(behave(Manner::Gives, metadata, stream))
}

/// Carries what is said between an encrypted connection and a plain one.
async fn pump(cipher: u32, mut by: Responder, mut outer: impl Socket, mut inner: DuplexStream) -> io::Result<()> {
    let (mut from_outer, mut from_inner) = (vec![0; 4096], vec![0; 4096]);
    loop {
        tokio::select! {
            length = outer.read(&mut from_outer) => match length? {
                0 => return Ok(()),
                length if cipher == 1 => inner.write_all(&from_outer[..length]).await?,
                length => inner.write_all(&by.theirs.apply(&from_outer[..length])).await?,
            },
            length = inner.read(&mut from_inner) => match length? {
                0 => return Ok(()),
                length => outer.write_all(&by.say(cipher, &from_inner[..length])).await?,
            },
        }
    }
}

fn hello(manner: Manner, size: usize) -> String {
    let size = match manner {
        Manner::ClaimsTooMuch => usize::MAX >> 1,
        Manner::ClaimsOtherSize => size - 1000,
        _ => size,
    };
    match manner {
        Manner::OffersNone => "d1:mdee".to_owned(),
        Manner::NoneYet => format!("d1:md11:ut_metadatai{THEIR_ID}eee"),
        _ => format!("d1:md11:ut_metadatai{THEIR_ID}ee13:metadata_sizei{size}ee"),
    }
}

/// Answers requests until the connection ends.
async fn give(manner: Manner, metadata: &[u8], mut stream: impl Socket) -> io::Result<()> {
    let (mut input, mut buffer) = (Vec::new(), vec![0; 4096]);
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..length]);
        while let Front::Message(message, rest) = split(&input) {
            let mut out = Vec::new();
            if message.len() > 2 && message[1] == THEIR_ID {
                let text = String::from_utf8_lossy(&message[2..]).into_owned();
                let piece = text.trim_start_matches("d8:msg_typei0e5:piecei").trim_end_matches("ee");
                answer(manner, metadata, piece.parse().unwrap(), &mut out);
            }
            input = rest.to_vec();
            stream.write_all(&out).await?;
        }
    }
}

fn answer(manner: Manner, metadata: &[u8], piece: usize, out: &mut Vec<u8>) {
    let mut bytes = metadata.chunks(PIECE_LEN).nth(piece).unwrap_or_default().to_vec();
    let mut named = piece;
    match manner {
        Manner::Rejects => {
            return push_extended(out, OUR_METADATA_ID, format!("d8:msg_typei2e5:piecei{piece}ee").as_bytes());
        }
        Manner::GivesOtherBytes => bytes.fill(0xee),
        Manner::GivesOtherLength => bytes.truncate(100),
        Manner::GivesWhatWasNotAsked => named += 1000,
        Manner::ClaimsOtherSize if piece + 1 == metadata.len().div_ceil(PIECE_LEN) => {
            bytes.truncate(bytes.len() - 1000);
        }
        _ => {}
    }
    let head = format!("d8:msg_typei1e5:piecei{named}e10:total_sizei{}ee", metadata.len());
    push_extended(out, OUR_METADATA_ID, &[head.as_bytes(), &bytes].concat());
}

/// Limits for tests: waiting for the silent is not what is tested.
fn limits() -> Limits {
    Limits { at_once: 32, ..Limits::default() }
}

async fn visit(clients: &[SocketAddr], metadata: &[u8], goal: Goal, limits: Limits) -> (Option<Vec<u8>>, Vec<News>) {
    let visit = Visit::new(hash(metadata), [b'o'; 20], limits, goal);
    let mut news = Vec::new();
    let whole = visit.run(stream::iter(clients.to_vec()), |heard| news.push(heard)).await;
    (whole, news)
}

#[tokio::test]
async fn one_honest_client_among_all_others_is_enough() {
    let metadata = metadata(7);
    let mut clients = Clients::default();
    let mut addrs = Vec::new();
    for manner in ALL.into_iter().chain([Manner::GivesOtherBytes, Manner::GivesOtherBytes]) {
        addrs.push(clients.add(manner, &metadata).await);
    }
    let (whole, _) = visit(&addrs, &metadata, Goal::Metadata, limits()).await;
    assert_eq!(whole.as_deref(), Some(&**metadata));
}

#[tokio::test]
async fn each_manner_has_its_end() {
    let metadata = metadata(3);
    let mut clients = Clients::default();
    let quick = Limits { silence: Duration::from_millis(200), ..limits() };
    for manner in ALL {
        let addr = clients.add(manner, &metadata).await;
        let limits = if manner.gives() { limits() } else { quick };
        let before = clients.1.load(Relaxed);
        let (whole, news) = visit(&[addr], &metadata, Goal::Everyone, limits).await;
        assert_eq!(whole.is_some(), manner.gives(), "{manner:?}");
        assert!(matches!(news[1].step, Step::Connected), "{manner:?}: {news:?}");
        assert!(matches!(news.last().unwrap().step, Step::Done));
        let last = &news[news.len() - 2].step;
        let fits = match manner {
            Manner::Gives | Manner::TakesEncrypted | Manner::TakesEncryptedHandshakes => matches!(last, Step::Gave),
            Manner::GivesOtherBytes | Manner::ClaimsOtherSize => {
                matches!(last, Step::Lost(Trouble::Wire(WireError::WrongMetadata)))
            }
            Manner::GivesOtherLength | Manner::GivesWhatWasNotAsked => {
                matches!(last, Step::Lost(Trouble::Wire(WireError::Malformed)))
            }
            Manner::ClaimsTooMuch => matches!(last, Step::Lost(Trouble::Wire(WireError::TooLarge))),
            Manner::Rejects => matches!(last, Step::GivesNothing(Nothing::Rejected)),
            Manner::NoneYet => matches!(last, Step::GivesNothing(Nothing::NoneYet)),
            Manner::OffersNone => matches!(last, Step::GivesNothing(Nothing::NotOffered)),
            Manner::NoExtensions => matches!(last, Step::Lost(Trouble::Wire(WireError::NoExtensions))),
            Manner::OtherTorrent => matches!(last, Step::Lost(Trouble::Wire(WireError::OtherTorrent))),
            Manner::OtherProtocol | Manner::Garbage => {
                matches!(last, Step::Lost(Trouble::Wire(WireError::OtherProtocol)))
            }
            Manner::ClosesAtOnce | Manner::SaysNothingEncrypted | Manner::GarbageEncrypted => {
                matches!(last, Step::Lost(Trouble::ClosedAtOnce))
            }
            Manner::ClosesEncrypted => matches!(last, Step::Lost(Trouble::ClosedEncrypted)),
            Manner::ClosesAfterGreeting => matches!(last, Step::Lost(Trouble::Closed)),
            Manner::SaysNothing | Manner::OffersAndSaysNothing | Manner::EndlessMessage => {
                matches!(last, Step::Lost(Trouble::Silent))
            }
        };
        assert!(fits, "{manner:?}: {last:?}");
        let demands = matches!(manner, Manner::TakesEncrypted | Manner::TakesEncryptedHandshakes);
        assert_eq!(news.iter().any(|news| matches!(news.step, Step::DemandsEncryption)), demands, "{manner:?}");
        let is_asked_twice = demands
            || matches!(
                manner,
                Manner::ClosesAtOnce
                    | Manner::ClosesEncrypted
                    | Manner::SaysNothingEncrypted
                    | Manner::GarbageEncrypted
            );
        assert_eq!(clients.1.load(Relaxed) - before, 1 + usize::from(is_asked_twice), "{manner:?}");
        assert_eq!(news.iter().filter(|news| matches!(news.step, Step::Connected)).count(), 1, "{manner:?}");
    }
}

#[tokio::test]
async fn pieces_come_from_several_clients() {
    let metadata = metadata(40);
    let mut clients = Clients::default();
    let mut addrs = Vec::new();
    for _ in 0..4 {
        addrs.push(clients.add(Manner::Gives, &metadata).await);
    }
    let (whole, news) = visit(&addrs, &metadata, Goal::Everyone, limits()).await;
    assert_eq!(whole.as_deref(), Some(&**metadata));
    let gave = |addr: &SocketAddr| news.iter().any(|news| news.peer == *addr && matches!(news.step, Step::Gave));
    assert!(addrs.iter().filter(|addr| gave(addr)).count() >= 2, "{news:?}");
    let greeted = news.iter().filter(|news| matches!(news.step, Step::Greeted(_))).count();
    assert_eq!(greeted, 4, "also those that were late are heard");
}

#[tokio::test]
async fn a_closed_port_and_services_of_the_system_are_told_apart() {
    let metadata = metadata(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let peers = [closed, "127.0.0.1:22".parse().unwrap()];
    let (whole, news) = visit(&peers, &metadata, Goal::Everyone, limits()).await;
    assert!(whole.is_none());
    let of =
        |peer| news.iter().rfind(|news| news.peer == peer && !matches!(news.step, Step::Done)).map(|news| &news.step);
    assert!(matches!(of(closed), Some(Step::Lost(Trouble::Unreachable(io::ErrorKind::ConnectionRefused)))));
    assert!(matches!(of(peers[1]), Some(Step::Lost(Trouble::Avoided(caution::Reason::SystemPort)))));
}
