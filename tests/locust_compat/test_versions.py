"""The canaries hold for the lowest and the highest Locust that pyproject.toml allows, and nobody else leans on it."""

import fcntl
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOWEST = "2.46.0"
HIGHEST = "2.47"
INSTALL_LIMIT_S = 240.0
"""How long pip may take; a third of a minute where the network is good."""
CANARIES_LIMIT_S = 240.0
"""How long the canaries may take there; about 40 s on an idle machine."""

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "triton-users-tests"

#: Locust's private attributes, and public ones whose ways are not documented, that we lean on or have leaned on.
INTERNALS = (
    r"\._handlers\b",
    r"\._send_stats\b",
    r"\._users_dispatcher\b",
    r"\._filter_tasks_by_tags\b",
    r"\._tasks_filtered\b",
    r"\._taskset_instance\b",
    r"\._local_worker_node\b",
    r"\._swarm_greenlet\b",
    r"\.last_received_spawn_timestamp\b",
    r"\.start_worker\b",
    r"\.spawning_completed\b",
    r"\.client_listener\b",
    r"\.heartbeat\b",
    r"\bHEARTBEAT_",
    r"\.user_greenlets\b",
    r"\.worker_index\b.*runner|runner.*\bworker_index\b",
    r"\.template_args\b",
    r"\.blueprints\b",
    r'"locust\.(swarm|index)"',
    r"\.process_exit_code\b",
    r"\.parse_args = ",
    r"\bStatsEntry\b",
    r"\bSIGINT\b",
)


def requirement() -> str:
    (found,) = set(re.findall(r'"locust(?:\[otel\])?(>=[^"]*)"', (ROOT / "pyproject.toml").read_text()))
    return str(found)


def test_the_range_that_may_be_installed_is_the_one_that_was_tried() -> None:
    major, minor = HIGHEST.split(".")
    assert requirement() == f">={LOWEST},<{major}.{int(minor) + 1}"


def test_the_highest_version_is_tried_here_wherever_this_python_can_have_it() -> None:
    """Python 3.10 gets no Locust above the lowest."""
    assert version("locust").startswith(LOWEST if sys.version_info < (3, 11) else f"{HIGHEST}.")


@pytest.fixture(scope="session")
def lowest() -> Path:
    """A folder with the lowest Locust and all that it requires, made once; another test session waits for it."""
    folder = CACHE / f"locust-{LOWEST}-python-{sys.version_info.major}.{sys.version_info.minor}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
            subprocess.run([*pip, "--target", str(folder), f"locust=={LOWEST}"], check=True, timeout=INSTALL_LIMIT_S)
            (folder / ".complete").touch()
    return folder


CANARIES = """
from gevent import monkey
monkey.patch_all()
import sys
import locust, pytest
assert locust.__version__ == sys.argv[1], locust.__version__
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.mark.timeout(INSTALL_LIMIT_S + CANARIES_LIMIT_S)
def test_the_canaries_hold_for_the_lowest_version(lowest: Path, tmp_path: Path) -> None:
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\n")
    here = Path(__file__).parent
    options = ["-q", "-p", "no:cacheprovider", "-c", str(settings), "--rootdir", str(ROOT), "--confcutdir", str(here)]
    ran = subprocess.run(
        # -S: nothing of this environment, whose Locust is another
        [sys.executable, "-S", "-c", CANARIES, LOWEST, *options, f"--ignore={__file__}", str(here)],
        env={**os.environ, "PYTHONPATH": f"{lowest}{os.pathsep}{ROOT}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=CANARIES_LIMIT_S,
    )
    assert ran.returncode == 0, f"{ran.stdout[-4000:]}\n{ran.stderr[-2000:]}"
    assert " passed" in ran.stdout


@pytest.mark.parametrize("pattern", INTERNALS)
def test_nobody_but_locust_compat_leans_on_what_locust_does_not_promise(pattern: str) -> None:
    package = ROOT / "triton_users"
    ours = package / "locust_compat"
    for module in package.rglob("*.py"):
        if ours in module.parents or module.is_relative_to(package / "server"):  # the server has signals of its own
            continue
        for number, line in enumerate(module.read_text().splitlines(), 1):
            assert not re.search(pattern, line), f"{module.relative_to(ROOT)}:{number}: {line.strip()}"


def test_every_internal_that_is_looked_for_is_one_that_locust_compat_knows() -> None:
    text = "\n".join(module.read_text() for module in (ROOT / "triton_users" / "locust_compat").glob("*.py"))
    for pattern in (r"\._handlers\b", r"\._send_stats\b", r"\._users_dispatcher\b", r"\._taskset_instance\b"):
        assert re.search(pattern, text)


def test_every_answer_to_a_defect_says_where_it_was_seen_and_when_it_can_go() -> None:
    for module in (ROOT / "triton_users" / "locust_compat").glob("*.py"):
        text = " ".join(module.read_text().split())
        if module.name not in ("__init__.py",):
            assert re.search(r"[Ss]een in 2\.46", text), module.name
            assert re.search(r"[Cc]an (?:each )?go when|can go when", text), module.name
