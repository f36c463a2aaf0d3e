"""A search for the capacity as a person starts it, on the real Triton: with workers, over users, ended by Ctrl+C."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import Locust
from tests.web.locusts import wait_for
from triton_users.server import EmbeddedTriton

OWN = """
from locust import events

from triton_users.model_user import TritonModelUser
from triton_users.options import add_options
from triton_users.plugin import install

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))


class Mine(TritonModelUser):
    model = "custom_nobatch_zero_1_float32"
    shapes = {"INPUT0": (16,)}
"""
SHORT = ("--capacity-level-s", "1", "--capacity-warm-up-s", "0")
EASY = "p50_ms<9000,failure_ratio<1%"


def searching(triton: EmbeddedTriton, folder: Path, *arguments: str) -> Locust:
    locustfile = folder / "mine.py"
    locustfile.write_text(OWN)
    return Locust(folder, "-H", f"grpc://{triton.grpc_url}", "-r", "100", *SHORT, *arguments, locustfile=locustfile)


@pytest.mark.triton
@pytest.mark.parametrize("workers", [(), ("--processes", "2")], ids=["one process", "workers"])
def test_a_search_over_the_rate_makes_the_rates_it_says_and_reports_what_is_known_at_its_end(
    triton: EmbeddedTriton, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    limits = ("--rate", "20", "--find-capacity", EASY, "--capacity-time-limit-s", "10", "--capacity-at-least", "20")
    ended = searching(triton, tmp_path, "-u", "50", *limits, *workers).ended()
    assert ended.exit_code == 0, ended.output
    capacity = ended.report["capacity"]
    held = [level for level in capacity["levels"] if level["outcome"] == "held"]
    assert capacity["held"] == max(level["load"] for level in held) >= 20
    for level in held:
        # By the workers' clocks: between two looks of a master that gets no CPU there is more time than is counted.
        assert level["requests_per_s"] == pytest.approx(level["load"], rel=0.5), level
    assert capacity["stopped"] == "its time limit is 10 s"
    assert f"{capacity['held']:g} arrivals/s held" in ended.output


@pytest.mark.triton
def test_a_search_over_users_ends_with_the_number_that_keeps_the_limit(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """No request takes less than no time: not one user keeps such a limit."""
    impossible = ("--capacity-over", "users", "--find-capacity", "p50_ms<0.001")
    ended = searching(triton, tmp_path, "-u", "2", *impossible).ended()
    assert ended.exit_code == 1, ended.output
    assert [level["load"] for level in ended.report["capacity"]["levels"]] == [2, 1]
    assert ended.report["verdict"]["reasons"][0].startswith(
        "no capacity was found: no level held; 1 users did not: p50_ms"
    )


@pytest.mark.triton
def test_ctrl_c_ends_a_search_with_what_is_known_so_far(triton: EmbeddedTriton, tmp_path: Path) -> None:
    locust = searching(triton, tmp_path, "-u", "1", "--capacity-over", "users", "--find-capacity", EASY)
    wait_for(lambda: locust.output().count("users held") >= 2, 60.0)
    locust.signal(signal.SIGINT)
    ended = locust.ended()
    capacity = ended.report["capacity"]
    assert (capacity["stopped"], capacity["settled"]) == ("the run was ended", False)
    assert capacity["held"] >= 2
    assert ended.exit_code == 0, ended.output


@pytest.mark.triton
def test_limits_that_cannot_be_searched_for_are_a_mistake(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = searching(triton, tmp_path, "--find-capacity", "bret:p99_ms<50").ended()
    assert ended.exit_code == 2
    assert "there is no scenario 'bret'" in ended.output
