"""Asks the server what it counts, all through a run, at a pace that costs next to nothing. Judges nothing.

On the local runner or the master, over a connection of its own: the users' requests never wait for it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import fmean

import gevent
from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.run.server_state import client_for
from triton_users.settings import ConnectionSettings
from triton_users.witness import metrics, statistics
from triton_users.witness.counting import Counting, Restart
from triton_users.witness.processes import ProcessTree
from triton_users.witness.seen import Seen, Source
from triton_users.witness.series import Key, Samples

logger = logging.getLogger(__name__)

EVERY_S = 1.0
"""How often a server is asked at most, in seconds."""
SHARE = 0.001
"""Of one core, what the asking may take: it is done more seldom where an answer is long."""
RARELY_S = 30.0
"""How often it is asked at least, in seconds."""
CALL_S = 0.0003
"""What an RPC or a fetch costs beside what is measured here, in seconds of CPU: 0.2 ms and 0.4 ms (`bench witness`)."""
ANSWER_LIMIT_S = 5.0
"""How long each answer may take, in seconds."""
SETTLE_S = 3.0
"""How long the server's counters are waited for at the end, in seconds: it counts a request after answering it, and
goes on with those that nobody waits for."""
SETTLE_POLL_S = 0.1
"""How often they are looked at, in seconds."""
OTHER_CONNECTIONS = 8
"""So many are tried, when counters went back on a new connection, to find a server that still has the old ones: behind
a balancer another one answers. With two replicas, picked at random, one in 256 such searches ends without."""
MAX_STEPS_ASKED = 100
"""Models whose configuration is asked for, which says what steps an ensemble has."""

STATISTICS, PROCESSES = "ModelStatistics", "processes"
_NO_METRICS = "no /metrics: give its address with --metrics-url http://HOST:8002/metrics (several for several replicas)"
_NO_PROCESSES = "no memory, descriptors and threads: the server is no embedded one, and its metrics do not have them"


class Sampler:
    """One run's questions."""

    def __init__(
        self,
        host: str,
        connection: ConnectionSettings,
        *,
        models: Sequence[str] = (),
        metrics_urls: Sequence[str] = (),
        pid: int = 0,
    ) -> None:
        """`models`: those that are ready. `pid`: the server's, where it is a process of ours."""
        self._host, self._connection = host, connection
        self._models = models
        self._urls = tuple(dict.fromkeys(metrics_urls))
        self._tree = ProcessTree(pid) if pid else None
        self._client: TritonClient | None = None
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._begun_s = time.monotonic()
        self._samples = Samples()
        self._counting = Counting()
        self._reasons: dict[str, dict[str, int]] = {}
        self._counted_at: dict[str, Counting] = {}
        """Address of metrics -> what its server counted; only the requests that were answered."""
        self._last_failures: dict[str, dict[tuple[str, str], int]] = {}
        self._answered: dict[str, int] = {}
        self._errors: dict[str, str] = {}
        self._ever_failed: dict[str, str] = {}
        self._steps: dict[str, tuple[str, ...]] = {}
        self._connections = 0
        self._cost_s = 0.0
        self._costs: deque[float] = deque(maxlen=10)
        self._unauditable = ""

    def start(self) -> None:
        """Note what was counted before the run, and go on asking. To be called before the first request."""
        self._steps = self._ask_steps()
        self._sample(first=True)
        if not self._answered.get(STATISTICS):
            self._unauditable = f"it does not say what it counts: {self._errors.get(STATISTICS, '')}"
        self._greenlet = gevent.spawn(self._go_on)

    def stop(self) -> None:
        """Safe to call twice."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def reset(self) -> None:
        """Begin anew in the middle of a run: its series and counts are from here on."""
        self._begun_s = time.monotonic()
        self._samples.clear()
        self._counting = Counting()
        self._reasons.clear()
        self._counted_at.clear()
        self._last_failures.clear()
        self._sample(first=True)
        self._unauditable = "the counts were reset while requests were under way"

    def settle(self, agreed: Callable[[Seen], bool] = lambda _: True) -> None:
        """Ask a last time, and while what was counted is not `agreed` to, for SETTLE_S more."""
        if self._greenlet is not None:
            self._greenlet.kill()
        until_s = time.monotonic() + SETTLE_S
        while True:
            self._sample()
            undecided = self._tree is not None and self._tree.undecided
            if self._errors or (agreed(self.seen()) and not undecided) or time.monotonic() > until_s:
                return
            gevent.sleep(SETTLE_POLL_S)

    def unsettled(self) -> None:
        """The server did not answer at the end, so what it counted since the last time is not known."""
        self._unauditable = self._unauditable or "it did not answer at the end of the run"

    def seen(self) -> Seen:
        """What was seen so far."""
        several = self._counting.several or len(self._urls) > 1
        models = self._counting.total
        why = self._unauditable
        if not why and STATISTICS in self._errors:
            why = self._errors[STATISTICS]
        if several and not why:
            if len(self._urls) < 2:
                why = (
                    "its address stands for several servers, of which each answer is another one's; give the "
                    "--metrics-url of each"
                )
            elif missing := [url for url in self._urls if url in self._ever_failed]:
                why = f"the metrics of {', '.join(missing)} were missing for a while"
            else:
                success = self._success()
                nothing = statistics.ModelCounts()
                models = {name: replace(models.get(name, nothing), success=success[name]) for name in sorted(success)}
        return Seen(
            samples=self._samples,
            sources=tuple(self._sources()),
            models=models,
            failures={name: dict(reasons) for name, reasons in self._reasons.items()},
            restarts=[replace(r, from_s=self._at(r.from_s), to_s=self._at(r.to_s)) for r in self._restarts()],
            deaths=[
                replace(d, from_s=self._at(d.from_s), to_s=None if d.to_s is None else self._at(d.to_s))
                for d in (self._tree.deaths if self._tree is not None else ())
            ],
            steps=self._steps,
            interrupted=self._counting.reconnected,
            whole=bool(self._urls or self._tree is not None),
            unauditable=why,
        )

    def _restarts(self) -> list[Restart]:
        """Of one known server; of several those that each one's metrics show."""
        if len(self._urls) < 2:
            return self._counting.restarts
        return [
            replace(restart, server=metrics.place(url))
            for url, counting in self._counted_at.items()
            for restart in counting.restarts
        ]

    def _success(self) -> Counter[str]:
        """Model -> requests that the servers whose metrics are known answered, all together."""
        total: Counter[str] = Counter()
        for counting in self._counted_at.values():
            total.update({name: counts.success for name, counts in counting.total.items()})
        return total

    def _at(self, monotonic_s: float) -> float:
        return max(0.0, monotonic_s - self._begun_s)

    def _sources(self) -> Iterator[Source]:
        yield self._source(STATISTICS)
        for url in self._urls:
            yield self._source(url)
        if not self._urls:
            yield Source("metrics", 0, _NO_METRICS)
        if self._tree is not None:
            yield self._source(PROCESSES)
        elif not any(Key("memory", "MiB", of) in self._samples for of in ("", *map(metrics.place, self._urls))):
            yield Source(PROCESSES, 0, _NO_PROCESSES)

    def _source(self, name: str) -> Source:
        return Source(name, self._answered.get(name, 0), self._errors.get(name, ""))

    def _go_on(self) -> None:
        while True:
            gevent.sleep(min(RARELY_S, max(EVERY_S, fmean(self._costs) / SHARE)))
            try:
                self._sample()
            except Exception:  # one answer that nobody thought of must not be the last one
                logger.exception("What the server says of itself could not be taken in")

    def _sample(self, *, first: bool = False) -> None:
        self._cost_s = 0.0
        values: dict[Key, float] = {}
        self._ask_statistics(values, first)
        for url in self._urls:
            self._ask_metrics(url, values)
        if self._tree is not None:
            with self._measured():
                found = self._tree.read(time.monotonic())
            self._note(PROCESSES, "" if found else "its process is gone, or this system has no /proc")
            values.update(found)
        with self._measured():
            self._samples.add(time.monotonic() - self._begun_s, values)
        self._costs.append(self._cost_s)

    def _ask_statistics(self, values: dict[Key, float], first: bool) -> None:
        try:
            if self._client is None:
                self._client = client_for(self._host, self._connection, ANSWER_LIMIT_S)
            counted = statistics.read(self._client, ANSWER_LIMIT_S)
        except InferenceServerException as error:
            self._note(STATISTICS, f"it did not answer: {error}")
            return
        self._note(STATISTICS, "")
        connections = self._client.channel.stats().connections
        still_there = not first and connections != self._connections and self._is_still_there(counted)
        with self._measured():
            self._cost_s += CALL_S
            now_s = time.monotonic()
            if first:
                self._counting.begin(counted, now_s)
            else:
                reconnected = connections != self._connections
                self._counting.take(counted, now_s, reconnected=reconnected, still_there=still_there)
            self._connections = connections
            for name, counts in self._counting.total.items():
                if counts.success or counts.failed:
                    values.update({Key(what, "", name): float(getattr(counts, what)) for what in COUNTERS})

    def _is_still_there(self, counted: statistics.Statistics) -> bool:
        """Whether a server that counted on is found over other connections, though the counters went back on this."""
        if self._tree is not None or not self._counting.back(counted):
            return False
        for _ in range(OTHER_CONNECTIONS):
            client = client_for(self._host, self._connection, ANSWER_LIMIT_S)
            try:
                if not self._counting.back(statistics.read(client, ANSWER_LIMIT_S)):
                    return True
            except InferenceServerException:
                return False  # it is on its way down or up
            finally:
                client.close()
        return False

    def _ask_metrics(self, url: str, values: dict[Key, float]) -> None:
        try:
            text = metrics.fetch(url, ANSWER_LIMIT_S)
            with self._measured():
                self._cost_s += CALL_S
                found = metrics.parse(text)
        except metrics.MetricsError as error:
            self._note(url, f"no metrics came from {url}: {error}")
            return
        lost = url in self._errors
        self._note(url, "")
        with self._measured():
            last, self._last_failures[url] = self._last_failures.get(url, found.failures), found.failures
            for (model, reason), number in found.failures.items():
                if grown := _grown(number, last.get((model, reason), 0)):
                    reasons = self._reasons.setdefault(model, {})
                    reasons[reason] = reasons.get(reason, 0) + grown
            counted = {model: statistics.ModelCounts(success=number) for model, number in found.success.items()}
            if (counting := self._counted_at.get(url)) is None:
                counting = self._counted_at[url] = Counting()
                counting.begin(counted, time.monotonic())
            counting.take(counted, time.monotonic(), reconnected=lost)
            several = len(self._urls) > 1
            for key, value in found.gauges.items():
                if key.name == "pending":
                    if value or key.of in counted:
                        values[key] = values.get(key, 0.0) + value
                elif value or key.name != "machine_memory":
                    of = " ".join(filter(None, (metrics.place(url) if several else "", key.of)))
                    values[key._replace(of=of)] = value

    def _note(self, source: str, error: str) -> None:
        if error:
            self._errors[source] = error
            self._ever_failed[source] = error
        else:
            self._errors.pop(source, None)
            self._answered[source] = self._answered.get(source, 0) + 1

    @contextmanager
    def _measured(self) -> Iterator[None]:
        """What is done inside is done by nobody else: no greenlet is switched to meanwhile."""
        begun_s = time.thread_time()
        try:
            yield
        finally:
            self._cost_s += time.thread_time() - begun_s

    def _ask_steps(self) -> dict[str, tuple[str, ...]]:
        """The steps of each ensemble among the models; nothing where the server does not say."""
        steps: dict[str, tuple[str, ...]] = {}
        try:
            self._client = client_for(self._host, self._connection, ANSWER_LIMIT_S)
            for name in self._models[:MAX_STEPS_ASKED]:
                config = self._client.get_model_config(name, client_timeout=ANSWER_LIMIT_S).config
                if found := tuple(step.model_name for step in config.ensemble_scheduling.step):
                    steps[name] = found
        except InferenceServerException as error:
            logger.info("The steps of ensembles are not known: %s", error)
        return steps


COUNTERS = (
    "success", "failed", "queue_ns", "input_ns", "infer_ns", "output_ns", "inferences", "executions", "cache_hits",
)  # fmt: skip
"""Fields of `ModelCounts` that are series of each model that was sent requests."""


def _grown(now: int, before: int) -> int:
    """How much a counter has grown; all of it where it began anew."""
    return now - before if now >= before else now
