"""The options this plugin adds to Locust's command line, config file and web UI, and how they become Settings."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from triton_users.judge.client_limited import Limits
from triton_users.judge.verdict import METRICS, parse_thresholds
from triton_users.locust_compat.command_line import act_before_locust_forks
from triton_users.locust_compat.interrupts import take_interrupts_that_locust_does_not_expect
from triton_users.locust_compat.master_port import keep_forked_workers_from_another_runs_master
from triton_users.locust_compat.start_gate import hold_starts_that_come_before_init
from triton_users.settings import DEFAULT_WEIGHTS, TRIALS, Settings, UsageError
from triton_users.system.parent_death import tie_forks

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser

_DEFAULTS = Settings(seed=1)

_HELP: Mapping[str, str] = {
    "seed": "Seed of the plan: the same seed gives the same scenarios, models, ids, lengths and values. 0 draws one.",
    "scenarios": "Run only these, comma separated; one that cannot run is then an error. Empty: all that can run.",
    "weights": "How often each scenario is picked, for instance SequenceValid=295,Timeout=0; others keep their own.",
    "trials": "Model families that sequence and identity scenarios pick from, comma separated.",
    "sequence_length_mean": "Mean number of requests in a sequence.",
    "sequence_length_stdev": "Standard deviation of the number of requests in a sequence.",
    "sequence_timeout_ms": "Limit for a whole sequence, waiting for a slot included, in ms.",
    "request_timeout_ms": "Limit for any other single request, in ms.",
    "deadline_ms": "Client deadline of the Timeout scenario, in ms.",
    "deadline_tolerance_ms": "How much later than its deadline the Timeout scenario's request may end, in ms.",
    "deadline_tensor_mib": "Size of the Timeout scenario's tensor, in MiB.",
    "batch_size": "Pictures in one request to the image model.",
    "idle_limit_s": "The sequence models' idle limit (max_sequence_idle_microseconds), in seconds.",
    "idle_margin_s": "How long after the idle limit the server may still hold an open sequence, in seconds.",
    "connections": "How many connections the users of each worker share, many streams on each. 0: one for each user.",
    "load_users": "How many of the users only run perf_analyzer on the image model, to keep the device busy.",
    "allow_failure": "Scenarios whose failures are counted and shown but do not fail the run, comma separated.",
    "perf_analyzer_timeout_s": "Limit for one run of perf_analyzer, in seconds.",
}
"""One line for each field of Settings; the option has the field's name."""

_LIMIT_HELP: Mapping[str, str] = {
    "event_loop_lag_ms": "The client is too slow when its event loop lags this much (p99 of 5 s), in ms. 0: off.",
    "cpu_percent": "The client is too slow when one process uses this much of a core over 5 s, in percent. 0: off.",
    "gc_pause_ms": "The client is too slow when a garbage collection takes this long, in ms. 0: off.",
    "queue_time_ms": "The client is too slow when requests wait this long to be sent (p99 of 5 s), in ms. 0: off.",
}
"""One line for each field of client_limited.Limits; the option is `--max-` and the field's name."""


def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    """Add our options. A listener of Locust's `init_command_line_parser`.

    Each option has a typed default that is not None, since Locust's web UI converts what a person enters to the
    type of the value before it. They are added to the parser itself: an argument group would not show in the web UI.
    """
    _add(parser)
    # Locust's own default is every interface, with no login: not for a tool that starts load on a click.
    parser.set_defaults(web_host="127.0.0.1")
    if hold_starts_that_come_before_init():  # Locust's web UI makes parsers too, long after
        tie_forks()
        act_before_locust_forks(parser, lambda options: _before_locust_forks(options, parser))


def _before_locust_forks(options: Namespace, parser: LocustArgumentParser) -> None:
    take_interrupts_that_locust_does_not_expect()
    keep_forked_workers_from_another_runs_master(options, parser)


def own_options() -> dict[str, Any]:
    """The names of our options, as the parsed options have them, with their defaults."""
    parser = ArgumentParser()
    _add(parser)
    return vars(parser.parse_args([]))


