"""The channel in a program whose standard library is not patched."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import gevent
from triton_users.transport import Channel

with Channel(sys.argv[1]) as channel:
    echo = channel.unary_unary("/peer.Peer/echo")
    jobs = [gevent.spawn(echo, b"%d" % index) for index in range(20)]
    gevent.joinall(jobs, timeout=10, raise_error=True)
    assert [job.value for job in jobs] == [b"%d" % index for index in range(20)]
    assert list(channel.stream_stream("/peer.Peer/chat")(iter([b"a", b"b"]))) == [b"a", b"b"]
    assert echo.future(b"x").result(timeout=5) == b"x"
assert not gevent.monkey.saved if hasattr(gevent, "monkey") else True
print("fine")
"""


def test_greenlets_of_an_unpatched_program(grpcio_port: int) -> None:
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM, f"localhost:{grpcio_port}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "fine\n", "")


def test_importing_the_package_starts_nothing() -> None:
    program = "import triton_users.transport, threading, gevent; print(threading.active_count())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("1\n", "")
