"""The cache folder: where it is, how a folder in it appears and goes all at once, who may write. It knows no contents.

What was filled once is compared with its manifest at each use, and filled again when it is damaged.

A folder's name is its kind, a dash, and what it was made from. Each use sets its modification time; when one is made,
others of its kind that nothing has used for UNUSED_LIMIT_S are removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from triton_users.server import manifest
from triton_users.server.errors import InstallError
from triton_users.server.progress import Progress

#: Longest wait for another process that installs, in seconds: a slow download of 75 MB with room to spare.
LOCK_LIMIT_S = 1800.0

#: How long a folder stays after its last use, in seconds: 30 days, since another checkout may come back to its own, and
#: getting it again takes a network. Picked arbitrarily.
UNUSED_LIMIT_S = 30 * 86_400.0

#: How the names of folders begin that are not complete, or not any more.
_UNFINISHED = ".unfinished-"


def cache_folder() -> Path:
    """`$TRITON_USERS_CACHE`, or `triton-users` in `$XDG_CACHE_HOME`, or in `~/.cache`."""
    chosen = os.environ.get("TRITON_USERS_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "triton-users"


def once(folder: Path, fill: Callable[[Path], None], progress: Progress, lock_limit_s: float = LOCK_LIMIT_S) -> Path:
    """`folder`, filled by `fill(temporary folder)` if it does not exist yet or is damaged.

    The folder appears complete or not at all, whenever the process dies; processes that want it at once take turns.
    InstallError when the cache cannot be written or another process fills it for longer than `lock_limit_s`.
    """
    damage = ""
    if used(folder) and not (damage := manifest.damage(folder)):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock(folder.parent / "lock", progress, lock_limit_s):
            if used(folder) and not (damage := manifest.damage(folder)):
                return folder
            if damage:
                progress(f"Making {folder} again, since it is damaged ({damage})", None)
            _remove_abandoned(folder.parent)
            temporary = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
            try:
                fill(temporary)
                temporary.chmod(0o755)
                manifest.write(temporary)
                if folder.is_dir():
                    folder.rename(folder.with_name(_UNFINISHED + folder.name))
                temporary.rename(folder)
                _retire_unused(folder)
            finally:
                _remove_abandoned(folder.parent)
    except OSError as exc:
        raise not_writable(folder.parent, exc, _was_damaged(folder, damage)) from exc
    except InstallError as exc:
        raise InstallError(f"{exc}{_was_damaged(folder, damage)}") from exc
    return folder


def _was_damaged(folder: Path, damage: str) -> str:
    return f"\nThis was to replace {folder}, which is damaged: {damage}. Remove that folder." if damage else ""


def used(folder: Path) -> bool:
    """Whether `folder` is there. If so it counts as used now."""
    try:
        os.utime(folder)
    except OSError:
        pass  # it is not there, or the cache belongs to somebody else
    return folder.is_dir()


def not_writable(folder: Path, exc: OSError, more: str = "") -> InstallError:
    """The error for a folder of the cache that cannot be written, with the way out."""
    return InstallError(
        f"Cannot write the cache folder {folder}: {exc}. "
        f"Set TRITON_USERS_CACHE to a folder that can be written and has 1 GB free.{more}"
    )


@contextmanager
def lock(path: Path, progress: Progress, limit_s: float) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the system releases it when the process dies. InstallError after `limit_s`."""
    import fcntl  # not on Windows, where this module must still be importable

    deadline = time.monotonic() + limit_s
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InstallError(
                        f"Another process has been installing into {path.parent} for more than {limit_s:.0f} s. "
                        "End it, or set TRITON_USERS_CACHE to another folder."
                    ) from None
                progress("Waiting for another process that installs", None)
                time.sleep(0.1)
        yield


def _retire_unused(newest: Path) -> None:
    """Make what `newest` may have superseded, and nothing has used for long, incomplete; the caller holds the lock."""
    for folder in newest.parent.glob(f"{newest.name.partition('-')[0]}-*"):
        try:
            if time.time() - folder.stat().st_mtime > UNUSED_LIMIT_S:
                folder.rename(folder.with_name(_UNFINISHED + folder.name))
        except OSError:
            pass  # it belongs to somebody else: what is new is there, and that counts


def _remove_abandoned(parent: Path) -> None:
    """Remove what is incomplete; the caller holds the lock, so nobody is making it."""
    for folder in parent.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)
