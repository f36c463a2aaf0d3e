"""Looks at Locust's start form before Locust does: what is wrong with it, in words. Starts nothing, changes no option.

Locust itself takes each field as it comes: a value that cannot be converted ends in an error page, with the fields
before it already taken over for the next run.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from locust.util.timespan import parse_timespan

from triton_users.arrivals.settings import ArrivalSettings
from triton_users.declaration import read, shown, typed
from triton_users.inputs.options import ModelSettings
from triton_users.ledger.plain import cut
from triton_users.options import judging_from, own_options, report_dir_from, settings_from
from triton_users.run.capacity import search_of
from triton_users.run.configuration import no_models_for_nobody, only_tagged
from triton_users.run.models import own_models, settle
from triton_users.run.pace import trace_of
from triton_users.run.preflight import look_at
from triton_users.server import ServerError
from triton_users.server.options import ServerSettings
from triton_users.settings import ConnectionSettings, UsageError


def refusal(
    form: Mapping[str, str],
    options: Namespace,
    host: str,
    *,
    running: bool,
    scenarios: bool = True,
    shaped: bool = False,
    user_classes: Iterable[type] = (),
    use: Callable[[ServerSettings, str], None] = lambda wanted, host: None,
) -> str:
    """Why no test can start with this form; "" when one can.

    `options` are the ones in force and `host` is the server in force: the form may leave out what it does not change.
    Asks the server what it is, unless a test is running; that one may change its load only. `scenarios`: the run has
    users that play scenarios. `shaped`: a load shape sets the number of users. `user_classes`: of the locustfile. `use`
    has the server run that the form wants, for a run against this host.
    """
    try:
        _check_load(form, shaped)
        changes = _converted(form, vars(options))
        candidate = Namespace(**{**vars(options), **changes})
        own = own_models(user_classes)
        settings = settings_from(candidate, drawn_seed=1, own_models=own)
        if scenarios:
            settings = only_tagged(
                settings, getattr(options, "tags", None) or (), getattr(options, "exclude_tags", None) or ()
            )
        else:
            no_models_for_nobody(settings)
        judging = judging_from(candidate)
        connection, wanted = read(ConnectionSettings, candidate), read(ServerSettings, candidate)
        arrivals = read(ArrivalSettings, candidate)
        arrivals.check()
        host, in_force = form.get("host", host).strip(), host
        if not host:
            return "Host: write the address of a Triton, for instance grpc://127.0.0.1:8001"
        if running:
            _check_running({**changes, "host": host}, {**vars(options), "host": in_force})
        else:
            report_dir_from(candidate)
            trace_of(arrivals)
            thresholds = (*judging["thresholds"], *search_of(candidate, shaped=shaped).find_capacity)
            use(wanted, host)
            goodput = judging["goodput"]
            look_at(host, connection, settings, thresholds, scenarios=scenarios, own_models=own, goodput=goodput)
            settle(host, connection, settings, read(ModelSettings, candidate), user_classes)
    except (ValueError, OSError, ServerError) as error:  # UsageError and the transport's TargetError are ValueErrors
        text = cut(str(error), 2_000)
        return text[:1].upper() + text[1:]
    return ""


def _check_load(form: Mapping[str, str], shaped: bool) -> None:
    """Locust's own fields, which it would look at one by one while it takes over the others."""
    if "user_count" in form or not shaped:
        users = _number("user_count", form.get("user_count", ""), int)
        if users < 0:
            raise ValueError(f"number of users: {users} cannot be; write 0 or more")
    if "spawn_rate" in form or not shaped:
        rate = _number("spawn_rate", form.get("spawn_rate", ""), float)
        if not 0 < rate < math.inf:
            raise ValueError(f"ramp up: {rate:g} users a second cannot be; write a number over 0")
    if run_time := form.get("run_time", ""):
        try:
            parse_timespan(run_time)
        except ValueError:
            raise ValueError(f"run time: {shown(run_time)} is none; write for instance 90, 20m or 1h30m") from None


def _check_running(wanted: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """What a test was started with stays as it is, or its report would be of another run."""
    secret = {option.name for option in own_options() if option.secret}
    for name in sorted({*(option.name for option in own_options()), "host"} & wanted.keys()):
        if name == "rate" and now[name] and wanted[name].strip():
            continue
        if wanted[name] != now[name]:
            is_now = "as it is" if name in secret else f"{shown(str(now[name]))}"
            raise ValueError(
                f"{_label(name)}: this is {is_now} while the test runs; stop it to change that. "
                "Only the number of users, the ramp up and a rate can change meanwhile"
            )


def _converted(form: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The form's values of these options, each of the type that Locust will give it. Raises ValueError."""
    values: dict[str, Any] = {}
    for name, text in form.items():
        now = options.get(name)
        if isinstance(now, bool):
            values[name] = text == "true"
        elif isinstance(now, (int, float)) and name not in ("run_time", "spawn_rate", "num_users"):
            values[name] = _number(name, text, type(now))
        elif isinstance(now, str):
            values[name] = text
    return values


def _number(name: str, text: str, kind: type) -> Any:
    try:
        return typed(kind, text)
    except UsageError as error:
        raise UsageError(f"{_label(name)}: {error}") from None


def _label(name: str) -> str:
    return {"user_count": "number of users", "spawn_rate": "ramp up"}.get(name, name.replace("_", " "))
