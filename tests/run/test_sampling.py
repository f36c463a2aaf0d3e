"""A run's questions to a real Triton: what it counts, and what becomes of them when it goes away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import cycle

import gevent.socket
import numpy as np
import pytest
from gevent.server import StreamServer
from tritonclient.grpc import InferInput

from triton_users import server
from triton_users.client.client import TritonClient
from triton_users.run import sampling
from triton_users.run.sampling import PROCESSES, STATISTICS, Sampler
from triton_users.server.ports import choose
from triton_users.settings import ConnectionSettings
from triton_users.witness.series import Key

MODEL = "custom_nobatch_zero_1_float32"
PLAIN = ConnectionSettings()


@contextmanager
def sampling_of(triton: server.EmbeddedTriton, *, whole: bool = True) -> Iterator[Sampler]:
    urls, pid = ([triton.metrics_url], triton.pid) if whole else ([], 0)
    sampler = Sampler(f"grpc://{triton.grpc_url}", PLAIN, models=[MODEL], metrics_urls=urls, pid=pid)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def infer(triton: server.EmbeddedTriton, times: int) -> None:
    client = TritonClient(triton.grpc_url)
    try:
        tensor = InferInput("INPUT0", [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))
        for _ in range(times):
            client.infer(MODEL, [tensor])
    finally:
        client.close()


@pytest.mark.triton
def test_a_runs_requests_are_counted_from_its_start_and_every_source_answers(triton: server.EmbeddedTriton) -> None:
    infer(triton, 3)
    with sampling_of(triton) as sampler:
        infer(triton, 7)
        sampler.settle(lambda seen: seen.models[MODEL].success == 7)
        seen = sampler.seen()

    assert seen.models[MODEL].success == 7
    assert {each.name: each.missing for each in seen.sources} == {STATISTICS: "", triton.metrics_url: "", PROCESSES: ""}
    newest = {key: column[-1] for key, column in seen.samples.columns().items()}
    assert newest[Key("memory", "MiB")] > 10
    assert newest[Key("success", "", MODEL)] == 7.0
    assert seen.restarts == []
    assert seen.unauditable == ""


@pytest.mark.triton
def test_where_a_source_is_missing_it_is_said_how_to_have_it(triton: server.EmbeddedTriton) -> None:
    with sampling_of(triton, whole=False) as sampler:
        missing = {each.name: each.missing for each in sampler.seen().sources}

    assert "--metrics-url http://HOST:8002/metrics" in missing["metrics"]
    assert missing[PROCESSES]
    assert not missing[STATISTICS]


def test_an_address_without_metrics_and_a_server_that_is_gone_are_told_and_nothing_is_raised() -> None:
    url = "http://127.0.0.1:9/metrics"
    sampler = Sampler("grpc://127.0.0.1:9", PLAIN, metrics_urls=[url])
    sampler.start()
    sampler.settle()
    seen = sampler.seen()
    sampler.stop()
    missing = {each.name: each.missing for each in seen.sources}

    assert "refused" in missing[url]
    assert "did not answer" in missing[STATISTICS]
    assert "does not say what it counts" in seen.unauditable


@pytest.mark.triton
def test_a_server_that_was_started_again_on_its_port_is_one_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "EVERY_S", 0.1)
    port = choose(server.ports.Ports()).grpc
    with server.EmbeddedTriton(models=[MODEL], grpc_port=port) as first:
        with sampling_of(first, whole=False) as sampler:
            infer(first, 5)
            sampler.settle(lambda seen: seen.models[MODEL].success == 5)
            first.stop()
            with server.EmbeddedTriton(models=[MODEL], grpc_port=port) as second:
                infer(second, 2)
                sampler.settle(lambda seen: bool(seen.restarts) and seen.models[MODEL].success == 7)
                seen = sampler.seen()

    [restart] = seen.restarts
    assert restart.model == ""
    assert restart.to_s - restart.from_s > 0.5
    assert seen.models[MODEL].success == 7


class Balancer:
    """TCP on a port of its own to each of these servers in turn."""

    def __init__(self, *servers: server.EmbeddedTriton) -> None:
        self._turns = cycle(each.grpc_port for each in servers)
        self._open: list[gevent.socket.socket] = []
        self._listening = StreamServer(("127.0.0.1", 0), self._forward)
        self._listening.start()
        self.host = f"grpc://127.0.0.1:{self._listening.server_port}"

    def cut(self) -> None:
        """Every connection is lost."""
        while self._open:
            self._open.pop().close()

    def stop(self) -> None:
        self.cut()
        self._listening.stop()

    def _forward(self, client: gevent.socket.socket, _: object) -> None:
        upstream = gevent.socket.create_connection(("127.0.0.1", next(self._turns)))
        self._open += [client, upstream]
        copies = [gevent.spawn(_copy, client, upstream), gevent.spawn(_copy, upstream, client)]
        gevent.joinall(copies, count=1)
        for each in (client, upstream):
            each.close()


def _copy(source: gevent.socket.socket, target: gevent.socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)


@pytest.mark.triton
def test_behind_a_balancer_a_lost_connection_to_healthy_replicas_is_no_restart(triton: server.EmbeddedTriton) -> None:
    with server.EmbeddedTriton(models=[MODEL]) as fresh:
        infer(triton, 5)
        balancer = Balancer(triton, fresh)
        sampler = Sampler(balancer.host, PLAIN)
        sampler.start()
        infer(triton, 3)
        sampler.settle(lambda seen: seen.models[MODEL].success == 3)
        balancer.cut()
        sampler.settle()  # it finds the connection lost
        sampler.settle(lambda seen: seen.interrupted)
        seen = sampler.seen()
        sampler.stop()
        balancer.stop()

    assert seen.interrupted
    assert seen.restarts == []
    assert "stands for several servers" in seen.unauditable


@pytest.mark.triton
def test_of_replicas_whose_metrics_are_known_the_one_that_was_started_again_is_named(
    triton: server.EmbeddedTriton,
) -> None:
    ports = choose(server.ports.Ports())
    again = partial(
        server.EmbeddedTriton,
        models=[MODEL],
        grpc_port=ports.grpc,
        metrics_port=ports.metrics,
    )
    with again() as first:
        urls = [triton.metrics_url, first.metrics_url]
        sampler = Sampler(f"grpc://{triton.grpc_url}", PLAIN, metrics_urls=urls)
        infer(first, 5)
        sampler.start()
        first.stop()
        sampler.settle()
        with again() as second:
            infer(second, 2)
            sampler.settle(lambda seen: bool(seen.restarts))
            seen = sampler.seen()
            sampler.stop()

    assert [(each.server, each.model) for each in seen.restarts] == [(f"127.0.0.1:{ports.metrics}", "")]


@pytest.mark.triton
def test_a_model_that_was_unloaded_and_loaded_is_named() -> None:
    explicit = ["--model-control-mode=explicit", f"--load-model={MODEL}"]
    with server.EmbeddedTriton(models=[MODEL], extra_args=explicit) as triton, sampling_of(triton) as sampler:
        infer(triton, 5)
        sampler.settle(lambda seen: seen.models[MODEL].success == 5)
        client = TritonClient(triton.grpc_url)
        client.unload_model(MODEL)
        sampler.settle(lambda _: MODEL not in {each.name for each in client.get_model_repository_index().models})
        client.load_model(MODEL)
        client.close()
        infer(triton, 2)
        sampler.settle(lambda seen: bool(seen.restarts) and seen.models[MODEL].success == 7)
        seen = sampler.seen()

    assert [each.model for each in seen.restarts] == [MODEL]
    assert seen.models[MODEL].success == 7
    assert seen.deaths == [], "a stub that ends with its model did not die"


def test_an_answer_that_costs_much_is_asked_for_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Enough(BaseException):
        pass

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise Enough

    sampler = Sampler("grpc://127.0.0.1:9", PLAIN)
    costs = iter((0.007, 3600.0))
    sampler._costs.append(0.001)
    monkeypatch.setattr(sampling.gevent, "sleep", sleep)
    monkeypatch.setattr(Sampler, "_sample", lambda self: self._costs.append(next(costs)))
    with pytest.raises(Enough):
        sampler._go_on()

    assert waits == [sampling.EVERY_S, 4.0, sampling.RARELY_S]


def test_the_series_begin_anew_with_the_counts_and_nothing_is_audited_then() -> None:
    sampler = Sampler("grpc://127.0.0.1:9", PLAIN)
    sampler.start()
    sampler.reset()
    seen = sampler.seen()
    sampler.stop()

    assert "reset" in seen.unauditable
    assert Key("memory", "MiB") not in seen.samples.columns()
