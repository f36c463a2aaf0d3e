"""What a target string means; connects to nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from triton_users.transport.errors import TargetError

_SHAPES = "host:port, grpc://host:port, grpcs://host:port, [::1]:8001 or unix:/path"
_HOST_PORT = re.compile(
    r"(?:\[(?P<ip6>[0-9A-Fa-f:.]+(?:%[0-9A-Za-z_.\-]+)?)\]|(?P<host>[^\[\]:/@?#\s]+)):(?P<port>[0-9]{1,5})/?"
)

_WEB = re.compile(r"http(?P<secure>s)?://(?P<host>\[[^\[\]\s]*\]|[^\[\]:/@?#\s]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """A server's address: `host` and `port`, or the `path` of a Unix socket."""

    host: str
    port: int
    path: str | None
    secure: bool
    """Whether the target itself asks for TLS (`grpcs://`)."""

    @property
    def authority(self) -> str:
        """The `:authority` that gRPC sends for it."""
        if self.path is not None:
            return "localhost"
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else self.authority


def parse_target(text: str) -> Target:
    """Read a target; TargetError says what is wrong with it."""
    if not isinstance(text, str):
        raise TargetError(f"a target is a string such as {_SHAPES}, not {text!r}")
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        if path.startswith("///"):  # as URLs have it
            path = path[2:]
        if not path or "\0" in path:
            raise TargetError(f"{text!r} names no Unix socket; expected unix:/path")
        return Target("", 0, path, False)
    secure = text.startswith("grpcs://")
    rest = text[len("grpcs://") :] if secure else text.removeprefix("grpc://")
    match = _HOST_PORT.fullmatch(rest)
    if match is None:
        web = _WEB.match(text)
        if web is not None:
            grpc = f"{'grpcs' if web['secure'] else 'grpc'}://{web['host']}:8001"
            raise TargetError(
                f"the target {text!r} is an address for HTTP; Triton's gRPC has a port of its own, 8001 unless it was "
                f"told otherwise: {grpc}"
            )
        raise TargetError(f"cannot read the target {text!r}; expected {_SHAPES}")
    port = int(match["port"])
    if not 1 <= port <= 65_535:
        raise TargetError(f"port {port} in the target {text!r} is not 1 to 65535")
    return Target(match["ip6"] or match["host"], port, None, secure)
