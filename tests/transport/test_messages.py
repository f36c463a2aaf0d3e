"""gRPC's message framing: every way in which bytes can arrive, and what is refused."""

from __future__ import annotations

import gzip
import itertools
import zlib

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.transport import StreamedMessage
from triton_users.transport.errors import MessageFault
from triton_users.transport.messages import PREFIX, MessageReader, compress, decompress

messages_lists = st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=6)


def framed(messages: list[tuple[bool, bytes]]) -> bytes:
    return b"".join(PREFIX.pack(packed, len(message)) + message for packed, message in messages)


@given(messages_lists)
def test_messages_in_one_piece(messages: list[tuple[bool, bytes]]) -> None:
    reader = MessageReader(100)
    assert reader.feed(framed(messages)) == messages
    assert reader.between_messages


@given(messages_lists)
def test_messages_byte_by_byte(messages: list[tuple[bool, bytes]]) -> None:
    reader = MessageReader(100)
    got = [found for byte in framed(messages) for found in reader.feed(bytes((byte,)))]
    assert got == messages
    assert reader.between_messages


@given(messages_lists, st.binary(min_size=1, max_size=4))
def test_messages_with_the_beginning_of_another(messages: list[tuple[bool, bytes]], extra: bytes) -> None:
    reader = MessageReader(100)
    assert reader.feed(framed(messages) + b"\0" + extra[:3]) == messages
    assert not reader.between_messages


@given(messages_lists, st.lists(st.integers(0, 300), max_size=6))
def test_messages_cut_anywhere(messages: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    data = framed(messages)
    reader = MessageReader(100)
    got = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        got += reader.feed(data[start:stop])
    assert got == messages
    assert all(isinstance(message, bytes) for _, message in got)


def test_a_large_message_in_tiny_pieces_costs_no_object_for_each() -> None:
    reader = MessageReader(10**6)
    reader.feed(PREFIX.pack(0, 100_000))
    for _ in range(99_999):
        reader.feed(b"x")
    assert len(reader._pieces) < 5
    assert reader.feed(b"x") == [(False, b"x" * 100_000)]


def test_a_message_over_the_limit_is_refused_at_its_prefix() -> None:
    with pytest.raises(MessageFault, match=r"101 vs\. 100") as caught:
        MessageReader(100).feed(PREFIX.pack(0, 101))
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_undefined_flag_is_refused() -> None:
    with pytest.raises(MessageFault, match="flag is 2") as caught:
        MessageReader(100).feed(PREFIX.pack(2, 1))
    assert caught.value.code is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@given(message=st.binary(max_size=200))
def test_compression_comes_back(encoding: str, message: bytes) -> None:
    assert decompress(compress(message, encoding), encoding, 200) == message


def test_compressed_forms_are_those_of_other_implementations() -> None:
    assert gzip.decompress(compress(b"text", "gzip")) == b"text"
    assert zlib.decompress(compress(b"text", "deflate")) == b"text"
    assert decompress(gzip.compress(b"text"), "gzip", 10) == b"text"


@pytest.mark.parametrize(
    ("packed", "encoding", "code"),
    [
        (b"no gzip", "gzip", grpc.StatusCode.INTERNAL),
        (gzip.compress(b"text", mtime=0)[:-9], "gzip", grpc.StatusCode.INTERNAL),
        (gzip.compress(bytes(101), mtime=0), "gzip", grpc.StatusCode.RESOURCE_EXHAUSTED),
        (gzip.compress(b"text", mtime=0) + b"more", "gzip", grpc.StatusCode.INTERNAL),
        (gzip.compress(b"text", mtime=0) * 2, "gzip", grpc.StatusCode.INTERNAL),
        (b"", "deflate", grpc.StatusCode.INTERNAL),
        (b"x", "snappy", grpc.StatusCode.INTERNAL),
    ],
)
def test_compressed_message_that_cannot_be_accepted(packed: bytes, encoding: str, code: grpc.StatusCode) -> None:
    with pytest.raises(MessageFault) as caught:
        decompress(packed, encoding, 100)
    assert caught.value.code is code


def test_a_decompression_bomb_costs_no_more_than_the_limit() -> None:
    bomb = compress(bytes(50_000_000), "gzip")
    with pytest.raises(MessageFault, match="more than 1000 bytes"):
        decompress(bomb, "gzip", 1_000)


@pytest.mark.parametrize("length", [-1, 2**32])
def test_a_streamed_message_of_impossible_length_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        StreamedMessage(length, [])
