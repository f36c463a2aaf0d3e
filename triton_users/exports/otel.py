"""Locust's `--otel`, made fit for a load test: what it needs, its defaults, its complaints, its end. Makes no spans.

OpenTelemetry's SDK takes its settings from environment variables. Here they are checked, and those that the user left
out are set to what suits a run with thousands of requests a second.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import MutableMapping
from importlib.util import find_spec
from typing import Any

import gevent

from triton_users.declaration import UsageError

logger = logging.getLogger(__name__)

INSTALL = 'pip install "triton-users[otel]"'
PACKAGES = (
    "opentelemetry.sdk",
    "opentelemetry.exporter.otlp.proto.http",
)

SAMPLER = "parentbased_traceidratio"
RATIO = "0.01"
"""The part of RPCs that is sampled where the user does not say: 40 a second at the 4,000 that one worker makes."""
SAMPLERS = ("always_on", "always_off", "traceidratio")
BATCH = 128
"""Spans in one export, at most: the SDK's 512 are 15 ms in which no user of the worker runs, these 4."""
DEFAULT_QUEUE = 2048
"""Spans that wait for an export, as the SDK has it. More are dropped, the oldest first."""
CLOSE_LIMIT_S = 5.0
"""How long the last spans may take at the end of the command, in seconds."""

TALKERS = (
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
)
"""The loggers of what exports."""


def prepare(environ: MutableMapping[str, str]) -> None:
    """Check these environment variables and add defaults. Call it before Locust sets the SDK up, and forks.

    UsageError when a package lacks or a variable cannot be used.
    """
    for package in PACKAGES:
        if not _is_there(package):
            raise UsageError(f"--otel needs OpenTelemetry's packages, and {package} is not there: {INSTALL}")
    _prepare_exporters(environ)
    _prepare_sampler(environ)
    queue = _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", DEFAULT_QUEUE)
    batch = _number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(BATCH, queue))
    if batch > queue:
        raise UsageError(
            f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE is {batch}, more than the {queue} of OTEL_BSP_MAX_QUEUE_SIZE; give less"
        )
    environ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = str(batch)
    _number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5_000)
    for name in TALKERS:
        logging.getLogger(name).addFilter(Once())


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even what it lies in
        return False


def _prepare_exporters(environ: MutableMapping[str, str]) -> None:
    for signal in ("TRACES", "METRICS", "LOGS"):
        name = f"OTEL_{signal}_EXPORTER"
        exporters = [each.strip().lower() for each in environ.get(name, "otlp").split(",")]
        for exporter in exporters:
            if exporter not in ("otlp", "console", "none"):
                raise UsageError(f"{name}: {exporter!r} is none of otlp, console, none")
        if "otlp" not in exporters:
            continue
        environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        own = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
        name = own if own in environ else "OTEL_EXPORTER_OTLP_PROTOCOL"
        protocol = environ[name].strip().lower()
        if protocol == "grpc":
            raise UsageError(
                f"{name} is grpc, whose exporter holds all users of a worker while it waits for the collector; give "
                "http/protobuf, which collectors take on port 4318, or leave it out"
            )
        if protocol not in ("http/protobuf", "http"):
            raise UsageError(f"{name} is {environ[name]!r}; give http/protobuf, or leave it out")


def _prepare_sampler(environ: MutableMapping[str, str]) -> None:
    name = environ.setdefault("OTEL_TRACES_SAMPLER", SAMPLER).strip().lower()
    if name.removeprefix("parentbased_") not in SAMPLERS:
        known = ", ".join([*SAMPLERS, *(f"parentbased_{each}" for each in SAMPLERS)])
        raise UsageError(f"OTEL_TRACES_SAMPLER: {name!r} is none of {known}")
    if not name.endswith("traceidratio"):
        return
    text = environ.setdefault("OTEL_TRACES_SAMPLER_ARG", RATIO)
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise UsageError(f"OTEL_TRACES_SAMPLER_ARG: {text!r} is no part of all requests; give 0 to 1, such as {RATIO}")


def _number(environ: MutableMapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default)).strip()
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{name}: {text!r} is no whole number from 1")
    return int(text)


class Once(logging.Filter):
    """Lets each kind of line of a logger through once: a collector that is away would be a line a second, all night."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out = 0
        """Lines that were not let through."""
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        if record.msg in self._seen:
            self.left_out += 1
            return False
        self._seen.add(record.msg)
        return True


def end_in_time() -> None:
    """Have this process export what is left when it ends, however it does, in a limited time. After Locust's set-up."""
    atexit.register(close)  # what is registered last is called first: before the SDK's own, which may wait for minutes


def close(limit_s: float = CLOSE_LIMIT_S) -> None:
    """Export what waits, and end; gives up after `limit_s`."""
    from opentelemetry import _logs, metrics, trace  # not before it is wanted

    # A forked worker has copies of its master's exporting greenlets, which Python's threading has forgotten: they
    # end with KeyError, to no harm but that of a traceback each.
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyError)
    for name in ("", "locust"):
        of = logging.getLogger(name)
        of.handlers = [each for each in of.handlers if each.name != "opentelemetry"]
    shutdowns: list[Any] = [
        getattr(provider, "shutdown", None)
        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider())
    ]
    ends = []
    for shutdown in filter(None, shutdowns):
        atexit.unregister(shutdown)
        ends.append(gevent.spawn(shutdown))
    gevent.joinall(ends, timeout=limit_s)
    once = [each for name in TALKERS for each in logging.getLogger(name).filters if isinstance(each, Once)]
    if left_out := sum(each.left_out for each in once):
        logger.warning(
            "OpenTelemetry: %s more lines of its exporters, like those above, were left out", f"{left_out:,}"
        )
    if not all(end.ready() for end in ends):
        logger.warning("OpenTelemetry: what was left did not reach the collector within %g s, and is lost", limit_s)
