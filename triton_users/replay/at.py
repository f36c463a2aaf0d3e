"""The server to play on: the one that was named, or the embedded one, which is started again when it has died."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

from tritonclient.utils import InferenceServerException

from triton_users import server
from triton_users.declaration import read
from triton_users.replay.player import ServerGone
from triton_users.run.server_state import client_for
from triton_users.server import pins
from triton_users.server.options import ServerSettings
from triton_users.settings import ConnectionSettings, UsageError

ANSWER_LIMIT_S = 10.0
"""How long it may take to answer a question about itself, in seconds."""
BACK_LIMIT_S = 10.0
"""How long a server that was named may take to be there again, in seconds."""


class Server:
    """The server to play on: the one that was named, or the embedded one, which is started again when it has died."""

    def __init__(self, options: Namespace, repository: Path | None, version: str) -> None:
        self._host = options.host
        self._connection = read(ConnectionSettings, options)
        self._triton: server.EmbeddedTriton | None = None
        if self._host:
            if repository is not None:
                raise UsageError(f"--model-repository is the embedded server's, and the host is {self._host}")
            return
        wanted = read(ServerSettings, options).triton
        reported = next((name for name, each in pins.RELEASES.items() if each.version == version), wanted)
        release = wanted if wanted != pins.NEWEST else reported
        self._progress = server.ProgressLine()
        self._triton = server.EmbeddedTriton(repository, release=release, progress=self._progress)

    def host(self) -> str:
        if self._triton is None:
            self._wait_until_live()
            return str(self._host)
        if not self._triton.running:
            self._triton.stop()
            self._triton.start()
        return f"grpc://{self._triton.grpc_url}"

    def _wait_until_live(self) -> None:
        end = time.monotonic() + BACK_LIMIT_S
        while True:
            client = client_for(self._host, self._connection, ANSWER_LIMIT_S)
            try:
                client.is_server_live(client_timeout=ANSWER_LIMIT_S)
                return
            except InferenceServerException as error:
                if time.monotonic() > end:
                    raise ServerGone(
                        f"no server answers at {self._host}: {error}. Start it, or leave the host out for the embedded "
                        "one, which is started again by itself"
                    ) from None
                time.sleep(0.5)
            finally:
                client.close()

    def __enter__(self) -> Server:
        if self._triton is not None:
            with self._progress:
                self.host()
        return self

    def __exit__(self, *_: object) -> None:
        if self._triton is not None:
            self._triton.stop()
