"""The command that makes a run's plan again. Reads options, runs nothing."""

from __future__ import annotations

import shlex
from argparse import Namespace

from triton_users.options import own_options


def command(options: Namespace, seed: int, *, host: str, workers: int) -> str:
    """For a shell: our options that are not as by default, and of Locust's those that the plan depends on.

    A user's plan depends on its worker's number and its own, so on how many there are and how they come. `host`: "" for
    the embedded server. `workers`: 0 in a local run.
    """
    words = ["locust", *options.user_classes, "--headless"]
    if options.locustfile != "locustfile.py":
        words += ["-f", options.locustfile]
    if host:
        words += ["-H", host]
    for flag, number in (("-u", options.num_users), ("-r", options.spawn_rate)):
        if number is not None:  # a load shape has none
            words += [flag, str(number)]
    if options.run_time:
        words += ["-t", f"{options.run_time}s"]
    if options.processes:
        words += ["--processes", str(options.processes)]
    elif workers:
        words += ["--master", "--expect-workers", str(workers)]
    for flag, names in (("--tags", options.tags), ("--exclude-tags", options.exclude_tags)):
        words += [flag, *names] if names else []
    for option in own_options():
        value = seed if option.name == "seed" else getattr(options, option.name, option.default)
        if value != option.default:
            words += [option.flag] if value is True else [option.flag, str(value)]
    return shlex.join(words)
