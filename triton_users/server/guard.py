"""The process that owns tritonserver: it starts it, keeps its log bounded, and ends it when its own owner is gone.

It runs as a program of its own (`python -I guard.py`), on the standard library alone, in its own process group, so that
a terminal's Ctrl+C does not reach the server before its users have stopped, and with the priority that the server and
its stubs inherit (`system/priority.py`). Its contract:

    standard input    one line of JSON (see `Order`); the pipe then stays open for as long as the server is wanted.
    standard output   lines of JSON (see `Note`), for an owner who wants to know.
    exit code         the server's, or 128 + signal when it was ended by one.

The server is ended when standard input closes, when the process that started the guard is gone (even by SIGKILL), or
on SIGTERM. Should the guard itself be killed, the kernel kills the server. Whatever the server leaves behind, its
stubs, its shared-memory regions and the run folder, is removed here. Nothing that goes wrong for the guard alone, as a
log on a full disk does, ends the server.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypedDict

#: Size in bytes at which the log is rotated; one older piece is kept.
LOG_LIMIT = 16 * 1024 * 1024

#: How often the guard looks whether its owner is still there, in seconds.
POLL_S = 0.25

#: How long the server's stubs may take to end after the server, in seconds; they need about 0.3.
STUBS_LIMIT_S = 2.0

#: From <sys/prctl.h>.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

SHARED_MEMORY = "/dev/shm"


class Order(TypedDict):
    """What the owner wants."""

    #: The server's command line and its whole environment.
    command: list[str]
    environment: dict[str, str]
    #: The run folder: the server's working folder, removed at the end.
    folder: str
    #: Path of the log.
    log: str
    #: How the names of the server's shared-memory regions begin.
    shm_prefix: str
    #: How long the server may take to end after SIGTERM before it is killed, in seconds.
    grace_s: float


class Note(TypedDict, total=False):
    """What the owner learns; each line has one of these."""

    #: The server's process id, once it runs.
    pid: int
    #: How the server ended: its exit code, or the signal that ended it as a negative number. Its last words are in the
    #: log by then; what it left behind may still be there.
    ended: int
    #: What the guard itself met, for a person. The server runs on.
    trouble: str


def note(what: Note) -> None:
    """Say it on standard output, unless nobody listens or nobody has read for long."""
    with contextlib.suppress(OSError):
        os.set_blocking(1, False)
        os.write(1, json.dumps(what).encode() + b"\n")


class Log:
    """A log file that is rotated when it has grown to LOG_LIMIT.

    What cannot be written is lost, and counted in the log when it can be written again.
    """

    def __init__(self, path: str, report: Callable[[str], None]) -> None:
        """`report` is called with what went wrong, once until it goes well again."""
        self._path = path
        self._report = report
        self._file: io.FileIO | None = None
        self._lost = 0

    def write(self, data: bytes) -> None:
        lost = f"({self._lost} bytes of this log could not be written)\n".encode() if self._lost else b""
        try:
            written = self._writable().write(lost + data)
            if written < len(lost + data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # which the next write would have said
            self._lost = 0
        except OSError as exc:
            if not self._lost:
                self._report(f"the server's log, {self._path}, cannot be written: {exc.strerror}")
            self._lost += len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _writable(self) -> io.FileIO:
        if self._file is not None and self._file.tell() > LOG_LIMIT:
            self._file.close()
            self._file = None
            os.replace(self._path, self._path + ".1")
        if self._file is None:
            self._file = io.FileIO(self._path, "ab")
        return self._file


class Guard:
    """Runs one server until it ends or is no longer wanted."""

    def __init__(self, order: Order, owner: int) -> None:
        self._order = order
        self._owner = owner
        self._wanted = True
        self._kill_at: float | None = None
        self._log = Log(order["log"], lambda trouble: note({"trouble": trouble}))
        self._listen()  # before there is a server, so that no signal ends the guard alone
        self._server = start(order)
        note({"pid": self._server.pid})
        assert self._server.stdout is not None
        self._output = self._server.stdout.fileno()

    def run(self) -> int:
        """The server's exit code, once it is gone and so is everything it left."""
        try:
            self._watch()
        finally:
            self._clean()
        code = self._server.returncode
        return code if code >= 0 else 128 - code

    def _listen(self) -> None:
        def dismiss(*_: object) -> None:
            self._wanted = False

        signal.signal(signal.SIGTERM, dismiss)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _watch(self) -> None:
        """Copy the server's output to the log until the server is gone."""
        commands = sys.stdin.fileno()
        sources = [self._output, commands]
        while self._server.poll() is None:
            ready, _, _ = select.select(sources, [], [], POLL_S)
            if self._output in ready and not self._copy_output():
                sources.remove(self._output)
            if commands in ready and not os.read(commands, 65536):
                sources.remove(commands)
                self._wanted = False
            if not self._wanted or os.getppid() != self._owner:
                self._stop()
            if self._kill_at is not None and time.monotonic() > self._kill_at:
                self._server.kill()
                self._server.wait()
        self._copy_last_words()
        note({"ended": self._server.returncode})

    def _copy_output(self) -> bool:
        """Move what the server said to the log; False when nobody can say anything any more."""
        data = os.read(self._output, 65536)
        self._log.write(data)
        return bool(data)

    def _copy_last_words(self) -> None:
        """What the server, or what is left of it, said at last, which often says why it ended."""
        while select.select([self._output], [], [], 0)[0] and self._copy_output():
            pass

    def _stop(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._order["grace_s"]
            self._server.terminate()

    def _clean(self) -> None:
        if self._server.poll() is None:  # only after an error of our own
            self._server.kill()
            self._server.wait()
        deadline = time.monotonic() + STUBS_LIMIT_S
        while children_left() and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while children_left():
            time.sleep(0.02)
        self._copy_last_words()
        remove_shared_memory(self._order["shm_prefix"])
        shutil.rmtree(self._order["folder"], ignore_errors=True)
        self._log.close()


def start(order: Order) -> subprocess.Popen[bytes]:
    """The server that was ordered; the kernel kills it should this process be killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # stubs that outlive the server become ours to end
    guard = os.getpid()

    def die_with_the_guard() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)  # it was killed before this was in force
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # an ignored signal would stay ignored in the server
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    return subprocess.Popen(
        order["command"],
        env=order["environment"],
        cwd=order["folder"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_the_guard,
    )


def remove_shared_memory(prefix: str) -> None:
    """Remove the regions whose names begin so."""
    for name in os.listdir(SHARED_MEMORY):
        if name.startswith(prefix):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(SHARED_MEMORY, name))


def children_left() -> bool:
    """Collect children that have ended; whether any is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def children() -> list[int]:
    """Process ids of our children."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def main() -> int:
    owner = os.getppid()
    line = b""
    while not line.endswith(b"\n"):  # unbuffered, so that select sees whatever follows
        byte = os.read(0, 1)
        if not byte:
            return 0  # the owner is gone before it said what it wants
        line += byte
    return Guard(json.loads(line), owner).run()


if __name__ == "__main__":
    sys.exit(main())
