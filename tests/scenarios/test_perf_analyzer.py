"""The PerfAnalyzer scenario with a stand-in for the program."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import GreenletExit

from tests.scenarios.fakes import make_session
from triton_users.scenarios.base import SENT_ELSEWHERE, ScenarioFailure, Skip, Target
from triton_users.scenarios.correlation_ids import perf_analyzer_ids
from triton_users.scenarios.perf_analyzer import ImageLoad, PerfAnalyzer, PerfAnalyzerPlan
from triton_users.settings import Settings
from triton_users.system.priority import NICER

MODEL = "custom_sequence_int32"
PLAN = PerfAnalyzerPlan(MODEL, (5, 7))

WELL = """
import os, sys
report = sys.argv[sys.argv.index("-f") + 1]
with open(report, "w") as file:
    file.write("Concurrency,Server Queue\\n1," + os.environ["QUEUE_US"] + "\\n")
print("  Client:\\n    Request count: 42")
"""


def scenario(tmp_path: Path, program: str, kind: type[PerfAnalyzer] = PerfAnalyzer, **settings: Any) -> PerfAnalyzer:
    target = Target(
        "127.0.0.1:1",
        frozenset(),
        perf_analyzer=(sys.executable, "-I", "-S", "-c", program),
        perf_analyzer_env=(("QUEUE_US", "20000"),),
    )
    return kind(make_session(target=target, scratch=tmp_path, **settings))


def test_the_run_s_headers_are_given_to_it_and_no_failure_shows_their_values(tmp_path: Path) -> None:
    played = scenario(tmp_path, "import sys; print(sys.argv, 'end'); sys.exit(1)")
    played.session.headers = (("authorization", "Bearer s3cret"), ("x-b", ""))
    with pytest.raises(ScenarioFailure) as caught:
        played.run(PLAN)
    told = f"{caught.value} {caught.value.evidence}"
    assert "'-H', 'authorization:***', '-H', 'x-b:'" in told
    assert "s3cret" not in told


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_its_request_count_is_the_runs(tmp_path: Path) -> None:
    perf_analyzer = scenario(tmp_path, WELL)
    assert perf_analyzer.run(PLAN) == 42
    assert perf_analyzer.session.shared[SENT_ELSEWHERE] == {MODEL: (None, "perf_analyzer")}


def test_each_option_keeps_its_own_concurrency(tmp_path: Path) -> None:
    perf_analyzer = scenario(tmp_path, WELL.replace('os.environ["QUEUE_US"]', '"5"'))
    perf_analyzer.run(PLAN)
    perf_analyzer.run(PLAN)
    assert perf_analyzer.concurrency[MODEL] == 3
    assert perf_analyzer.concurrency["resnet_v1_50"] == 1


def test_it_gets_ids_of_its_own_and_the_servers_address(tmp_path: Path) -> None:
    perf_analyzer = scenario(tmp_path, "import sys; sys.exit(' '.join(sys.argv[1:]))")
    with pytest.raises(ScenarioFailure) as caught:
        perf_analyzer.run(PLAN)
    ids = perf_analyzer_ids(perf_analyzer.session.correlation_ids)
    assert f"--sequence-id-range {ids.start}:{ids.stop}" in caught.value.evidence["output"]
    assert "-u 127.0.0.1:1 -i grpc" in caught.value.evidence["output"]


def test_it_yields_to_the_users_and_can_be_killed_whole(tmp_path: Path) -> None:
    told = "import os, sys; sys.exit(f'{os.nice(0)} {os.getpgrp() == os.getpid()} {os.getsid(0)}')"
    with pytest.raises(ScenarioFailure) as caught:
        scenario(tmp_path, told).run(PLAN)
    assert caught.value.evidence["output"].split() == [str(min(19, os.nice(0) + NICER)), "True", str(os.getsid(0))]


def test_an_option_with_data_gets_it(tmp_path: Path) -> None:
    perf_analyzer = scenario(tmp_path, "import sys; sys.exit(open(sys.argv[-1]).read())")
    with pytest.raises(ScenarioFailure, match='"validation_data"'):
        perf_analyzer.run(PerfAnalyzerPlan(f"{MODEL} with data", (5, 7)))


def test_an_error_exit_is_a_failure_that_shows_the_end_of_its_output(tmp_path: Path) -> None:
    program = "import sys; print('x' * 100_000); print('Thread [0] had error: no', file=sys.stderr); sys.exit(99)"
    with pytest.raises(ScenarioFailure, match=f"perf_analyzer on {MODEL} ended with 99: .*had error: no") as caught:
        scenario(tmp_path, program).run(PLAN)
    assert len(str(caught.value)) < 2000
    assert caught.value.evidence["exit_code"] == 99


@pytest.mark.parametrize(
    ("said", "excusable"),
    [("Thread [0] had error: Output doesn't match expected output", False), ("Thread [0] had error: no", True)],
)
def test_an_answer_that_does_not_match_is_excused_by_no_load(tmp_path: Path, said: str, excusable: bool) -> None:
    with pytest.raises(ScenarioFailure) as caught:
        scenario(tmp_path, f"import sys; sys.exit({said!r})").run(PLAN)
    assert caught.value.excusable is excusable


def test_the_line_that_says_what_went_wrong_stands_first(tmp_path: Path) -> None:
    program = (
        "import sys; print('options\\n' * 50); print('Thread [2] had error: Output doesn\\'t match expected output'); "
        "print('Perf Analyzer failed. ' * 200); sys.exit(99)"
    )
    with pytest.raises(
        ScenarioFailure, match=r"ended with 99: Thread \[2\] had error: Output doesn't match expected output; \.\.\."
    ):
        scenario(tmp_path, program).run(PLAN)


def test_a_program_that_cannot_be_started_is_a_failure(tmp_path: Path) -> None:
    target = Target("127.0.0.1:1", frozenset(), perf_analyzer=(str(tmp_path / "gone"),))
    perf_analyzer = PerfAnalyzer(make_session(target=target, scratch=tmp_path))
    with pytest.raises(ScenarioFailure, match=r"perf_analyzer cannot be started: .*No such file"):
        perf_analyzer.run(PLAN)


@pytest.mark.parametrize(
    ("option", "checked"),
    [(MODEL, 0), (f"{MODEL} with data", 42), ("custom_nobatch_zero_1_float32 with data", 0), ("resnet_v1_50", 0)],
)
def test_answers_are_checked_where_perf_analyzer_knows_what_they_must_be(
    tmp_path: Path, option: str, checked: int
) -> None:
    assert scenario(tmp_path, WELL).answers_checked(PerfAnalyzerPlan(option, (5, 7)), 42) == checked


FORGOTTEN = """
import sys
sys.exit("Thread [3] had error: inference request for sequence 7 to model 'm' must specify the START flag on the first "
         "request of the sequence")
