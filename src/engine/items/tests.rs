//! The vectors of BEP 44, and the store beside a naive twin.

use super::store::{ItemStore, PutRefusal};
use super::*;
use crate::engine::id::{Id, NodeId};
use crate::engine::limits::{ITEM_BYTES, ITEM_LIFETIME, ITEMS, OWNERS_TO_FILL_ITEMS, PROVIDERS_TO_FILL_ITEMS};
use crate::engine::time::Instant;
use proptest::prelude::*;

const PUBLIC: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";

fn owner() -> Owner {
    Owner::from_seed(&[7; 32])
}

fn value(text: &str) -> Value {
    Value::from_contents(text.as_bytes()).expect("short")
}

fn mutable(seq: i64, text: &str) -> Item {
    Item::Mutable(Mutable::sign(&owner(), b"salt", seq, value(text)).expect("an item"))
}

/// BEP 44 gives the expanded secret, which no seed leads to: its vectors can be verified here, and signed elsewhere.
fn vector(salt: &[u8], seq: i64, text: &str, signature: &str) -> Mutable {
    let key = hex::decode(PUBLIC).unwrap().try_into().unwrap();
    let signature = hex::decode(signature).unwrap().try_into().unwrap();
    Mutable { key, salt: salt.into(), seq, signature, value: value(text) }
}

