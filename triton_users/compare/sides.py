"""What A and B may be: an embedded release, with models of its own or ours; a host; or the report of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triton_users.declaration import UsageError
from triton_users.server import EmbeddedTriton, Progress, pins
from triton_users.witness.processes import ProcessTree
from triton_users.witness.series import Key


@dataclass
class Live:
    """A server that rounds can be played on."""

    name: str
    host: str = ""
    """"" until an embedded release has started."""
    release: str = ""
    models: Path | None = None
    """The embedded release's model repository; None for the package's own."""
    triton: EmbeddedTriton | None = None

    def start(self, progress: Progress) -> None:
        """Install and start it, where it is a release. A ServerError when that cannot be."""
        if self.release:
            self.triton = EmbeddedTriton(self.models, release=self.release, progress=progress)
            self.triton.start()
            self.host = f"grpc://{self.triton.grpc_url}"

    def stop(self) -> None:
        """End it, where it was started here. Safe to call twice."""
        triton, self.triton = self.triton, None
        if triton is not None:
            triton.stop()

    def how_it_ended(self) -> str:
        """How it ended by itself, with its last words; "" where it did not, or is not ours."""
        return self.triton.how_it_ended() if self.triton is not None else ""

    def memory_mib(self) -> float | None:
        """What its processes have now; None where they are not ours."""
        if self.triton is None:
            return None
        return ProcessTree(self.triton.pid).read(0.0).get(Key("memory", "MiB"))


@dataclass(frozen=True)
class Saved:
    """The report of a run."""

    name: str
    report: Mapping[str, Any]


def side(text: str) -> Live | Saved:
    """What a person wrote. UsageError for what is none of the three."""
    if text.startswith(("grpc://", "grpcs://")):
        return Live(text, text)
    release, colon, models = text.partition(":")
    if release in pins.RELEASES:
        if colon and not Path(models).is_dir():
            raise UsageError(f"the model repository {models!r} of {text!r} is no folder")
        return Live(f"Triton {text}", release=release, models=Path(models) if colon else None)
    path = Path(text)
    if path.is_dir():
        path /= "report.json"
    if not path.is_file():
        raise UsageError(
            f"{text!r} is neither an embedded release ({', '.join(pins.RELEASES)}, or RELEASE:FOLDER with models of "
            "yours), nor a host (grpc://HOST:PORT), nor the report.json of a run"
        )
    try:
        report = json.loads(path.read_text("utf-8"))
        if not {"schema", "totals", "timeline", "scenarios", "selfcheck"} <= set(report):
            raise ValueError("it has not the parts of one")
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is no report of a run: {error}") from None
    return Saved(str(path), report)
