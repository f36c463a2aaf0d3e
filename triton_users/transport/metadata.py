"""Paired codecs for gRPC's header values: timeouts, percent-encoded messages, metadata; knows no calls and no HPACK.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

#: gRPC metadata as the `grpc` package shows it: `-bin` values are bytes, others are str.
Metadata = tuple[tuple[str, "str | bytes"], ...]

#: "TimeoutUnit", in nanoseconds.
_UNITS: Final = {"n": 1, "u": 10**3, "m": 10**6, "S": 10**9, "M": 60 * 10**9, "H": 3_600 * 10**9}
#: "TimeoutValue": a positive integer of at most eight digits.
_MAX_TIMEOUT_VALUE: Final = 99_999_999
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([numSMH])")
#: "Custom-Metadata" header names.
_KEY: Final = re.compile(r"[0-9a-z_.\-]+")
#: "ASCII-Value": printable ASCII and spaces.
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
#: Fields of the protocol; a caller must not set them and does not see them among the metadata.
_RESERVED: Final = frozenset(("te", "content-type", "user-agent", "host", "connection"))
_HIDDEN: Final = frozenset(
    (b"content-type", b"grpc-status", b"grpc-message", b"grpc-encoding", b"grpc-accept-encoding")
)


def encode_timeout(seconds: float) -> str:
    """The `grpc-timeout` of a positive time: rounded down to the finest unit that eight digits hold, at least 1 ns.

    More than 11,415 years are sent as that.
    """
    nanoseconds = max(1, int(seconds * 1e9)) if seconds < 1e15 else 10**24
    for unit, size in _UNITS.items():
        if nanoseconds // size <= _MAX_TIMEOUT_VALUE:
            return f"{nanoseconds // size}{unit}"
    return f"{_MAX_TIMEOUT_VALUE}H"


def decode_timeout(text: str) -> float:
    """Seconds of a `grpc-timeout`; ValueError for anything else."""
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise ValueError(f"grpc-timeout is {text!r}; expected one to eight digits and one of n u m S M H")
    return int(match[1]) * _UNITS[match[2]] / 1e9


def encode_message_text(text: str) -> bytes:
    """The `grpc-message` of a text: UTF-8, percent-encoded outside of printable ASCII."""
    return b"".join(
        bytes((byte,)) if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in text.encode()
    )


def decode_message_text(value: bytes) -> str:
    """The text of a `grpc-message`; bad escapes stay as they are and bad UTF-8 is replaced, as the protocol demands."""
    return unquote_to_bytes(value).decode("utf-8", "replace")


def encode_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields of a caller's metadata; ValueError for a key or value that the protocol does not allow."""
    fields = []
    for key, value in metadata:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            text = f"metadata key {key!r}: only lower-case letters, digits and _ - . are allowed"
            if isinstance(key, str) and _KEY.fullmatch(key.lower()):
                text += f"; write {key.lower()!r}"
            raise ValueError(text)
        if key.startswith("grpc-") or key in _RESERVED:
            raise ValueError(f"metadata key {key!r} is reserved by the protocol")
        if key.endswith("-bin"):
            if not isinstance(value, bytes):
                raise ValueError(f"metadata {key!r}: the value of a -bin key is bytes, not {value!r}")
            fields.append((key.encode(), base64.b64encode(value).rstrip(b"=")))
            continue
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ValueError(f"metadata {key!r}: {value!r} is not printable ASCII (use a -bin key)")
        fields.append((key.encode(), value.strip(" ").encode()))
    return fields


def decode_metadata(fields: Iterable[tuple[bytes, bytes]]) -> Metadata:
    """What a caller sees of received fields, in order; -bin values that are no base64 are left out, as gRPC does."""
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name in _HIDDEN:
            continue
        if not name.endswith(b"-bin"):
            metadata.append((name.decode("ascii", "replace"), value.decode("latin-1")))
            continue
        for part in value.split(b","):
            try:
                binary = base64.b64decode(part.strip() + b"=" * (-len(part.strip()) % 4), validate=True)
            except binascii.Error:
                continue
            metadata.append((name.decode("ascii", "replace"), binary))
    return tuple(metadata)