#[test]
fn the_vectors_of_bep_44_are_genuine_and_no_others() {
    let one = vector(
        b"",
        1,
        "Hello World!",
        "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
    );
    let two = vector(
        b"foobar",
        1,
        "Hello World!",
        "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17ddf9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
    );
    let four = vector(
        b"",
        4,
        "Hello world!",
        "11d3f6180a17b36d5e7d0f5a1919ce4d36748546ea99e18b13d392b874f59a293ec4bb336ff58441ba679fc12fc5e823ed981a4ab4f7bb4e906b0e450ab22f01",
    );
    assert_eq!(one.target().to_string(), "4a533d47ec9c7d95b1ad75f576cffc641853b750");
    assert_eq!(two.target().to_string(), "411eba73b6f087ca51a3795d9c8c938d365e32c1");
    assert_eq!(signed_bytes(b"foobar", 1, &two.value), b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
    assert_eq!(signed_bytes(b"", 4, &four.value), b"3:seqi4e1:v12:Hello world!");
    for item in [&one, &two, &four] {
        assert!(Item::Mutable(item.clone()).is_genuine());
        for forged in [
            Mutable { seq: item.seq + 1, ..item.clone() },
            Mutable { salt: b"other".as_slice().into(), ..item.clone() },
            Mutable { value: value("Hello World?"), ..item.clone() },
            Mutable { key: owner().public_key(), ..item.clone() },
        ] {
            assert!(!Item::Mutable(forged).is_genuine());
        }
    }
    assert_eq!(value("Hello World!").target().to_string(), "e5f96f6f38320f0f33959cb4d3d656452117aadb");
}

#[test]
fn targets_of_bep_46() {
    let key = hex::decode("8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e").unwrap();
    assert_eq!(target_of_key(&key, b"").to_string(), "cc3f9d90b572172053626f9980ce261a850d050b");
    assert_eq!(target_of_key(&key, b"n").to_string(), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
}

#[test]
fn what_we_sign_is_genuine_and_a_key_of_small_order_signs_nothing() {
    assert!(mutable(0, "x").is_genuine());
    let forged = Mutable { key: [0; 32], salt: Box::default(), seq: 1, signature: [0; 64], value: value("x") };
    assert!(!Item::Mutable(forged).is_genuine());
}

#[test]
fn limits_are_named() {
    assert_eq!(Value::from_contents(&[b'x'; 996]).map(|value| value.as_bencode().len()), Ok(1000));
    assert_eq!(Value::from_contents(&[b'x'; 997]), Err(ItemFault::TooBig(1001)));
    assert_eq!(Value::from_bencode(&[b'x'; 1001]), Err(ItemFault::TooBig(1001)));
    assert_eq!(Mutable::sign(&owner(), &[0; 65], 1, value("")), Err(ItemFault::SaltTooBig(65)));
    assert_eq!(Mutable::sign(&owner(), &[], -1, value("")), Err(ItemFault::NegativeSeq));
}

#[test]
fn only_canonical_bencode_is_a_value() {
    for good in ["0:", "i0e", "i-1e", "le", "de", "d1:ai1e1:bi2ee", "li1ei2ee", "12:Hello World!"] {
        assert!(Value::from_bencode(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "x",
        "i01e",
        "i-0e",
        "d1:bi1e1:ai2ee",
        "d1:ai1e1:ai2ee",
        "1:ab",
        "2:a",
        "i1ei2e",
        "03:abc",
        "l",
        "llllllllleeeeeeeee",
    ] {
        assert_eq!(Value::from_bencode(bad.as_bytes()), Err(ItemFault::NotCanonical), "{bad}");
    }
    assert_eq!(value("x").contents(), Some(&b"x"[..]));
    assert_eq!(Value::from_bencode(b"i1e").unwrap().contents(), None);
}

#[test]
fn sequence_numbers_and_cas_decide() {
    let (mut store, own, now) = (ItemStore::default(), NodeId(Id::ZERO), Instant::from_secs(1));
    let mut put = |item, cas| store.put(now, &own, item, cas, None);
    assert_eq!(put(mutable(5, "five"), Some(99)), Ok(()), "cas means nothing where nothing is stored");
    assert_eq!(put(mutable(4, "four"), None), Err(PutRefusal::OldSeq));
    assert_eq!(put(mutable(5, "five"), None), Ok(()));
    assert_eq!(put(mutable(5, "other"), None), Err(PutRefusal::OldSeq));
    assert_eq!(put(mutable(6, "six"), Some(4)), Err(PutRefusal::Cas));
    assert_eq!(put(mutable(6, "six"), Some(5)), Ok(()));
    assert_eq!(put(mutable(6, "six"), Some(5)), Ok(()), "the answer to the first was lost");
    assert_eq!(put(mutable(8, "eight"), None), Ok(()));
    let Some(Item::Mutable(stored)) = store.get(now, &mutable(1, "").target()) else { panic!("nothing stored") };
    assert_eq!((stored.seq, stored.value.contents()), (8, Some(&b"eight"[..])));
}

#[test]
fn items_live_two_hours_from_their_last_put() {
    let (mut store, own, mut now) = (ItemStore::default(), NodeId(Id::ZERO), Instant::from_secs(1));
    let item = mutable(5, "five");
    store.put(now, &own, item.clone(), None, None).unwrap();
    now += ITEM_LIFETIME / 2;
    store.put(now, &own, item.clone(), None, None).unwrap();
    now += ITEM_LIFETIME / 2;
    assert!(store.get(now, &item.target()).is_some());
    assert_eq!(store.sweep(now), 0);
    now += ITEM_LIFETIME / 2;
    assert!(store.get(now, &item.target()).is_none(), "also before it is swept");
    store.put(now, &own, mutable(1, "again"), None, None).expect("what is over binds no writer");
    now += ITEM_LIFETIME;
    assert_eq!((store.sweep(now), store.len(), store.used_bytes()), (1, 0, 0));
}

#[test]
fn a_full_store_keeps_what_is_close_and_one_owner_does_not_fill_it() {
    let (mut store, own, now) = (ItemStore::default(), NodeId(Id::ZERO), Instant::from_secs(1));
    let item = |number: usize| Item::Immutable(value(&number.to_string()));
    let mut full = 0;
    for number in 0..2 * ITEMS {
        full += usize::from(store.put(now, &own, item(number), None, None).is_err());
    }
    assert_eq!(store.len(), ITEMS);
    assert!(full > 0);
    let kept = (0..2 * ITEMS).map(item).filter(|item| store.get(now, &item.target()).is_some());
    let farthest = kept.map(|item| item.target()).max_by(|a, b| own.closer(a, b)).unwrap();
    assert!(farthest.as_bytes()[0] < 0xa0, "of twice as many the closer half stays: {farthest}");

    let mut store = ItemStore::default();
    let stored = (0..ITEMS).filter(|&number| store.put(now, &own, item(number), None, Some(1)).is_ok()).count();
    assert_eq!(stored, ITEMS / OWNERS_TO_FILL_ITEMS);
    assert_eq!(store.put(now, &own, item(ITEMS), None, Some(2)), Ok(()));
}

#[test]
fn one_provider_does_not_fill_the_store() {
    let owner = |text: &str| crate::engine::owner::owner(text.parse().unwrap());
    let (own, now) = (NodeId(Id::ZERO), Instant::from_secs(1));
    let item = |number: usize| Item::Immutable(value(&number.to_string()));
    for (family, other) in [(4, "9.9.1.1"), (6, "2001:db9::1")] {
        let mut store = ItemStore::default();
        let writer = |number: usize| match family {
            4 => owner(&format!("9.8.{}.1", number % 256)),
            _ => owner(&format!("2001:db8:{:x}::1", number % 60_000)),
        };
        let put = |store: &mut ItemStore, number| store.put(now, &own, item(number), None, Some(writer(number)));
        let stored = (0..ITEMS).filter(|&number| put(&mut store, number).is_ok()).count();
        assert_eq!(stored, ITEMS / PROVIDERS_TO_FILL_ITEMS, "IPv{family}");
        assert_eq!(store.put(now, &own, item(ITEMS), None, Some(owner(other))), Ok(()), "IPv{family}");
        assert_eq!(store.sweep(now + ITEM_LIFETIME), stored + 1);
        assert!(put(&mut store, 1).is_ok(), "what is gone counts no more");
    }
}

#[test]
fn half_the_memory_holds_half_the_items() {
    let (mut store, own, now) = (ItemStore::new(ITEM_BYTES / 2), NodeId(Id::ZERO), Instant::from_secs(1));
    let small = |number: usize| Item::Immutable(value(&number.to_string()));
    let stored = |store: &mut ItemStore, item| store.put(now, &own, item, None, None).is_ok();
    assert!((0..ITEMS / 2).all(|number| stored(&mut store, small(number))));
    (0..ITEMS).for_each(|number| _ = stored(&mut store, small(number)));
    assert_eq!(store.len(), ITEMS / 2);
    let mut store = ItemStore::new(ITEM_BYTES / 2);
    let large = |number| Item::Immutable(value(&format!("{number:0996}")));
    (0..ITEMS).for_each(|number| _ = stored(&mut store, large(number)));
    assert!(store.used_bytes() <= ITEM_BYTES / 2 && store.len() > ITEMS / 3, "{} items", store.len());
}

#[test]
fn what_was_kept_goes_on_with_its_life_and_forgeries_do_not() {
    let (mut store, own, mut now) = (ItemStore::default(), NodeId(Id::ZERO), Instant::from_secs(1));
    let (item, plain) = (mutable(5, "five"), Item::Immutable(value("plain")));
    store.put(now, &own, item.clone(), None, Some(7)).unwrap();
    store.put(now, &own, plain.clone(), None, None).unwrap();
    now += ITEM_LIFETIME / 2;
    let kept: Vec<StoredItem> = store.iter(now).collect();
    let mut next = ItemStore::default();
    let at = Instant::from_secs(50);
    kept.iter().for_each(|stored| next.restore(at, &own, stored.clone()));
    assert_eq!(next.iter(at).collect::<Vec<_>>(), kept);
    assert_eq!((next.sweep(at + ITEM_LIFETIME / 2), next.used_bytes(), next.writers()), (2, 0, 0));
    let Item::Mutable(mut forged) = item else { panic!("it is one") };
    forged.signature[0] ^= 1;
    next.restore(at, &own, StoredItem { item: Item::Mutable(forged), left: ITEM_LIFETIME, writer: 0 });
    next.restore(at, &own, StoredItem { item: plain, left: std::time::Duration::ZERO, writer: 0 });
    assert!(next.is_empty());
}

proptest! {
    /// The store beside a list: same answers, and its books balance.
    #[test]
    fn equals_a_list(script in prop::collection::vec((0u8..4, 0i64..4, 0u8..3, prop::option::of(0i64..4), 0u64..3000), 1..60)) {
        let (mut store, own, mut now) = (ItemStore::default(), NodeId(Id::ZERO), Instant::from_secs(1));
        let mut twin: Vec<(Target, Mutable, Instant)> = Vec::new();
        for (salt, seq, text, cas, seconds) in script {
            now += std::time::Duration::from_secs(seconds);
            let new = Mutable { key: [1; 32], salt: [salt].into(), seq, signature: [0; 64], value: value(&text.to_string()) };
            twin.retain(|(.., until)| *until > now);
            let old = twin.iter().position(|(target, ..)| *target == new.target());
            let expected = match old.map(|index| &twin[index].1) {
                Some(old) if *old == new => Ok(()),
                Some(old) if cas.is_some_and(|cas| cas != old.seq) => Err(PutRefusal::Cas),
                Some(old) if new.seq < old.seq || (new.seq == old.seq && new.value != old.value) => Err(PutRefusal::OldSeq),
                _ => Ok(()),
            };
            if expected.is_ok() {
                if let Some(index) = old { twin.remove(index); }
                twin.push((new.target(), new.clone(), now + ITEM_LIFETIME));
            }
            prop_assert_eq!(store.put(now, &own, Item::Mutable(new), cas, Some(0)), expected);
            for (target, item, _) in &twin {
                prop_assert_eq!(store.get(now, target), Some(&Item::Mutable(item.clone())));
            }
            store.sweep(now);
            prop_assert_eq!(store.len(), twin.len());
        }
        now += ITEM_LIFETIME;
        store.sweep(now);
        prop_assert_eq!((store.len(), store.used_bytes()), (0, 0));
    }

    #[test]
    fn no_bytes_make_the_check_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Value::from_bencode(&bytes);
    }
}
