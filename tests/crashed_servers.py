"""The shared Tritons outlive a crash, and a test in which the embedded Triton crashed is made once more.

Triton 2.51 crashes now and then under a load that is fine: its gRPC front end uses what it has freed (issues 7877 and
8034 of its server: a SIGSEGV in `InferResponseComplete` or `StreamInferResponseComplete`), its Python backend gives up
a lock (SIGABRT). Nothing here can mend that, and a test in which it happened says nothing of us. Nothing else is ever
made again, and after LIMIT crashes in a session they are failures: a client that makes servers crash must not pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from _pytest.runner import runtestprotocol

SHARED = ("triton", "any_triton", "documented", "classifiers", "lenient", "restricted", "slow")
"""The fixtures that are a Triton of several tests."""
CRASH = re.compile(r"the embedded Triton ended by itself, by SIG(SEGV|ABRT).*")
LIMIT = 3

_crashes: list[str] = []


@pytest.fixture(autouse=True)
def the_shared_triton_lives(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test in which a shared Triton ends is told what its log says; the next test gets another one."""
    shared = [request.getfixturevalue(name) for name in SHARED if name in request.fixturenames]
    yield
    for each in shared:
        if not each.running:
            how = each.how_it_ended()
            each.stop()
            each.start()
            pytest.fail(f"The shared Triton is not there after this test: {how}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    crash = next((found[0] for each in reports if each.failed and (found := CRASH.search(each.longreprtext))), None)
    if crash is not None and len(_crashes) < LIMIT:
        _crashes.append(f"{item.nodeid}: {crash}")
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _crashes:
        terminalreporter.section("made once more, since the embedded Triton crashed")
        for crash in _crashes:
            terminalreporter.write_line(crash)
