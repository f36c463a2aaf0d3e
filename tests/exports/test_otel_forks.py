"""What OpenTelemetry's SDK does in forked processes, seen in a process of its own that forks under gevent."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
from gevent import monkey
monkey.patch_all()
import os, subprocess
import gevent
from triton_users.exports.otel_forks import begin_anew_in_workers_only
begin_anew_in_workers_only()
begin_anew_in_workers_only()
"""
EXPORTING = """
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporting = BatchSpanProcessor(InMemorySpanExporter())
"""


def printed_by(*code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", "".join(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_program_that_is_started_runs_none_of_the_greenlets_meanwhile() -> None:
    ran_in = printed_by(
        BEGIN,
        EXPORTING,
        """
seen_read, seen_write = os.pipe()
os.set_blocking(seen_read, False)

def user():
    while True:
        os.write(seen_write, b"p" if os.getpid() == parent else b"c")
        gevent.sleep(0)

parent = os.getpid()
gevent.spawn(user)
for _ in range(20):
    subprocess.run(["true"], check=True, timeout=20)
seen = os.read(seen_read, 65_536)
print("parent", b"p" in seen, "child", b"c" in seen, flush=True)
os._exit(0)
""",
    )
    assert ran_in == ["parent", "True", "child", "False"]


def test_a_worker_exports_from_its_first_turn_on() -> None:
    began = printed_by(
        BEGIN,
        EXPORTING,
        """
before = exporting._batch_processor._worker_thread
if gevent.fork() == 0:
    at_once = exporting._batch_processor._worker_thread is before
    gevent.sleep(0.05)
    after = exporting._batch_processor._worker_thread
    print(at_once, after is not before, after.is_alive(), flush=True)
    os._exit(0)
os.wait()
os._exit(0)
""",
    )
    assert began == ["True", "True", "True"]


def test_hooks_of_others_run_at_once() -> None:
    ran = printed_by(
        BEGIN,
        """
os.register_at_fork(before=lambda: print("before", flush=True), after_in_child=lambda: print("child", flush=True))
if gevent.fork() == 0:
    print("then", flush=True)
    os._exit(0)
os.wait()
""",
    )
    assert ran == ["before", "child", "then"]


@pytest.mark.parametrize("kind", ["before", "after_in_parent"])
def test_hooks_that_do_not_concern_the_child_run_as_ever(kind: str) -> None:
    assert printed_by(
        BEGIN,
        f"""
os.register_at_fork({kind}=lambda: print("{kind}", flush=True))
if gevent.fork() == 0:
    os._exit(0)
os.wait()
""",
    ) == [kind]
