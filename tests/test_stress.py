"""What the log says of failures."""

from __future__ import annotations

import logging

import pytest

from tests.scenarios.fakes import FakeClock
from triton_users.stress import LOG_EVERY_S, LOGGED_FAILURES, FailureLog


def test_the_first_failures_of_each_scenario_are_logged_and_later_ones_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    log = FailureLog(clock)
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            log.failed("SequenceValid", f"refused {number}")
        assert len(caplog.messages) == LOGGED_FAILURES
        log.failed("ResNet", "refused")
        assert caplog.messages[-1] == "ResNet failed: refused"
        clock.sleep(LOG_EVERY_S)
        log.failed("SequenceValid", "still refused")
        log.failed("SequenceValid", "and again")
    assert caplog.messages[-1] == "SequenceValid failed: still refused (and 990 more before that)"
    assert len(caplog.messages) == LOGGED_FAILURES + 2
