"""A server's `/metrics`: fetched under a limit, and what it says as plain values. Judges nothing."""

from __future__ import annotations

import http.client
import re
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import gevent
from prometheus_client.parser import text_string_to_metric_families

from triton_users.witness.series import Key

MAX_BYTES = 8 * 2**20
"""The longest text that is read: thousands of models need a tenth of it."""

_MIB = 1 / 2**20


@dataclass(frozen=True)
class _Family:
    """What becomes of the values of one family of metrics."""

    name: str
    unit: str = ""
    factor: float = 1.0
    of: str = ""
    """The label that says what a value is of; values of one label are added up, for instance a model's versions."""


_GAUGES = {
    "nv_inference_pending_request_count": _Family("pending", of="model"),
    "nv_gpu_utilization": _Family("gpu_utilization", "%", 100.0, "gpu_uuid"),
    "nv_gpu_memory_used_bytes": _Family("gpu_memory", "MiB", _MIB, "gpu_uuid"),
    "nv_gpu_power_usage": _Family("gpu_power", "W", 1.0, "gpu_uuid"),
    "nv_cpu_memory_used_bytes": _Family("machine_memory", "MiB", _MIB),
    "process_resident_memory_bytes": _Family("memory", "MiB", _MIB),
    "process_open_fds": _Family("descriptors"),
    "process_cpu_seconds": _Family("cpu", "s"),
}
"""The last three are what Prometheus' own client libraries say of a process."""
_SUCCESS, _FAILURE = "nv_inference_request_success", "nv_inference_request_failure"
_WANTED = re.compile(rf"^(?:# TYPE )?(?:{'|'.join([*_GAUGES, _SUCCESS, _FAILURE])})(?:_total)?[ {{].*\n?", re.MULTILINE)


class MetricsError(Exception):
    """An address that gives no metrics; the message says why."""


@dataclass(frozen=True)
class Metrics:
    """What one server said at one moment."""

    gauges: dict[Key, float] = field(default_factory=dict)
    success: dict[str, int] = field(default_factory=dict)
    """Model -> requests that were answered since the server started."""
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    """(model, reason) -> requests."""


def fetch(url: str, limit_s: float) -> str:
    """The text at `url`. Raises MetricsError when it does not come within the limit."""
    late = gevent.Timeout(limit_s)
    try:
        with late, urllib.request.urlopen(url, timeout=limit_s) as response:
            body: bytes = response.read(MAX_BYTES + 1)
    except gevent.Timeout as timeout:
        if timeout is not late:
            raise
        raise MetricsError(f"nothing came within {limit_s:g} s") from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        raise MetricsError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    if len(body) > MAX_BYTES:
        raise MetricsError(f"its text is longer than {MAX_BYTES // 2**20} MiB")
    return body.decode("utf-8", "replace")


def parse(text: str) -> Metrics:
    """What of a Prometheus text has a use here. Raises MetricsError when it is none."""
    found = Metrics()
    # The lines that nobody needs are left out first: the parser takes 20 us for each.
    wanted = "".join(match[0] for match in _WANTED.finditer(text))
    try:
        for metric in text_string_to_metric_families(wanted):
            for sample in metric.samples:
                model = sample.labels.get("model", "")
                if metric.name == _SUCCESS:
                    found.success[model] = found.success.get(model, 0) + int(sample.value)
                elif metric.name == _FAILURE:
                    which = (model, sample.labels.get("reason", "OTHER"))
                    found.failures[which] = found.failures.get(which, 0) + int(sample.value)
                elif (family := _GAUGES.get(metric.name)) is not None:
                    key = Key(family.name, family.unit, sample.labels.get(family.of, "") if family.of else "")
                    found.gauges[key] = found.gauges.get(key, 0.0) + sample.value * family.factor
    except (ValueError, KeyError, IndexError) as error:
        raise MetricsError(f"its text is no Prometheus text: {error}") from error
    if not (found.gauges or found.success or found.failures):
        raise MetricsError("its text has none of the metrics that are known here (nv_..., process_...)")
    return found


def place(url: str) -> str:
    """The server of an address, to tell several apart."""
    return urlsplit(url).netloc or url
