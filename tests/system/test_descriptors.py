"""The limit of open files, in processes of their own, since a limit that was lowered cannot be raised again."""

from __future__ import annotations

import resource
import subprocess
import sys

from triton_users.system import descriptors


def said(soft: int, hard: int, code: str) -> str:
    """What `code` prints in a process with these limits."""
    done = subprocess.run(
        [sys.executable, "-c", f"from triton_users.system import descriptors; print({code})"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_the_limit_is_raised_as_far_as_the_system_allows() -> None:
    assert said(128, 300, "descriptors.raise_limit()") == "300"


def test_connections_that_fit_lack_nothing() -> None:
    assert said(128, 300, f"descriptors.lacking_for({300 - descriptors.OTHER_FILES}) or 'nothing'") == "nothing"


def test_one_connection_too_many_is_told_with_the_limit() -> None:
    told = said(128, 300, f"descriptors.lacking_for({301 - descriptors.OTHER_FILES})")
    assert told == "269 connections need about 301 open files, and this process may have 300 (`ulimit -Hn`)"
