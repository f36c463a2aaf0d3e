"""The commands of this folder's tests: a locustfile of one's own, and the real perf_analyzer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.locust_process import Ended, Locust
from triton_users import server
from triton_users.server import EmbeddedTriton

#: What a locustfile of one's own needs to be reported and judged by this project.
HEAD = """
import numpy as np
from locust import events

from triton_users.model_user import TritonModelUser
from triton_users.options import add_options
from triton_users.plugin import install

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))
"""


def locust_on(host: str, folder: Path, program: str, *arguments: str, head: str = HEAD) -> Ended:
    """A run of a locustfile of one's own, two users for four seconds unless the arguments say otherwise."""
    mine = folder / "mine.py"
    mine.write_text(head + program)
    return Locust(folder, "-H", host, "-t", "4s", "-u", "2", "-r", "2", *arguments, locustfile=mine).ended()


def perf_analyzer(
    triton: EmbeddedTriton, model: str, data: Sequence[Path], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """A few requests of these input data."""
    command, environment = server.find_perf_analyzer()
    measure = ["--measurement-mode", "count_windows", "--measurement-request-count", "1", "-s", "999999", "-r", "3"]
    files = [argument for file in data for argument in ("--input-data", str(file))]
    options = ["-m", model, "-u", triton.grpc_url, "-i", "grpc", *files, *measure, *arguments]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=90, env={**os.environ, **environment}
    )
