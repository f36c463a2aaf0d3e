"""Patches the standard library first, as Locust does, and lends every test the one shared real Triton."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402 - nothing may be imported before the patch
from collections.abc import Iterator  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from tests.end_to_end.locust_process import Locust  # noqa: E402
from triton_users import server  # noqa: E402

# How long an example takes depends on what else the machine does: no property is failed for it.
hypothesis.settings.register_profile(
    "house", deadline=None, max_examples=60, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")

pytest_plugins = ["tests.crashed_servers", "pytester"]


@pytest.fixture(scope="session")
def triton() -> Iterator[server.EmbeddedTriton]:
    """The healthy embedded Triton with the whole of `models/`, shared by all tests of the session."""
    with server.EmbeddedTriton() as running:
        yield running


@pytest.fixture(autouse=True)
def no_locust_outlives_its_test() -> Iterator[None]:
    yield
    Locust.end_those_left()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI nothing may be skipped: it installs all that the tests need."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything must run: {report.longrepr}"
    return report
