"""The fixture for other people's suites, in a suite like theirs: another folder, another process, no gevent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.asking import get
from triton_users.server import repository

ROOT = Path(__file__).parent.parent
FAST = "custom_nobatch_zero_1_float32"

CONFTEST = f"""
import pytest

pytest_plugins = ["triton_users.pytest_plugin"]


@pytest.fixture(scope="session")
def triton(embedded_triton):
    return embedded_triton("mine", models=["{FAST}"], grace_s=0)
"""

TEST = f"""
import sys
import tritonclient.grpc

def test_my_model_is_ready(triton):
    print("AT", triton.http_url)
    assert tritonclient.grpc.InferenceServerClient(triton.grpc_url).is_model_ready("{FAST}")
    assert "gevent" not in sys.modules
"""


@pytest.mark.triton
def test_a_suite_of_one_s_own_gets_a_triton_that_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FAST).symlink_to(repository.default_repository() / FAST)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (url,) = [line.split()[-1] for line in done.stdout.splitlines() if "AT 127" in line]
    with pytest.raises(OSError, match="refused"):
        get(url, "/v2/health/ready")
