"""Ties our pages to Locust's web server: routes, login, the tab, the start form. Knows Flask, computes nothing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from flask import Blueprint, Response, request, send_from_directory
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from triton_users.locust_compat.web_ui import add_a_tab, base_path, check_the_start_form
from triton_users.report import view
from triton_users.report.folder import RENDERERS, ReportFolder
from triton_users.report.html import PAGE
from triton_users.server.options import ServerSettings
from triton_users.stress import runs_scenarios
from triton_users.web import form
from triton_users.web.served import served

if TYPE_CHECKING:
    from locust.env import Environment

    from triton_users.run.reporting import Reporting

FRESH_S = 1.0
"""How old a running test's report may be when it is shown, in seconds: all viewers share one."""
TAB = "scenarios"
"""The tab's key in the page's address."""

_SCRIPT = b'<script type="module" src="./triton/tab.js"></script>'
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"
"""Our pages load nothing from anywhere else, and run no script that a server's answer might smuggle in."""


def register(
    environment: Environment,
    reporting: Callable[[], Reporting | None],
    set_rate: Callable[[str], None],
    use: Callable[[ServerSettings, str], None] = lambda wanted, host: None,
) -> None:
    """Add the tab, the live page and the form's check to `environment.web_ui`, before it starts to serve.

    `reporting` gives the newest run's reporting, None before the first run. `set_rate` changes the rate of a run that
    goes on; it raises UsageError. `use` has the server run that a form wants, for a run against this host, or raises
    UsageError or ServerError.
    """
    web_ui: Any = environment.web_ui
    add_a_tab(web_ui, "Scenarios", TAB, _SCRIPT)
    web_ui.app.register_blueprint(
        _pages(environment, _Newest(reporting), set_rate), url_prefix=f"{base_path(web_ui)}/triton"
    )

    def refusal(values: Mapping[str, str]) -> str:
        runner = environment.runner
        return form.refusal(
            values,
            environment.parsed_options,  # type: ignore[arg-type]  # the locust command sets them
            environment.host or "",
            running=runner is not None and runner.state in (STATE_SPAWNING, STATE_RUNNING),
            scenarios=runs_scenarios(environment.user_classes),
            shaped=environment.shape_class is not None,
            user_classes=environment.user_classes,
            use=use,
        )

    check_the_start_form(web_ui, refusal)


class _Newest:
    """The newest run's report, built at most once in FRESH_S."""

    def __init__(self, reporting: Callable[[], Reporting | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._reporting = reporting
        self._clock = clock
        self._of: tuple[Reporting, ReportFolder] | None = None  # a reset begins another folder
        self._report: dict[str, Any] = {}
        self._built_s = -math.inf

    def report(self) -> dict[str, Any] | None:
        """None before the first run."""
        reporting = self._reporting()
        if reporting is None or reporting.finished:
            return None if reporting is None else reporting.report()
        of = (reporting, reporting.folder)
        if of != self._of or self._clock() - self._built_s >= FRESH_S:
            self._report, self._of, self._built_s = reporting.report(), of, self._clock()
        return self._report

    def named(self) -> tuple[str, dict[str, Any] | None]:
        """The report and the name of its run and last reset: what a page knows of another one is of no use."""
        reporting, report = self._reporting(), self.report()
        named = "" if reporting is None or report is None else f"{reporting.folder.path.name} {report['started']}"
        return named, report


def _pages(environment: Environment, newest: _Newest, set_rate: Callable[[str], None]) -> Blueprint:
    pages = Blueprint("triton", __name__, static_folder=PAGE, static_url_path="")
    web_ui: Any = environment.web_ui
    pages.before_request(web_ui.auth_required_if_enabled(lambda: None))

    @pages.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        # Locust allows every site to read its answers; what a failure carries is for this page alone.
        response.headers["Access-Control-Allow-Origin"] = request.host_url.rstrip("/")
        return response

    def about(run: str) -> dict[str, Any]:
        runner: Any = environment.runner
        return {"run": run, "locust": {"state": runner.state, "users": runner.user_count}}

    @pages.get("/")
    def page() -> Response:
        return pages.send_static_file("page.html")

    @pages.get("/tab.js")
    def tab() -> Response:
        return send_from_directory(Path(__file__).parent, "tab.js")

    @pages.get("/models.js")
    def models_field() -> Response:
        return send_from_directory(Path(__file__).parent, "models.js")

    @pages.get("/models.json")
    def models() -> Response:
        """What the server at `?host=` has; without it, the one in force."""
        host = request.args.get("host", "").strip() or environment.host or ""
        options: Any = environment.parsed_options
        return _json(served(host, options) if host else {"models": [], "message": ""})

    @pages.get("/scenarios.json")
    def scenarios() -> Response:
        run, report = newest.named()
        if report is None:
            return _json(about(run))
        verdict = {name: report[name] for name in ("state", "verdict")}
        return _json({**about(run), **verdict, "scenarios": view.table(report)})

    @pages.get("/live.json")
    def live() -> Response:
        """`?run=` and `since=` (seconds) and `failures=` (a count) say what the page has; all may be left out."""
        run, report = newest.named()
        if report is None:
            return _json(about(run))
        known = request.args if request.args.get("run") == run else {}
        try:
            since_s, failures_known = float(known.get("since", -1)), int(known.get("failures", -1))
        except ValueError:
            return _json({"message": "since must be a number of seconds and failures a whole number"}, 400)
        return _json({**about(run), **view.live(report, since_s=since_s, failures_known=failures_known)})

    @pages.post("/rate")
    def rate() -> Response:
        """The field `rate`, as `--rate` has it: arrivals come at it from now on."""
        try:
            set_rate(request.form.get("rate", ""))
        except ValueError as error:
            return _json({"success": False, "message": str(error)})
        return _json({"success": True, "message": ""})

    @pages.get("/report/<name>")
    def report_file(name: str) -> Response:
        """The newest run's report in one of its forms, as of now while it runs."""
        report = newest.report()
        if name not in RENDERERS or report is None:
            return _json({"message": f"there is no run yet, or no report called {name}"}, 404)
        kind = {"json": "application/json", "html": "text/html", "xml": "application/xml"}.get(name.split(".")[-1])
        # Rendering takes a tenth of a second after 12 hours; in a thread it does not hold up the hub.
        text = gevent.get_hub().threadpool.apply(RENDERERS[name], (report,))
        response = Response(text, mimetype=kind or "text/plain")
        response.headers["Content-Disposition"] = f"attachment; filename={name}"
        return response

    return pages


def _json(values: dict[str, Any], status: int = 200) -> Response:
    """Compact JSON; Flask's own would be indented, since Locust runs it in debug mode."""
    return Response(json.dumps(values, separators=(",", ":")), status, mimetype="application/json")
