//! Handshakes with the responder beside this file, with a vector of another program's arithmetic, and with nonsense.

use proptest::prelude::*;

use super::responder::{self, Offer, Responder};
use super::*;

const HASH: InfoHash = InfoHash::new([0xab; 20]);

fn randomness(first_padding: usize, second_padding: usize) -> Randomness {
    let private_key = std::array::from_fn(|i| i as u8 + 1);
    Randomness { private_key, first_padding: vec![b'a'; first_padding], second_padding: vec![b'c'; second_padding] }
}

fn start() -> Encryption {
    Encryption::new(HASH, randomness(7, 3), b"first".to_vec())
}

/// What a client sends: its key, then its choice.
struct Client {
    key: Vec<u8>,
    choice: Vec<u8>,
    responder: Responder,
}

/// A client that has read our offer.
fn client(ours: &mut Encryption, cipher: u32, paddings: [usize; 2]) -> Client {
    let key = [responder::public_key(), vec![0x55; paddings[0]]].concat();
    let sent = ours.take_output();
    let mut responder = Responder::new(HASH.as_bytes(), &sent[..KEY_LEN]);
    let choice = responder.choose(cipher, paddings[1]);
    Client { key, choice, responder }
}

#[test]
fn the_arithmetic_is_that_of_another_program() {
    // Made with Python: pow(2, a, P), pow(2, b, P), pow(2, a * b, P), hashlib and an RC4 of ten lines;
    // a = bytes 1 to 24, b = sha1("client").
    let key = "75842d0b083fef2b3b1843ccde78155ebd8fdeb7942c915959196050c4696ce2e6432560c588efe65b21f76d9c4f1049ea63cfdfb17453fe77632c6971dc6f8c926562e5e47c972b4768b031f646238fb4fa3f697a4667cb7b54049262268148";
    let theirs = "639bf59b71b15f9ab13834723c5a775ae3ee2d79917740dfa87915cfbf4a5d2a7fd4f66d8264329157967c757236d54091a7671962a2979e0a7538f54d0f708c35ca520ef6fd06de084060e0766bf5fd76be8f27c70a56779f31d524d40570f8";
    let secret = "397ab93e6f4dd495593969ec661888073192bea7298f3ee6ae6cdb6c683b800907b798347689e6337272c388356361ca59eb4279feb865217b401b482d6f3bafef45ff572decb3ffe7943334c69e0705df97065f4873bdbe12ba8d3f7053ea6e";
    let offer = "2f2cf0259a753e93b13c09a8e94166b68d11b2df02a006a91eb6c0533883188504fd191b3b864bce130b0baae2f65422bf6f96773d2b4f8cfd656e25d53bd923";
    let mark = "7f20614f08dd8a77";
    let mut ours = start();
    assert_eq!(hex::encode(ours.take_output()), format!("{key}{}", "61".repeat(7)));
    let theirs = hex::decode(theirs).unwrap();
    assert_eq!(hex::encode(power(&U768::from_be_slice(&theirs), &randomness(0, 0).private_key)), secret);
    assert_eq!(ours.receive(&theirs), Ok(Vec::new()));
    assert_eq!(hex::encode(ours.take_output()), offer);
    assert!(matches!(&ours.stage, Stage::Mark(found, _) if hex::encode(found) == mark), "{:?}", ours.stage);
}

#[test]
fn one_seed_gives_one_handshake_and_others_give_others() {
    let of = |byte| Randomness::from_seed([byte; 32]);
    assert!(of(1) == of(1) && of(1).private_key != of(2).private_key);
    let lengths: Vec<_> = (0..=255).map(of).collect();
    assert!(lengths.iter().all(|one| one.first_padding.len().max(one.second_padding.len()) <= MOST_PADDING));
    assert!(lengths.iter().any(|one| one.first_padding.len() != one.second_padding.len()));
    assert_eq!(format!("{:?}", of(1)), "Randomness", "the private key is not shown");
}

#[test]
fn every_length_of_every_padding_is_read() {
    for length in 0..=MOST_PADDING {
        for (cipher, paddings, theirs) in
            [(RC4, [length, 0], [0, length]), (PLAIN, [0, MOST_PADDING - length], [length, 0])]
        {
            let mut ours = Encryption::new(HASH, randomness(paddings[0], paddings[1]), b"first".to_vec());
            let mut client = client(&mut ours, cipher, theirs);
            assert_eq!(ours.receive(&client.key), Ok(Vec::new()));
            let offer = client.responder.read_offer(&ours.take_output()).unwrap();
            assert_eq!(offer, Offer { paddings: [0, paddings[1]], ciphers: PLAIN | RC4, first: b"first".to_vec() });
            let said = [client.choice, client.responder.say(cipher, b"welcome")].concat();
            assert_eq!(ours.receive(&said), Ok(b"welcome".to_vec()), "{length} {cipher}");
            ours.send(b"more");
            let sent = ours.take_output();
            assert_eq!(if cipher == PLAIN { sent } else { client.responder.theirs.apply(&sent) }, b"more");
        }
    }
}

