"""Locust's web page and its start form. Knows Flask and Locust's web UI, nothing of our pages."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request
from locust.web import WebUI


def add_a_tab(web_ui: WebUI, title: str, key: str, script: bytes) -> None:
    """Add a tab to Locust's page, and `script` at the end of that page's body.

    Locust's page has tabs of one's own with a table only; what else a tab shows has to be put there by a script, which
    Locust has no place for. Seen in 2.46 and 2.47. Can go when a tab can show a page of one's own.
    """
    app = app_of(web_ui)
    args = web_ui.template_args
    args["extended_tabs"] = [*args.get("extended_tabs", ()), {"title": title, "key": key}]

    @app.after_request
    def add_the_script(response: Response) -> Response:
        if request.endpoint == "locust.index" and response.status_code == 200 and response.mimetype == "text/html":
            response.set_data(response.get_data().replace(b"</body>", script + b"</body>", 1))
        return response


def base_path(web_ui: WebUI) -> str:
    """`--web-base-path`; "" where there is none.

    Locust's web UI gives it to its own blueprint and does not keep it. Seen in 2.46 and 2.47. Can go when it does.
    """
    return app_of(web_ui).blueprints["locust"].url_prefix or ""


def check_the_start_form(web_ui: WebUI, refusal: Callable[[Mapping[str, str]], str]) -> None:
    """Answer a start form with the words of `refusal`, and start nothing; "" lets Locust have it.

    Locust takes a form field by field: one that it cannot convert ends in an error page, with the fields before it
    already taken over for the next run. Seen in 2.46 and 2.47. Can go when Locust checks a form before it takes it.
    """
    environment = web_ui.environment

    @web_ui.auth_required_if_enabled  # type: ignore[untyped-decorator]
    def check() -> Any:
        message = refusal(request.form)
        if message:
            return {"success": False, "message": message, "host": environment.host}
        options: Any = environment.parsed_options
        forget_what_the_form_leaves_out(options, request.form)
        return None

    @app_of(web_ui).before_request
    def refuse_a_bad_form() -> Any:
        return check() if request.endpoint == "locust.swarm" and request.method == "POST" else None


def forget_what_the_form_leaves_out(options: Namespace, form: Mapping[str, str]) -> None:
    """Take a former run's time, and in 2.46 its number of users, out of the options.

    Without a run time in the form Locust sets no timer, but leaves the former run's time in the options, where the
    verdict looks; and 2.46.0 puts the number of users under another name than its own option has. The former seen in
    2.46 and 2.47, the latter in 2.46.0 only. Each can go when no supported version does it.
    """
    if not form.get("run_time"):
        options.run_time = None
    if form.get("user_count"):
        options.num_users = int(form["user_count"])


def app_of(web_ui: WebUI) -> Flask:
    """The Flask app, which is there once the web UI is made. Locust types it as if it could be missing."""
    app: Any = web_ui.app
    return app  # type: ignore[no-any-return]
