"""What is asked of a server before a run and at its end, of servers that answer all, some or none of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from tritonclient.grpc import service_pb2

from tests.scenarios.grpc_peer import GrpcPeer
from triton_users.judge.thresholds import parse_thresholds
from triton_users.run import watch
from triton_users.run.preflight import Preflight, look_at
from triton_users.run.server_state import ModelState, ServerState, server_state
from triton_users.run.watch import ServerWatch
from triton_users.scenarios.models import names_of_all
from triton_users.server import EmbeddedTriton, perf_analyzer
from triton_users.server.cache import once
from triton_users.server.progress import silent
from triton_users.settings import TRIALS, ConnectionSettings, Settings, UsageError
from triton_users.witness.seen import Absence

PLAIN = ConnectionSettings()
SUMS = "custom_sequence_int32"
UNIMPLEMENTED, UNAVAILABLE, UNAUTHENTICATED, NOT_FOUND = 12, 14, 16, 5


class Server:
    """The calls of a preflight, each answered as a test says: with a message, or with (status, text)."""

    def __init__(self, *, models: dict[str, tuple[str, str]] | None = None, ready: bool = True) -> None:
        self.models = models if models is not None else {SUMS: ("READY", "")}
        self.ready = ready
        self.errors: dict[str, tuple[int, str]] = {}
        """Call -> the error in place of its answer; "*" for every call."""
        self.calls: list[str] = []

    def __call__(self, method: str, request: bytes, whole: bool) -> Any:
        if not whole:
            return None
        self.calls.append(method)
        if error := self.errors.get(method, self.errors.get("*")):
            return error
        return self._answer(method, request).SerializeToString()

    def _answer(self, method: str, request: bytes) -> Any:
        if method == "ServerReady":
            return service_pb2.ServerReadyResponse(ready=self.ready)
        if method == "ServerMetadata":
            return service_pb2.ServerMetadataResponse(name="triton", version="2.51.0")
        if method == "ModelReady":
            name = service_pb2.ModelReadyRequest.FromString(request).name
            return service_pb2.ModelReadyResponse(ready=self.models.get(name, ("", ""))[0] == "READY")
        assert method == "RepositoryIndex", method
        index = service_pb2.RepositoryIndexResponse()
        for name, (state, reason) in self.models.items():
            index.models.add(name=name, version="1", state=state, reason=reason)
        return index


@contextmanager
def serving(server: Server) -> Iterator[str]:
    with GrpcPeer(server) as peer:
        yield f"grpc://{peer.address}"


def look(host: str, *, scenarios: bool = True, thresholds: str = "", **settings: Any) -> Preflight:
    return look_at(host, PLAIN, Settings(seed=1, **settings), parse_thresholds(thresholds), scenarios=scenarios)


def test_a_server_that_answers_all_is_known_by_its_index() -> None:
    server = Server(models={SUMS: ("READY", ""), "other": ("", ""), "gone": ("UNAVAILABLE", "unloaded")})
    with serving(server) as host:
        found = look(host)
    assert found.target.models == {SUMS}
    assert found.target.server_version == "triton 2.51.0"
    assert (found.failed_to_load, found.notes) == ((), ())
    assert "ModelReady" not in server.calls


def test_a_model_of_the_scenarios_that_failed_to_load_is_a_failure_with_the_index_s_reason() -> None:
    why = "Internal: ModuleNotFoundError: No module named 'torch'"
    with serving(Server(models={SUMS: ("READY", ""), "resnet_v1_50": ("UNAVAILABLE", why)})) as host:
        found = look(host)
    assert found.failed_to_load == (f"the model resnet_v1_50 failed to load: {why}",)
    assert "ResNet" in found.left_out


def test_a_model_of_somebody_else_s_that_failed_to_load_is_only_told() -> None:
    with serving(Server(models={SUMS: ("READY", ""), "theirs": ("UNAVAILABLE", "no such file")})) as host:
        assert look(host).failed_to_load == ()
        assert look(host).notes == ("the model theirs failed to load: no such file",)
        assert look(host, scenarios=False).failed_to_load == ()


def test_a_model_is_ready_when_one_of_its_versions_is() -> None:
    class Versions(Server):
        def _answer(self, method: str, request: bytes) -> Any:
            answer = super()._answer(method, request)
            if method == "RepositoryIndex":
                answer.models.add(name=SUMS, version="2", state="UNAVAILABLE", reason="unloaded")
            return answer

    with serving(Versions()) as host:
        assert look(host).target.models == {SUMS}


def test_a_server_that_is_not_ready_says_which_models_are_not_and_why() -> None:
    models = {SUMS: ("READY", ""), "big": ("LOADING", ""), "bad": ("UNAVAILABLE", "no such file")}
    with serving(Server(models=models, ready=False)) as host:
        with pytest.raises(UsageError, match=r"is not ready: bad \(UNAVAILABLE: no such file\), big \(LOADING\)$"):
            look(host)
        assert "not ready: bad (UNAVAILABLE: no such file), big (LOADING)" in look(host, scenarios=False).notes[0]


def without_index(code: int, text: str) -> Callable[[Server], None]:
    return lambda server: server.errors.update(RepositoryIndex=(code, text))


def everything(code: int, text: str) -> Callable[[Server], None]:
    return lambda server: server.errors.update({"*": (code, text)})


@pytest.mark.parametrize("refuse", [without_index(UNIMPLEMENTED, "unknown method RepositoryIndex")])
def test_a_server_without_an_index_is_asked_for_each_model_of_the_scenarios(refuse: Callable[[Server], None]) -> None:
    server = Server(models={SUMS: ("READY", ""), "mine": ("READY", "")})
    refuse(server)
    with serving(server) as host:
        found = look(host)
    assert found.target.models == {SUMS}
    assert "RepositoryIndex: [StatusCode.UNIMPLEMENTED] unknown method RepositoryIndex" in found.notes[0]
    assert server.calls.count("ModelReady") == len(names_of_all(TRIALS))


def test_a_server_that_says_not_found_of_a_model_it_lacks_is_asked_for_the_others() -> None:
    class Strict(Server):
        def __call__(self, method: str, request: bytes, whole: bool) -> Any:
            if method == "ModelReady" and whole:
                name = service_pb2.ModelReadyRequest.FromString(request).name
                if name not in self.models:
                    return NOT_FOUND, f"no model {name}"
            return super().__call__(method, request, whole)

    server = Strict(models={"libtorch_sequence_int32": ("READY", "")})
    server.errors["RepositoryIndex"] = (UNIMPLEMENTED, "no")
    with serving(server) as host:
        assert look(host).target.models == {"libtorch_sequence_int32"}


@pytest.mark.parametrize(
    ("refuse", "told"),
    [
        (everything(UNAUTHENTICATED, "no token"), "A gateway in front of it wants authorization"),
        (everything(UNIMPLEMENTED, "404"), "an ingress that does not route them"),
        (
            everything(UNAVAILABLE, "This protocol is restricted, expecting header 'triton-grpc-protocol-k'"),
            "--grpc-header 'triton-grpc-protocol-KEY: VALUE'",
        ),
    ],
)
def test_of_a_server_that_tells_nothing_it_is_said_what_answered_what(
    refuse: Callable[[Server], None], told: str
) -> None:
    server = Server()
    refuse(server)
    with serving(server) as host:
        with pytest.raises(UsageError) as refused:
            look(host)
        own = look(host, scenarios=False)
    assert "no Triton answers" not in str(refused.value)
    assert told in str(refused.value)
    assert "ServerReady: [StatusCode." in str(refused.value)
    assert "Users of your own need none of this" in str(refused.value)
    assert told in own.notes[0]
    assert own.found.ready is None


def test_where_nobody_listens_no_triton_answers() -> None:
    with pytest.raises(UsageError, match=r"no Triton answers at grpc://127\.0\.0\.1:9: .*Start one there"):
        look("grpc://127.0.0.1:9", scenarios=False)


def test_where_nothing_is_usable_it_is_said_once_what_is_missing_and_what_there_is() -> None:
    with serving(Server(models={"mine": ("READY", ""), "yours": ("READY", "")})) as host:
        with pytest.raises(UsageError) as refused:
            look(host, weights={"PerfAnalyzer": 0})
    told = str(refused.value)
    assert "whose ready models are: mine, yours." in told
    assert "SequenceValid, SequenceValidValid, SequenceValidNoEnd, SequenceNoEnd, SequenceNoStart: no sequence" in told
    assert told.count("no sequence model") == 1
    assert len(told) < 1_300


@pytest.mark.parametrize(
    ("trials", "told"),
    [
        (("onnx",), "load one (onnx_sequence_int32), or select trials whose models the folder models/ has "),
        (("plan",), "load one (plan_sequence_float32), or select"),
        (("custom", "onnx"), "load one (custom_sequence_int32; the folder models/ has it)"),
    ],
)
def test_what_is_advised_would_count(trials: tuple[str, ...], told: str) -> None:
    with serving(Server(models={"mine": ("READY", "")})) as host:
        with pytest.raises(UsageError) as refused:
            look(host, trials=trials)
    assert told in str(refused.value)


def test_the_slow_model_is_not_advised_as_one_that_answers_at_once() -> None:
    with serving(Server(models={"mine": ("READY", "")})) as host:
        with pytest.raises(UsageError, match=r"select trials .*\(--trials custom_nobatch\)"):
            look(host, trials=("custom",))


@pytest.fixture
def damaged_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a perf_analyzer that was installed and is not there any more."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    root = once(perf_analyzer.folder(), lambda folder: (folder / "perf_analyzer").touch(), silent)
    (root / "perf_analyzer").unlink()
    return root


def test_a_damaged_perf_analyzer_does_not_leave_its_scenario_out_in_silence(damaged_cache: Path) -> None:
    with serving(Server()) as host, pytest.raises(UsageError, match=f"{damaged_cache} is damaged: .*give it weight 0"):
        look(host)


def test_a_damaged_perf_analyzer_that_nobody_needs_holds_nothing_up(damaged_cache: Path) -> None:
    with serving(Server()) as host:
        assert "SequenceValid" not in look(host, weights={"PerfAnalyzer": 0}).left_out


def test_a_threshold_of_a_model_the_server_lacks_is_refused() -> None:
    with serving(Server()) as host:
        with pytest.raises(UsageError, match="no such model on the server"):
            look(host, thresholds="bert:p99_ms<5")


FOUND = ServerState(
    ready=True, index={"a": ModelState("READY"), "b": ModelState("READY")}, models=frozenset({"a", "b"})
)


def watching(host: str = "grpc://127.0.0.1:9", found: ServerState = FOUND) -> ServerWatch:
    return ServerWatch(host, PLAIN, found)


def test_a_model_that_is_ready_no_more_at_the_end_is_named_with_the_time_and_the_reason() -> None:
    with serving(Server(models={"a": ("READY", ""), "b": ("UNAVAILABLE", "unloaded")}, ready=False)) as host:
        watched = watching(host)
        watched.saw({"a": ModelState("READY"), "b": ModelState("UNLOADING")}, now_s=1090.0)
        assert watched.at_the_end(begun_s=1000.0) == [
            "at the end of the run the server said that it is not ready",
            "the model b was ready at the start and is not at the end, since 0:01:30: UNAVAILABLE: unloaded",
        ]


def test_a_model_that_came_back_is_told_with_the_times() -> None:
    watched = watching()
    watched.saw({"a": ModelState("READY"), "b": ModelState("LOADING")}, now_s=1010.0)
    watched.saw(FOUND.index or {}, now_s=1014.0)
    assert watched.absences(begun_s=1000.0) == [Absence("b", 10.0, 14.0, "LOADING")]


def test_a_server_that_is_as_it_was_at_the_end_gives_no_reason() -> None:
    with serving(Server(models={"a": ("READY", ""), "b": ("READY", "")})) as host:
        assert watching(host).at_the_end(begun_s=0.0) == []


def test_a_server_that_does_not_answer_at_the_end_gives_one_reason() -> None:
    (reason,) = watching().at_the_end(begun_s=0.0)
    assert reason.startswith("at the end of the run the server did not answer: ")


def test_what_a_server_refused_to_say_before_the_run_is_not_asked_at_its_end() -> None:
    server = Server()
    server.errors["*"] = (UNAUTHENTICATED, "no token")
    with serving(server) as host:
        assert watching(host, server_state(host, PLAIN, ())).at_the_end(begun_s=0.0) == []


def test_a_watch_polls_the_index_and_its_end_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 0.01)
    server = Server(models={"a": ("READY", ""), "b": ("READY", "")})
    with serving(server) as host:
        watched = watching(host)
        watched.start()
        with gevent.Timeout(10):
            while server.calls.count("RepositoryIndex") < 2:
                gevent.sleep(0.01)
        watched.stop()
        watched.stop()
        asked = len(server.calls)
        gevent.sleep(0.05)
    assert len(server.calls) <= asked + 1


def test_a_watch_keeps_when_an_answer_that_is_no_work_was_long_in_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 0.01)
    monkeypatch.setattr(watch, "SLOW_S", 0.2)

    class Slow(Server):
        def __call__(self, method: str, request: bytes, whole: bool) -> Any:
            if whole:
                gevent.sleep(0.3)
            return super().__call__(method, request, whole)

    begun_s = time.monotonic()
    with serving(Slow(models={"a": ("READY", ""), "b": ("READY", "")})) as host:
        watched = watching(host)
        watched.start()
        with gevent.Timeout(10):
            while not watched.slow_questions(begun_s):
                gevent.sleep(0.01)
        watched.stop()
    ((from_s, to_s), *_) = watched.slow_questions(begun_s)
    assert 0.0 <= from_s < to_s - 0.2
    assert watched.slow_questions(begun_s + 3600.0) == []


@pytest.mark.triton
def test_a_real_triton_with_restricted_protocols_is_named_as_such() -> None:
    restricted = ["--grpc-restricted-protocol=health,metadata,model-repository:key=value"]
    with EmbeddedTriton(models=[SUMS], extra_args=restricted) as triton:
        with pytest.raises(UsageError, match="started with --grpc-restricted-protocol"):
            look(f"grpc://{triton.grpc_url}")
        key = ConnectionSettings(grpc_header=(("triton-grpc-protocol-key", "value"),))
        found = look_at(f"grpc://{triton.grpc_url}", key, Settings(seed=1), (), scenarios=True)
    assert (found.target.models, found.notes) == ({SUMS}, ())
