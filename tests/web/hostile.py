"""A locustfile: the stress test and one user whose failures carry what a browser must never take for markup.

With `--web-login` it also has the simplest login there can be: whoever asks for `/enter` is in.
"""

from typing import Any

from flask import redirect, session
from flask_login import UserMixin, login_user
from locust import User, constant, events, task

from tests.web.values import HOSTILE, LARGE_ID
from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.stress import TritonStressUser

__all__ = ["HostileUser", "TritonStressUser"]

events.init_command_line_parser.add_listener(add_options)


@events.init.add_listener
def on_init(environment: Any, web_ui: Any, **_: Any) -> None:
    install(environment)
    if web_ui is not None and web_ui.web_login:
        web_ui.app.secret_key = "only for a test on loopback"
        web_ui.login_manager.user_loader(lambda name: Somebody())

        @web_ui.app.route("/enter")
        def enter() -> Any:
            session["username"] = "somebody"
            login_user(Somebody())
            return redirect("/")


class Somebody(UserMixin):  # type: ignore[misc]  # flask-login has no types
    def get_id(self) -> str:
        return "somebody"


class HostileUser(User):
    """Fails once a second, as if a scenario had met a wrong answer."""

    fixed_count = 1
    wait_time = constant(1)

    @task
    def fail(self) -> None:
        steps = [["START", 5, 5, 5], ["", 7, 12, HOSTILE]]
        evidence = {"model": HOSTILE, "correlation_id": LARGE_ID, "steps": steps}
        self.environment.events.sequence_validation_failure.fire(
            scenario="SequenceValidValid",
            model=HOSTILE,
            correlation_id=LARGE_ID,
            step=1,
            expected=12,
            got=HOSTILE,
            steps=steps,
        )
        self.environment.events.scenario_finished.fire(
            scenario="SequenceValidValid",
            outcome="failed",
            requests=2,
            duration_s=0.01,
            reason=f"wrong answer {HOSTILE}",
            record={"seed": 1, "worker": 0, "user": 0, "number": LARGE_ID, "plan": {}, "evidence": evidence},
        )
