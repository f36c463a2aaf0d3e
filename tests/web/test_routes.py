"""Our routes beside Locust's own: login, base path, what a bad form leaves behind, what a page is sent."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask_login import UserMixin
from locust.runners import STATE_RUNNING

from tests.web.conftest import FakeReporting
from triton_users import web
from triton_users.report.html import PAGE
from triton_users.web import form, routes


def test_the_index_page_has_the_tab_and_its_script(ui: Any) -> None:
    environment, client = ui()
    page = client.get("/").text
    assert page.count('<script type="module" src="./triton/tab.js"></script></body>') == 1
    assert '"key": "scenarios"' in page
    assert environment.web_ui.template_args["extended_tabs"] == [{"title": "Scenarios", "key": "scenarios"}]


def test_tabs_of_others_stay(ui: Any) -> None:
    environment, _ = ui()
    web_ui = environment.create_web_ui("127.0.0.1", 0, delayed_start=True)
    web_ui.template_args["extended_tabs"] = [{"title": "Mine", "key": "mine"}]
    web.register(environment, lambda: None, lambda _: None)
    assert [tab["key"] for tab in web_ui.template_args["extended_tabs"]] == ["mine", "scenarios"]


def test_everything_lies_under_the_base_path(ui: Any) -> None:
    _, client = ui(FakeReporting(), web_base_path="/load")
    for path in (
        "/",
        "/triton/",
        "/triton/live.json",
        "/triton/live.js",
        "/triton/tab.js",
        "/triton/models.js",
        "/triton/uplot/uPlot.iife.min.js",
        "/triton/base.css",
    ):
        with client.get(f"/load{path}") as answer:
            assert answer.status_code == 200
    assert client.get("/triton/").status_code == 404


@pytest.mark.parametrize("path", ["", "live.json", "scenarios.json", "report/report.json", "live.js", "tab.js",
                                  "models.js", "models.json"])  # fmt: skip
def test_without_a_login_every_own_route_leads_to_the_login(ui: Any, path: str) -> None:
    environment, client = ui(FakeReporting(), web_login=True)
    environment.web_ui.login_manager.user_loader(lambda _: None)
    answer = client.get(f"/triton/{path}")
    assert answer.status_code == 302
    assert answer.location.startswith("/login")
    assert "SequenceValid" not in answer.text


def test_without_a_login_the_form_is_not_looked_at(ui: Any) -> None:
    environment, client = ui(web_login=True)
    environment.web_ui.login_manager.user_loader(lambda _: None)
    assert client.post("/swarm", data={"user_count": "many"}).status_code == 302


def test_with_a_login_own_routes_answer(ui: Any) -> None:
    class Somebody(UserMixin):  # type: ignore[misc]  # flask-login has no types
        def get_id(self) -> str:
            return "somebody"

    environment, client = ui(FakeReporting(), web_login=True)
    environment.web_ui.login_manager.request_loader(lambda _: Somebody())
    assert client.get("/triton/live.json").json["run"]


def test_before_the_first_run_there_is_nothing_to_report(ui: Any) -> None:
    _, client = ui()
    for name in ("live.json", "scenarios.json"):
        assert client.get(f"/triton/{name}").json == {"run": "", "locust": {"state": "ready", "users": 0}}
    assert client.get("/triton/report/report.json").status_code == 404


def test_the_table_has_the_counts_of_the_report(ui: Any) -> None:
    reporting = FakeReporting("finished")
    _, client = ui(reporting)
    reported = client.get("/triton/scenarios.json").json
    for row, scenario in zip(reported["scenarios"], reporting.report()["scenarios"], strict=True):
        assert row == json.loads(json.dumps({name: scenario[name] for name in row}))
    assert reported["verdict"]["passed"] is False


def test_a_page_that_knows_the_run_gets_only_what_is_new(ui: Any) -> None:
    _, client = ui(FakeReporting())
    everything = client.get("/triton/live.json").json
    known = {"run": everything["run"], "since": 100, "failures": everything["failures_seen"]}
    newer = client.get("/triton/live.json", query_string=known).json
    assert newer["failures"] is None
    assert 0 < len(newer["points"]["start_s"]) < len(everything["points"]["start_s"])


def test_what_a_page_knows_of_another_run_does_not_count(ui: Any) -> None:
    _, client = ui(FakeReporting())
    reported = client.get("/triton/live.json", query_string={"run": "another", "since": 100, "failures": 4}).json
    assert reported["failures"]
    assert reported["points"]["start_s"][0] == 0


def test_a_question_that_is_none_is_answered_so(ui: Any) -> None:
    _, client = ui(FakeReporting())
    run = client.get("/triton/live.json").json["run"]
    answer = client.get("/triton/live.json", query_string={"run": run, "since": "x"})
    assert answer.status_code == 400
    assert "since must be a number" in answer.json["message"]


@pytest.mark.parametrize("name", ["live.json", "scenarios.json"])
def test_the_name_of_a_run_and_its_counts_are_of_one_report_also_while_it_is_reset(
    ui: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(routes, "FRESH_S", 0.0)  # the report grows too old at any moment
    reporting = FakeReporting()

    def after_a_reset() -> dict[str, Any]:
        reporting.built += 1
        return {**reporting.made, "started": f"start {reporting.built}", "state": f"state {reporting.built}"}

    monkeypatch.setattr(reporting, "report", after_a_reset)
    reported = ui(reporting)[1].get(f"/triton/{name}").json
    assert reported["run"].split()[-1] == reported["state"].split()[-1]


def test_what_was_counted_before_a_reset_is_not_reported_of_the_folder_that_it_began(ui: Any) -> None:
    reporting = FakeReporting()
    _, client = ui(reporting)
    client.get("/triton/live.json")
    reporting.folder = SimpleNamespace(path=Path("2026-11-24T05-00-00Z"))
    reporting.made = {**reporting.made, "duration_s": 0.5}
    reported = client.get("/triton/live.json").json
    assert (reported["run"].split()[0], reported["duration_s"]) == ("2026-11-24T05-00-00Z", 0.5)


def test_all_viewers_of_a_running_test_share_one_report(ui: Any) -> None:
    reporting = FakeReporting()
    _, client = ui(reporting)
    for _ in range(5):
        client.get("/triton/live.json")
        client.get("/triton/scenarios.json")
    assert reporting.built == 1


@pytest.mark.parametrize("name", ["report.json", "report.html", "report.txt", "junit.xml"])
def test_the_report_can_be_downloaded(ui: Any, name: str) -> None:
    _, client = ui(FakeReporting("finished"))
    answer = client.get(f"/triton/report/{name}")
    assert answer.status_code == 200
    assert "SequenceValid" in answer.text
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"


def test_nothing_but_a_report_can_be_downloaded(ui: Any) -> None:
    _, client = ui(FakeReporting())
    assert client.get("/triton/report/passwd").status_code == 404
    assert client.get("/triton/../routes.py").status_code == 404


def test_own_pages_load_nothing_from_elsewhere_and_no_other_site_may_read_them(ui: Any) -> None:
    _, client = ui(FakeReporting())
    for path in ("", "live.json", "live.js"):
        with client.get(f"/triton/{path}", headers={"Origin": "http://elsewhere.example"}) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers.getlist("Access-Control-Allow-Origin") == ["http://localhost"]


def test_the_pages_name_no_other_host_and_insert_nothing_as_markup() -> None:
    sources = [path for path in PAGE.iterdir() if path.is_file()] + [Path(web.__file__).with_name("tab.js")]
    assert len(sources) > 10
    for source in sources:
        text = source.read_text()
        assert not re.search(r"https?://|['\"(]//", text), source.name
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert sink not in text, source.name


def test_the_chart_library_is_the_one_that_its_readme_names_and_inserts_nothing_as_markup() -> None:
    library = (PAGE / "uplot" / "uPlot.iife.min.js").read_text()
    readme = (PAGE / "uplot" / "README.md").read_text()
    assert re.search(r"\(v([\d.]+)\)", library).group(1) in readme.split("\n")[0]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttpRequest", library
    )


def test_a_bad_form_gets_locusts_own_error_and_leaves_nothing_behind(ui: Any) -> None:
    environment, client = ui()
    before = dict(vars(environment.parsed_options))
    answer = client.post("/swarm", data={"user_count": "3", "spawn_rate": "1", "load_users": "7", "batch_size": "many"})
    assert answer.status_code == 200
    assert answer.json == {
        "success": False,
        "message": "Batch size: 'many' is not a whole number",
        "host": "grpc://127.0.0.1:8001",
    }
    assert vars(environment.parsed_options) == before
    assert environment.runner.state == "ready"


def test_a_running_test_is_not_given_another_option(ui: Any) -> None:
    environment, client = ui()
    environment.runner.state = STATE_RUNNING
    answer = client.post("/swarm", data={"user_count": "3", "spawn_rate": "1", "batch_size": "7"})
    assert answer.json["success"] is False
    assert answer.json["message"].startswith("Batch size: this is '32' while the test runs")
    assert environment.parsed_options.batch_size == 32


def test_a_good_form_goes_on_to_locust(ui: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "refusal", lambda *_, **__: "")
    environment, client = ui()
    started: list[tuple[int, float]] = []
    monkeypatch.setattr(environment.runner, "start", lambda users, rate: started.append((users, rate)))
    answer = client.post("/swarm", data={"user_count": "3", "spawn_rate": "1", "batch_size": "7"})
    assert answer.json["success"] is True
    assert environment.parsed_options.batch_size == 7
    environment.web_ui._swarm_greenlet.join(timeout=5)
    assert started == [(3, 1.0)]


def test_a_rate_that_no_run_takes_is_answered_with_why(ui: Any) -> None:
    _, client = ui(FakeReporting())
    answer = client.post("/triton/rate", data={"rate": "20"}).json
    assert answer == {"success": False, "message": "rate: no run takes 20"}


def test_a_rate_that_a_run_takes_reaches_it(ui: Any) -> None:
    environment, _ = ui()
    web_ui, given = environment.create_web_ui("127.0.0.1", 0, delayed_start=True), list[str]()
    web.register(environment, lambda: None, given.append)
    assert web_ui.app.test_client().post("/triton/rate", data={"rate": "20 for 1m"}).json["success"]
    assert given == ["20 for 1m"]
