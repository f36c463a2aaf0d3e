"""Decides whether a machine can run the embedded server. It looks and judges; it installs and starts nothing."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass

from triton_users.server.errors import Unsupported

#: The server's wheel is built for manylinux_2_35, perf_analyzer's needs less.
OLDEST_GLIBC = (2, 35)

#: The wheel has a Python stub for each of these, and the server's own packages are pinned for each of these.
PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))

REMEDY = (
    "Use a Triton that runs elsewhere instead: `locust --host grpc://HOST:8001`, "
    "or start one with `docker compose up` in this repository."
)


@dataclass(frozen=True)
class Machine:
    """The facts that decide."""

    #: `platform.system()`, for example "Linux".
    system: str
    #: `platform.machine()`, for example "x86_64".
    architecture: str
    #: Version of glibc, or None when the C library is another one.
    glibc: tuple[int, int] | None
    #: Major and minor version of the running Python.
    python: tuple[int, int]


def this_machine() -> Machine:
    """The facts of the machine we run on."""
    return Machine(platform.system(), platform.machine(), _glibc(), sys.version_info[:2])


def check(machine: Machine) -> None:
    """Return when `machine` can run the embedded server, raise Unsupported with every reason when it cannot."""
    reasons = []
    if (machine.system, machine.architecture) != ("Linux", "x86_64"):
        reasons.append(f"it needs Linux on x86_64, this is {machine.system} on {machine.architecture}")
    elif machine.glibc is None:
        reasons.append(f"it needs glibc {_dotted(OLDEST_GLIBC)} or newer, this C library is not glibc")
    elif machine.glibc < OLDEST_GLIBC:
        reasons.append(f"it needs glibc {_dotted(OLDEST_GLIBC)} or newer, this is {_dotted(machine.glibc)}")
    if machine.python not in PYTHONS:
        known = f"{_dotted(PYTHONS[0])} to {_dotted(PYTHONS[-1])}"
        reasons.append(f"it needs Python {known}, this is {_dotted(machine.python)}")
    if reasons:
        raise Unsupported(f"The embedded Triton cannot run on this machine: {'; '.join(reasons)}.\n{REMEDY}")


def _glibc() -> tuple[int, int] | None:
    try:
        name, version = str(os.confstr("CS_GNU_LIBC_VERSION")).split()  # for example "glibc 2.36"
        major, minor = version.split(".")[:2]
        return (int(major), int(minor)) if name == "glibc" else None
    except (AttributeError, ValueError, OSError):
        return None  # no confstr, no such name, or an unknown format: not a glibc we can judge


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
