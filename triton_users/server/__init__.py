"""The embedded Triton: a real tritonserver and a real perf_analyzer from pinned wheels, in a cache folder.

    from triton_users import server

    with server.EmbeddedTriton() as triton:        # installs at first use, then starts in seconds
        print(triton.grpc_url)                     # "127.0.0.1:PORT"; also http_url, metrics_url, pid, log_path

    server.EmbeddedTriton("models", models=["mine"], grpc_port=8001)   # another repository, some of its models, a port

    command, environment = server.perf_analyzer_command(server.ensure_installed())

In a pytest suite: the fixture of `triton_users.pytest_plugin`. From a shell: `python -m triton_users.server run` (also
`install`, `doctor`, `models`).
"""

from triton_users.server.errors import InstallError, ServerError, StartError, Unsupported
from triton_users.server.install import Installation, ensure_installed
from triton_users.server.perf_analyzer import (
    check_perf_analyzer,
    find_perf_analyzer,
    installed_damage,
    perf_analyzer_command,
)
from triton_users.server.process import EmbeddedTriton
from triton_users.server.progress import Progress, ProgressLine, silent

__all__ = [
    "EmbeddedTriton",
    "InstallError",
    "Installation",
    "Progress",
    "ProgressLine",
    "ServerError",
    "StartError",
    "Unsupported",
    "check_perf_analyzer",
    "ensure_installed",
    "find_perf_analyzer",
    "installed_damage",
    "perf_analyzer_command",
    "silent",
]
