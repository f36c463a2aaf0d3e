"""A folder for temporary files goes with its owner, at the latest when somebody else makes one."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from triton_users.system import scratch

OWNER = """
import sys
from triton_users.system import scratch
print(scratch.make(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of this process and of those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_killed_process_leaves_its_folder_to_the_next_one(temporary: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().decode().strip())
        (left / "file").write_text("of a run")
        first = scratch.make()
        assert sorted(temporary.iterdir()) == sorted([left, first]), "its owner lives"
        owner.kill()
    second = scratch.make()
    assert sorted(temporary.iterdir()) == sorted([first, second])


@pytest.mark.parametrize(
    "name",
    [
        "triton-users-run-1-{gone}-abc",  # of another container
        "triton-users-{gone}-0a1b2c3d-abc",  # an embedded server's, whose guard removes it
        "triton-users-run-{space}-none-abc",
        "other-{gone}-abc",
    ],
)
def test_what_is_not_provably_left_behind_stays(temporary: Path, name: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    other = temporary / name.format(gone=ended.pid, space=scratch._namespace())
    other.mkdir()
    scratch.make()
    assert other.exists()
