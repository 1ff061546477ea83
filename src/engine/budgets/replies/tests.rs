//! Floods of forged queries, and who is answered all the same.

use super::super::FEW_SLOTS;
use super::*;

/// Bytes of a usual `get_peers` query, of the largest reply, and of one that says no more than id and token.
const QUERY: usize = 97;
const LARGEST: usize = 1024;
const BARE: usize = 90;

fn budget() -> ReplyBudget {
    ReplyBudget::new(&mut Random::new([1; 32]))
}

fn ask(budget: &mut ReplyBudget, now: Instant, ip: IpAddr, in_table: bool) -> Option<usize> {
    let bytes = match budget.admit(now, ip, QUERY, || in_table).ok()? {
        Room::Full => LARGEST,
        Room::Short(most) => most,
        Room::Bare => BARE,
    };
    budget.note_reply(now, ip, bytes);
    Some(bytes)
}

/// What came of a flood of `rate` queries a second from forged addresses, in its second and third second.
struct Flooded {
    bytes: usize,
    largest: usize,
    /// Of the honest queries, thirty a second, those that were answered.
    honest: usize,
}

const HONEST_PER_SECOND: u64 = 30;

fn flood(
    rate: u64,
    forged: impl Fn(u32) -> IpAddr,
    honest: impl Fn(&mut ReplyBudget, Instant, u64) -> bool,
) -> Flooded {
    let (mut budget, mut dice) = (budget(), Random::new([2; 32]));
    let mut flooded = Flooded { bytes: 0, largest: 0, honest: 0 };
    for index in 0..3 * rate {
        let now = Instant::from_micros(index * 1_000_000 / rate);
        let bytes = ask(&mut budget, now, forged(dice.wire_u32()), false).unwrap_or(0);
        let answered = index % (rate / HONEST_PER_SECOND) == 0 && honest(&mut budget, now, index);
        if index >= rate {
            flooded.bytes += bytes;
            flooded.largest = flooded.largest.max(bytes);
            flooded.honest += usize::from(answered);
        }
    }
    flooded
}

fn anywhere(bits: u32) -> IpAddr {
    IpAddr::from(bits.to_be_bytes())
}

/// Honest clients that ask for the first time, each from a network of its own.
fn strangers(budget: &mut ReplyBudget, now: Instant, index: u64) -> bool {
    ask(budget, now, IpAddr::from([9, (index >> 8) as u8, index as u8, 1]), false).is_some()
}

/// The same, with a place in the table.
fn neighbours(budget: &mut ReplyBudget, now: Instant, index: u64) -> bool {
    ask(budget, now, IpAddr::from([9, (index >> 8) as u8, index as u8, 1]), true).is_some()
}

#[test]
fn one_source_cannot_starve_another() {
    let mut budget = budget();
    let admitted = |budget: &mut ReplyBudget, ip: [u8; 4]| {
        (0..1000).filter(|_| budget.admit(Instant::ZERO, ip.into(), QUERY, || false).is_ok()).count()
    };
    assert_eq!(admitted(&mut budget, [1, 2, 3, 4]), SOURCE_BURST as usize);
    assert_eq!(admitted(&mut budget, [1, 2, 3, 5]), SOURCE_BURST as usize);
}

#[test]
fn an_ipv6_source_is_a_64() {
    let mut budget = budget();
    let mut admitted = 0;
    for host in 0..1000 {
        let ip = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
        admitted += u32::from(budget.admit(Instant::ZERO, ip, QUERY, || false).is_ok());
    }
    assert_eq!(admitted, SOURCE_BURST);
}

#[test]
fn a_table_grows_only_while_one_source_would_pay_for_another() {
    let mut budget = budget();
    let source = |n: u32| IpAddr::from((0x0102_0304 + n).to_be_bytes());
    let mut flood = |n| (0..100).filter(|_| budget.admit(Instant::ZERO, source(n), QUERY, || false).is_ok()).count();
    assert_eq!(flood(0), SOURCE_BURST as usize);
    assert!((1..100).all(|n| flood(n) == SOURCE_BURST as usize), "a hundred floods, each in a slot of its own");
    assert!((100..20_000).filter(|&n| flood(n) < SOURCE_BURST as usize).count() > 10_000);
    assert_eq!((budget.sources.slots(), budget.owners.slots()), (SOURCE_SLOTS, FEW_SLOTS));
}

