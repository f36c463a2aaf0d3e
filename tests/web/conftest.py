"""Locust's web UI with ours in it, with a made-up run."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from locust import User
from locust.argument_parser import get_parser
from locust.env import Environment

from tests.report.conftest import make_report
from triton_users import web
from triton_users.declaration import UsageError
from triton_users.events import add_hooks
from triton_users.options import add_options
from triton_users.web import form


class Idle(User):
    """A user for the form to show."""


class FakeReporting:
    """Stands for `reporting.Reporting`."""

    def __init__(self, state: str = "running", **changes: Any) -> None:
        """`changes`: of the made-up run, see `make_report`."""
        self.finished = state != "running"
        self.folder = SimpleNamespace(path=Path("2026-11-24T04-10-33Z"))
        self.built = 0
        self.made = make_report(state=state, **changes)

    def report(self) -> dict[str, Any]:
        self.built += 1
        return self.made


def no_rate(text: str) -> None:
    raise UsageError(f"rate: no run takes {text}")


@pytest.fixture
def ui(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Environment, FlaskClient]]:
    """Makes Locust's web UI with ours in it, without a server or a socket."""
    monkeypatch.setattr("sys.argv", ["locust"])  # Locust's index page parses it
    monkeypatch.setattr(form, "look_at", lambda *_, **__: pytest.fail("the form was good"))

    def make(reporting: FakeReporting | None = None, **arguments: Any) -> tuple[Environment, FlaskClient]:
        parser = get_parser()
        add_options(parser)
        options: Namespace = parser.parse_args([])
        environment = Environment(user_classes=[Idle], parsed_options=options, host="grpc://127.0.0.1:8001")
        add_hooks(environment)
        environment.create_local_runner()
        web_ui = environment.create_web_ui("127.0.0.1", 0, delayed_start=True, **arguments)
        web.register(environment, lambda: reporting, no_rate)  # type: ignore[arg-type,return-value]  # a fake
        web_ui.app.secret_key = "test"
        return environment, web_ui.app.test_client()

    return make
