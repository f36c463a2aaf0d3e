"""The embedded Triton as a process: start, ready, stop, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import gevent
import psutil
import pytest

from tests.server.asking import get, infer
from tests.server.leavings import LIMIT_S, left_of, wait_for
from triton_users.server import (
    EmbeddedTriton,
    InstallError,
    ServerError,
    StartError,
    log_files,
    ports,
    process,
    repository,
    stall,
)
from triton_users.server.ports import Ports
from triton_users.server.process import STOP_LIMIT_S
from triton_users.system.priority import yields

pytestmark = pytest.mark.triton

FAST = "custom_nobatch_zero_1_float32"

#: Owns a Triton, says where it is, and waits to be killed.
OWNER = """
import sys
from triton_users.server import EmbeddedTriton
triton = EmbeddedTriton(models=[sys.argv[1]]).start()
print(triton.pid, triton.grpc_url, triton.log_path.stem, flush=True)
sys.stdin.read()
"""

#: Opens a stream with a sequence in it, says so, and keeps it open.
STREAMER = """
import sys
import numpy as np
import tritonclient.grpc as grpc
client = grpc.InferenceServerClient(sys.argv[1])
tensor = grpc.InferInput("INPUT", [1], "INT32")
tensor.set_data_from_numpy(np.array([1], np.int32))
client.start_stream(lambda result, error: print("answered", flush=True))
client.async_stream_infer("custom_nobatch_sequence_int32", [tensor], sequence_id=1, sequence_start=True)
sys.stdin.read()
"""


def small(*models: str, **options: object) -> EmbeddedTriton:
    """A Triton with few models that is killed when it is stopped, which is fast."""
    return EmbeddedTriton(models=list(models), grace_s=0, **options)


def closed(url: str) -> bool:
    host, port = url.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


def test_the_server_and_its_stubs_yield_to_the_process_that_started_it(triton):
    stubs = [stub.pid for stub in psutil.Process(triton.pid).children()]
    assert stubs
    assert all(yields(pid) and os.getsid(pid) == os.getsid(0) for pid in (triton.pid, *stubs))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give real-time priority")
def test_but_the_thread_by_which_a_stub_says_that_it_is_alive_runs_at_once(triton):
    for stub in psutil.Process(triton.pid).children():
        threads = [each.id for each in stub.threads()]
        (watch,) = [each for each in threads if os.sched_getscheduler(each) == os.SCHED_FIFO]
        assert watch != stub.pid


def test_a_server_that_cannot_yield_starts_all_the_same_and_a_warning_says_so(monkeypatch, caplog):
    def forbidden(_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", forbidden)
    with small(FAST) as triton:
        assert triton.running
    assert "Triton runs with the priority of its users" in caplog.text


def test_a_started_server_answers_and_tells_where_it_is():
    with small(FAST) as triton:
        assert get(triton.http_url, "/v2")[1]["version"] == triton.version == "2.51.0"
        assert infer(triton.http_url, FAST, {"INPUT0": ("FP32", [2], [1, 2])})[1]["outputs"][0]["data"] == [1, 2]
        assert triton.running
        assert Path(f"/proc/{triton.pid}").exists()
        name = triton.log_path.stem
        assert left_of(name)
    assert not triton.running
    assert left_of(name) == []
    assert closed(triton.grpc_url)
    assert triton.log_path.exists()


def test_when_its_owner_is_killed_the_server_and_all_it_had_are_gone_within_ten_seconds():
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, FAST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        pid, url, name = owner.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        owner.kill()
    wait_for(lambda: closed(url) and not left_of(name), limit_s=10)


def test_stop_is_bounded_while_a_client_keeps_a_stream_open():
    triton = EmbeddedTriton(models=["custom_nobatch_sequence_int32"], grace_s=1).start()
    with subprocess.Popen(
        [sys.executable, "-c", STREAMER, triton.grpc_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        try:
            assert client.stdout.readline() == "answered\n"
            began = time.monotonic()
            triton.stop()
            assert time.monotonic() - began < STOP_LIMIT_S
            assert left_of(triton.log_path.stem) == []
        finally:
            client.kill()


def test_stop_may_come_at_any_time_and_twice():
    triton = small(FAST)
    triton.stop()
    triton.start()
    triton.stop()
    triton.stop()
    assert not triton.running


def test_a_stop_that_is_interrupted_still_leaves_nothing():
    triton = EmbeddedTriton(models=[FAST], grace_s=30).start()
    name = triton.log_path.stem
    stopping = gevent.spawn(triton.stop)
    gevent.sleep(0.05)
    stopping.kill()
    wait_for(lambda: not left_of(name), LIMIT_S)


def test_a_guard_that_was_killed_takes_its_server_along():
    triton = small(FAST).start()
    name = triton.log_path.stem
    triton._guard.kill()
    wait_for(lambda: closed(triton.grpc_url), LIMIT_S)
    assert not triton.running
    triton.stop()
    wait_for(lambda: not left_of(name), LIMIT_S)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_server_that_dies_says_by_what_and_where_its_log_is(number: signal.Signals):
    with small(FAST) as triton:
        assert triton.how_it_ended() == ""
        os.kill(triton.pid, number)
        wait_for(lambda: not triton.running, LIMIT_S)
        how, _, log = triton.how_it_ended().partition("\n")
        assert f"the embedded Triton ended by itself, by {number.name}" in how
        assert "a fault of the embedded server" in how
        assert str(triton.log_path) in how
        if number != signal.SIGKILL:
            assert f"Signal ({number.value}) received" in log
            assert " 0# 0x" in log, "its stack"
    assert triton.how_it_ended() == "", "one that was stopped did not end by itself"


def test_a_log_on_a_full_disk_is_named_and_ends_nothing(monkeypatch):
    monkeypatch.setattr(log_files, "new_log", lambda name: Path("/dev/full"))
    with small(FAST) as triton:
        assert triton.troubles == ["the server's log, /dev/full, cannot be written: No space left on device"]
        assert get(triton.http_url, "/v2/health/ready")[0] == 200


def test_a_run_folder_that_cannot_be_written_is_named_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr(process.tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ServerError, match=r"Cannot write the server's run folder in .*nowhere: .*TMPDIR"):
        small(FAST).start()


def test_a_start_that_hangs_is_ended_for_another(monkeypatch):
    monkeypatch.setattr(stall, "STALL_S", 1.5)
    command, hanging, steps = EmbeddedTriton._command, [["sleep", "600"]], []
    monkeypatch.setattr(EmbeddedTriton, "_command", lambda *given: hanging.pop() if hanging else command(*given))
    with small(FAST, progress=lambda step, _: steps.append(step)) as triton:
        assert get(triton.http_url, "/v2/health/ready")[0] == 200
    assert len([step for step in steps if "Starting Triton again, since it has done nothing" in step]) == 1


def test_a_model_that_sleeps_while_it_is_loaded_is_waited_for_in_the_end(monkeypatch, tmp_path):
    monkeypatch.setattr(stall, "STALL_S", 0.5)
    (tmp_path / "slow/1").mkdir(parents=True)
    (tmp_path / "slow/config.pbtxt").write_text('name: "slow" backend: "python" max_batch_size: 0')
    (tmp_path / "slow/1/model.py").write_text(SLEEPER)
    steps = []
    with EmbeddedTriton(tmp_path, grace_s=0, progress=lambda step, _: steps.append(step)) as triton:
        assert get(triton.http_url, "/v2/models/slow/ready")[0] == 200
    assert len([step for step in steps if "again" in step]) == process.STALLED_RETRIES


SLEEPER = """
import time

