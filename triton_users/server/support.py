"""Decides whether a machine can run the embedded server. It looks and judges; it installs and starts nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from triton_users.server.errors import Unsupported

#: The servers' wheels are built for manylinux_2_35, perf_analyzer's needs less.
OLDEST_GLIBC = (2, 35)

#: Some release has a Python stub for each of these, and the server's own packages are pinned for each of these.
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


def this_machine() -> Machine:
    """The facts of the machine we run on."""
    return Machine(platform.system(), platform.machine(), _glibc())


def check(machine: Machine) -> None:
    """Return when `machine` can run the embedded server, raise Unsupported with the reason when it cannot."""
    reason = None
    if (machine.system, machine.architecture) != ("Linux", "x86_64"):
        reason = f"it needs Linux on x86_64, this is {machine.system} on {machine.architecture}"
    elif machine.glibc is None:
        reason = f"it needs glibc {dotted(OLDEST_GLIBC)} or newer, this C library is not glibc"
    elif machine.glibc < OLDEST_GLIBC:
        reason = f"it needs glibc {dotted(OLDEST_GLIBC)} or newer, this is {dotted(machine.glibc)}"
    if reason is not None:
        raise Unsupported(f"The embedded Triton cannot run on this machine: {reason}.\n{REMEDY}")


def _glibc() -> tuple[int, int] | None:
    try:
        name, version = str(os.confstr("CS_GNU_LIBC_VERSION")).split()  # for example "glibc 2.36"
        major, minor = version.split(".")[:2]
        return (int(major), int(minor)) if name == "glibc" else None
    except (AttributeError, ValueError, OSError):
        return None  # no confstr, no such name, or an unknown format: not a glibc we can judge


def dotted(version: tuple[int, ...]) -> str:
    """For example, 3.11."""
    return ".".join(map(str, version))


def span(pythons: tuple[tuple[int, int], ...]) -> str:
    """For example, 3.10 to 3.13."""
    return f"{dotted(pythons[0])} to {dotted(pythons[-1])}"