#[test]
fn our_padding_lies_between_key_and_offer() {
    let mut ours = start();
    let sent = ours.take_output();
    ours.receive(&responder::public_key()).unwrap();
    let sent = [sent, ours.take_output()].concat();
    let offer = Responder::new(HASH.as_bytes(), &sent[..KEY_LEN]).read_offer(&sent[KEY_LEN..]).unwrap();
    assert_eq!(offer.paddings, [7, 3]);
}

#[test]
fn what_is_said_before_the_choice_goes_out_after_it() {
    for cipher in [PLAIN, RC4] {
        let mut ours = start();
        let mut client = client(&mut ours, cipher, [0, 0]);
        ours.send(b"early ");
        ours.receive(&client.key).unwrap();
        client.responder.read_offer(&ours.take_output()).unwrap();
        ours.send(b"words");
        assert_eq!(ours.take_output(), b"");
        ours.receive(&client.choice).unwrap();
        let sent = ours.take_output();
        assert_eq!(if cipher == PLAIN { sent } else { client.responder.theirs.apply(&sent) }, b"early words");
    }
}

#[test]
fn bytes_may_come_one_by_one_and_end_at_each() {
    for cipher in [PLAIN, RC4] {
        let mut ours = start();
        let mut client = client(&mut ours, cipher, [31, 9]);
        let welcome = client.responder.say(cipher, b"welcome");
        let head = client.key.len() + client.choice.len();
        let said = [client.key, client.choice, welcome].concat();
        let mut heard = Vec::new();
        for (at, byte) in said.iter().enumerate() {
            heard.extend(ours.receive(&[*byte]).unwrap());
            assert_eq!(heard.len(), (at + 1).saturating_sub(head), "nothing is heard before its time: {at}");
            assert!(ours.input.len() < MOST_PADDING + 8, "{at}");
        }
        assert_eq!(heard, b"welcome");
    }
}

#[test]
fn other_ciphers_and_longer_paddings_are_refused() {
    for (cipher, padding) in [(0, 0), (3, 0), (4, 0), (u32::MAX, 0), (RC4, MOST_PADDING + 1), (PLAIN, 65_535)] {
        let mut ours = start();
        let client = client(&mut ours, cipher, [0, padding]);
        ours.receive(&client.key).unwrap();
        assert_eq!(ours.receive(&client.choice), Err(Unreadable), "{cipher} {padding}");
        assert_eq!(ours.receive(b"more"), Err(Unreadable));
    }
    let mut ours = start();
    let client = client(&mut ours, RC4, [MOST_PADDING + 1, 0]);
    assert_eq!(ours.receive(&[client.key, client.choice].concat()), Err(Unreadable), "the first padding is too long");
}

#[test]
fn a_client_of_another_torrent_is_not_understood() {
    let mut ours = start();
    let sent = ours.take_output();
    let mut other = Responder::new(&[0xcd; 20], &sent[..KEY_LEN]);
    ours.receive(&responder::public_key()).unwrap();
    assert_eq!(ours.receive(&other.choose(RC4, MOST_PADDING)), Err(Unreadable));
}

#[test]
fn keys_that_are_no_keys_do_no_harm() {
    for byte in [0x00, 0xff] {
        let mut ours = start();
        assert_eq!(ours.receive(&[byte; KEY_LEN]), Ok(Vec::new()));
        assert!(!ours.take_output().is_empty());
        assert_eq!(ours.receive(&[byte; MOST_PADDING + 8]), Err(Unreadable));
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_and_not_kept(garbage in prop::collection::vec(any::<u8>(), 0..2000), part in 1usize..700) {
        let mut ours = start();
        let mut sent = ours.take_output().len();
        for bytes in garbage.chunks(part) {
            if ours.receive(bytes).is_err() {
                break;
            }
            prop_assert!(ours.input.len() < MOST_PADDING + 8);
            sent += ours.take_output().len();
        }
        let longest = KEY_LEN + 2 * MOST_PADDING + 40 + 16 + 5;
        prop_assert!(sent <= longest);
        let outcome = ours.receive(&[]);
        prop_assert_eq!(outcome.is_err(), garbage.len() >= KEY_LEN + MOST_PADDING + 8);
    }
}
