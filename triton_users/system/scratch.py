"""A process's own folder for temporary files, and an end to those that killed processes left. Knows no contents."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import psutil


def make() -> Path:
    """A new folder, which its owner removes; those of owners that are gone (`kill -9`) are removed here.

    The name tells the owner: its process id, and the namespace in which that id means something, since containers may
    share a folder for temporary files. A process id that is in use again keeps its folder until a later look.
    """
    parent, prefix = Path(tempfile.gettempdir()), f"triton-users-run-{_namespace()}-"
    for folder in parent.glob(f"{prefix}*"):
        owner = re.fullmatch(r"(\d{1,9})-\w+", folder.name[len(prefix) :])
        if owner and not psutil.pid_exists(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def _namespace() -> int:
    """Names the process ids that we see; 0 where there is one kind only."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
