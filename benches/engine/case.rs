//! The cases: one message each, decoded, encoded, or served, always the same ones in the same order.

use std::hint::black_box;
use std::net::SocketAddr;

use bendy::decoding::{Decoder, Object};
use bendy::encoding::SingleItemEncoder;
use trackerless::engine::contact::{CompactAddr, Contact, Family};
use trackerless::engine::krpc::Message;
use trackerless::engine::krpc::encode::Reply;
use trackerless::engine::node::Output;

use crate::query::{self, Numbers, SOURCES, Template};
use crate::world::{STORED, World, source_addr};

/// A name and something to repeat.
pub struct Case {
    pub name: &'static str,
    pub make: fn() -> Box<dyn FnMut()>,
}

/// All cases. Those of one group that end in `by bendy` do the same work with the strict codec.
pub const CASES: &[Case] = &[
    Case { name: "decode ping", make: || decode(queries::ping()) },
    Case { name: "decode ping by bendy", make: || decode_by_bendy(queries::ping()) },
    Case { name: "decode find_node", make: || decode(queries::find_node()) },
    Case { name: "decode find_node by bendy", make: || decode_by_bendy(queries::find_node()) },
    Case { name: "decode get_peers", make: || decode(queries::get_peers()) },
    Case { name: "decode get_peers by bendy", make: || decode_by_bendy(queries::get_peers()) },
    Case { name: "decode announce_peer", make: || decode(queries::announce()) },
    Case { name: "decode announce_peer by bendy", make: || decode_by_bendy(queries::announce()) },
    Case { name: "decode response, 8 nodes", make: || decode(response(8, 0)) },
    Case { name: "decode response, 8 nodes by bendy", make: || decode_by_bendy(response(8, 0)) },
    Case { name: "decode response, 8 nodes and 50 values", make: || decode(response(8, 50)) },
    Case { name: "decode response, 8 nodes and 50 values by bendy", make: || decode_by_bendy(response(8, 50)) },
    Case { name: "encode response, ping", make: || encode(0, 0) },
    Case { name: "encode response, ping by bendy", make: || encode_by_bendy(0, 0) },
    Case { name: "encode response, 8 nodes", make: || encode(8, 0) },
    Case { name: "encode response, 8 nodes by bendy", make: || encode_by_bendy(8, 0) },
    Case { name: "encode response, 8 nodes and 50 values", make: || encode(8, 50) },
    Case { name: "encode response, 8 nodes and 50 values by bendy", make: || encode_by_bendy(8, 50) },
    Case { name: "serve ping", make: || serve(Ask::Ping) },
    Case { name: "serve find_node", make: || serve(Ask::FindNode) },
    Case { name: "serve get_peers, nothing stored", make: || serve(Ask::GetPeers) },
    Case { name: "serve get_peers, 50 values", make: || serve(Ask::Stored) },
    Case { name: "serve announce_peer", make: || serve(Ask::Announce) },
    Case { name: "serve ping, in the mainline", make: || serve_in_mainline(Ask::Ping) },
    Case { name: "serve find_node, in the mainline", make: || serve_in_mainline(Ask::FindNode) },
    Case { name: "serve get_peers, nothing stored, in the mainline", make: || serve_in_mainline(Ask::GetPeers) },
    Case { name: "serve announce_peer, in the mainline", make: || serve_in_mainline(Ask::Announce) },
];

/// One datagram of each kind of query.
mod queries {
    use super::*;

    fn write(template: &Template, target: bool, token: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; template.len()];
        let target = target.then(|| query::info_hash(0));
        template.write(&mut datagram, *b"abcd", &query::source_id(0), target.as_ref(), token);
        datagram
    }

    pub(super) fn ping() -> Vec<u8> {
        write(&Template::ping(), false, &[])
    }

    pub(super) fn find_node() -> Vec<u8> {
        write(&Template::find_node(), true, &[])
    }

    pub(super) fn get_peers() -> Vec<u8> {
        write(&Template::get_peers(), true, &[])
    }

    pub(super) fn announce() -> Vec<u8> {
        write(&Template::announce(8), true, b"tokentok")
    }
}

fn contacts(count: usize) -> Vec<Contact> {
    (0..count).map(|index| Contact { id: query::source_id(index), addr: source_addr(index) }).collect()
}

fn peers(count: usize) -> Vec<CompactAddr> {
    (0..count).map(|index| CompactAddr::new(&source_addr(index))).collect()
}

fn write_response(out: &mut Vec<u8>, to: &SocketAddr, contacts: &[Contact], peers: &[CompactAddr]) {
    let mut response = Reply::begin(out, &query::source_id(0), to, b"abcd");
    if !contacts.is_empty() {
        response.contacts(Family::V4, contacts.iter());
        response.token(b"tokentok");
    }
    if !peers.is_empty() {
        response.values(Family::V4, peers.iter().map(CompactAddr::as_bytes));
    }
    response.end();
}

fn response(contacts_count: usize, values: usize) -> Vec<u8> {
    let mut out = Vec::new();
    write_response(&mut out, &source_addr(1), &contacts(contacts_count), &peers(values));
    out
}

fn decode(datagram: Vec<u8>) -> Box<dyn FnMut()> {
    Box::new(move || {
        let message = Message::decode(black_box(&datagram)).expect("well-formed");
        if let trackerless::engine::krpc::Kind::Response(response) = &message.kind {
            black_box(response.values.iter().count());
        }
        black_box(message);
    })
}

