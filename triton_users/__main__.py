"""The command `triton-users`: `locust` with the stress test, its options and its report, from any folder.

Everything on the command line is Locust's. A locustfile that is named there, in the environment or in a config file
takes the stress test's place: its users run, and the options, the report and the verdict come without a line in it.

Commands of their own (COMMANDS): `triton-users compare A B` says which of two servers is better, `triton-users models
-H grpc://HOST:PORT` lists what a server serves, `triton-users record -H …` writes what a server that is trusted
answers as input data, `triton-users releases` lists the releases of Triton that can be embedded here, `triton-users
requests FILE` prints percentiles of a request log, `triton-users replay REPORT` plays a failure again.
"""

import sys
from importlib import import_module

from locust.main import main as run_locust  # before all else: it patches the standard library

import triton_users.locustfile
from triton_users.locust_compat.locustfile_option import names_a_locustfile
from triton_users.run.reproduce import COMMAND

COMMANDS: dict[str, tuple[str, ...]] = {
    "compare": ("triton_users.compare.command",),
    "models": ("triton_users.models_command",),
    "record": ("triton_users.record_command",),
    "releases": ("triton_users.server.__main__", "releases"),
    "requests": ("triton_users.exports.requests",),
    "replay": ("triton_users.replay.command",),
}
"""Name -> the module whose `main` takes the arguments and returns the exit code, and what stands before these. Imported
only when asked for: all of them together are a twentieth of the start of a run."""


def main() -> None:
    """Run `locust` on these arguments; ends the program with its exit code."""
    if sys.argv[1:] and (command := COMMANDS.get(sys.argv[1])):
        module, *before = command
        sys.exit(import_module(module).main([*before, *sys.argv[2:]]))
    sys.argv[0] = COMMAND  # which the usage and the report's command to reproduce show, also after `python -m`
    if not names_a_locustfile(sys.argv[1:]):
        sys.argv[1:1] = ["-f", triton_users.locustfile.__file__]
    run_locust()


if __name__ == "__main__":
    main()
