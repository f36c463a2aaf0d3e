"""How many files and sockets this process may have open. Knows the operating system only."""

from __future__ import annotations

import contextlib
import resource

MOST = 1_048_576
"""More are not asked for: some systems say that there is no limit at all, and take no such number."""

OTHER_FILES = 32
"""What a process needs beside its connections: a local run of the nine scenarios had 9 to 12 open. The rest is for the
web UI and the pipes of children."""


def raise_limit() -> int:
    """Allow this process as many open files as the system lets it have; how many that is.

    Locust asks for 10,000, and for none more where the system allows less than that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def lacking_for(connections: int) -> str:
    """Why this process cannot have so many connections, and what to do about it; "" when it can."""
    limit = raise_limit()
    if connections + OTHER_FILES <= limit:
        return ""
    return (
        f"{connections} connections need about {connections + OTHER_FILES} open files, and this process may have "
        f"{limit} (`ulimit -Hn`)"
    )
