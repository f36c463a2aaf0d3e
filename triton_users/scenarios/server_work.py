"""What the server says it has done for one model so far: the evidence that tells a busy server from a broken one."""

from __future__ import annotations

from typing import NamedTuple

from triton_users.scenarios.base import Client


class Work(NamedTuple):
    """What a model has done since the server started, all its versions together, as its statistics say."""

    ended: int
    """Requests that were answered or failed."""
    seconds: float
    """How long all of them together were in the server, their queueing included."""
    execution_s: float
    """How long it computes for one of them, on average."""
    executions: int
    last_ms: int
    """When it last began one, in the server's own time."""


def work_of(client: Client, model: str, limit_s: float) -> Work:
    """InferenceServerException when the server does not say within `limit_s`."""
    versions = client.get_inference_statistics(model, client_timeout=limit_s).model_stats
    ended = [each for version in versions for each in (version.inference_stats.success, version.inference_stats.fail)]
    computed = [version.inference_stats.compute_infer for version in versions]
    return Work(
        sum(each.count for each in ended),
        sum(each.ns for each in ended) / 1e9,
        sum(each.ns for each in computed) / 1e9 / max(1, sum(each.count for each in computed)),
        sum(version.execution_count for version in versions),
        max((version.last_inference for version in versions), default=0),
    )
