"""Finds the reader for what the user gave as input data of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from triton_users.inputs.arrays import read_directory, read_npz
from triton_users.inputs.data import InputData
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.files import FileData
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.perf_analyzer_json import JsonLines, read_json
from triton_users.settings import UsageError

_newest: dict[str, tuple[Any, InputData]] = {}
"""Model -> what was read for it last, and what that was: a start that is checked, settled and begun reads once."""


def files(given: Iterable[str]) -> tuple[str, ...]:
    """The files that these names and patterns (`data/*.json`) stand for, those of a pattern by name. UsageError."""
    found: list[str] = []
    for name in given:
        matches = sorted(glob(name)) if any(sign in name for sign in "*?[") and not Path(name).exists() else [name]
        if not matches:
            raise UsageError(f"input data: no file has a name like {name}")
        found += matches
    return tuple(found)


def load(paths: Sequence[Path], model: ModelSpec) -> InputData:
    """The data in these: each a directory of raw files, an .npz, a .jsonl, or else perf_analyzer's JSON.

    Read again only when one has changed, or the model has. UsageError names the file, the step and the tensor, what was
    found and what was wanted.
    """
    key = (model, [(path.absolute(), _state(path, model)) for path in paths])
    kept = _newest.pop(model.name, None)
    if kept is not None and kept[0] == key:
        data = kept[1]
    else:
        try:
            data = FileData([(str(path), _read(path, model)) for path in paths], model)
        except DataError as error:
            raise UsageError(f"input data of {model.name}: {error}") from None
    _newest[model.name] = key, data
    return data


def forget(but: Collection[str] = ()) -> None:
    """Drop what was read for any other model than these."""
    for model in _newest.keys() - set(but):
        del _newest[model]


def _state(path: Path, model: ModelSpec) -> Any:
    """What changes when the contents do."""
    try:
        parts = sorted(path.iterdir()) if path.is_dir() else [path]
        return tuple((part.name, found.st_mtime_ns, found.st_size) for part in parts for found in [part.stat()])
    except OSError as error:
        raise UsageError(f"input data of {model.name}: {path}: {error.strerror or error}") from None


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
