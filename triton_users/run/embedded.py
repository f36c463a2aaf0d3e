"""The embedded Triton of a command that was given no host: which release of it runs, and since which form another one.

Knows nothing of the run that is made on it.
"""

from __future__ import annotations

import logging

from gevent.lock import RLock

from triton_users import server
from triton_users.judge.trends import Pool
from triton_users.server.options import ServerSettings
from triton_users.server.process import KEPT_STATES, LARGEST_REQUEST_MIB, STATE_MIB
from triton_users.settings import UsageError

logger = logging.getLogger(__name__)


class Embedded:
    """None runs until `start`. Its address stays the same when another release takes its place."""

    def __init__(self) -> None:
        self._triton: server.EmbeddedTriton | None = None
        self._changing = RLock()

    @property
    def host(self) -> str:
        """`grpc://127.0.0.1:PORT` of the one that runs; "" when none does."""
        return f"grpc://{self._triton.grpc_url}" if self._triton is not None else ""

    @property
    def pid(self) -> int:
        """Its process id; 0 when none runs."""
        return self._triton.pid if self._triton is not None else 0

    @property
    def metrics_url(self) -> str:
        """Where its metrics are; "" when none runs."""
        return self._triton.metrics_url if self._triton is not None else ""

    @property
    def pool(self) -> Pool:
        """What it keeps on purpose, and fills in its first minutes or hours."""
        return Pool(KEPT_STATES, STATE_MIB, LARGEST_REQUEST_MIB)

    def start(self, wanted: ServerSettings) -> None:
        """Install what is missing and start it. A ServerError when that cannot be."""
        with server.ProgressLine() as progress:
            self._triton = server.EmbeddedTriton(release=wanted.triton, progress=progress)
            self._triton.start()

    def change_to(self, wanted: ServerSettings, host: str) -> None:
        """Have the wanted release run, when a run against `host` is about to begin.

        UsageError when `host` is another server, which is the release that it is; a ServerError as `start`.
        """
        with self._changing:
            triton = self._triton
            running = triton.release if triton is not None else ServerSettings().triton
            if wanted.triton == running:
                return
            if triton is None or host != self.host:
                raise UsageError(
                    f"--triton {wanted.triton} is a release of the embedded Triton, and the host is {host}; leave out "
                    "one of them"
                )
            logger.info("The embedded Triton %s gives way to %s", triton.release, wanted.triton)
            other = server.EmbeddedTriton(release=wanted.triton, grpc_port=triton.grpc_port)
            other.prepare()  # what cannot be installed must not cost the one that runs
            triton.stop()
            self._triton = other  # which `stop` ends from now on
            try:
                other.start()
            except server.ServerError:
                if self._triton is other:
                    self._triton = server.EmbeddedTriton(release=triton.release, grpc_port=triton.grpc_port)
                    self._triton.start()
                raise

    def how_it_ended(self) -> str:
        """How it ended by itself, in words; "" when it did not, or none was started."""
        return self._triton.how_it_ended() if self._triton is not None else ""

    def stop(self) -> None:
        """End it. Safe to call twice."""
        triton, self._triton = self._triton, None
        if triton is not None:
            for trouble in triton.troubles:
                logger.warning("The embedded Triton: %s", trouble)
            triton.stop()
