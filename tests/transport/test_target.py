"""Targets: which server a string names, and what it says when it names none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.transport import Channel, TargetError
from triton_users.transport.target import Target, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("localhost:8001", Target("localhost", 8001, None, False)),
        ("grpc://10.0.0.1:1", Target("10.0.0.1", 1, None, False)),
        ("grpc://triton.example:8001/", Target("triton.example", 8001, None, False)),
        ("grpcs://triton.example:65535", Target("triton.example", 65535, None, True)),
        ("[::1]:8001", Target("::1", 8001, None, False)),
        ("grpcs://[fe80::1%eth0]:8001", Target("fe80::1%eth0", 8001, None, True)),
        ("unix:/run/triton.sock", Target("", 0, "/run/triton.sock", False)),
        ("unix:///run/triton.sock", Target("", 0, "/run/triton.sock", False)),
        ("unix:relative.sock", Target("", 0, "relative.sock", False)),
    ],
)
def test_names_a_server(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "localhost:",
        ":8001",
        "localhost:0",
        "localhost:65536",
        "localhost:http",
        "http://localhost:8001",
        "dns:///localhost:8001",
        "::1:8001",
        "[::1]",
        "grpc://user@host:8001",
        "host:8001/path",
        "host :8001",
        "unix:",
        "unix:/a\0b",
        None,
        8001,
    ],
)
def test_anything_else_is_a_target_error(text: str) -> None:
    with pytest.raises(TargetError):
        Channel(text)


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_a_target_error(text: str) -> None:
    try:
        target = parse_target(text)
    except TargetError:
        return
    assert target.path or 1 <= target.port <= 65535


@pytest.mark.parametrize(
    ("text", "authority"),
    [("a:1", "a:1"), ("[::1]:2", "[::1]:2"), ("[fe80::1%eth0]:3", "[fe80::1]:3"), ("unix:/x", "localhost")],
)
def test_authority_is_what_grpc_sends(text: str, authority: str) -> None:
    assert parse_target(text).authority == authority
