"""A gRPC server in C that does no work: nginx with fixed answers from files. Knows nothing of the clients.

What makes nginx 1.22 and later a gRPC server of fixed answers:

- `http2` on a plain-text listener speaks HTTP/2 with prior knowledge;
- static files refuse POST with 405, and `error_page 405 =200 $uri` serves the file all the same;
- `default_type application/grpc` gives the content type, `add_trailer grpc-status 0` the status;
- `mirror` reads the request to its end before the answer, as a gRPC server does; without it nginx answers when it has
  seen the headers, and resets each stream;
- `keepalive_requests` also bounds the streams of an HTTP/2 connection, by default to 1,000;
- `stub_status` counts requests, which gives a count that is none of the clients' own.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.messages import SERVICE, Identity, framed, null_answers
from bench.procs import BenchError, free_ports, running, tail, wait_for

CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; multi_accept on; }}
http {{
  access_log off;
  server_tokens off;
  etag off;
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  open_file_cache max=64 inactive=1d;
  open_file_cache_valid 1d;
  keepalive_requests 1000000000;
  keepalive_timeout 1d;
  keepalive_time 1d;
  http2_max_concurrent_streams 1024;
  server {{
    listen 127.0.0.1:{port} http2 backlog=8192;
    root {folder}/answers;
    default_type application/grpc;
    location / {{ mirror /mirror; add_trailer grpc-status 0; error_page 405 =200 $uri; }}
    location = /mirror {{ internal; return 204; }}
  }}
  server {{ listen 127.0.0.1:{status_port}; location / {{ stub_status; }} }}
}}
"""

#: Connections nginx may hold: the idle measurement opens 5,000.
FILES = 16384


class NullServer:
    """The running server."""

    def __init__(self, port: int, status_port: int, process: subprocess.Popen[bytes]) -> None:
        self.address = f"127.0.0.1:{port}"
        self.process = process
        self._status_url = f"http://127.0.0.1:{status_port}/"
        self._own_requests = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def completed(self) -> int:
        """Requests served so far, without those of this method. Counts every method, not ModelInfer alone."""
        return int(self._status()[2].split()[2]) - self._own_requests

    def connections(self) -> int:
        """Connections open now, without that of this method."""
        return int(self._status()[0].split()[2]) - 1

    def _status(self) -> list[str]:
        with urllib.request.urlopen(self._status_url, timeout=10) as answer:
            lines: list[str] = answer.read().decode().splitlines()
        self._own_requests += 1
        return lines

    def failed(self) -> int:
        """Always 0: the answer is fixed."""
        return 0


@contextmanager
def null_server(case: Identity, cores: frozenset[int] | None = None) -> Iterator[NullServer]:
    """nginx with the answers for `case`, on loopback and a free port, ended on every way out.

    Raises BenchError when nginx is not installed or does not start.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise BenchError("the null server is nginx, which is not installed; try: apt-get install nginx-light")
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as name:
        folder = Path(name)
        answers = folder / "answers" / SERVICE
        answers.mkdir(parents=True)
        (folder / "tmp").mkdir()
        for method, message in null_answers(case).items():
            (answers / method).write_bytes(framed(message))
        port, status_port = free_ports(2)
        config = folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, port=port, status_port=status_port, files=FILES))
        log = folder / "log"
        with running([nginx, "-p", name, "-c", str(config)], log, cores) as process:
            server = NullServer(port, status_port, process)
            wait_for("nginx", lambda: _answers(server), process, log, 10)
            yield server
            if process.poll() is not None:
                raise BenchError(f"nginx ended during the measurement\n{tail(log)}")


def _answers(server: NullServer) -> bool:
    try:
        server.completed()
    except OSError:
        return False
    return True
