"""What OpenTelemetry's SDK begins anew in a forked process: in workers only, and once their event loop turns.

The SDK starts its exporting threads again from hooks of `os.register_at_fork`. With gevent each start of a thread waits
for the event loop, which in the child of a fork is still its parent's: all greenlets of the parent go on there as well,
the one that hears the workers, say, and takes their messages. A child that was to become another program never did, and
the run waited for ever for the first one that it started (5 of 220 runs, on two cores with much other work). Seen in
opentelemetry-sdk 1.45 with gevent 26.9. Can go when the SDK starts no thread in such a hook.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gevent

PACKAGE = "opentelemetry."


def begin_anew_in_workers_only() -> None:
    """Put off what the SDK does after a fork. Call it before the SDK is set up; safe to call again."""
    register: Any = os.register_at_fork
    if not isinstance(register, _PutOff):
        os.register_at_fork = _PutOff(register)  # type: ignore[assignment]  # it is called in the same way


class _PutOff:
    """`os.register_at_fork`, of which the SDK's hooks run when the child's event loop turns.

    That of a worker does; a program that is started takes the child's place before.
    """

    def __init__(self, register: Callable[..., None]) -> None:
        self._register = register

    def __call__(self, *, after_in_child: Callable[[], None] | None = None, **others: Callable[[], None]) -> None:
        if after_in_child is None:
            self._register(**others)
        elif after_in_child.__module__.startswith(PACKAGE):
            self._register(after_in_child=lambda: gevent.spawn(after_in_child), **others)
        else:
            self._register(after_in_child=after_in_child, **others)
