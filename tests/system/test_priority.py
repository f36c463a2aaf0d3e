"""A child process yields to its parent, by a lower priority that counts against it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from triton_users.system import priority
from triton_users.system.priority import NICER, yield_to_parent, yields

BUSY = """
import os, subprocess, sys, time
from triton_users.system.priority import yield_to_parent
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

def cpu_s(pid):
    with open(f"/proc/{pid}/schedstat") as schedstat:
        return int(schedstat.read().split()[0]) / 1e9

spin = "print(flush=True)\\nwhile True: pass"
child = subprocess.Popen([sys.executable, "-ISc", spin], stdout=subprocess.PIPE, preexec_fn=yield_to_parent)
child.stdout.readline()
ours, childs = time.process_time(), cpu_s(child.pid)
while time.process_time() < ours + 0.5:
    pass
print((cpu_s(child.pid) - childs) / (time.process_time() - ours))
child.kill()
"""
"""Parent and child want the same processor; tells how much of it the child got, to one second of ours."""


def test_a_child_has_a_lower_priority_and_a_process_group_of_its_own_in_our_session() -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE, preexec_fn=yield_to_parent
    ) as child:
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
        assert os.getpgid(child.pid) == child.pid
        assert os.getsid(child.pid) == os.getsid(0), "in another session its priority may count for nothing"
        assert yields(child.pid)
        child.communicate(b"\n")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process can be held to one CPU on Linux only")
@pytest.mark.skipif(
    os.getpriority(os.PRIO_PROCESS, 0) > 19 - NICER, reason="this process has the lowest priority itself"
)
def test_a_busy_child_leaves_its_parent_most_of_a_processor() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) < 0.6


def test_where_priorities_may_not_be_changed_the_child_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(priority.os, "nice", forbidden)
    with subprocess.Popen([sys.executable, "-c", ""], preexec_fn=yield_to_parent) as child:
        assert not yields(child.pid)
    assert child.returncode == 0
