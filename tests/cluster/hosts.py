"""Separate hosts on one switch: network namespaces, each with an address of its own, and the cables between them."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.cluster.commands import ROOT

LIMIT_S = 20.0
"""How long any helper program may take for one answer."""

START_LIMIT_S = 150.0
"""How long Triton may take to be ready."""


def why_not() -> str:
    """Why this machine cannot have such hosts; "" when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "`ip` is missing; on Debian: apt-get install iproute2"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun is missing, so there are no TAP devices"
    return ""


class Program:
    """A helper that answers each line with a line, and ends with its standard input."""

    def __init__(self, *command: str) -> None:
        self._command = " ".join(command)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def answer(self, limit_s: float = LIMIT_S) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], limit_s)
        assert ready, f"no answer within {limit_s:g} s from {self._command}"
        return self._process.stdout.readline().decode().strip()

    def ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        try:
            self._process.wait(LIMIT_S)
        finally:
            self._process.kill()
            self._process.wait()


class Hosts:
    """A context manager: `server` runs a Triton, the others run what they are told by `within`."""

    def __init__(self, names: list[str], serves: Sequence[str] = ()) -> None:
        """`serves`: ports and models of the server, see serve.py."""
        tag = secrets.token_hex(3)
        self._serves = serves
        self._devices = {name: f"tu{tag}{number}" for number, name in enumerate(names)}
        self.addresses = {name: f"10.77.0.{number + 1}" for number, name in enumerate(names)}
        self._stack = ExitStack()

    def __enter__(self) -> Hosts:
        with self._stack:  # undone when anything below fails
            self._wire = Program(sys.executable, str(Path(__file__).with_name("wire.py")), *self._devices.values())
            self._stack.callback(self._wire.close)
            assert self._wire.answer() == "ready"
            for name, device in self._devices.items():
                ip("netns", "add", device)
                self._stack.callback(ip, "netns", "delete", device)
                ip("link", "set", device, "netns", device)
                ip("-n", device, "link", "set", "lo", "up")
                ip("-n", device, "address", "add", f"{self.addresses[name]}/24", "dev", device)
                ip("-n", device, "link", "set", device, "up")
            module = ["-m", "tests.cluster.serve", self.addresses["server"], *self._serves]
            self._server = Program(*self.within("server"), sys.executable, *module)
            self._stack.callback(self._server.close)
            self.grpc_url = f"grpc://{self._server.answer(START_LIMIT_S)}"
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def within(self, name: str) -> list[str]:
        """What to put before a command so that it runs on this host."""
        return ["ip", "netns", "exec", self._devices[name]]

    def cut(self, name: str) -> None:
        self._wire.ask(f"cut {self._devices[name]}")

    def join(self, name: str) -> None:
        self._wire.ask(f"join {self._devices[name]}")

    def weather(self, latency_ms: float = 0.0, loss: float = 0.0) -> None:
        """How long each frame takes, and which part of all frames is lost."""
        self._wire.ask(f"latency {latency_ms}")
        self._wire.ask(f"loss {loss}")

    def completed(self) -> int:
        """Requests the server has answered, by its own statistics."""
        return int(self._server.ask("count"))


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=LIMIT_S)
