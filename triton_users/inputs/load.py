"""Finds the reader for what the user gave as input data of a model."""

from __future__ import annotations

from pathlib import Path

from triton_users.inputs.arrays import read_directory, read_npz
from triton_users.inputs.data import InputData
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.perf_analyzer_json import JsonLines, read_json
from triton_users.settings import UsageError


def load(path: Path, model: ModelSpec) -> InputData:
    """The data in `path`: a directory of raw files, an .npz, a .jsonl, or else perf_analyzer's JSON.

    UsageError names the file, the step and the tensor, what was found and what was wanted.
    """
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
