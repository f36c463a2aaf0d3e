"""Locust's stop asks who called it, which is slow once; that once is before the run."""

import inspect
import subprocess
import sys

from locust.runners import Runner

PROGRAM = """
import time, locust.main
from triton_users.locust_compat.stack_of_stop import look_early

def cpu_ms(what):
    began = time.process_time()
    what()
    return (time.process_time() - began) * 1e3

def stop():
    import inspect
    inspect.stack()

print(cpu_ms(look_early), cpu_ms(stop))
"""


def test_locust_still_asks_for_the_whole_stack_when_it_stops() -> None:
    assert "inspect.stack()" in inspect.getsource(Runner.stop), "locust_compat/stack_of_stop.py can go"


def test_what_it_asks_is_quick_once_it_was_asked_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    first_ms, second_ms = map(float, done.stdout.split())
    assert second_ms * 3 < first_ms
