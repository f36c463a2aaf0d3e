"""The log of connections tells a story of bounded length, whatever happens to how many connections."""

from __future__ import annotations

import logging

import pytest
from h2.errors import ErrorCodes

from tests.transport.peers.h2_server import H2Connection, H2Server
from tests.transport.support import free_port, wait_until
from triton_users.transport import CallError, Channel, ChannelOptions
from triton_users.transport import channel as channel_module
from triton_users.transport import unary as unary_module
from triton_users.transport.journal import BURST, PACE_S, Journal

NAME = "triton_users.transport"


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A journal without a past, in the place of the process's own."""
    caplog.set_level(logging.INFO, NAME)
    made = Journal(logging.getLogger(NAME), clock)
    monkeypatch.setattr(channel_module, "journal", made)
    return made


def test_twelve_hours_of_one_failure_a_second_are_a_line_a_minute(
    journal: Journal, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(12 * 3_600):
        clock.now_s = float(second)
        journal.info("the connection to %s ended: %s", "host:1", "gone")
    assert 12 * 3_600 / PACE_S <= len(caplog.messages) <= 12 * 3_600 / PACE_S + BURST
    assert caplog.messages[0] == "the connection to host:1 ended: gone"
    assert caplog.messages[-1] == "the connection to host:1 ended: gone (and 59 more lines like this)"


def test_a_rare_line_is_not_lost_in_a_flood_of_another_kind(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(1_000):
        journal.info("often %d", 1)
    journal.info("rarely %s", "seen")
    assert caplog.messages == ["often 1"] * BURST + ["rarely seen"]


def test_the_life_of_a_channel(journal: Journal, server: H2Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, NAME)
    with Channel(server.target) as channel:
        call = channel.unary_unary("/s/m")
        call(b"x")
        server.connections[0].h2.close_connection(additional_data=b"max_age")
        server.connections[0].flush()
        wait_until(lambda: channel.connection is None)
        call(b"x")
        server.connections[1].sock.close()
        wait_until(lambda: channel.connection is None)
        call(b"x")
    goaway = "GOAWAY NO_ERROR, last stream 1: b'max_age'"
    lost = "the server closed the connection"
    said = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == NAME]
    assert said == [  # a Locust of an earlier test may still say how busy this process is
        ("DEBUG", f"connected to {server.target}"),
        ("INFO", f"{server.target} takes no more calls on a connection, 0 go on: {goaway}"),
        ("INFO", f"connected to {server.target} again, after: {goaway}"),
        ("INFO", f"the connection to {server.target} ended: {lost}"),
        ("INFO", f"connected to {server.target} again, after: {lost}"),
    ]


def test_a_server_that_cannot_be_reached(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    with Channel(f"127.0.0.1:{free_port()}", options=ChannelOptions(backoff_initial_s=5.0)) as channel:
        with pytest.raises(CallError):
            channel.unary_unary("/s/m")(b"x")
    (line,) = caplog.messages
    assert "Connection refused; the next attempt not before " in line


def test_a_refused_call_that_is_made_again(
    journal: Journal, server: H2Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unary_module, "journal", journal)
    answer = server.on_request

    def refuse_the_first(connection: H2Connection, stream_id: int, headers: dict[str, str], body: bytes) -> None:
        if stream_id == 1:
            connection.h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            answer(connection, stream_id, headers, body)

    server.on_request = refuse_the_first
    with Channel(server.target) as channel:
        assert channel.unary_unary("/s/m")(b"x", timeout=5) == b"x"
    assert caplog.messages == ["a call of /s/m was refused and is made again: REFUSED_STREAM"]
