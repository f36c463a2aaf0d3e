"""Through nginx as a gRPC proxy that closes its connections all the time: no call fails."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from triton_users.transport import Channel, ChannelOptions

#: Through the proxy; 10,000 for the full count.
CALLS = int(os.environ.get("TRANSPORT_NGINX_CALLS", "3000"))

CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port} http2;
    keepalive_requests 100;
    keepalive_timeout 1s;
    location / {{ grpc_pass grpc://backend; }}
  }}
}}
"""

nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.nginx,
    pytest.mark.skipif(nginx is None, reason="needs nginx; try: apt-get install nginx-light"),
]


@pytest.fixture(scope="module")
def proxy(grpcio_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    (folder / "tmp").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, backend=grpcio_port, port=port))
    process = subprocess.Popen([str(nginx), "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + 10
    while time.monotonic() < ends_s:
        assert process.poll() is None, "nginx ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("nginx does not listen")


def test_no_call_fails_although_every_connection_is_closed_after_a_hundred(proxy: str) -> None:
    with Channel(proxy, options=ChannelOptions(backoff_initial_s=0.01)) as shared:
        own = [Channel(proxy) for _ in range(4)]
        channels = [*own, *[shared] * 4]

        def user(channel: Channel) -> None:
            echo = channel.unary_unary("/peer.Peer/echo")
            for index in range(CALLS // len(channels)):
                message = b"%d" % index
                assert echo(message, timeout=20) == message

        users = [gevent.spawn(user, channel) for channel in channels]
        gevent.joinall(users, timeout=100, raise_error=True)
        assert all(user.successful() for user in users)
        assert sum(channel.stats().connections for channel in [*own, shared]) >= CALLS // 100
        for channel in own:
            channel.close()


def test_no_call_fails_after_idle_times_around_the_proxys_limit(proxy: str) -> None:
    with Channel(proxy) as channel:
        echo = channel.unary_unary("/peer.Peer/echo")
        for pause_s in (0.0, 0.99, 1.0, 1.001, 1.01):
            gevent.sleep(pause_s)
            assert echo(b"x", timeout=10) == b"x"


def test_a_stream_through_the_proxy(proxy: str) -> None:
    with Channel(proxy) as channel:
        requests = [b"x" * size for size in (1, 100_000, 3)]
        assert list(channel.stream_stream("/peer.Peer/chat")(iter(requests))) == requests
