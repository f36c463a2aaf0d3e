"""Serves a run's metrics to Prometheus over HTTP, from the process that has all counts. Computes none of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from gevent.pywsgi import WSGIServer
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from triton_users.declaration import UsageError
from triton_users.exports.options import ExportSettings
from triton_users.exports.prometheus import metrics
from triton_users.ledger import Ledger

STOP_LIMIT_S = 2.0
"""How long a scrape that is under way may take at the end, in seconds."""


class Counted(Protocol):
    """A run as it is exported (`run.reporting.Reporting`)."""

    @property
    def total(self) -> Ledger: ...
    def report(self) -> dict[str, Any]: ...
    def gauges(self) -> Mapping[str, int]: ...


class PrometheusServer:
    """Answers scrapes of the newest run until `stop`."""

    def __init__(self, settings: ExportSettings, newest: Callable[[], Counted | None]) -> None:
        """`newest` gives the newest run, None before the first one. UsageError when the port cannot be had."""
        registry = CollectorRegistry()
        registry.register(_Newest(newest))
        app = make_wsgi_app(registry)
        where = (settings.prometheus_host, settings.prometheus_port)
        try:
            listener = socket.create_server(where)
        except OSError as error:
            raise UsageError(
                f"prometheus-port: {where[0]}:{where[1]} cannot be listened on: {error.strerror or error}; "
                "give another --prometheus-port or --prometheus-host"
            ) from None
        self._server = WSGIServer(listener, app, log=None, error_log=None)
        self._server.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.address[1])

    def stop(self) -> None:
        """Answer no more. Safe to call twice."""
        self._server.stop(timeout=STOP_LIMIT_S)


class _Newest(Collector):
    """What prometheus_client asks at each scrape."""

    def __init__(self, newest: Callable[[], Counted | None]) -> None:
        self._newest = newest

    def collect(self) -> Iterable[Metric]:
        run = self._newest()
        return () if run is None else metrics(run.total, run.report(), run.gauges())
