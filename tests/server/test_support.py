"""Whether a machine can run the embedded server, decided on facts that are made up here."""

import os

import pytest

from triton_users.server.errors import Unsupported
from triton_users.server.support import Machine, check, this_machine


def test_a_machine_like_the_ones_it_is_built_for_passes():
    check(Machine("Linux", "x86_64", (2, 35)))


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (Machine("Darwin", "arm64", None), "needs Linux on x86_64, this is Darwin on arm64"),
        (Machine("Linux", "aarch64", (2, 39)), "needs Linux on x86_64, this is Linux on aarch64"),
        (Machine("Linux", "x86_64", (2, 34)), "needs glibc 2.35 or newer, this is 2.34"),
        (Machine("Linux", "x86_64", None), "this C library is not glibc"),
    ],
)
def test_another_machine_is_told_why_and_what_to_do_instead(machine, reason):
    with pytest.raises(Unsupported) as raised:
        check(machine)
    assert reason in str(raised.value)
    assert "--host grpc://" in str(raised.value)
    assert "docker compose up" in str(raised.value)


@pytest.mark.parametrize("answer", [None, "musl 1.2", "glibc", "glibc new"])
def test_a_c_library_that_cannot_be_judged_counts_as_another_one(monkeypatch, answer):
    monkeypatch.setattr(os, "confstr", lambda name: answer)
    assert this_machine().glibc is None


def test_the_version_of_glibc_is_read(monkeypatch):
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.41")
    assert this_machine().glibc == (2, 41)
