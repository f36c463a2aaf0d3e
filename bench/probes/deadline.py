"""Sends 1 GiB requests under a deadline from one process, as the Timeout scenario does, and prints what each cost.

Run by `python -m bench deadline`: `python -m bench.probes.deadline ADDRESS MODEL SHOTS MIB DEADLINE_MS`.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402  # gevent must patch before anything else is imported
import re  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import grpc  # noqa: E402
from tritonclient.grpc import service_pb2  # noqa: E402

from bench.messages import INFER_PATH, Identity, infer_request, infer_response  # noqa: E402
from bench.probes.hub import HubWatch  # noqa: E402
from triton_users.scenarios.models import IdentityModel  # noqa: E402
from triton_users.scenarios.timeout import LargeRequest  # noqa: E402
from triton_users.transport import Channel  # noqa: E402

#: Pause between two shots, in seconds: the server gives back what it holds.
PAUSE_S = 0.3


def main(address: str, model: str, shots: int, mib: int, deadline_ms: int) -> None:
    with Channel(f"grpc://{address}") as channel:
        small = channel.unary_unary(INFER_PATH)
        case = Identity(model, 16)
        echo = infer_request(case), infer_response(case)
        check(small(echo[0], timeout=10), echo[1])
        results = []
        for _ in range(shots):
            results.append(shoot(channel, model, mib, deadline_ms, address))
            check(small(echo[0], timeout=10), echo[1])
        connections = channel.stats().connections
    if connections != 1:
        raise SystemExit(f"the channel needed {connections} connections, one was expected")
    print(json.dumps({"shots": results, "quiet": quiet(deadline_ms)}))


def check(answer: bytes, expected: bytes) -> None:
    """The small request on the same connection must be answered rightly."""
    got, wanted = (service_pb2.ModelInferResponse.FromString(message) for message in (answer, expected))
    if got.raw_output_contents != wanted.raw_output_contents:
        raise SystemExit(f"the identity model answered {got}")


def shoot(channel: Channel, model: str, mib: int, deadline_ms: int, address: str) -> dict[str, Any]:
    """One large request: its times in ms, its memory and bytes in MiB."""
    request = LargeRequest(IdentityModel(model, "INPUT0", "OUTPUT0", batches=False), mib * 2**20)
    call = channel.unary_unary(INFER_PATH, request_serializer=lambda large: large.message)
    gevent.sleep(PAUSE_S)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from the present size
    before_mib, read_before = memory_mib("VmRSS"), read_by_server(address)
    status = "OK"
    with HubWatch() as watch:
        started = time.perf_counter()
        try:
            call(request, timeout=deadline_ms / 1000)
        except grpc.RpcError as error:
            status = error.code().name
        wall_ms = 1000 * (time.perf_counter() - started)
    return {
        "status": status,
        "wall_ms": wall_ms,
        "memory_mib": memory_mib("VmHWM") - before_mib,
        "longest_run_ms": watch.longest_run_ms,
        "longest_cpu_ms": watch.longest_cpu_ms,
        "latest_wake_ms": watch.latest_wake_ms,
        "handed_over_mib": request.handed_over / 2**20,
        "server_read_mib": (read_by_server(address) - read_before) / 2**20,
    }


def quiet(milliseconds: int) -> dict[str, float]:
    """The same watch while nothing happens: what the machine itself adds."""
    with HubWatch() as watch:
        gevent.sleep(milliseconds / 1000)
    return {"longest_cpu_ms": watch.longest_cpu_ms, "latest_wake_ms": watch.latest_wake_ms}


def memory_mib(field: str) -> float:
    """A field of /proc/self/status."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, field
    return int(found.group(1)) / 1024


def read_by_server(address: str) -> int:
    """Bytes that the server's process has read from its open connections.

    The kernel counts what arrived (`bytes_received`) and what still lies in the socket's queue (Recv-Q).
    """
    port = address.rpartition(":")[2]
    command = ["ss", "--tcp", "--numeric", "--info", "--no-header", f"sport = :{port}"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    queued = sum(int(number) for number in re.findall(r"^ESTAB\s+(\d+)", text, re.MULTILINE))
    return sum(int(number) for number in re.findall(r"bytes_received:(\d+)", text)) - queued


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
