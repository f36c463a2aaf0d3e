"""The processes of a real Triton as the kernel tells them."""

from __future__ import annotations

import os
import subprocess
import time

import psutil
import pytest

from triton_users import server
from triton_users.witness.processes import REAPED_WITHIN_S, Death, ProcessTree
from triton_users.witness.series import Key


@pytest.mark.triton
def test_the_whole_tree_is_added_up_and_each_models_stubs_are_told(triton: server.EmbeddedTriton) -> None:
    found = ProcessTree(triton.pid).read(0.0)
    every = [psutil.Process(triton.pid), *psutil.Process(triton.pid).children(recursive=True)]

    assert found[Key("processes")] == len(every)
    assert found[Key("threads")] == pytest.approx(sum(each.num_threads() for each in every), abs=20)
    assert found[Key("descriptors")] == pytest.approx(sum(each.num_fds() for each in every), abs=20)
    assert found[Key("stub_memory", "MiB", "custom_sequence_int32")] > 5
    assert Key("stub_memory", "MiB") not in found, "each stub is some model's, the image model's too"
    resident = sum(each.memory_info().rss for each in every) / 2**20
    assert 0.2 * resident < found[Key("memory", "MiB")] <= 1.05 * resident


def test_a_process_that_is_gone_has_no_values() -> None:
    assert ProcessTree(2**22 + 1).read(0.0) == {}


def test_a_process_without_children_is_a_tree_of_its_own() -> None:
    assert ProcessTree(os.getpid()).read(0.0)[Key("processes")] >= 1


def test_a_stub_is_named_once_it_has_begun_its_own_program() -> None:
    begins = ["sh", "-c", "read program; exec $program"]
    with subprocess.Popen(begins, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as stub:
        try:
            tree = ProcessTree(os.getpid())
            assert Key("stub_memory", "MiB", "mine") not in tree.read(1.0)
            assert stub.stdin is not None
            stub.stdin.write(b"tail -f /dev/null /models/mine/1/model.py\n")  # it goes on with what there is
            stub.stdin.flush()
            until = time.monotonic() + 30
            while Key("stub_memory", "MiB", "mine") not in tree.read(2.0) and time.monotonic() < until:
                time.sleep(0.05)
            assert Key("stub_memory", "MiB", "mine") in tree.read(3.0)
        finally:
            stub.kill()


@pytest.mark.triton
def test_a_stub_that_was_killed_is_named_with_its_model_and_the_others_are_not(tmp_path: object) -> None:
    with server.EmbeddedTriton(models=["custom_nobatch_zero_1_float32", "custom_nobatch_sequence_int32"]) as triton:
        tree = ProcessTree(triton.pid)
        tree.read(1.0)
        assert tree.deaths == []
        [stub] = [
            each for each in psutil.Process(triton.pid).children(recursive=True) if "zero_1" in " ".join(each.cmdline())
        ][:1]
        stub.kill()
        until = time.monotonic() + 10
        while not tree.undecided and time.monotonic() < until:
            tree.read(2.0)
            time.sleep(0.05)
        tree.read(2.0 + REAPED_WITHIN_S)

    [death] = tree.deaths
    assert death.from_s <= 2.0
    assert death == Death("custom_nobatch_zero_1_float32", stub.pid, death.from_s, to_s=None)


def test_a_stub_that_ends_with_its_model_did_not_die_however_late_a_busy_server_reaps_it() -> None:
    with subprocess.Popen(["tail", "-f", "/dev/null", "/models/mine/1/model.py"], stderr=subprocess.DEVNULL) as stub:
        tree = ProcessTree(os.getpid())
        until = time.monotonic() + 30
        while Key("stub_memory", "MiB", "mine") not in tree.read(1.0) and time.monotonic() < until:
            time.sleep(0.05)
        stub.kill()
        while not tree.undecided and time.monotonic() < until:
            tree.read(2.0)
            time.sleep(0.05)
        stub.wait()
        tree.read(2.0 + REAPED_WITHIN_S)

    assert (tree.deaths, tree.undecided) == ([], False)
