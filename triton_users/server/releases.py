"""Which releases of Triton can be embedded, and which of them run on this machine. It installs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from triton_users.server import pins, support
from triton_users.server.errors import Unsupported
from triton_users.server.install import installed_root, usable
from triton_users.server.interpreter import Interpreter, candidates


@dataclass(frozen=True)
class Standing:
    """One release, on this machine."""

    release: str
    runs: bool
    #: Whether and with what it runs here; the reason when it does not.
    here: str


def standings() -> list[Standing]:
    """All releases, oldest first."""
    try:
        support.check(support.this_machine())
    except Unsupported as exc:
        return [Standing(name, False, f"no: {_reason(exc)}") for name in pins.RELEASES]
    pythons = list(candidates())
    return [_standing(name, release, pythons) for name, release in pins.RELEASES.items()]


def _standing(name: str, release: pins.Release, pythons: list[Interpreter]) -> Standing:
    root = installed_root(release)
    try:
        if root is not None:
            return Standing(name, True, f"installed, on {usable(release, root, pythons).name}")
    except Unsupported as exc:
        return Standing(name, False, f"no: {_reason(exc)}")
    # What its stub lacks is seen when it is there; until then a Python's own library is all that can be looked for.
    fitting = [python for python in pythons if python.version in release.pythons]
    with_library = [python for python in fitting if python.libraries is not None]
    if with_library:
        megabytes = round(release.wheel.size / 1e6)
        return Standing(name, True, f"not installed yet ({megabytes} MB), on {with_library[0].name}")
    lacks = f"{fitting[0].name} has no shared library" if fitting else "none is found here"
    return Standing(name, False, f"no: it needs Python {support.span(release.pythons)}, and {lacks}")


def _reason(exc: Unsupported) -> str:
    """Without the remedy, which is the same for all."""
    return str(exc).splitlines()[0]


def table() -> str:
    """The releases for a person, with what is known to be wrong with them."""
    lines = [f"{'Triton':<8}{'wheel':<24}{'Python':<14}here"]
    for standing in standings():
        release = pins.RELEASES[standing.release]
        wheel = f"{release.wheel.name} {release.wheel.version}"
        newest = " (the default)" if standing.release == pins.NEWEST else ""
        lines.append(f"{standing.release:<8}{wheel:<24}{support.span(release.pythons):<14}{standing.here}{newest}")
    known = [f"{name}: {defect}" for name, release in pins.RELEASES.items() for defect in release.defects]
    return "\n".join([*lines, *(["", "Known of them:", *known] if known else [])])
