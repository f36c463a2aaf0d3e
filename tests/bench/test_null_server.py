"""nginx as a gRPC server, seen by grpcio; it must not outlive its owner."""

from __future__ import annotations

import shutil

import grpc
import psutil
import pytest

from bench.messages import INFER_PATH, Identity, infer_request, infer_response
from bench.null_server import null_server

CASE = Identity("identity", 16)
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = [pytest.mark.nginx, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]


def test_it_answers_and_counts_and_ends() -> None:
    with null_server(CASE) as server:
        pid = server.pid
        before = server.completed()
        answers = ask(server.address, 3)
        assert server.completed() - before == 3
    assert answers == [infer_response(CASE)] * 3
    assert not psutil.pid_exists(pid)


def ask(address: str, count: int) -> list[bytes]:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(INFER_PATH)
        return [call(infer_request(CASE), timeout=10) for _ in range(count)]


def test_it_ends_when_its_owner_fails() -> None:
    pids: list[int] = []

    def fail() -> None:
        with null_server(CASE) as server:
            pids.append(server.pid)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
