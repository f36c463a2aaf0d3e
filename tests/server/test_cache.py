"""Folders of the cache appear complete or not at all, and one process at a time fills them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from triton_users.server import manifest
from triton_users.server.cache import UNUSED_LIMIT_S, cache_folder, once
from triton_users.server.errors import InstallError
from triton_users.server.progress import silent

#: Fills a folder as slowly as it is told to, and says when it has begun.
FILL = """
import sys
from pathlib import Path
from triton_users.server.cache import once
from triton_users.server.progress import silent

def fill(folder):
    print("filling", flush=True)
    (folder / "part").write_text("one")
    sys.stdin.readline()
    (folder / "whole").write_text("two")

once(Path(sys.argv[1]), fill, silent)
print("done", flush=True)
"""


def process(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", FILL, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != manifest.NAME)


def write(folder: Path) -> None:
    (folder / "whole").write_text("two")


def test_a_folder_is_filled_once(tmp_path):
    fills = []

    def fill(folder):
        fills.append(folder)
        write(folder)

    for _ in range(2):
        assert once(tmp_path / "made", fill, silent) == tmp_path / "made"
    assert len(fills) == 1
    assert names(tmp_path / "made") == ["whole"]


def test_a_fill_that_fails_leaves_nothing(tmp_path):
    def fill(folder):
        write(folder)
        raise InstallError("no network")

    with pytest.raises(InstallError, match="no network"):
        once(tmp_path / "made", fill, silent)
    assert names(tmp_path) == ["lock"]


def test_a_process_killed_while_it_fills_leaves_no_folder_and_what_it_left_is_removed_later(tmp_path):
    with process(tmp_path / "made") as killed:
        assert killed.stdout.readline() == "filling\n"
        killed.kill()
    assert not (tmp_path / "made").exists()
    once(tmp_path / "made", write, silent)
    assert names(tmp_path) == ["lock", "made"]
    assert names(tmp_path / "made") == ["whole"]


def test_a_second_process_waits_for_the_first_and_uses_its_folder(tmp_path):
    steps = []
    with process(tmp_path / "made") as first:
        assert first.stdout.readline() == "filling\n"

        def progress(step, fraction):
            if not steps:
                first.stdin.write("\n")
                first.stdin.flush()
            steps.append(step)

        def fill(folder):
            raise AssertionError("the first process has filled it")

        once(tmp_path / "made", fill, progress)
    assert steps[0] == "Waiting for another process that installs"
    assert names(tmp_path / "made") == ["part", "whole"]


def test_waiting_for_another_process_has_a_limit(tmp_path):
    with process(tmp_path / "made") as first:
        assert first.stdout.readline() == "filling\n"
        with pytest.raises(InstallError, match="Another process has been installing"):
            once(tmp_path / "made", write, silent, lock_limit_s=0.2)
        first.kill()


@pytest.fixture
def kept(tmp_path):
    """Makes a folder whose last use was so many seconds ago."""

    def make(name: str, unused_s: float) -> Path:
        folder = once(tmp_path / name, write, silent)
        os.utime(folder, (time.time() - unused_s,) * 2)
        return folder

    return make


def test_a_new_folder_removes_those_of_its_kind_that_nothing_has_used_for_long(tmp_path, kept):
    kept("resnet-1", UNUSED_LIMIT_S - 60)
    kept("python-1", UNUSED_LIMIT_S + 60)
    kept("resnet-2", UNUSED_LIMIT_S + 60)
    once(tmp_path / "resnet-3", write, silent)
    assert names(tmp_path) == ["lock", "python-1", "resnet-1", "resnet-3"]


def test_a_folder_that_is_used_again_stays(tmp_path, kept):
    once(kept("resnet-1", UNUSED_LIMIT_S + 60), write, silent)
    once(tmp_path / "resnet-2", write, silent)
    assert names(tmp_path) == ["lock", "resnet-1", "resnet-2"]


def test_a_fill_that_fails_removes_nothing(tmp_path, kept):
    def fail(folder):
        raise InstallError("no network")

    kept("resnet-1", UNUSED_LIMIT_S + 60)
    with pytest.raises(InstallError):
        once(tmp_path / "resnet-2", fail, silent)
    assert names(tmp_path) == ["lock", "resnet-1"]


def test_a_cache_that_may_not_be_written_is_used_as_it_is(monkeypatch, kept):
    def refuse(*_):
        raise PermissionError

    folder = kept("resnet-1", 0)
    monkeypatch.setattr(os, "utime", refuse)
    assert once(folder, write, silent) == folder


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InstallError, match=r"Cannot write the cache folder .*file.*TRITON_USERS_CACHE"):
        once(tmp_path / "file" / "made", write, silent)


def test_a_damaged_folder_is_made_again_and_what_is_wrong_with_it_is_shown(tmp_path):
    folder, steps = once(tmp_path / "made", write, silent), []
    (folder / "whole").write_text("t")
    once(folder, write, lambda step, _: steps.append(step))
    assert steps == [f"Making {folder} again, since it is damaged (whole has 1 bytes, not 3)"]
    assert (folder / "whole").read_text() == "two"
    assert names(tmp_path) == ["lock", "made"]


def test_a_damaged_folder_that_cannot_be_made_again_is_named_as_the_one_to_remove(tmp_path):
    def fail(folder):
        raise InstallError("no network")

    folder = once(tmp_path / "made", write, silent)
    (folder / "whole").unlink()
    with pytest.raises(
        InstallError, match=rf"no network\nThis was to replace {folder}, which is damaged: whole: No such"
    ):
        once(folder, fail, silent)


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TRITON_USERS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/triton-users")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/user")
    assert cache_folder() == Path("/home/user/.cache/triton-users")
