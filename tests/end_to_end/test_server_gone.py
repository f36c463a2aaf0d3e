"""A server that goes away in mid-run is the first sentence of the verdict, whether it comes back or not."""

from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import create_connection

from tests.end_to_end.locust_process import Locust
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton


class Way:
    """Passes bytes on to a server, and can be closed for a while: connections to it are refused then."""

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._to = (host, int(port))
        self.port = 0
        self.open()

    def open(self) -> None:
        self._pool = Pool()
        self._server = StreamServer(("127.0.0.1", self.port), self._serve, spawn=self._pool)
        self._server.start()
        self.port = self._server.server_port

    def close(self) -> None:
        self._server.stop()
        self._pool.kill()

    def _serve(self, ours: Any, _: Any) -> None:
        with ours, create_connection(self._to) as theirs:
            ways = [gevent.spawn(_copy, ours, theirs), gevent.spawn(_copy, theirs, ours)]
            try:
                gevent.joinall(ways, count=1)
            finally:
                gevent.killall(ways)


def _copy(source: Any, target: Any) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
    except OSError:
        pass  # one side has gone


@pytest.mark.parametrize("comes_back", [True, False])
def test_the_time_it_was_gone_comes_first_and_what_followed_from_it_in_the_same_sentence(
    triton: EmbeddedTriton, tmp_path: Path, comes_back: bool
) -> None:
    way = Way(triton.grpc_url)
    try:
        options = ["-H", f"grpc://127.0.0.1:{way.port}", "-t", "12s", "-u", "4", "-r", "4"]
        running = Locust(tmp_path, *options, "--scenarios", "SequenceValid,SequenceValidValid")
        with gevent.Timeout(60):
            while "All users spawned" not in running.output():
                gevent.sleep(0.1)
        gevent.sleep(2)
        way.close()
        if comes_back:
            gevent.sleep(4)
            way.open()
        ended = running.ended()
    finally:
        way.close()
    assert ended.exit_code == 1, ended.output
    first, *others = ended.report["verdict"]["reasons"]
    assert first.startswith("the server was gone from 0:00:0")
    assert (" on: cannot connect" in first) is not comes_back
    assert "; of that failed SequenceValid (" in first
    assert len(others) == (0 if comes_back else 1)
    assert all(reason.startswith("at the end of the run the server did not answer") for reason in others)
