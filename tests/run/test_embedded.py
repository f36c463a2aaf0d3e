"""The embedded Triton of a command: which release runs, and what a form that wants another one brings about."""

from __future__ import annotations

from typing import Any

import pytest

from triton_users.run import embedded as module
from triton_users.run.embedded import Embedded
from triton_users.server import StartError, Unsupported
from triton_users.server.options import ServerSettings
from triton_users.settings import UsageError


class FakeTriton:
    """A server that starts at once."""

    unprepared: tuple[str, ...] = ()
    """Releases that cannot be installed here."""
    unstartable: tuple[str, ...] = ()
    made: list[FakeTriton]

    def __init__(self, *, release: str, grpc_port: int = 0, **_: Any) -> None:
        self.release = release
        self.grpc_port = grpc_port or 4000 + len(self.made)
        self.running = False
        self.troubles: list[str] = []
        self.made.append(self)

    @property
    def grpc_url(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def prepare(self) -> None:
        if self.release in self.unprepared:
            raise Unsupported(f"no Python for {self.release}")

    def start(self) -> None:
        self.prepare()
        if self.release in self.unstartable:
            raise StartError(f"{self.release} does not start")
        self.running = True

    def stop(self) -> None:
        self.running = False

    def how_it_ended(self) -> str:
        return "" if self.running else "ended"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeTriton]:
    monkeypatch.setattr(module.server, "EmbeddedTriton", FakeTriton)
    monkeypatch.setattr(FakeTriton, "unprepared", ())
    monkeypatch.setattr(FakeTriton, "unstartable", ())
    FakeTriton.made = []
    return FakeTriton.made


def running(made: list[FakeTriton]) -> list[str]:
    return [triton.release for triton in made if triton.running]


def test_the_release_that_was_asked_for_runs(made: list[FakeTriton]) -> None:
    embedded = Embedded()
    assert embedded.host == ""
    embedded.start(ServerSettings(triton="2.48"))
    embedded.change_to(ServerSettings(triton="2.48"), embedded.host)
    assert running(made) == ["2.48"]
    embedded.stop()
    embedded.stop()
    assert running(made) == []


def test_another_release_takes_its_place_at_the_same_address(made: list[FakeTriton]) -> None:
    embedded = Embedded()
    embedded.start(ServerSettings())
    host = embedded.host
    embedded.change_to(ServerSettings(triton="2.41"), host)
    assert running(made) == ["2.41"]
    assert embedded.host == host


def test_a_release_that_cannot_be_installed_costs_nothing(made: list[FakeTriton], monkeypatch: Any) -> None:
    monkeypatch.setattr(FakeTriton, "unprepared", ("2.39",))
    embedded = Embedded()
    embedded.start(ServerSettings())
    with pytest.raises(Unsupported, match=r"no Python for 2\.39"):
        embedded.change_to(ServerSettings(triton="2.39"), embedded.host)
    assert running(made) == ["2.51"]


def test_where_the_other_one_does_not_start_the_former_comes_back(made: list[FakeTriton], monkeypatch: Any) -> None:
    monkeypatch.setattr(FakeTriton, "unstartable", ("2.39",))
    embedded = Embedded()
    embedded.start(ServerSettings())
    host = embedded.host
    with pytest.raises(StartError):
        embedded.change_to(ServerSettings(triton="2.39"), host)
    assert running(made) == ["2.51"]
    assert embedded.host == host


@pytest.mark.parametrize("started", [True, False])
def test_a_release_and_a_host_are_two_servers(made: list[FakeTriton], started: bool) -> None:
    embedded = Embedded()
    if started:
        embedded.start(ServerSettings())
    with pytest.raises(UsageError, match=r"--triton 2\.48 is a release .* the host is grpc://elsewhere:8001"):
        embedded.change_to(ServerSettings(triton="2.48"), "grpc://elsewhere:8001")


def test_a_host_alone_is_no_matter(made: list[FakeTriton]) -> None:
    Embedded().change_to(ServerSettings(), "grpc://elsewhere:8001")
    assert made == []
