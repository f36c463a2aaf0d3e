"""The client process that Crashing kills, as its parent sees it: starts it, hears it, ends it; judges nothing.

The process itself is `crash_child.py`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import hpack

from triton_users.scenarios.base import Target
from triton_users.scenarios.crash_child import HEADERS, Frame
from triton_users.system.priority import yield_to_parent
from triton_users.transport.metadata import encode_metadata

CHILD = Path(__file__).with_name("crash_child.py")

REAP_LIMIT_S = 20.0
"""How long a killed child may take to be gone; far more than any takes."""

MAX_LINES = 20
"""Lines of its last words that are read."""

LAST_WORDS_S = 1.0
"""How long the process is listened to for what the server said to it, after that is known to be wrong."""

BODY_SHOWN = 200
"""Characters of an answer's body that a failure shows."""

PADDED, PRIORITY = 0x8, 0x20
"""Flags of HEADERS (RFC 9113, section 6.2)."""


class Answer:
    """What a server said to the doomed request, put together from the lines of the child."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._body = b""
        self._decoder = hpack.Decoder()

    def take(self, line: str) -> None:
        """One line of the child's."""
        parts = line.split(" ")
        if parts[0] != "frame":
            self._words += [line] if line and line != "ended" else []
            return
        kind, flags, payload = int(parts[1]), int(parts[2]), bytes.fromhex(parts[3])
        if kind == Frame.DATA:
            self._body += payload
        elif kind == Frame.HEADERS:
            self._words.append(f"the server answered {self._fields(flags, payload)}")
        else:
            code = int.from_bytes(payload[4:8] if kind == Frame.GOAWAY else payload[:4], "big")
            debug = payload[8:].decode(errors="replace") if kind == Frame.GOAWAY else ""
            self._words.append(f"the server sent {Frame(kind).name} with HTTP/2 error {code} {debug}".rstrip())

    def _fields(self, flags: int, payload: bytes) -> str:
        if flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if flags & PRIORITY:
            payload = payload[5:]
        try:
            return ", ".join(f"{name!s} {value!s}" for name, value in self._decoder.decode(payload))
        except hpack.HPACKError as error:
            return f"with headers that cannot be read: {error}"

    def __str__(self) -> str:
        body = " ".join(self._body.decode(errors="replace").split())[:BODY_SHOWN]
        return "; ".join([*self._words, *([body] if body else [])])


class ClientProcess:
    """The client process; killed and reaped on every way out of the `with` block."""

    def __init__(self, target: Target, request: bytes, headers: tuple[tuple[str, str | bytes], ...] = ()) -> None:
        self._target = target
        self._request = request
        self._headers = b"\n".join(name + b" " + value for name, value in encode_metadata(headers))
        self._said = b""

    def __enter__(self) -> ClientProcess:
        target = self._target
        host, _, port = target.address.rpartition(":")
        arguments = [host.strip("[]"), port, target.authority or target.address, self._request.hex()]
        self._output, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(CHILD), *arguments],
                env={**os.environ, HEADERS: self._headers.decode()},
                stdin=subprocess.PIPE,
                stdout=theirs,
                stderr=theirs,
                preexec_fn=yield_to_parent,  # also keeps Ctrl+C at the terminal from reaching it before us
            )
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(theirs)
        return self

    def says(self, limit_s: float) -> str:
        """The next line that it says; "" when it says none in that time, or never will."""
        while b"\n" not in self._said:
            readable, _, _ = select.select([self._output], [], [], limit_s)
            piece = os.read(self._output, 4096) if readable else b""
            if not piece:
                return ""
            self._said += piece
        line, _, self._said = self._said.partition(b"\n")
        return line.decode(errors="replace")

    def last_words(self, said: str = "") -> str:
        """What the server answered, or whatever else it says from now on, after `said`; "" when nothing."""
        lines = [said]
        while len(lines) < MAX_LINES and (line := self.says(LAST_WORDS_S)):
            lines.append(line)
        answer = Answer()
        for line in lines:
            answer.take(line)
        return str(answer)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self, number: signal.Signals) -> int:
        """Kill it and wait for its end: its exit code, which is `-number` unless it had ended before."""
        self._process.send_signal(number)
        code: int = self._process.wait(REAP_LIMIT_S)
        return code

    def __exit__(self, *exc_info: Any) -> None:
        try:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait(REAP_LIMIT_S)
        finally:
            os.close(self._output)
            assert self._process.stdin is not None
            self._process.stdin.close()
