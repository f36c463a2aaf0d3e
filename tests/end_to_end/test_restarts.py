"""Runs through which a real Triton does not go on: killed and started again, a model reloaded, a dead stub."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.locust_process import Ended, Locust
from tests.end_to_end.test_audit import MINE
from tests.end_to_end.test_main_job import wait_for
from triton_users.client.client import TritonClient
from triton_users.server import EmbeddedTriton
from triton_users.witness.statistics import read

pytestmark = pytest.mark.triton

MODEL = "custom_nobatch_zero_1_float32"
ENOUGH = 200
"""Requests before anything happens: more than a server that was started again has had when it is asked again."""
EXPLICIT = ["--model-control-mode=explicit", f"--load-model={MODEL}"]


def locust(triton: EmbeddedTriton, folder: Path, *arguments: str) -> Locust:
    locustfile = folder / "mine.py"
    locustfile.write_text(MINE % MODEL)
    options = ["-H", f"grpc://{triton.grpc_url}", "-t", "25s", "-u", "1", *arguments]
    under_way = Locust(folder, *options, "Mine", locustfile=locustfile)
    until = time.monotonic() + 60
    client = TritonClient(triton.grpc_url)
    while under_way.running() and time.monotonic() < until and read(client, 5.0)[MODEL].success < ENOUGH:
        time.sleep(0.1)
    client.close()
    return under_way


def told(ended: Ended, words: str) -> list[str]:
    verdict: dict[str, Any] = ended.report["verdict"]
    return [each for each in (*verdict["reasons"], *verdict["warnings"]) if words in each]


def test_a_server_that_was_killed_and_started_again_on_its_port_is_told_with_time_and_duration(tmp_path: Path) -> None:
    with EmbeddedTriton(models=[MODEL]) as first:
        under_way = locust(first, tmp_path, "--metrics-url", first.metrics_url)
        port = int(first.grpc_url.rpartition(":")[2])
        os.kill(first.pid, signal.SIGKILL)
        first.stop()
        time.sleep(1.5)  # a server with one model starts in less than the second that is told
        with EmbeddedTriton(models=[MODEL], grpc_port=port):
            ended = under_way.ended()

    assert ended.exit_code == 1, ended.output
    [restart] = told(ended, "the server was started again")
    assert "s after its last answer before" in restart
    assert told(ended, "the server was gone from"), ended.output
    assert [each["outcome"] for each in ended.report["server_side"]["audit"]["models"]] == ["not auditable"]
    assert ended.report["verdict"]["alerts"][2]["answer"] == "no"


def test_restarts_that_are_allowed_are_told_and_fail_nothing(tmp_path: Path) -> None:
    with EmbeddedTriton(models=[MODEL]) as first:
        under_way = locust(first, tmp_path, "--allow-restarts")
        port = int(first.grpc_url.rpartition(":")[2])
        first.stop()
        with EmbeddedTriton(models=[MODEL], grpc_port=port):
            ended = under_way.ended()

    assert told(ended, "the server was started again")
    assert not [each for each in ended.report["verdict"]["reasons"] if "started again" in each or "was gone" in each]


def test_a_model_that_was_unloaded_and_loaded_in_mid_run_fails_it(tmp_path: Path) -> None:
    with EmbeddedTriton(models=[MODEL], extra_args=EXPLICIT) as triton:
        under_way = locust(triton, tmp_path)
        client = TritonClient(triton.grpc_url)
        client.unload_model(MODEL)
        time.sleep(5)  # the absence itself
        client.load_model(MODEL)
        client.close()
        ended = under_way.ended()

    assert ended.exit_code == 1, ended.output
    away = told(ended, f"the model {MODEL} was")
    assert len(away) == 1, away
    assert "not ready from" in away[0] or "loaded again" in away[0]


def test_a_stub_that_died_is_told_by_its_requests_where_nobody_sees_its_process(tmp_path: Path) -> None:
    with EmbeddedTriton(models=[MODEL], extra_args=EXPLICIT) as triton:
        under_way = locust(triton, tmp_path)
        for stub in psutil.Process(triton.pid).children(recursive=True):
            stub.kill()
        time.sleep(5)  # for so long there is none
        client = TritonClient(triton.grpc_url)
        client.unload_model(MODEL)
        client.load_model(MODEL)
        client.close()
        ended = under_way.ended()

    assert ended.exit_code == 1, ended.output
    assert told(ended, "of the server died: requests failed for it from"), ended.report["verdict"]


def test_a_stub_of_the_embedded_server_that_is_killed_for_five_seconds_is_named_with_its_absence(
    tmp_path: Path,
) -> None:
    locustfile = tmp_path / "mine.py"
    locustfile.write_text(MINE % MODEL)
    under_way = Locust(tmp_path, "-t", "25s", "-u", "1", "Mine", locustfile=locustfile)
    wait_for(lambda: f"grpc     {MODEL}" in under_way.output(), limit_s=150)  # all models start
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for each in psutil.Process(under_way.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "stub" in each.name() and MODEL in " ".join(each.cmdline()):
                    each.kill()
        time.sleep(0.2)
    ended = under_way.ended()

    assert ended.exit_code == 1, ended.output
    [died, *_] = told(ended, f"a Python process of the model {MODEL} died at 0:00:")
    assert "and another one came after" in died or "and there was no other until the end" in died
    assert ended.report["verdict"]["alerts"][2]["answer"] == "no"
