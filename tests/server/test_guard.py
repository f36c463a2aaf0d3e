"""The guard ends its server whatever happens to its owner. The server here is a small shell or Python program."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from triton_users.server import guard

#: More than any step here takes on a busy machine, in seconds.
LIMIT_S = 20.0

#: Starts a guard with the order given as its first argument, says that it has, and waits to be killed.
OWNER = """
import json, subprocess, sys
pipe = subprocess.PIPE
guard = subprocess.Popen([sys.executable, "-I", sys.argv[1]], stdin=pipe, stdout=pipe, start_new_session=True)
guard.stdin.write(sys.argv[2].encode() + b"\\n")
guard.stdin.flush()
print(guard.pid, json.loads(guard.stdout.readline())["pid"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def order(tmp_path) -> Callable[..., guard.Order]:
    """Makes an order for a server that runs a shell script."""

    def make(script: str, grace_s: float = 10.0) -> guard.Order:
        folder = tmp_path / "run"
        folder.mkdir()
        return {
            "command": ["/bin/sh", "-c", script],
            "environment": {"PATH": os.environ["PATH"], "FOLDER": str(tmp_path)},
            "folder": str(folder),
            "log": str(tmp_path / "server.log"),
            "shm_prefix": f"guard-test-{os.getpid()}-",
            "grace_s": grace_s,
        }

    return make


@pytest.fixture
def start() -> Iterator[Callable[[guard.Order], subprocess.Popen]]:
    """Starts a guard that this process owns."""
    started = []

    def begin(order: guard.Order) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-I", guard.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < deadline, "not within the limit"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def server_pid(running: subprocess.Popen) -> int:
    """The server's process id, which is the guard's first note."""
    return json.loads(running.stdout.readline())["pid"]


def test_the_server_ends_when_its_owner_asks(order, start):
    wanted = order("exec sleep 600")
    running = start(wanted)
    pid = server_pid(running)
    running.stdin.close()
    assert running.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert gone(pid)
    assert not Path(wanted["folder"]).exists()


def test_the_server_and_what_it_left_end_when_its_owner_is_killed(order, tmp_path):
    wanted = order("sleep 600 & echo $! > $FOLDER/stub; exec sleep 600")
    region = Path("/dev/shm", wanted["shm_prefix"] + "region")
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, guard.__file__, json.dumps(wanted)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        guarding, pid = map(int, owner.stdout.readline().split())
        wait_for(lambda: (tmp_path / "stub").exists() and (tmp_path / "stub").read_text())
        region.write_text("left behind")
        owner.kill()
    wait_for(lambda: gone(guarding))
    assert gone(pid)
    assert gone(int((tmp_path / "stub").read_text()))
    assert not region.exists()
    assert not Path(wanted["folder"]).exists()


def test_a_server_that_ignores_sigterm_is_killed_after_its_grace(order, start, tmp_path):
    wanted = order("trap '' TERM; : > $FOLDER/ignores; while true; do sleep 0.1; done", grace_s=0.2)
    running = start(wanted)
    wait_for((tmp_path / "ignores").exists)
    running.stdin.close()
    assert running.wait(LIMIT_S) == 128 + signal.SIGKILL


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(order, start):
    wanted = order("exec sleep 600")
    running = start(wanted)
    pid = server_pid(running)
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    assert running.poll() is None
    assert not gone(pid)


def test_the_kernel_kills_the_server_of_a_killed_guard(order, start):
    wanted = order("exec sleep 600")
    running = start(wanted)
    pid = server_pid(running)
    running.kill()
    running.wait()
    wait_for(lambda: gone(pid))


def test_a_server_that_ends_by_itself_leaves_its_exit_code_and_its_last_words(order, start):
    wanted = order("echo the reason; exit 3")
    assert start(wanted).wait(LIMIT_S) == 3
    assert Path(wanted["log"]).read_text() == "the reason\n"


def test_an_owner_that_never_says_what_it_wants_gets_no_server():
    done = subprocess.run([sys.executable, "-I", guard.__file__], stdin=subprocess.DEVNULL, timeout=LIMIT_S)
    assert done.returncode == 0


def test_the_owner_learns_how_the_server_ended_before_the_rest_is_cleaned_up(order, start):
    wanted = order("(sleep 0.3; echo bereaved) & echo my last words; kill -SEGV $$")
    running = start(wanted)
    server_pid(running)
    assert json.loads(running.stdout.readline()) == {"ended": -signal.SIGSEGV}
    assert "my last words" in Path(wanted["log"]).read_text()
    assert running.wait(LIMIT_S) == 128 + signal.SIGSEGV
    assert "bereaved" in Path(wanted["log"]).read_text()


def test_a_log_on_a_full_disk_is_named_and_the_server_runs_on(order, start):
    wanted = order("while [ ! -e $FOLDER/enough ]; do echo a line; sleep 0.05; done; exit 3")
    wanted["log"] = "/dev/full"
    running = start(wanted)
    server_pid(running)
    trouble = json.loads(running.stdout.readline())["trouble"]
    assert trouble == "the server's log, /dev/full, cannot be written: No space left on device"
    time.sleep(0.2)  # for more lines that cannot be written
    assert running.poll() is None
    Path(wanted["folder"]).with_name("enough").touch()
    assert json.loads(running.stdout.readline()) == {"ended": 3}, "the trouble is said once"


def test_the_log_says_how_much_of_it_was_lost_once_there_is_room_again(tmp_path):
    troubles = []
    log = guard.Log(str(tmp_path / "log"), troubles.append)
    (tmp_path / "log").mkdir()  # whatever else it is, it is no file that can be written
    log.write(b"nobody will read this\n")
    log.write(b"nor this\n")
    (tmp_path / "log").rmdir()
    log.write(b"but this\n")
    log.close()
    assert (tmp_path / "log").read_text() == "(31 bytes of this log could not be written)\nbut this\n"
    assert len(troubles) == 1


def test_the_log_is_rotated_at_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "LOG_LIMIT", 10)
    log = guard.Log(str(tmp_path / "log"), pytest.fail)
    for word in (b"first piece", b"second piece", b"third piece"):
        log.write(word)
    log.close()
    assert (tmp_path / "log").read_bytes() == b"third piece"
    assert (tmp_path / "log.1").read_bytes() == b"second piece"
