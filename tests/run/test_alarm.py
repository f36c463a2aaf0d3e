"""Alarms go off on time, and only when they are set."""

import math
import time

import gevent
import pytest

from tests.locust_compat.conftest import until
from triton_users.run import alarm as alarms
from triton_users.run.alarm import make_alarm


@pytest.fixture(params=["of the kernel", "of the loop"])
def without_timerfd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise OSError("no timerfd")

    if request.param == "of the loop":
        monkeypatch.setattr(alarms, "KernelTimer", none)


@pytest.mark.usefixtures("without_timerfd")
class TestAnAlarm:
    def test_goes_off_at_its_time_and_not_before(self) -> None:
        rang: list[float] = []
        alarm = make_alarm(lambda: (rang.append(time.perf_counter()), alarm.set(math.inf))[0])  # type: ignore[func-returns-value]
        wanted: list[float] = []
        for _ in range(2):
            wanted.append(at_s := time.perf_counter() + 0.03)
            alarm.set(at_s)
            until(lambda at_s=at_s: rang and rang[-1] >= at_s)
        alarm.close()
        assert len(rang) == 2
        assert all(at - due >= 0 for at, due in zip(rang, wanted, strict=True))

    def test_a_time_that_has_passed_is_now(self) -> None:
        rang: list[int] = []
        alarm = make_alarm(lambda: (rang.append(1), alarm.set(math.inf))[0])  # type: ignore[func-returns-value]
        alarm.set(time.perf_counter() - 5)
        until(lambda: rang)
        alarm.close()

    def test_one_that_was_set_again_closed_or_to_never_does_not_go_off(self) -> None:
        rang: list[int] = []
        alarm = make_alarm(lambda: rang.append(1))
        alarm.set(time.perf_counter() + 0.01)
        alarm.set(math.inf)
        gevent.sleep(0.03)
        alarm.set(time.perf_counter() + 0.01)
        alarm.close()
        alarm.close()
        alarm.set(time.perf_counter())
        gevent.sleep(0.03)
        assert rang == []
