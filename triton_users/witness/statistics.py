"""What a server counts for each of its models (ModelStatistics), and what it counted over a run. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MAX_MODELS = 1_000
"""Models whose counts are kept; further ones are left out."""


@dataclass(frozen=True)
class ModelCounts:
    """One model's counters, all versions together. Times are in nanoseconds, all requests together."""

    success: int = 0
    """Requests that were answered, from the cache too."""
    failed: int = 0
    queue_ns: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0
    inferences: int = 0
    """Elements of batches that were computed."""
    executions: int = 0
    cache_hits: int = 0
    batches: Mapping[int, int] = field(default_factory=dict)
    """Size of a batch -> executions of a batch of that size."""

    def plus(self, other: ModelCounts) -> ModelCounts:
        sizes = {size: self.batches.get(size, 0) + n for size, n in other.batches.items()}
        return ModelCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in _INTEGERS},
            batches={**self.batches, **sizes},
        )

    def since(self, earlier: ModelCounts) -> ModelCounts:
        """What was counted after `earlier`, which is not ahead of this (`began_anew`)."""
        sizes = {size: n - earlier.batches.get(size, 0) for size, n in sorted(self.batches.items())}
        return ModelCounts(
            **{name: getattr(self, name) - getattr(earlier, name) for name in _INTEGERS},
            batches={size: n for size, n in sizes.items() if n},
        )

    def began_anew(self, earlier: ModelCounts) -> bool:
        """Whether a counter went back: the model, or the server, was started again in between."""
        return any(getattr(self, name) < getattr(earlier, name) for name in ("success", "failed", "executions"))


_INTEGERS = tuple(each.name for each in fields(ModelCounts) if each.name != "batches")

Statistics = dict[str, ModelCounts]
"""Model -> its counts."""


def read(client: Any, limit_s: float) -> Statistics:
    """What the server behind this client has counted since it started. Raises what the client raises."""
    counted: Statistics = {}
    for model in client.get_inference_statistics(client_timeout=limit_s).model_stats:  # one entry for each version
        if len(counted) >= MAX_MODELS and model.name not in counted:
            continue
        known, stats = counted.get(model.name), model.inference_stats
        counts = ModelCounts(
            success=stats.success.count,
            failed=stats.fail.count,
            queue_ns=stats.queue.ns,
            input_ns=stats.compute_input.ns,
            infer_ns=stats.compute_infer.ns,
            output_ns=stats.compute_output.ns,
            inferences=model.inference_count,
            executions=model.execution_count,
            cache_hits=stats.cache_hit.count,
            batches={batch.batch_size: batch.compute_infer.count for batch in model.batch_stats},
        )
        counted[model.name] = counts if known is None else known.plus(counts)
    return counted
