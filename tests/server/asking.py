"""Asks a Triton over HTTP with the standard library alone: the same with and without gevent."""

from __future__ import annotations

import http.client
import json
from typing import Any


def get(url: str, path: str) -> tuple[int, Any]:
    """Status and JSON body ({} when empty) of a GET."""
    return _ask(url, "GET", path, None)


def infer(
    url: str,
    model: str,
    tensors: dict[str, tuple[str, list[int], list[Any]]],
    outputs: list[dict[str, Any]] | None = None,
    **parameters: Any,
) -> tuple[int, Any]:
    """Status and JSON body of an inference; `tensors` has datatype, shape and flat data by input name."""
    inputs = [
        {"name": name, "datatype": datatype, "shape": shape, "data": data}
        for name, (datatype, shape, data) in tensors.items()
    ]
    request: dict[str, Any] = {"inputs": inputs, "parameters": parameters}
    if outputs is not None:
        request["outputs"] = outputs
    return _ask(url, "POST", f"/v2/models/{model}/infer", json.dumps(request).encode())


def step(url: str, model: str, value: float, key: int | str, *, start: bool = False, end: bool = False) -> Any:
    """One request of a sequence: the number that comes back, or the text of the error."""
    datatype = "FP32" if model.endswith("float32") else "INT32"
    shape = [1] if "nobatch" in model else [1, 1]
    status, body = infer(
        url, model, {"INPUT": (datatype, shape, [value])}, sequence_id=key, sequence_start=start, sequence_end=end
    )
    if status != 200:
        return body["error"]
    (output,) = body["outputs"]
    assert output["shape"] == shape
    return output["data"][0]


def sequence(url: str, model: str, values: list[float], key: int | str, *, end: bool = True) -> list[Any]:
    """What comes back for each value of a whole sequence."""
    last = len(values) - 1
    return [
        step(url, model, value, key, start=number == 0, end=end and number == last)
        for number, value in enumerate(values)
    ]


def _ask(url: str, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url, timeout=60)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()
