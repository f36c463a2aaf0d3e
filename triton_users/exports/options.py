"""The options of what is exported."""

from __future__ import annotations

from dataclasses import dataclass

from triton_users.declaration import option


@dataclass(frozen=True)
class ExportSettings:
    """Where a run's numbers go beside its report."""

    prometheus_port: int = option(
        0,
        "port on which the master, or a local run, serves its numbers to Prometheus at /metrics; 0: none",
        low=0,
        high=65535,
        settled=True,
    )
    prometheus_host: str = option(
        "127.0.0.1",
        "address that it listens on; it asks for no password, so give another than loopback in a trusted network only",
        settled=True,
    )
    request_log: str = option(
        "",
        "file with a line for each request, `.csv` or `.jsonl`, packed with `.gz` behind it; a worker puts its name "
        "into the file's. `triton-users requests FILE` reads it",
    )