/// The same fields, borrowed, by bendy's zero-copy interface.
fn decode_by_bendy(datagram: Vec<u8>) -> Box<dyn FnMut()> {
    fn walk(object: Object<'_, '_>) -> Result<(), bendy::decoding::Error> {
        match object {
            Object::Dict(mut dict) => {
                while let Some((key, value)) = dict.next_pair()? {
                    black_box(key);
                    walk(value)?;
                }
            }
            Object::List(mut list) => {
                while let Some(item) = list.next_object()? {
                    walk(item)?;
                }
            }
            Object::Bytes(bytes) => {
                black_box(bytes);
            }
            Object::Integer(text) => {
                black_box(text);
            }
        }
        Ok(())
    }
    Box::new(move || {
        let mut decoder = Decoder::new(black_box(&datagram)).with_max_depth(8);
        walk(decoder.next_object().expect("bencode").expect("an object")).expect("canonical");
    })
}

fn encode(contacts_count: usize, values: usize) -> Box<dyn FnMut()> {
    let (to, contacts, peers) = (source_addr(1), contacts(contacts_count), peers(values));
    let mut out = Vec::with_capacity(2048);
    Box::new(move || {
        out.clear();
        write_response(&mut out, black_box(&to), black_box(&contacts), black_box(&peers));
        black_box(&out);
    })
}

fn encode_by_bendy(contacts_count: usize, values: usize) -> Box<dyn FnMut()> {
    let (to, contacts, peers) = (CompactAddr::new(&source_addr(1)), contacts(contacts_count), peers(values));
    let body = move |encoder: SingleItemEncoder<'_>| {
        encoder.emit_dict(|mut r| {
            r.emit_pair_with(b"id", |e| e.emit_bytes(query::source_id(0).as_bytes()))?;
            if !contacts.is_empty() {
                let nodes: Vec<u8> = contacts
                    .iter()
                    .flat_map(|contact| {
                        [contact.id.as_bytes().as_slice(), CompactAddr::new(&contact.addr).as_bytes()].concat()
                    })
                    .collect();
                r.emit_pair_with(b"nodes", |e| e.emit_bytes(&nodes))?;
                r.emit_pair_with(b"token", |e| e.emit_bytes(b"tokentok"))?;
            }
            if !peers.is_empty() {
                r.emit_pair_with(b"values", |e| {
                    e.emit_list(|list| peers.iter().try_for_each(|peer| list.emit_bytes(peer.as_bytes())))
                })?;
            }
            Ok(())
        })
    };
    Box::new(move || {
        let mut encoder = bendy::encoding::Encoder::new();
        encoder
            .emit_dict(|mut dict| {
                dict.emit_pair_with(b"ip", |e| e.emit_bytes(to.as_bytes()))?;
                dict.emit_pair_with(b"r", &body)?;
                dict.emit_pair_with(b"t", |e| e.emit_bytes(b"abcd"))?;
                dict.emit_pair_with(b"v", |e| e.emit_bytes(b"TL\0\x01"))?;
                dict.emit_pair_with(b"y", |e| e.emit_bytes(b"r"))
            })
            .expect("keys in order");
        black_box(encoder.get_output().expect("complete"));
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Ping,
    FindNode,
    GetPeers,
    Stored,
    Announce,
}

/// A whole turn of the node: datagram in, reply out. The queries come from a thousand addresses about many targets.
fn serve(ask: Ask) -> Box<dyn FnMut()> {
    serve_in(World::new(false), ask)
}

/// The same in the mainline, with the budgets and bounds that a node has where nothing else is set.
fn serve_in_mainline(ask: Ask) -> Box<dyn FnMut()> {
    serve_in(World::new(true), ask)
}

fn serve_in(mut world: World, ask: Ask) -> Box<dyn FnMut()> {
    const VARIANTS: usize = 256;
    let mut numbers = Numbers(5);
    let template = match ask {
        Ask::Ping => Template::ping(),
        Ask::FindNode => Template::find_node(),
        Ask::GetPeers | Ask::Stored => Template::get_peers(),
        Ask::Announce => Template::announce(world.tokens[0].2.len()),
    };
    let queries: Vec<_> = (0..VARIANTS)
        .map(|_| {
            let (mut source, mut token) = (numbers.below(SOURCES), Vec::new());
            let target = match ask {
                Ask::Ping => None,
                Ask::FindNode | Ask::GetPeers => Some(query::id(3, numbers.next())),
                Ask::Stored => Some(query::info_hash(numbers.below(STORED))),
                Ask::Announce => {
                    let (from, info_hash, given) = &world.tokens[numbers.below(world.tokens.len())];
                    (source, token) = (*from, given.clone());
                    Some(*info_hash)
                }
            };
            let mut datagram = vec![0; template.len()];
            template.write(&mut datagram, *b"abcd", &query::source_id(source), target.as_ref(), &token);
            let reply = world.ask(source, &datagram);
            let shape = query::read(&reply).expect("a response").shape;
            assert_eq!(shape.values, if ask == Ask::Stored { query::PEERS } else { 0 });
            (world.source(source), datagram)
        })
        .collect();
    let mut index = 0;
    Box::new(move || {
        let (from, datagram) = &queries[index % VARIANTS];
        index += 1;
        world.now += world.pause;
        world.node.handle_datagram(world.now, *from, black_box(datagram));
        while let output @ (Output::Transmit { .. } | Output::Event(_)) = world.node.poll_output() {
            black_box(output);
        }
    })
}