class TritonPythonModel:
    def initialize(self, args):
        time.sleep(6)

    def execute(self, requests):
        return []
"""


def test_a_port_taken_in_the_meantime_is_replaced_by_another(monkeypatch):
    choose, calls = ports.choose, []
    with socket.create_server(("127.0.0.1", 0)) as squatter:

        def first_taken(wanted: Ports) -> Ports:
            calls.append(None)
            chosen = choose(wanted)
            return chosen._replace(grpc=squatter.getsockname()[1]) if len(calls) == 1 else chosen

        monkeypatch.setattr(ports, "choose", first_taken)
        with small(FAST) as triton:
            assert len(calls) == 2
            assert get(triton.http_url, "/v2/health/ready")[0] == 200


LOST_RACE = """
echo "terminate called after throwing an instance of 'boost::interprocess::lock_exception'
  what():  boost::interprocess::lock_exception" >&2
kill -ABRT $$
"""


@pytest.mark.parametrize(("lost", "starts"), [(3, True), (4, False)])
def test_a_server_whose_backend_lost_a_race_is_started_again(monkeypatch, lost: int, starts: bool):
    command, steps, triton = EmbeddedTriton._command, [], small(FAST, progress=lambda step, _: steps.append(step))
    shells = [["sh", "-c", LOST_RACE]] * lost
    monkeypatch.setattr(EmbeddedTriton, "_command", lambda *arguments: shells.pop() if shells else command(*arguments))
    if starts:
        with triton:
            assert get(triton.http_url, "/v2/health/ready")[0] == 200
    else:
        with pytest.raises(StartError, match=r"ended with exit code 134 before .*(?s:.)*lock_exception"):
            triton.start()
    again = [step for step in steps if "again" in step]
    assert again == ["Starting Triton again, since it ended with: boost::interprocess::lock_exception"] * 3


@pytest.mark.parametrize("service", ["grpc", "http"])
def test_a_port_that_another_process_took_meanwhile_is_replaced(monkeypatch, service: str):
    choose, steps = ports.choose, []
    with socket.create_server(("127.0.0.1", 0)) as another:
        taken = [another.getsockname()[1]]
        monkeypatch.setattr(
            ports,
            "choose",
            lambda wanted: choose(wanted)._replace(**{service: taken.pop()}) if taken else choose(wanted),
        )
        with small(FAST, progress=lambda step, _: steps.append(step)) as triton:
            assert get(triton.http_url, "/v2/health/ready")[0] == 200
    assert [step for step in steps if "again" in step] == ["Starting Triton again, since it ended with: already in use"]


def test_a_ready_server_that_is_not_ours_is_not_taken_for_ours(monkeypatch):
    with small(FAST) as other:
        monkeypatch.setattr(ports, "choose", lambda wanted: other._ports)
        monkeypatch.setattr(process, "RETRIES", {})
        with pytest.raises(StartError, match=r"Address already in use|before it was ready"):
            small(FAST).start()
        assert get(other.http_url, "/v2/health/ready")[0] == 200


def test_a_model_that_fails_to_load_shows_why_and_leaves_nothing(tmp_path):
    model = tmp_path / "broken"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text('name: "broken" backend: "python" max_batch_size: 0')
    (model / "1/model.py").write_text("raise RuntimeError('this model is broken on purpose')")
    triton = EmbeddedTriton(tmp_path, grace_s=0)
    with pytest.raises(StartError, match="this model is broken on purpose") as raised:
        triton.start()
    assert str(triton.log_path) in str(raised.value)
    assert left_of(triton.log_path.stem) == []


def test_a_server_that_is_not_ready_in_time_is_stopped():
    triton = small(FAST, ready_limit_s=0)
    with pytest.raises(StartError, match="not ready after 0 s"):
        triton.start()
    assert left_of(triton.log_path.stem) == []


def test_a_wrong_argument_ends_with_the_servers_own_words():
    with pytest.raises(StartError, match="no-such-option"):
        small(FAST, extra_args=["--no-such-option"]).start()


def test_a_server_is_where_it_was_asked_to_be_also_right_after_another_was_there():
    wanted = ports.choose(Ports())
    for _ in range(2):
        with small(FAST, grpc_port=wanted.grpc, http_port=wanted.http, metrics_port=wanted.metrics) as triton:
            assert triton.grpc_url == f"127.0.0.1:{wanted.grpc}"
            assert triton.metrics_url == f"http://127.0.0.1:{wanted.metrics}/metrics"
            assert infer(triton.http_url, FAST, {"INPUT0": ("FP32", [2], [1, 2])})[1]["outputs"][0]["data"] == [1, 2]


def test_a_relative_model_repository_is_found_whatever_the_folder_is_later(monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FAST).symlink_to(repository.default_repository() / FAST)
    monkeypatch.chdir(tmp_path)
    triton = EmbeddedTriton("mine", grace_s=0)
    monkeypatch.chdir("/")
    with triton:
        assert get(triton.http_url, f"/v2/models/{FAST}/ready")[0] == 200


def test_a_model_that_is_not_there_is_named_with_those_that_are():
    triton = small("custom_sequence_int8")
    with pytest.raises(ServerError, match=r"No model custom_sequence_int8 in .*; there are .*custom_sequence_int32"):
        triton.start()


def test_stopping_a_server_that_starts_ends_the_start():
    triton = small(FAST)
    starting = gevent.spawn(triton.start)
    wait_for(lambda: triton.log_path.name and triton.log_path.exists(), LIMIT_S)
    triton.stop()
    with pytest.raises(StartError, match="stopped before it was ready"):
        starting.get(timeout=LIMIT_S)
    assert left_of(triton.log_path.stem) == []


def test_stopping_in_the_middle_of_the_launch_leaves_nothing(monkeypatch):
    triton, compose, names = small(FAST), repository.compose, []

    def stopping(folder, *arguments):
        names.append(folder.name.rsplit("-", 1)[0])
        triton.stop()
        compose(folder, *arguments)

    monkeypatch.setattr(repository, "compose", stopping)
    with pytest.raises(StartError, match="stopped before it was ready"):
        triton.start()
    assert left_of(names[0]) == []


def test_a_start_leaves_the_hub_free_for_others():
    longest, ended = 0.0, False

    def tick() -> None:
        nonlocal longest
        last = time.monotonic()
        while not ended:
            gevent.sleep(0.01)
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()

    ticking = gevent.spawn(tick)
    with small(FAST):
        ended = True
        ticking.join(LIMIT_S)
    assert longest < 1.0, "seconds for which nothing else ran"


def test_a_second_start_of_all_models_takes_seconds(triton):
    began = time.monotonic()
    with EmbeddedTriton(grace_s=0):
        took = time.monotonic() - began
    assert took < 20, "seconds; it takes about two on two idle cores"


def test_logs_of_former_servers_are_kept_but_not_for_ever(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    paths = []
    for number in range(log_files.LOGS_KEPT + 3):
        paths.append(log_files.new_log(f"triton-users-{number}"))
        paths[-1].write_text("log")
        os.utime(paths[-1], (number, number))
    kept = sorted(path.name for path in paths if path.exists())
    assert kept == sorted(path.name for path in paths[3:])


def test_a_server_that_runs_keeps_its_log_however_many_others_began_since(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    quiet = log_files.new_log(f"triton-users-{os.getpid()}-abc")
    os.utime(quiet, (0, 0))
    for number in range(log_files.LOGS_KEPT + 3):
        log_files.new_log(f"triton-users-{2**22 + number}-abc")  # more than the kernel numbers
    assert quiet.exists()


def test_a_cache_that_takes_no_log_is_named_with_the_way_out(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path / "file"))
    with pytest.raises(InstallError, match=r"Cannot write the cache folder .*TRITON_USERS_CACHE"):
        log_files.new_log("triton-users-1")
