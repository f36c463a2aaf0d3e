"""The files of the servers' logs: where a new one goes, how many are kept, how one ends. It knows no line of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psutil

from triton_users.server.cache import cache_folder, not_writable

#: Logs of former servers that are kept.
LOGS_KEPT = 50

#: A log's name begins with the process id of the one whose server it is.
_OWNER = re.compile(r"\D*(\d+)-")

#: How much of a log's end is read, in bytes: more than the stacks of a crash.
TAIL = 1024 * 1024


def new_log(name: str) -> Path:
    """A new log in the cache; the oldest beyond LOGS_KEPT are removed. InstallError when it cannot be written.

    `name`: `triton-users-PID-…`. A server that runs keeps its log, however many others began since it last said a word.
    """
    folder = cache_folder() / "logs"
    log = folder / f"{name}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        former = [path for path in folder.glob("*.log*") if not _owner_runs(path)]
        for path in sorted(former, key=_modified)[: -LOGS_KEPT + 1]:
            path.unlink(missing_ok=True)
        log.touch()
    except OSError as exc:
        raise not_writable(folder, exc) from exc
    return log


def tail(log: Path) -> str:
    """The last TAIL bytes of `log`, with the end of its rotated piece in front where it is shorter. Raises OSError."""
    text = _tail(log, TAIL)
    rotated = log.with_name(log.name + ".1")
    if len(text) < TAIL and rotated.exists():
        text = _tail(rotated, TAIL - len(text)) + text
    return text.decode(errors="replace")


def _owner_runs(log: Path) -> bool:
    owner = _OWNER.match(log.name)
    return owner is not None and psutil.pid_exists(int(owner[1]))


def _tail(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read(size)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # another process has just removed it
