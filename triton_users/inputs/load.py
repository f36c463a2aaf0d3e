"""Finds the reader for what the user gave as input data of a model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from triton_users.inputs.arrays import read_directory, read_npz
from triton_users.inputs.data import InputData
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.perf_analyzer_json import JsonLines, read_json
from triton_users.settings import UsageError

_newest: dict[str, tuple[Any, InputData]] = {}
"""Model -> what was read for it last, and what that was: a start that is checked, settled and begun reads once."""


def load(path: Path, model: ModelSpec) -> InputData:
    """The data in `path`: a directory of raw files, an .npz, a .jsonl, or else perf_analyzer's JSON.

    Read again only when it has changed, or the model has. UsageError names the file, the step and the tensor, what was
    found and what was wanted.
    """
    try:
        key = (path.absolute(), model, _state(path))
    except OSError as error:
        raise UsageError(f"input data of {model.name}: {path}: {error.strerror or error}") from None
    kept = _newest.pop(model.name, None)
    data = kept[1] if kept is not None and kept[0] == key else _read(path, model)
    _newest[model.name] = key, data
    return data


def forget(but: Collection[str] = ()) -> None:
    """Drop what was read for any other model than these."""
    for model in _newest.keys() - set(but):
        del _newest[model]


def _state(path: Path) -> Any:
    """What changes when the contents do."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple((file.name, found.st_mtime_ns, found.st_size) for file in files for found in [file.stat()])


def _read(path: Path, model: ModelSpec) -> InputData:
    try:
        if path.is_dir():
            return read_directory(path, model)
        if path.suffix == ".npz":
            return read_npz(path, model)
        if path.suffix in (".jsonl", ".ndjson"):
            return JsonLines(path, model)
        return read_json(path, model)
    except DataError as error:
        raise UsageError(f"input data of {model.name}: {path}: {error}") from None
    except OSError as error:
        raise UsageError(f"input data of {model.name}: {path}: {error.strerror or error}") from None
