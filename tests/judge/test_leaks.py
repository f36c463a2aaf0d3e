"""Growth that goes on is a leak, growth that ends is none, and a short run says that it is too short."""

from dataclasses import replace

import numpy as np
import pytest

from tests.judge.simulated import POOL_MIB, healthy, leaking
from triton_users.judge.leaks import KEEPS_MIB, Memory, Requests, judge_memory

LIMIT = 10.0


def steady(seconds: int, mib_per_hour: float = 0.0, **changes: object) -> tuple[Memory, Requests]:
    """An even load of 100 requests a second to one model, sampled each second."""
    times = np.arange(1.0, seconds + 1)
    noise = np.random.default_rng(2).normal(0, 0.2, seconds)
    memory = Memory("the server", list(times), list(500 + mib_per_hour * times / 3600 + noise), **changes)
    return memory, Requests(list(times), {"m": list(100 * times)})


@pytest.mark.parametrize("seed", range(25))
def test_a_healthy_day_with_all_that_looks_like_a_leak_is_none(seed: int) -> None:
    assert judge_memory(*healthy(seed), LIMIT).answer != "leak"


@pytest.mark.parametrize("seed", range(20))
def test_ten_minutes_of_a_healthy_server_are_no_leak(seed: int) -> None:
    assert judge_memory(*healthy(seed, hours=1 / 6, samples=600), LIMIT).answer == "too short to say"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kib_per_request", [10.24, 64.0], ids=["1 MiB in 100 requests", "64 KiB a request"])
def test_a_leak_is_found_in_ten_minutes(seed: int, kib_per_request: float) -> None:
    memory, requests = healthy(seed, hours=1 / 6, samples=600)
    found = judge_memory(leaking(memory, requests, "a", kib_per_request), requests, LIMIT)
    assert found.answer == "leak"
    assert "a" in found.models


@pytest.mark.parametrize("seed", range(20))
def test_a_slow_leak_is_found_in_a_night(seed: int) -> None:
    memory, requests = healthy(seed)
    kib = 60 * 12 * 1024 / requests.answered["a"][-1]  # 60 MiB an hour, beside a pool that fills
    assert judge_memory(leaking(memory, requests, "a", kib), requests, LIMIT).answer == "leak"


def test_a_pool_that_is_known_to_fill_is_no_leak_before_it_could_be_full() -> None:
    memory, requests = steady(1800, mib_per_hour=501, keeps_mib=KEEPS_MIB + POOL_MIB, keeps="of the pool")
    found = judge_memory(memory, requests, LIMIT)
    assert found.answer == "too short to say"
    assert "MiB that it took in that time may be the rest of what it may keep; it took " in str(found)
    assert str(found).endswith("of the 364 MiB of the pool")
    assert judge_memory(replace(memory, keeps_mib=KEEPS_MIB), requests, LIMIT).answer == "leak"


def test_growth_that_slows_down_is_not_called_a_leak() -> None:
    memory, requests = steady(7200)
    filling = [m + 2000 * (1 - np.exp(-t / 1800)) for t, m in zip(memory.times_s, memory.mib, strict=True)]
    found = judge_memory(replace(memory, mib=filling), requests, LIMIT)
    assert found.answer == "too short to say"
    assert "slows down" in str(found)


def test_a_flat_hour_has_no_leak_and_ten_flat_minutes_do_not_show_it() -> None:
    assert judge_memory(*steady(3600), LIMIT).answer == "none seen"
    short = judge_memory(*steady(600), LIMIT)
    assert short.answer == "too short to say"
    assert "a leak of that limit would be 1.25 MiB in this time" in str(short)


def test_a_leak_under_the_limit_is_none() -> None:
    assert judge_memory(*steady(36_000, mib_per_hour=8), LIMIT).answer == "none seen"
    assert judge_memory(*steady(36_000, mib_per_hour=12), LIMIT).answer == "leak"


def test_the_sentence_of_a_leak_has_rate_interval_limit_share_of_a_request_and_model() -> None:
    text = str(judge_memory(*steady(3600, mib_per_hour=360), LIMIT))
    assert text.startswith("leak: the memory of the server grows by 360 MiB an hour (")
    assert "limit 10), 1.02 KiB a request, from 0:15:01 to 1:00:00, 253 MiB in that time; " in text
    assert text.endswith("; the requests to m explain it")


def test_the_model_whose_requests_come_when_memory_grows_is_named() -> None:
    times = np.arange(1.0, 3601)
    bursts = np.cumsum(np.where(times // 120 % 2, 200, 1))
    requests = Requests(list(times), {"even": list(100 * times), "in bursts": list(bursts), "idle": [0.0] * 3600})
    found = judge_memory(Memory("the server", list(times), list(500 + bursts / 500)), requests, LIMIT)
    assert (found.answer, found.models) == ("leak", ("in bursts",))


def test_models_that_were_asked_in_step_cannot_be_told_apart() -> None:
    memory, requests = steady(3600, mib_per_hour=360)
    both = Requests(requests.times_s, {"a": requests.answered["m"], "b": [3 * n for n in requests.answered["m"]]})
    assert str(judge_memory(memory, both, LIMIT)).endswith("the requests to each of a, b would explain it")


def test_the_only_model_of_a_process_is_the_one() -> None:
    memory, requests = steady(3600, mib_per_hour=360, model="mine")
    assert judge_memory(memory, requests, LIMIT).models == ("mine",)


def test_a_process_that_leaks_without_any_request_is_found_and_no_model_is_blamed() -> None:
    memory, _ = steady(3600, mib_per_hour=360)
    assert str(judge_memory(memory, Requests(), LIMIT)).endswith("no model's requests explain it")


def test_the_time_before_the_load_is_left_out() -> None:
    memory, _ = steady(3600)
    idle = Requests([1.0, 3000.0, 3001.0, 3600.0], {"m": [0, 0, 1, 60_000]})
    assert judge_memory(memory, idle, LIMIT).from_s > 3000


@pytest.mark.parametrize("samples", [0, 1, 5, 100])
def test_too_few_samples_are_too_short(samples: int) -> None:
    memory, requests = steady(samples) if samples else (Memory("the server", [], []), Requests())
    found = judge_memory(memory, requests, LIMIT)
    assert found.answer == "too short to say"
    assert str(found).startswith("memory of the server: too short to say: ")