#[test]
fn the_bound_on_all_replies_holds_whatever_the_flood() {
    for rate in [5_000, 20_000, 200_000] {
        let flooded = flood(rate, anywhere, |_, _, _| false);
        let promised = 2 * REPLY_BYTES_PER_SECOND as usize;
        assert!(flooded.bytes <= promised * 105 / 100, "{} bytes in two seconds at {rate} a second", flooded.bytes);
        assert!(flooded.bytes >= promised / 2, "{} bytes in two seconds at {rate} a second", flooded.bytes);
        assert!(flooded.largest <= QUERY * 3, "{} bytes for a query of {QUERY}", flooded.largest);
    }
}

#[test]
fn one_network_gets_no_more_than_half_a_megabit() {
    let forged: [fn(u32) -> IpAddr; 2] = [
        |bits| IpAddr::from([1, 2, 3, bits as u8]),
        |bits| IpAddr::from([0x2001, 0xdb8, 1, bits as u16, (bits >> 16) as u16, 0, 0, 1]),
    ];
    for (forged, headers) in forged.into_iter().zip([28, 48]) {
        let (mut budget, mut dice, mut bytes) = (budget(), Random::new([2; 32]), 0);
        for index in 0..50_000 {
            let now = Instant::from_micros(index * 100);
            bytes += ask(&mut budget, now, forged(dice.wire_u32()), false).map_or(0, |bytes| bytes + headers);
        }
        assert!(bytes * 8 <= 5 * 500_000, "{} bits in five seconds", bytes * 8);
    }
}

#[test]
fn honest_queries_are_answered_in_a_flood() {
    let flooded = flood(10_000, anywhere, strangers);
    assert!(flooded.honest >= 57, "{} of 60 queries of strangers", flooded.honest);
    let flooded = flood(200_000, anywhere, neighbours);
    assert!(flooded.honest >= 57, "{} of 60 queries of nodes in the table", flooded.honest);
}

#[test]
fn an_echoed_token_shows_that_an_address_receives() {
    let (mut budget, shown, unknown) = (budget(), IpAddr::from([9, 9, 9, 9]), IpAddr::from([9, 9, 8, 8]));
    budget.note_shown(Instant::ZERO, shown);
    budget.note_reply(Instant::ZERO, [1, 1, 1, 1].into(), SHORT_BELOW as usize + 1);
    let mut room = |now, ip| budget.admit(now, ip, QUERY, || false);
    assert_eq!(room(Instant::ZERO, shown), Ok(Room::Full));
    assert_eq!(room(Instant::ZERO, unknown), Ok(Room::Short(3 * QUERY)));
    budget.note_reply(Instant::ZERO, [1, 1, 1, 1].into(), BARE_BELOW as usize);
    let mut room = |now, ip| budget.admit(now, ip, QUERY, || false);
    assert_eq!(room(Instant::ZERO, unknown), Ok(Room::Bare));
    budget.note_reply(Instant::ZERO, [1, 1, 1, 1].into(), RESERVE as usize);
    let mut room = |now, ip| budget.admit(now, ip, QUERY, || false);
    assert_eq!((room(Instant::ZERO, unknown), room(Instant::ZERO, shown)), (Err(Spent::All), Ok(Room::Full)));
    assert_eq!(room(Instant::ZERO + SHOWN_FOR, unknown), Ok(Room::Full), "all is paid back");
    budget.note_reply(Instant::ZERO + SHOWN_FOR, [1, 1, 1, 1].into(), SHORT_BELOW as usize + 1);
    assert_eq!(budget.admit(Instant::ZERO + SHOWN_FOR, shown, QUERY, || false), Ok(Room::Short(3 * QUERY)));
}
