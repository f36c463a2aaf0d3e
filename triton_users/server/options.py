"""The options of the embedded Triton."""

from __future__ import annotations

from dataclasses import dataclass

from triton_users.declaration import option
from triton_users.server import pins


@dataclass(frozen=True)
class ServerSettings:
    """Which server runs where none was named."""

    triton: str = option(
        pins.NEWEST,
        "Release of the embedded Triton, which runs when there is no host; `triton-users releases` lists them.",
        choices=tuple(pins.RELEASES),
    )
