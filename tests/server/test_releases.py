"""The releases of Triton that can be embedded: side by side, each on a fitting Python, listed with what runs here."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.scenarios import ALL
from triton_users.server import install, pins, releases, support
from triton_users.server.__main__ import main
from triton_users.server.cache import once
from triton_users.server.errors import ServerError
from triton_users.server.interpreter import Interpreter
from triton_users.server.progress import silent
from triton_users.server.support import Machine

PYTHON_3_11 = Interpreter("/usr/bin/python3.11", (3, 11), Path("/usr/lib"))
PYTHON_3_13 = Interpreter("/usr/bin/python3.13", (3, 13), Path("/usr/lib"))


@pytest.fixture
def a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Interpreter]:
    """One that can run the server, with an empty cache, and with the Pythons that the test puts in this list."""
    pythons: list[Interpreter] = []
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    monkeypatch.setattr(support, "this_machine", lambda: Machine("Linux", "x86_64", (2, 36)))
    monkeypatch.setattr(releases, "candidates", lambda: iter(pythons))
    monkeypatch.setattr(install, "missing_libraries", lambda program, environment: [])
    return pythons


def test_every_release_runs_on_pythons_that_have_packages() -> None:
    for release in pins.RELEASES.values():
        assert set(release.pythons) <= set(pins.PACKAGES)
    assert list(pins.RELEASES)[-1] == pins.NEWEST


def test_releases_lie_side_by_side() -> None:
    folders = {install._root_folder(release) for release in pins.RELEASES.values()}
    assert len(folders) == len(pins.RELEASES)


def test_a_release_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(ServerError, match=r"no embedded Triton 2\.40; the releases are 2\.39, 2\.41,"):
        server.EmbeddedTriton(release="2.40")


def test_a_release_that_is_not_installed_says_how_much_there_is_to_fetch(a_machine: list[Interpreter]) -> None:
    a_machine.append(PYTHON_3_11)
    assert {standing.here for standing in releases.standings() if standing.release == "2.48"} == {
        "not installed yet (41 MB), on /usr/bin/python3.11 (3.11)"
    }


def test_an_installed_one_says_on_what_it_runs(a_machine: list[Interpreter]) -> None:
    a_machine.append(PYTHON_3_11)
    once(install._root_folder(pins.RELEASES["2.48"]), lambda folder: None, silent)
    by_name = {standing.release: standing for standing in releases.standings()}
    assert by_name["2.48"] == releases.Standing("2.48", True, "installed, on /usr/bin/python3.11 (3.11)")
    assert not by_name["2.44"].here.startswith("installed")


def test_a_python_that_is_too_new_for_old_releases_is_the_reason(a_machine: list[Interpreter]) -> None:
    a_machine.append(PYTHON_3_13)
    runs = [standing.release for standing in releases.standings() if standing.runs]
    assert runs == ["2.51"]
    assert releases.standings()[0].here == "no: it needs Python 3.10 to 3.11, and none is found here"


def test_a_python_without_its_shared_library_is_the_reason(a_machine: list[Interpreter]) -> None:
    a_machine.append(Interpreter("/usr/bin/python3.11", (3, 11), None))
    assert "/usr/bin/python3.11 (3.11) has no shared library" in releases.standings()[0].here


def test_a_machine_that_can_run_none_says_why_for_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(support, "this_machine", lambda: Machine("Linux", "aarch64", (2, 39)))
    assert main(["releases"]) == 0
    said = capsys.readouterr().out
    assert said.count("no: The embedded Triton cannot run on this machine: it needs Linux on x86_64") == 5


def test_what_is_known_to_be_wrong_with_a_release_stands_below(
    a_machine: list[Interpreter], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["releases"]) == 0
    said = capsys.readouterr().out
    for name, release in pins.RELEASES.items():
        assert f"\n{name} " in said
        for defect in release.defects:
            assert defect in said


@pytest.mark.triton
@pytest.mark.parametrize("release", [name for name in pins.RELEASES if name != pins.NEWEST])
def test_each_release_is_what_it_says_and_passes_scenarios(release: str, tmp_path: Path) -> None:
    with server.EmbeddedTriton(release=release, models=["custom_sequence_int32"], grace_s=0) as triton:
        assert triton.version == pins.RELEASES[release].version
        with open_session(triton, tmp_path, pause_share=0.0) as session:
            for name in ("SequenceValid", "SequenceValidValid", "SequenceNoStart"):
                scenario = ALL[name](session)
                assert scenario.run(scenario.plan(random.Random(1))) > 0
                scenario.close()
        assert session.signals.validations == []
