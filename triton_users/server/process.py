"""Runs one real Triton on loopback: starts it through the guard, waits until it is ready, stops it.

It knows processes, ports and limits; what is installed and what is loaded is decided elsewhere.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from triton_users.server import leftovers, log_files, pins, ports, repository
from triton_users.server.errors import ServerError, StartError
from triton_users.server.install import Installation, ensure_installed, known_release
from triton_users.server.logs import telling_lines
from triton_users.server.notes import Notes, how
from triton_users.server.ports import Ports
from triton_users.server.progress import Progress, silent
from triton_users.server.stall import STALL_S, Stall
from triton_users.system.priority import wake_watches_in_time, yield_to_parent, yields

logger = logging.getLogger(__name__)

#: Longest time from start to ready, in seconds; the full repository takes about 3 on two idle cores.
READY_LIMIT_S = 120.0

#: How long the server may take to end after SIGTERM before it is killed, in seconds. It needs 3.4 to 4 when idle and
#: never ends by itself while a client's stream is open.
GRACE_S = 5.0

#: How long `stop` waits for the guard, in seconds: the grace, the stubs' limit, and room for a busy machine.
STOP_LIMIT_S = GRACE_S + 10.0

#: Last words of a server that may start the next time, and how often it is tried again: another process took a port
#: between our choosing it and the server binding it; its Python backend lost a race, seen on a busy machine only.
RETRIES = {"already in use": 4, "boost::interprocess::lock_exception": 3}

#: How many states of ended requests the server keeps for reuse. Beyond its default of 8 it deletes them, and 2.51 can
#: delete one that is still in use (issues 7368 and 8034 of its server): with 8 clients it crashed about once in 20,000
#: streams, and with this many kept not once in 100,000. More would cost gigabytes: 4,096 took 4.4 in 45 minutes.
KEPT_STATES = 256

#: What each of them takes at least once it has been used, in MiB (the 4.4 GB above): the server keeps it on purpose.
#: Each keeps the buffer of the largest request it has had, and which of them has the next one is chance.
STATE_MIB = 1.1

#: The largest request of the stress mix, 32 pictures, in MiB: after 9 minutes a server had 52 of their buffers.
LARGEST_REQUEST_MIB = 18.4

#: How often a start that hangs is ended for another. The last one may take all of its time: a model may well wait for
#: something while it is loaded.
STALLED_RETRIES = 2

_POLL_S = 0.1


class EmbeddedTriton:
    """A Triton of our own on 127.0.0.1.

    `release` is one of `pins.RELEASES`, for example "2.48" (default: the newest). `model_repository` is a folder of
    models (default: the package's own), of which `models` picks some. A port is the one given, or any free one where it
    is 0. `extra_args` are added to tritonserver's command line. `grace_s` is how long the server may take to end by
    itself when it is stopped. `yielding`: whether it leaves the processors to the process that starts it, whose
    latencies so are the server's own; a benchmark wants an equal. `start` and `stop`, or a `with` block; `stop` may be
    called at any time and more than once. ServerError when a port cannot be one, or there is no such release.
    """

    def __init__(
        self,
        model_repository: str | os.PathLike[str] | None = None,
        *,
        release: str = pins.NEWEST,
        models: list[str] | None = None,
        grpc_port: int = 0,
        http_port: int = 0,
        metrics_port: int = 0,
        extra_args: Sequence[str] = (),
        installation: Installation | None = None,
        progress: Progress = silent,
        ready_limit_s: float = READY_LIMIT_S,
        grace_s: float = GRACE_S,
        yielding: bool = True,
    ) -> None:
        # Absolute, because what is loaded are links to its files, in another folder.
        given = None if model_repository is None else Path(model_repository).absolute()
        self._repository = given or repository.default_repository()
        self._models = models
        self._extra_args = list(extra_args)
        self._installation = installation
        self._progress = progress
        self._ready_limit_s = ready_limit_s
        self._grace_s = grace_s
        self._yielding = yielding
        self._guard: subprocess.Popen[bytes] | None = None
        self._notes: Notes | None = None
        self._wanted = False
        self._name = ""
        self._folder: Path | None = None
        self._wanted_ports = Ports(grpc_port, http_port, metrics_port)
        ports.check(self._wanted_ports)
        known_release(release)
        #: The release that was asked for, for example "2.51".
        self.release = release
        self._ports = Ports()
        #: The server's process id, while it runs.
        self.pid = 0
        #: Where the server's output goes; it is kept after the stop.
        self.log_path = Path()
        #: The server's own word for its version, for example "2.51.0".
        self.version = ""

    @property
    def grpc_url(self) -> str:
        """`127.0.0.1:PORT` of the gRPC service."""
        return f"127.0.0.1:{self._ports.grpc}"

    @property
    def grpc_port(self) -> int:
        """Port of the gRPC service."""
        return self._ports.grpc

    @property
    def http_url(self) -> str:
        """`127.0.0.1:PORT` of the HTTP service."""
        return f"127.0.0.1:{self._ports.http}"

    @property
    def metrics_url(self) -> str:
        """`http://127.0.0.1:PORT/metrics`."""
        return f"http://127.0.0.1:{self._ports.metrics}/metrics"

    @property
    def running(self) -> bool:
        """Whether the server's process is there; its health is for the server to say."""
        if self._guard is None or self._notes is None:
            return False
        return self._guard.poll() is None and self._notes.read().ended is None

    @property
    def troubles(self) -> list[str]:
        """What went wrong around the server without ending it, for instance that its log's disk is full."""
        return [] if self._notes is None else list(self._notes.read().troubles)

    def how_it_ended(self) -> str:
        """How the server ended by itself after its start, with its last words and its log; "" when it did not."""
        if self._guard is None or self._notes is None or self.running:
            return ""
        ended = self._notes.read().ended  # None when the guard could not say it any more
        by = how(ended) if ended is not None else f"since its guarding process ended {how(self._guard.returncode)}"
        return (
            f"the embedded Triton ended by itself, {by}: a fault of the embedded server or of this machine. "
            f"Its log, {self.log_path}:\n{self.log_tail()}"
        )

    def prepare(self) -> Installation:
        """Install what is missing, and start nothing. Unsupported or InstallError when that cannot be."""
        if self._installation is None:
            self._installation = ensure_installed(self._progress, self.release)
        return self._installation

    def start(self) -> EmbeddedTriton:
        """Install what is missing, start the server and return when it is ready.

        Unsupported, InstallError, ServerError (no such model) or StartError, whose text ends with what its log says.
        """
        if self._guard is not None:
            raise RuntimeError("this EmbeddedTriton was started already")
        installation = self.prepare()
        network = repository.network_for(self._repository, self._models, installation, self._progress)
        self._wanted = True
        retries = dict(RETRIES)
        patience = STALLED_RETRIES
        while True:
            try:
                self._launch(installation, network)
                self._wait_until_ready(may_hang=patience == 0)
                wake_watches_in_time(self.pid)
                return self
            except _Hung:
                self._end()
                patience -= 1
                self._progress(f"Starting Triton again, since it has done nothing for {STALL_S:g} s", None)
            except BaseException as exc:
                said = str(exc) if isinstance(exc, StartError) and not self.running else ""
                self._end()
                if not self._wanted and isinstance(exc, Exception):
                    raise StartError("Triton was stopped before it was ready.") from exc
                passing = next((words for words, left in retries.items() if left and words in said), None)
                if passing is None:
                    raise
                retries[passing] -= 1
                self._progress(f"Starting Triton again, since it ended with: {passing}", None)

    def stop(self) -> None:
        """End the server, its stubs and everything it left, within STOP_LIMIT_S even with a client's stream open.

        A start that is under way in another greenlet or thread ends with a StartError.
        """
        self._wanted = False
        self._end()

    def _end(self) -> None:
        guard, self._guard = self._guard, None
        notes, self._notes = self._notes, None
        self.pid = 0
        try:
            if guard is not None:
                _dismiss(guard)
                if guard.returncode < 0:  # it was killed, so it has removed nothing
                    leftovers.remove(self._name)
        finally:
            if notes is not None:
                notes.close()
            if self._folder is not None:  # the guard has removed it, unless it never ran or was killed
                shutil.rmtree(self._folder, ignore_errors=True)

    def log_tail(self) -> str:
        """The lines of the log that say why the server ended, else its last lines."""
        try:
            return telling_lines(log_files.tail(self.log_path))
        except OSError as exc:
            return f"(no log: {exc})"

    def __enter__(self) -> EmbeddedTriton:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _launch(self, installation: Installation, network: dict[str, Path]) -> None:
        self._name = f"triton-users-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self._folder = folder = Path(tempfile.mkdtemp(prefix=f"{self._name}-"))
            repository.compose(folder, installation, self._repository, self._models, network)
        except OSError as exc:
            raise ServerError(
                f"Cannot write the server's run folder in {tempfile.gettempdir()}: {exc}. "
                "Set TMPDIR to a folder that can be written and has 100 MB free."
            ) from exc
        self.log_path = log_files.new_log(self._name)
        self._ports = ports.choose(self._wanted_ports)
        order = {
            "command": self._command(installation, folder),
            "environment": installation.server_environment(),
            "folder": str(folder),
            "log": str(self.log_path),
            "shm_prefix": self._name,
            "grace_s": self._grace_s,
        }
        self._guard = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=not self._yielding,
            preexec_fn=yield_to_parent if self._yielding else None,  # the server and its stubs inherit it
        )
        if self._yielding and not yields(self._guard.pid):
            logger.warning(
                "Triton runs with the priority of its users (nice %d), so latencies may come out too high",
                os.getpriority(os.PRIO_PROCESS, 0),
            )
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._notes = Notes(self._guard.stdout)
        self._guard.stdin.write(json.dumps(order).encode() + b"\n")
        self._guard.stdin.flush()

    def _command(self, installation: Installation, folder: Path) -> list[str]:
        return [
            str(installation.tritonserver),
            "--id", self._name,
            "--model-repository", str(folder / "models"),
            "--backend-directory", str(folder / "backends"),
            "--backend-config", f"python,shm-region-prefix-name={self._name}",
            "--grpc-address", "127.0.0.1", "--grpc-port", str(self._ports.grpc),
            "--http-address", "127.0.0.1", "--http-port", str(self._ports.http),
            "--metrics-address", "127.0.0.1", "--metrics-port", str(self._ports.metrics),
            # The models' configurations are complete; completing them would start every model twice.
            "--disable-auto-complete-config",
            "--allow-gpu-metrics", "false",  # it sees no GPU: CUDA_VISIBLE_DEVICES is empty
            "--exit-timeout-secs", str(int(GRACE_S)),
            "--grpc-infer-allocation-pool-size", str(KEPT_STATES),
            *self._extra_args,
        ]  # fmt: skip

    def _wait_until_ready(self, *, may_hang: bool) -> None:
        """Raises _Hung when the server does nothing any more, unless it `may_hang`."""
        guard, notes = self._guard, self._notes
        assert guard is not None
        assert notes is not None
        stall = Stall(self.log_path)
        deadline = time.monotonic() + self._ready_limit_s
        while True:
            self.pid = notes.read().pid
            if not self._wanted or guard.poll() is not None:
                raise self._start_error(f"Triton ended with exit code {guard.returncode} before it was ready.")
            # Another server may have got our port in between, so ready is not enough: it must be ours.
            about = self._ask("/v2") if self._ask("/v2/health/ready") is not None else None
            if about is not None and about.get("name") == self._name:
                break
            if time.monotonic() > deadline:
                raise self._start_error(f"Triton was not ready after {self._ready_limit_s:g} s.")
            if not may_hang and stall.stalled(self.pid):
                raise _Hung
            self._progress("Starting Triton", None)
            time.sleep(_POLL_S)
        self.version = str(about["version"])
        self._progress(f"Triton {self.version} is ready on grpc://{self.grpc_url}", None)

    def _start_error(self, what: str) -> StartError:
        return StartError(f"{what} Its log, {self.log_path}, says:\n{self.log_tail()}")

    def _ask(self, path: str) -> dict[str, object] | None:
        """The server's JSON answer to a GET of `path` ({} when empty), or None when it gave none or not 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self._ports.http, timeout=2)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return dict(json.loads(body or b"{}")) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


class _Hung(Exception):
    """The server that starts does nothing any more."""


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    """Have the guard end its server and wait for it; when that takes too long, kill it.

    When we are interrupted meanwhile it goes on alone, since it is the one that removes what the server leaves.
    """
    assert guard.stdin is not None
    try:
        guard.stdin.close()
    except OSError:
        pass  # the guard has ended already, and with it the server
    try:
        guard.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:  # it hangs, against all its limits
        guard.kill()  # the kernel kills the server then
        guard.wait()
