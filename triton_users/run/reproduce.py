"""The command that makes a run's plan again. Reads options, runs nothing."""

from __future__ import annotations

import re
import shlex
import sys
from argparse import Namespace
from pathlib import Path

from triton_users.declaration import lines
from triton_users.options import own_options

COMMAND = "triton-users"
"""The console command, which has the stress test in it and wires the plugin to any other locustfile."""

_PACKAGED = Path(__file__).resolve().parents[1] / "locustfile.py"


def command(options: Namespace, seed: int, *, host: str, workers: int) -> str:
    """For a shell: our options that are not as by default, and of Locust's those that the plan depends on.

    A user's plan depends on its worker's number and its own, so on how many there are and how they come. `host`: "" for
    the embedded server. `workers`: 0 in a local run. The value of a header is an environment variable in it.
    """
    console = Path(sys.argv[0]).name == COMMAND
    words = [COMMAND if console else "locust", *options.user_classes, "--headless"]
    if Path(options.locustfile).resolve() != _PACKAGED if console else options.locustfile != "locustfile.py":
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
        if option.secret:
            for line in lines(str(value)):
                name = line.partition(":")[0].strip()
                words += [option.flag, f"{name}: ${{{re.sub('[^A-Z0-9]', '_', name.upper())}}}"]
        elif value != option.default:
            words += [option.flag] if value is True else [option.flag, str(value)]
    return shlex.join(words)
