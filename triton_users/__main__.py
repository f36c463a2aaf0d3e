"""The command `triton-users`: `locust` with the stress test, its options and its report, from any folder.

Everything on the command line is Locust's. A locustfile that is named there, in the environment or in a config file
takes the stress test's place: its users run, and the options, the report and the verdict come without a line in it.

Commands of their own (COMMANDS): `triton-users compare A B` says which of two servers is better, `triton-users models
-H grpc://HOST:PORT` lists what a server serves, `triton-users record -H …` writes what a server that is trusted
answers as input data, `triton-users releases` lists the releases of Triton that can be embedded here, `triton-users
requests FILE` prints percentiles of a request log, `triton-users replay REPORT` plays a failure again.
"""

import sys
from collections.abc import Callable, Sequence

from locust.main import main as run_locust  # before all else: it patches the standard library

import triton_users.locustfile
from triton_users import models_command, record_command
from triton_users.compare import command as compare_command
from triton_users.exports import requests
from triton_users.locust_compat.locustfile_option import names_a_locustfile
from triton_users.replay import command as replay_command
from triton_users.run.reproduce import COMMAND
from triton_users.server import __main__ as server_command

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "compare": compare_command.main,
    "models": models_command.main,
    "record": record_command.main,
    "releases": lambda arguments: server_command.main(["releases", *arguments]),
    "requests": requests.main,
    "replay": replay_command.main,
}
"""Name -> what runs it: takes the arguments behind the name and returns the exit code."""


def main() -> None:
    """Run `locust` on these arguments; ends the program with its exit code."""
    if sys.argv[1:] and (command := COMMANDS.get(sys.argv[1])):
        sys.exit(command(sys.argv[2:]))
    sys.argv[0] = COMMAND  # which the usage and the report's command to reproduce show, also after `python -m`
    if not names_a_locustfile(sys.argv[1:]):
        sys.argv[1:1] = ["-f", triton_users.locustfile.__file__]
    run_locust()


if __name__ == "__main__":
    main()
