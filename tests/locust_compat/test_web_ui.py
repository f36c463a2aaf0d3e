"""Locust's web page and its start form."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from locust.env import Environment

from tests.locust_compat.conftest import environment
from triton_users.locust_compat.web_ui import add_a_tab, base_path, check_the_start_form

SCRIPT = b"<script>ours</script>"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    monkeypatch.setattr("sys.argv", ["locust"])  # Locust's index page parses it
    made = environment()
    runner = made.create_local_runner()
    yield made
    runner.quit()


def web_ui(made: Environment, **arguments: Any) -> Any:
    return made.create_web_ui("127.0.0.1", 0, delayed_start=True, **arguments)


def test_the_page_has_the_tab_and_the_script_once(made: Environment) -> None:
    ui = web_ui(made)
    add_a_tab(ui, "Ours", "ours", SCRIPT)
    page = ui.app.test_client().get("/").text
    assert page.count(SCRIPT.decode() + "</body>") == 1
    assert '"key": "ours"' in page


def test_other_pages_are_left_alone(made: Environment) -> None:
    ui = web_ui(made)
    add_a_tab(ui, "Ours", "ours", SCRIPT)
    assert SCRIPT.decode() not in ui.app.test_client().get("/stats/requests").text


def test_the_base_path_is_found(made: Environment) -> None:
    assert base_path(web_ui(made)) == ""
    assert base_path(web_ui(made, web_base_path="/load")) == "/load"


def test_a_form_that_is_refused_reaches_nobody_and_one_that_is_not_reaches_locust(
    made: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[int, float]] = []
    monkeypatch.setattr(made.runner, "start", lambda users, rate: started.append((users, rate)))

    def refusal(form: Mapping[str, str]) -> str:
        return "" if form["user_count"] == "3" else "not so many"

    ui = web_ui(made, web_base_path="/load")
    check_the_start_form(ui, refusal)
    client = ui.app.test_client()
    assert client.post("/load/swarm", data={"user_count": "4", "spawn_rate": "1"}).json == {
        "success": False,
        "message": "not so many",
        "host": None,
    }
    assert client.post("/load/swarm", data={"user_count": "3", "spawn_rate": "1"}).json["success"] is True
    ui._swarm_greenlet.join(timeout=5)
    assert started == [(3, 1.0)]


def test_what_a_former_form_said_does_not_outlive_one_that_says_nothing_of_it(
    made: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made.runner, "start", lambda *_: None)
    options: Any = made.parsed_options
    ui = web_ui(made)
    check_the_start_form(ui, lambda _: "")
    client = ui.app.test_client()
    client.post("/swarm", data={"user_count": "3", "spawn_rate": "1", "run_time": "90"})
    assert (options.run_time, options.num_users) == (90, 3)
    client.post("/swarm", data={"user_count": "5", "spawn_rate": "1", "run_time": ""})
    assert (options.run_time, options.num_users) == (None, 5)
