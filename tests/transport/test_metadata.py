"""The paired codecs for header values, from both ends and with malformed input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.transport.metadata import (
    decode_message_text,
    decode_metadata,
    decode_timeout,
    encode_message_text,
    encode_metadata,
    encode_timeout,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e-12, "1n"),
        (0.05, "50000000n"),
        (0.1, "100000u"),
        (25.0, "25000000u"),
        (100.0, "100000m"),
        (86_400.0, "86400000m"),
        (1e6, "1000000S"),
        (1e9, "16666666M"),
        (1e11, "27777777H"),
        (1e30, "99999999H"),
        (float("inf"), "99999999H"),
    ],
)
def test_timeout_is_sent_in_the_finest_unit_that_fits_eight_digits(seconds: float, text: str) -> None:
    assert encode_timeout(seconds) == text


@given(st.floats(min_value=1e-9, max_value=3e11))
def test_timeout_comes_back_never_longer_and_nearly_as_long(seconds: float) -> None:
    back = decode_timeout(encode_timeout(seconds))
    assert back <= seconds * (1 + 1e-9)
    assert back >= seconds * (1 - 2e-5) - 1e-9


@pytest.mark.parametrize("text", ["", "1", "s", "1s", "123456789S", "-1S", "1.5S", " 1S", "1S ", "\uff11S"])
def test_malformed_timeout_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        decode_timeout(text)


@given(st.text())
def test_status_message_comes_back_as_printable_ascii_and_whole(text: str) -> None:
    encoded = encode_message_text(text) if "\ud800" <= max(text, default="") <= "\udfff" else None
    try:
        encoded = encode_message_text(text)
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert decode_message_text(encoded) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(b"100%", "100%"), (b"%zz", "%zz"), (b"%4", "%4"), (b"%41", "A"), (b"%ff", "\ufffd"), (b"\xff", "\ufffd")],
)
def test_badly_escaped_status_message_is_shown_rather_than_lost(value: bytes, text: str) -> None:
    assert decode_message_text(value) == text


keys = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789_-.", min_size=1, max_size=12).map(lambda key: "x-" + key)
ascii_values = st.text(alphabet=[chr(code) for code in range(0x20, 0x7F)], max_size=20).map(
    lambda text: text.strip(" ")
)
pairs = st.one_of(
    st.tuples(keys.filter(lambda key: not key.endswith("-bin")), ascii_values),
    st.tuples(keys.map(lambda key: key + "-bin"), st.binary(max_size=20)),
)


@given(st.lists(pairs, max_size=5))
def test_metadata_comes_back_in_order(metadata: list[tuple[str, str | bytes]]) -> None:
    assert list(decode_metadata(encode_metadata(metadata))) == metadata


@pytest.mark.parametrize(
    "pair",
    [
        ("Upper", "v"),
        ("", "v"),
        ("a b", "v"),
        (b"bytes", "v"),
        ("grpc-timeout", "1S"),
        ("te", "trailers"),
        (":path", "/"),
        ("x", "two\nlines"),
        ("x", "ünicode"),
        ("x", 7),
        ("x-bin", "text"),
    ],
)
def test_metadata_that_the_protocol_forbids_is_the_callers_error(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        encode_metadata([pair])


def test_binary_metadata_is_read_padded_or_not_and_in_lists() -> None:
    assert decode_metadata([(b"a-bin", b"AAE"), (b"a-bin", b"AAE="), (b"a-bin", b"AA,AQ")]) == (
        ("a-bin", b"\0\1"),
        ("a-bin", b"\0\1"),
        ("a-bin", b"\0"),
        ("a-bin", b"\1"),
    )


def test_binary_metadata_that_is_no_base64_is_left_out() -> None:
    assert decode_metadata([(b"a-bin", b"!!"), (b"b", b"1")]) == (("b", "1"),)


def test_fields_of_the_protocol_are_no_metadata() -> None:
    assert decode_metadata([(b"content-type", b"application/grpc"), (b"grpc-status", b"0"), (b"x", b"1")]) == (
        ("x", "1"),
    )
