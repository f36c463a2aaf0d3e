"""docs/kubernetes/ as a test reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "kubernetes"
APPLIED = ("config.yaml", "master.yaml", "workers.yaml")
"""What `kubectl apply -k` applies."""

Manifest = dict[str, Any]


def read(file: str) -> list[Manifest]:
    return list(yaml.safe_load_all((FOLDER / file).read_text()))


def every() -> Iterator[Manifest]:
    """All but what kubectl alone reads."""
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from read(path.name)


def only(kind: str, file: str) -> Manifest:
    (found,) = (each for each in read(file) if each["kind"] == kind)
    return found


def pod(manifest: Manifest) -> Manifest | None:
    """What a manifest says of its pods; None where it has none."""
    if manifest["kind"] == "Pod":
        return manifest
    template: Manifest | None = manifest.get("spec", {}).get("template")
    return template
