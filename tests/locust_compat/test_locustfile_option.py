"""Locust's own parser tells a locustfile that was named from its default."""

from pathlib import Path

import pytest

from triton_users.locust_compat.locustfile_option import names_a_locustfile


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LOCUST_LOCUSTFILE", raising=False)


def test_none_was_named() -> None:
    assert not names_a_locustfile(["--headless", "-u", "3"])


@pytest.mark.parametrize("arguments", [["-f", "mine.py"], ["--locustfile", "mine.py"], ["--locustfile=mine.py"]])
def test_the_command_line_names_one(arguments: list[str]) -> None:
    assert names_a_locustfile(arguments)


def test_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_LOCUSTFILE", "mine.py")
    assert names_a_locustfile([])


def test_a_config_file_names_one(tmp_path: Path) -> None:
    (tmp_path / "locust.conf").write_text("locustfile = mine.py\n")
    assert names_a_locustfile([])
