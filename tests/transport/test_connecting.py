"""The way to a server: several addresses, each with its share of the time; every failure has its reason and a pause."""

from __future__ import annotations

import errno
import logging
import resource
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import gevent
import grpc
import pytest
from gevent import socket

from tests.transport.peers.h2_server import H2Server
from tests.transport.peers.raw_server import raw_server
from tests.transport.support import free_port, wait_until
from triton_users.transport import CallError, Channel, ChannelOptions
from triton_users.transport import dial as dial_module
from triton_users.transport.connector import ATTEMPT_DELAY_S

Resolve = Callable[..., None]


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Gives the name `triton.test` addresses: ports of 127.0.0.1, or whole (family, address) pairs."""

    def resolve(*addresses: Any) -> None:
        found = [
            (*address, "") if isinstance(address, tuple) else (socket.AF_INET, ("127.0.0.1", address), "")
            for address in addresses
        ]
        answer = [(family, socket.SOCK_STREAM, 6, "", where) for family, where, _ in found]
        monkeypatch.setattr(dial_module.gevent_socket, "getaddrinfo", lambda *_: answer)

    return resolve


@pytest.fixture
def blackhole() -> Iterator[int]:
    """A port that swallows every packet: the queue of its listener is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts and says nothing."""
    with raw_server(lambda sock: sock.recv(65_536) and gevent.sleep(30)) as target:
        yield int(target.rpartition(":")[2])


def options(**changes: Any) -> ChannelOptions:
    return ChannelOptions(**{"connect_timeout_s": 2.0, "backoff_initial_s": 0.05, **changes})


def failure(target: str, timeout: float = 5, **changes: Any) -> CallError:
    with Channel(target, options=options(**changes)) as channel, pytest.raises(CallError) as caught:
        channel.unary_unary("/s/m")(b"x", timeout=timeout)
    return caught.value


def call(channel: Channel) -> bytes:
    answer: bytes = channel.unary_unary("/s/m")(b"x", timeout=5)
    return answer


class TestSeveralAddresses:
    def test_one_that_swallows_packets_costs_a_moment_and_only_once(
        self, server: H2Server, name: Resolve, blackhole: int
    ) -> None:
        name(blackhole, server.port)
        with Channel("triton.test:8001", options=options()) as channel:
            started_s = perf_counter()
            assert call(channel) == b"x"
            assert ATTEMPT_DELAY_S <= perf_counter() - started_s < 1.5
            server.connections[0].sock.close()
            wait_until(lambda: channel.connection is None)
            started_s = perf_counter()
            assert call(channel) == b"x"
            assert perf_counter() - started_s < ATTEMPT_DELAY_S, "the last good one first"

    def test_one_that_refuses_costs_nothing(self, server: H2Server, name: Resolve) -> None:
        name(free_port(), free_port(), server.port)
        with Channel("triton.test:8001", options=options()) as channel:
            started_s = perf_counter()
            assert call(channel) == b"x"
            assert perf_counter() - started_s < ATTEMPT_DELAY_S

    def test_one_that_accepts_and_stays_silent_has_a_share_of_the_time(
        self, server: H2Server, name: Resolve, silent: int
    ) -> None:
        name(silent, server.port)
        with Channel("triton.test:8001", options=options()) as channel:
            started_s = perf_counter()
            assert call(channel) == b"x"
            assert 0.9 < perf_counter() - started_s < 1.9

    def test_a_busy_server_is_not_connected_to_twice(self, server: H2Server, name: Resolve) -> None:
        """Two addresses of one server that takes a while to greet: the second is left alone meanwhile."""
        name(server.port, server.port + 0)
        run = server._serve
        server._listener.set_handle(lambda sock, address: (gevent.sleep(0.5), run(sock, address)))
        with Channel("triton.test:8001", options=options(connect_timeout_s=5.0)) as channel:
            assert call(channel) == b"x"
        assert len(server.connections) == 1

    def test_of_a_family_that_does_not_exist_here(self, server: H2Server, name: Resolve) -> None:
        name((socket.AF_IPX if hasattr(socket, "AF_IPX") else 4, ("x", 1)), server.port)
        with Channel("triton.test:8001", options=options()) as channel:
            assert call(channel) == b"x"

    def test_the_families_take_turns(self, name: Resolve) -> None:
        six = [(socket.AF_INET6, (f"::{number}", 8001, 0, 0)) for number in (1, 2, 3)]
        name(*six, 4, 5)
        found = dial_module.addresses_of(dial_module.Target("triton.test", 8001, None, False))
        assert [dial_module.address_text(address) for address in found] == [
            "[::1]:8001",
            "127.0.0.1:4",
            "[::2]:8001",
            "127.0.0.1:5",
            "[::3]:8001",
        ]

    def test_none_of_them_leaves_a_socket_behind_and_each_is_told(
        self, name: Resolve, blackhole: int, silent: int
    ) -> None:
        refusing = free_port()
        name(refusing, blackhole, silent)
        error = failure("triton.test:8001", connect_timeout_s=1.0)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error.details() == (
            f"cannot connect to triton.test:8001: 127.0.0.1:{refusing}: [Errno 111] Connection refused; "
            f"127.0.0.1:{blackhole}: it did not answer within 1.0 s; "
            f"127.0.0.1:{silent}: it sent no SETTINGS within 1.0 s"
        )


class TestEveryFailureIsAConnectFailure:
    @pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "\u00e4" * 70])
    def test_a_host_that_is_no_name(self, host: str) -> None:
        error = failure(f"{host}:8001")
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "cannot resolve" in error.details()

    def test_no_socket_is_left_to_the_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_socket(*_: Any) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(dial_module._socket, "socket", no_socket)
        error = failure("127.0.0.1:8001")
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "Too many open files" in error.details()

    def test_the_descriptor_limit_itself(self) -> None:
        with Channel("127.0.0.1:1", options=options()) as channel:
            gevent.sleep(0)  # the hub has its descriptors
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                with pytest.raises(CallError, match="Too many open files"):
                    channel.unary_unary("/s/m")(b"x", timeout=5)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_an_error_that_nobody_thought_of_pauses_too(
        self, monkeypatch: pytest.MonkeyPatch, name: Resolve, caplog: pytest.LogCaptureFixture
    ) -> None:
        tries: list[None] = []

        def broken(*_: Any) -> Any:
            tries.append(None)
            raise RuntimeError("unthought of")

        caplog.set_level(logging.ERROR)
        name(1)
        monkeypatch.setattr(dial_module._socket, "socket", broken)
        with Channel("triton.test:8001", options=options(backoff_initial_s=0.2)) as channel:
            with pytest.raises(CallError) as caught:
                channel.unary_unary("/s/m")(b"x", timeout=0.5, wait_for_ready=True)
        assert "no connection yet" in caught.value.details()
        assert "RuntimeError('unthought of')" in caught.value.details()
        assert len(tries) <= 3


class TestADeadlineThatComesFirst:
    def test_says_what_the_connection_waited_for(self, silent: int) -> None:
        error = failure(f"127.0.0.1:{silent}", timeout=0.2)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error.details() == "Deadline Exceeded; no connection yet: it sent no SETTINGS so far"

    def test_says_that_nobody_answers(self, blackhole: int) -> None:
        error = failure(f"127.0.0.1:{blackhole}", timeout=0.2)
        assert error.details() == "Deadline Exceeded; no connection yet: it did not answer so far"
