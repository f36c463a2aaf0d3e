"""How many executions of which batch size a server counts for each model (ModelStatistics). Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonclient.utils import InferenceServerException

Batches = dict[str, dict[int, int]]
"""Model -> size of a batch -> executions of a batch of that size."""


def count(client: Any, limit_s: float) -> Batches:
    """What the server behind this client has counted since it started; nothing where it does not say."""
    try:
        told = client.get_inference_statistics(client_timeout=limit_s)
    except InferenceServerException:
        return {}
    counted: Batches = {}
    for model in told.model_stats:  # one entry for each version
        sizes = counted.setdefault(model.name, {})
        for batch in model.batch_stats:
            sizes[batch.batch_size] = sizes.get(batch.batch_size, 0) + batch.compute_infer.count
    return counted


def since(later: Batches, earlier: Batches) -> Batches:
    """What was counted in between; all of `later` for a model whose counts began anew, with the server or the model."""
    between = {name: _sizes_since(sizes, earlier.get(name, {})) for name, sizes in later.items()}
    return {name: sizes for name, sizes in between.items() if sizes}


def _sizes_since(later: Mapping[int, int], earlier: Mapping[int, int]) -> dict[int, int]:
    if any(later.get(size, 0) < executions for size, executions in earlier.items()):
        earlier = {}
    grown = {size: executions - earlier.get(size, 0) for size, executions in sorted(later.items())}
    return {size: executions for size, executions in grown.items() if executions}
