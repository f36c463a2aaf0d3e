"""A process tree on this machine: memory, descriptors, threads, CPU, and which of it died. Linux only.

Read from /proc by hand: psutil looks at every process of the machine for the children of one, which takes 25 ms.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from triton_users.witness.series import Key

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_MODEL = re.compile(r"/models/([^/]+)/\d+/[^/]+$")
"""In a stub's arguments: the program of its model."""
_ZOMBIE, _DEAD = "Z", "X"
LOOK_FOR_CHILDREN_EACH = 10
"""Readings from one look at all threads for new children to the next, which takes 5 ms for a busy Triton."""
REAPED_WITHIN_S = 2.0
"""How long a stub that ends with its model may wait for the server to reap it, which a busy one does late."""
MAX_DEATHS = 50
"""Stubs that died that are kept; a report needs no more."""


@dataclass(frozen=True)
class Process:
    """One process at one moment."""

    pid: int
    model: str
    """The model of a Python stub; "" for anything else."""
    started: int
    """When, in the kernel's ticks: with it the process id names one process only."""
    memory_mib: float
    """Resident, without what it shares with others."""
    shared_mib: float
    descriptors: int
    threads: int
    cpu_s: float


@dataclass(frozen=True)
class Death:
    """A stub that ended although its server and its model went on."""

    model: str
    pid: int
    from_s: float
    """When it was last seen alive, in the caller's seconds."""
    to_s: float | None
    """When its model had a new stub; None: it has none yet."""


class ProcessTree:
    """A server and its Python stubs, looked at again and again."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._children: list[int] = []
        self._models: dict[tuple[int, int], str] = {}
        self._alive: dict[tuple[int, int], Process] = {}
        self._readings = 0
        self._last_s = 0.0
        self._ended: dict[tuple[int, int], tuple[Death, float]] = {}
        """Stubs that nobody has reaped, and since when: each died, or is reaped at once."""
        self._dead: dict[tuple[int, int], Death] = {}

    @property
    def deaths(self) -> list[Death]:
        """The stubs that died, the first ones first."""
        return list(self._dead.values())

    @property
    def undecided(self) -> bool:
        """Whether a stub ended of which the next readings say if it died or was ended with its model."""
        return bool(self._ended)

    def read(self, now_s: float) -> dict[Key, float]:
        """The values of this moment; nothing once the server is gone."""
        awaited = any(death.to_s is None for death in self._dead.values())
        if self._readings % LOOK_FOR_CHILDREN_EACH == 0 or awaited:
            self._children = list(_children(self._pid))
            known = {self._pid, *self._children}
            self._models = {key: model for key, model in self._models.items() if key[0] in known}
        self._readings += 1
        server = self._process(self._pid)
        if server is None:
            return {}
        stubs = [found for pid in self._children if (found := self._process(pid)) is not None]
        self._see(stubs, now_s)
        every = [server, *stubs]
        values = {
            Key("memory", "MiB"): sum(each.memory_mib for each in every) + server.shared_mib,
            Key("descriptors"): float(sum(each.descriptors for each in every)),
            Key("threads"): float(sum(each.threads for each in every)),
            Key("cpu", "s"): sum(each.cpu_s for each in every),
            Key("processes"): float(len(every)),
            Key("server_memory", "MiB"): server.memory_mib,
        }
        for stub in stubs:
            key = Key("stub_memory", "MiB", stub.model)
            values[key] = values.get(key, 0.0) + stub.memory_mib
        return values

    def _see(self, stubs: list[Process], now_s: float) -> None:
        """Note which stubs died. One that ends with its model is soon reaped; one that died stays a zombie."""
        alive = {(each.pid, each.started): each for each in stubs if each.model}
        for key, stub in self._alive.items():
            if key not in alive and len(self._dead) + len(self._ended) < MAX_DEATHS:
                self._ended[key] = (Death(stub.model, stub.pid, self._last_s, None), now_s)
        for key, (death, since_s) in list(self._ended.items()):
            if _state(death.pid) != _ZOMBIE:
                del self._ended[key]
            elif now_s - since_s >= REAPED_WITHIN_S:
                self._dead[key] = death
                del self._ended[key]
        for key, death in self._dead.items():
            if death.to_s is None and any(each.model == death.model and each.started > key[1] for each in stubs):
                self._dead[key] = replace(death, to_s=now_s)
        self._alive, self._last_s = alive, now_s

    def _process(self, pid: int) -> Process | None:
        folder = f"/proc/{pid}"
        try:
            words = _stat(pid)
            if words[0] in (_ZOMBIE, _DEAD):
                return None
            resident, shared = (int(each) for each in _text(f"{folder}/statm").split()[1:3])
            descriptors = len(os.listdir(f"{folder}/fd"))
            started = int(words[19])
            model = self._models.get((pid, started)) or _model(folder)
            if model:  # a stub that has not yet begun its own program is still the server, by its arguments
                self._models[pid, started] = model
        except (OSError, IndexError, ValueError):
            return None  # it has just ended
        return Process(
            pid=pid,
            model=model,
            started=started,
            memory_mib=(resident - shared) * _PAGE_MIB,
            shared_mib=shared * _PAGE_MIB,
            descriptors=descriptors,
            threads=int(words[17]),
            cpu_s=(int(words[11]) + int(words[12])) * _TICK_S,
        )


def _children(pid: int) -> Iterator[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            yield from map(int, _text(f"/proc/{pid}/task/{thread}/children").split())
        except OSError:
            pass  # the thread has just ended


def _state(pid: int) -> str:
    try:
        return _stat(pid)[0]
    except (OSError, IndexError):
        return _DEAD


def _stat(pid: int) -> list[str]:
    """The fields from the state on, see proc(5): a name may hold anything, brackets too."""
    return _text(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _model(folder: str) -> str:
    for argument in _text(f"{folder}/cmdline").split("\0"):
        if match := _MODEL.search(argument):
            return match[1]
    return ""


def _text(path: str) -> str:
    """One read gives all of such a file that is asked for here; Python's own files take five times as long."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 65536).decode(errors="replace")
    finally:
        os.close(file)