"""


def test_a_sequence_that_may_have_been_idle_for_too_long_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Skip, match=f"{MODEL} lost a sequence on a busy server"):
        scenario(tmp_path, FORGOTTEN, idle_limit_s=0.001).run(PLAN)


def test_a_sequence_that_is_forgotten_before_its_idle_limit_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ScenarioFailure, match="must specify the START flag"):
        scenario(tmp_path, FORGOTTEN, idle_limit_s=60.0).run(PLAN)


def test_an_exit_without_a_request_count_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ScenarioFailure, match="ended with 0 but did not say how many requests"):
        scenario(tmp_path, "print('nothing to tell')").run(PLAN)


def test_one_that_never_ends_is_killed_at_its_limit(tmp_path: Path) -> None:
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(ScenarioFailure, match=r"was killed after 0\.3 s, its limit") as caught:
        scenario(tmp_path, program, perf_analyzer_timeout_s=0.3).run(PLAN)
    assert not alive(int(caught.value.evidence["output"]))


def test_a_stopped_user_leaves_neither_the_process_nor_its_files(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid()) + '.'); time.sleep(60)"
    running = gevent.spawn(scenario(tmp_path, program).run, PLAN)
    while not (pid_file.exists() and pid_file.read_text().endswith(".")):
        gevent.sleep(0.01)
    running.kill(GreenletExit, timeout=5)
    assert running.dead
    assert not alive(int(pid_file.read_text()[:-1]))
    assert list(tmp_path.iterdir()) == [pid_file]


def test_a_finished_run_leaves_no_files(tmp_path: Path) -> None:
    scenario(tmp_path, WELL).run(PLAN)
    assert list(tmp_path.iterdir()) == []


def test_load_users_run_the_image_option_alone(tmp_path: Path) -> None:
    assert list(scenario(tmp_path, WELL, ImageLoad).options) == ["resnet_v1_50"]


def test_without_the_program_it_says_what_to_do() -> None:
    target = Target("127.0.0.1:1", frozenset([MODEL]), perf_analyzer_remedy="perf_analyzer needs x86_64")
    assert PerfAnalyzer.unavailable(target, Settings(seed=1)) == (
        "perf_analyzer needs x86_64, or give PerfAnalyzer weight 0"
    )


def test_without_a_model_it_says_what_to_do() -> None:
    target = Target("127.0.0.1:1", frozenset([MODEL]), perf_analyzer=("perf_analyzer",))
    assert PerfAnalyzer.unavailable(target, Settings(seed=1)) == ""
    assert "is ready on the server; load one" in ImageLoad.unavailable(target, Settings(seed=1))
