"""Header blocks: the caches must never be told from the plain `hpack` library."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault
from triton_users.transport.http2.headers import (
    MAX_CACHED_BLOCKS,
    HeaderDecoder,
    HeaderEncoder,
    RequestHeaders,
    classify,
    encode_literal,
)

HEADS = [
    RequestHeaders(((b":method", b"POST"), (b":path", b"/a/b"), (b"te", b"trailers"))),
    RequestHeaders(((b":method", b"POST"), (b":path", b"/a/c"), (b"te", b"trailers"))),
    RequestHeaders(((b":method", b"POST"), (b":path", b"/" + b"long" * 50), (b"te", b"trailers"))),
]


@given(
    st.lists(
        st.one_of(st.tuples(st.just("send"), st.integers(0, 2)), st.tuples(st.just("resize"), st.integers(0, 5_000))),
        max_size=30,
    )
)
def test_requests_are_read_right_whatever_the_table_does(steps: list[tuple[str, int]]) -> None:
    encoder = HeaderEncoder()
    peer = Decoder()
    for step, value in steps:
        if step == "resize":
            encoder.resize(value)
            peer.max_allowed_table_size = value
        else:
            extra = encode_literal(b"grpc-timeout", b"%dS" % value) + encode_literal(b"authorization", b"secret")
            decoded = peer.decode(encoder.encode(HEADS[value]) + extra, raw=True)
            assert tuple(decoded) == (
                *HEADS[value].fields,
                (b"grpc-timeout", b"%dS" % value),
                (b"authorization", b"secret"),
            )
            assert not decoded[-1].indexable


def test_an_identical_request_costs_no_encoding() -> None:
    encoder = HeaderEncoder()
    first, second, third = (encoder.encode(HEADS[0]) for _ in range(3))
    assert len(second) == 3 < len(first)
    assert third is second


names = st.sampled_from([b"x-a", b"x-b", b"content-type", b"grpc-status", b"server", b"x-" + b"n" * 300])
values = st.sampled_from([b"", b"0", b"application/grpc", b"nginx", b"v" * 400, b" \xff\x01 "])
block_steps = st.lists(
    st.tuples(
        st.lists(st.tuples(names, values, st.sampled_from(["index", "never", "hand"])), max_size=4),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 4_096)),
    ),
    max_size=25,
)


@given(block_steps)
def test_responses_are_read_as_the_plain_library_reads_them(
    steps: list[tuple[list[tuple[bytes, bytes, str]], bool, int | None]],
) -> None:
    peer = Encoder()
    ours, plain = HeaderDecoder(100_000), Decoder(100_000)
    for fields, huffman, resize in steps:
        if resize is not None:
            peer.header_table_size = resize
        block = b""
        for name, value, kind in fields:
            # "hand": added by a literal name although the table may know it, as nginx does it.
            if kind == "hand" and not peer.table_size_changes:
                block += bytes((0x40, *bytes(_length(name)), *name, *bytes(_length(value)), *value))
                peer.header_table.add(name, value)
            else:
                block += peer.encode([(name, value, kind == "never")], huffman=huffman)
        if not fields:
            block = peer.encode([(b"x", b"y")], huffman=huffman)
        expected = tuple((bytes(name), bytes(value)) for name, value in plain.decode(block, raw=True))
        assert ours.decode(block).fields == expected
        assert len(ours._independent) + len(ours._dependent) <= MAX_CACHED_BLOCKS


def _length(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes((len(value),))
    rest = len(value) - 127
    return bytes((127,)) + (bytes((rest,)) if rest < 128 else bytes((rest & 127 | 128, rest >> 7)))


def test_the_same_answer_again_costs_no_decoding() -> None:
    grpc_like, nginx_like = Encoder(), bytes((0x88, 0x40, 1)) + b"x" + bytes((1,)) + b"y"
    decoder = HeaderDecoder(8_192)
    fields = [(b":status", b"200"), (b"x-served-by", b"me")]
    decoder.decode(grpc_like.encode(fields))
    block = grpc_like.encode(fields)
    assert decoder.decode(block) is decoder.decode(block)
    assert decoder.decode(nginx_like) is decoder.decode(nginx_like)


def test_what_a_known_block_adds_is_seen_by_the_next_that_refers_to_it() -> None:
    decoder = HeaderDecoder(8_192)
    adding = bytes((0x88, 0x40, 1)) + b"x" + bytes((1,)) + b"y"
    for _ in range(300):  # the second time on, the addition only waits
        decoder.decode(adding)
    assert decoder.decode(bytes((0x88, 0xBE))).fields == ((b"x", b"y"),)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"", (False, False, [])),
        (b"\x88", (False, False, [])),
        (b"\xbe", (True, False, [])),
        (b"\x3f\xe1\x1f\x88", (False, True, [])),
        (b"\x88\x40\x01x\x01y", (False, False, [1])),
        (b"\x40\x01x\x01y\x7e\x01z\x00\x01x\x01y", (True, False, [0, 1])),
        (b"\x0f\x2f\x01y", (True, False, [])),
        (b"\x1f\x00\x01y", (False, False, [])),
    ],
)
def test_a_block_says_what_it_refers_to_and_changes(block: bytes, expected: tuple[bool, bool, list[int]]) -> None:
    assert classify(block) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_a_fault(block: bytes) -> None:
    decoder = HeaderDecoder(4_096)
    for _ in range(2):
        try:
            decoder.decode(block)
        except StreamFault:
            continue
        except ConnectionFault as fault:
            caught = fault
            break
    else:
        return
    assert caught.code in (ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM)


def test_a_header_bomb_is_refused() -> None:
    bomb = bytes((0x40, 1)) + b"x" + bytes((126,)) + b"v" * 126 + b"\xbe" * 5_000
    with pytest.raises(ConnectionFault, match="too large") as caught:
        HeaderDecoder(8_192).decode(bomb)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "fields",
    [
        [(b":status", b"200"), (b":status", b"200")],
        [(b"x", b"1"), (b":status", b"200")],
        [(b":path", b"/")],
        [(b":status", b"20")],
        [(b":status", b"abc")],
        [(b":status", b"200"), (b"Upper", b"1")],
        [(b":status", b"200"), (b"connection", b"close")],
        [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
        [(b":status", b"200"), (b"", b"1")],
        [(b":status", b"200"), (b"two words", b"1")],
        [(b":status", b"200"), (b"x\xff", b"1")],
        [(b":status", b"200"), (b"x:y", b"1")],
        [(b":status", b"200"), (b"x", b"a\x00b")],
        [(b":status", b"200"), (b"x", b"a\r\nb")],
        [(b":status", b"200"), (b"content-length", b"")],
        [(b":status", b"200"), (b"content-length", b"-1")],
        [(b":status", b"200"), (b"content-length", b"1, 1")],
        [(b":status", b"200"), (b"content-length", b"9" * 5_000)],
        [(b":status", b"200"), (b"content-length", b"1"), (b"content-length", b"2")],
    ],
)
def test_a_malformed_list_is_a_fault_of_its_stream_each_time(fields: list[tuple[bytes, bytes]]) -> None:
    peer, decoder = Encoder(), HeaderDecoder(8_192)
    lengths = set()
    for _ in range(3):
        with pytest.raises(StreamFault) as caught:
            decoder.decode(peer.encode(fields))
        lengths.add(len(caught.traceback))
    assert len(lengths) <= 2, "an exception that is raised again keeps the frames of each time"


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ([(b":status", b"200")], None),
        ([(b":status", b"200"), (b"content-length", b"0")], 0),
        ([(b":status", b"200"), (b"content-length", b"0012")], 12),
        ([(b":status", b"200"), (b"content-length", b"7"), (b"content-length", b"7")], 7),
        ([(b":status", b"204"), (b"content-length", b"7")], None),
        ([(b":status", b"304"), (b"content-length", b"7")], None),
    ],
)
def test_the_announced_length(fields: list[tuple[bytes, bytes]], length: int | None) -> None:
    assert HeaderDecoder(8_192).decode(Encoder().encode(fields)).content_length == length
