"""The files with an ONNX network's weights, for a network that does not carry them itself. It changes nothing.

As a program of the server's own Python, which has onnx, it prints their names in the network as a JSON list:

    python external_data.py NETWORK.onnx
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path, PurePosixPath

#: Longest time to read a network, in seconds; it takes about one.
LIMIT_S = 60.0


class Unreadable(Exception):
    """A network, or a part of it, is not what it should be; the text says what is wrong, after the network's name."""


def files_beside(network: Path, python: Path) -> dict[str, Path]:
    """Where the files are that `network` takes weights from, by their names in it; `python` has onnx.

    Unreadable when it is no network, or one of them is missing or not below the network's folder.
    """
    return {name: _file(network, name) for name in _names(network, python)}


def _names(network: Path, python: Path) -> list[str]:
    try:
        done = subprocess.run(
            [str(python), "-I", __file__, str(network)], capture_output=True, text=True, timeout=LIMIT_S
        )
        return list(json.loads(done.stdout))
    except subprocess.TimeoutExpired as exc:
        raise Unreadable(f"it was not read within {LIMIT_S:g} s") from exc
    except ValueError as exc:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Unreadable(f"it cannot be read as an ONNX file: {last}") from exc


def _file(network: Path, name: str) -> Path:
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or not inside.parts:
        raise Unreadable(
            f"its weights are in {name!r}, which is not below its folder; save it in one file, or with them beside it"
        )
    file = network.parent.joinpath(*inside.parts)
    if not file.is_file():
        raise Unreadable(f"its weights should be in {file}, which is not there")
    return file


def main(path: str) -> None:
    import onnx
    from onnx import external_data_helper

    network = onnx.load(path, load_external_data=False)
    tensors = external_data_helper._get_all_tensors(network)  # in subgraphs too, which no public function gives
    outside = filter(external_data_helper.uses_external_data, tensors)
    json.dump(sorted({external_data_helper.ExternalDataInfo(tensor).location for tensor in outside}), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
