"""A peer that misbehaves in every way that a peer can, each time in another: in its handshake, in its extensions (BEP 10), in
what it says of the metadata (BEP 9) and in how it sends that.

    python3 misbehaving.py HOST PORT
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import struct
import sys
from typing import Callable

_PROTOCOL = b"\x13BitTorrent protocol"
_EXTENDED = b"\0\0\0\0\0\x10\0\0"  # BEP 10
_SIZE = 5_000
_PIECE = 16 * 1024
_OURS = 3  # our number for ut_metadata


class Talk:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.theirs = 1  # their number for ut_metadata

    async def shake(self, reserved: bytes = _EXTENDED, infohash: bytes | None = None) -> None:
        asked = await self.reader.readexactly(68)
        self.send(_PROTOCOL + reserved + (infohash or asked[28:48]) + b"-XX0000-" + random.randbytes(12))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def message(self, body: bytes) -> None:
        self.send(struct.pack(">I", len(body)) + body)

    def extended(self, number: int, body: bytes) -> None:
        self.message(bytes([20, number]) + body)

    async def say(self, size: int = _SIZE) -> None:
        """A right handshake of a peer that has metadata of this size."""
        await self.shake()
        self.extended(0, b"d1:md11:ut_metadatai%dee13:metadata_sizei%dee" % (_OURS, size))

    async def request(self) -> int:
        """The number of the next piece that is asked for."""
        while True:
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            body = await self.reader.readexactly(length)
            if told := re.search(rb"11:ut_metadatai(\d+)e", body):
                self.theirs = int(told[1])
            if body[:2] == bytes([20, _OURS]) and (asked := re.search(rb"5:piecei(\d+)e", body)):
                return int(asked[1])

    def piece(self, number: int, data: bytes, size: int = _SIZE) -> None:
        self.extended(self.theirs, b"d8:msg_typei1e5:piecei%de10:total_sizei%dee" % (number, size) + data)


async def closes_at_once(talk: Talk) -> None:
    pass


async def says_nothing(talk: Talk) -> None:
    await asyncio.sleep(3600)


async def sends_noise(talk: Talk) -> None:
    talk.send(random.randbytes(2_000))
    await asyncio.sleep(3600)


async def has_another_infohash(talk: Talk) -> None:
    await talk.shake(infohash=b"\x55" * 20)
    await asyncio.sleep(3600)


async def knows_no_extensions(talk: Talk) -> None:
    await talk.shake(reserved=bytes(8))
    await asyncio.sleep(3600)


async def stops_after_the_handshake(talk: Talk) -> None:
    await talk.shake()
    await asyncio.sleep(3600)


async def sends_extensions_that_are_no_bencode(talk: Talk) -> None:
    await talk.shake()
    talk.extended(0, b"d1:md11:ut_metadatai")
    await asyncio.sleep(3600)


async def has_no_metadata(talk: Talk) -> None:
    await talk.shake()
    talk.extended(0, b"d1:mdee")
    await asyncio.sleep(3600)


async def has_metadata_of_no_size(talk: Talk) -> None:
    await talk.say(size=0)
    await asyncio.sleep(3600)


async def has_metadata_of_a_negative_size(talk: Talk) -> None:
    await talk.say(size=-1)
    await asyncio.sleep(3600)


async def has_metadata_of_an_enormous_size(talk: Talk) -> None:
    await talk.say(size=1 << 40)
    await asyncio.sleep(3600)


async def sends_other_metadata(talk: Talk) -> None:
    await talk.say()
    while True:
        talk.piece(await talk.request(), random.randbytes(_SIZE))


async def sends_large_metadata_that_is_other(talk: Talk) -> None:
    await talk.say(size=40 * _PIECE)
    while True:
        talk.piece(await talk.request(), random.randbytes(_PIECE), 40 * _PIECE)


async def refuses(talk: Talk) -> None:
    await talk.say()
    while True:
        number = await talk.request()
        talk.extended(talk.theirs, b"d8:msg_typei2e5:piecei%dee" % number)


async def sends_pieces_that_are_too_long(talk: Talk) -> None:
    await talk.say()
    talk.piece(await talk.request(), random.randbytes(3 * _PIECE))
    await asyncio.sleep(3600)


async def sends_pieces_that_are_too_short(talk: Talk) -> None:
    await talk.say()
    while True:
        talk.piece(await talk.request(), b"short")


async def sends_pieces_that_nobody_asked_for(talk: Talk) -> None:
    await talk.say()
    await talk.request()
    for number in (7, 1 << 30, -1):
        talk.piece(number, random.randbytes(100))
    await asyncio.sleep(3600)


async def sends_a_message_without_end(talk: Talk) -> None:
    await talk.say()
    talk.send(b"\xff\xff\xff\xff" + random.randbytes(100_000))
    await asyncio.sleep(3600)


async def floods(talk: Talk) -> None:
    await talk.say()
    for _ in range(2_000):
        talk.send(b"\0\0\0\0" * 1_000 + b"\0\0\0\5\4\0\0\0\1" * 1_000)
        await talk.writer.drain()


async def dribbles(talk: Talk) -> None:
    await talk.say()
    await talk.request()
    for byte in struct.pack(">I", _SIZE) + bytes(_SIZE):
        talk.send(bytes([byte]))
        await asyncio.sleep(1)


async def ends_in_the_middle(talk: Talk) -> None:
    await talk.say()
    await talk.request()
    talk.send(struct.pack(">I", _SIZE + 50) + bytes([20, talk.theirs]) + random.randbytes(1_000))


WAYS: list[Callable] = [
    closes_at_once, says_nothing, sends_noise, has_another_infohash, knows_no_extensions, stops_after_the_handshake,
    sends_extensions_that_are_no_bencode, has_no_metadata, has_metadata_of_no_size, has_metadata_of_a_negative_size,
    has_metadata_of_an_enormous_size, sends_other_metadata, sends_large_metadata_that_is_other, refuses,
    sends_pieces_that_are_too_long, sends_pieces_that_are_too_short, sends_pieces_that_nobody_asked_for,
    sends_a_message_without_end, floods, dribbles, ends_in_the_middle,
]


async def main() -> None:
    ways = itertools.cycle(WAYS)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = next(ways)
        try:
            await way(Talk(reader, writer))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side had enough
        finally:
            print(way.__name__, flush=True)
            writer.close()

    server = await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]), limit=1 << 24)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