def _add(parser: ArgumentParser) -> None:
    for field in fields(Settings):
        default = _as_option(field.name, getattr(_DEFAULTS, field.name))
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=type(default), default=default, help=_HELP[field.name])
    parser.add_argument(
        "--grpc-root-certificates", default="", help="PEM file of the authorities to trust with grpcs://."
    )
    parser.add_argument("--grpc-private-key", default="", help="PEM file of the client's private key (mutual TLS).")
    parser.add_argument("--grpc-certificate-chain", default="", help="PEM file of the client's certificate.")
    parser.add_argument("--grpc-server-name", default="", help="Name the server's certificate must carry.")
    parser.add_argument(
        "--grpc-insecure", action="store_true", default=False, help="With grpcs://, do not check the certificate."
    )
    parser.add_argument(
        "--thresholds",
        default="",
        help="What must hold, comma separated: [SCENARIO:]METRIC<LIMIT or >=, for instance "
        "SequenceValid:p99_ms<50,failure_ratio<0.01,ResNet:runs>=10. "
        f"Metrics: {', '.join(METRICS)}.",
    )
    parser.add_argument(
        "--fail-on-bottleneck",
        action="store_true",
        default=False,
        help="Fail the run when the client was too slow for its latencies to be trusted.",
    )
    for field in fields(Limits):
        parser.add_argument(
            "--max-" + field.name.replace("_", "-"), type=float, default=field.default, help=_LIMIT_HELP[field.name]
        )
    parser.add_argument(
        "--report-dir", default="reports", help="Folder for reports; each run makes a folder of its own in it."
    )


def settings_from(options: Namespace | None, drawn_seed: int) -> Settings:
    """The checked Settings in these options; `drawn_seed` is the seed where they name none.

    Raises UsageError for a value that cannot be used.
    """
    assert options is not None, "the locust command always has options"
    values = {field.name: _from_option(field.name, getattr(options, field.name)) for field in fields(Settings)}
    settings = Settings(**{**values, "seed": values["seed"] or drawn_seed})
    settings.check()
    return settings


def judging_from(options: Namespace) -> dict[str, Any]:
    """What the verdict goes by, as the fields `thresholds`, `limits` and `fail_on_bottleneck` of `report.RunInfo`.

    Raises UsageError for a value that cannot be used.
    """
    limits = Limits(**{field.name: getattr(options, f"max_{field.name}") for field in fields(Limits)})
    limits.check()
    return {
        "thresholds": parse_thresholds(options.thresholds, DEFAULT_WEIGHTS),
        "limits": limits,
        "fail_on_bottleneck": options.fail_on_bottleneck,
    }


def report_dir_from(options: Namespace) -> Path:
    """The folder for reports, which is made here and tried out.

    Raises UsageError when nothing can be written into it.
    """
    name = options.report_dir
    if not name.strip():
        raise UsageError("the report-dir is empty; name a folder, for instance reports, or . for the current one")
    folder = Path(name)
    try:
        if folder.is_file():
            raise NotADirectoryError("it is a file")
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".probe", dir=folder):
            return folder
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the report-dir is {name!r}, but no report can be written there: {why}; name a folder that can be written"
        ) from None


def _as_option(name: str, value: Any) -> Any:
    """The option's default: lists and tables are written as a person would type them."""
    if name == "seed":
        return 0
    if name == "weights":
        return ""
    if name == "trials":
        return ",".join(TRIALS)
    return ",".join(value) if isinstance(value, tuple) else value


def _from_option(name: str, text: Any) -> Any:
    if name == "weights":
        return _weights(text)
    if isinstance(getattr(_DEFAULTS, name), tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _weights(text: str) -> dict[str, int]:
    weights = dict(DEFAULT_WEIGHTS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = part.partition("=")
        if not equals or not number.strip().isdecimal():
            raise UsageError(f"weights: {part!r} is not NAME=WEIGHT with a whole number, for instance Timeout=60")
        weights[name.strip()] = int(number)
    return weights
