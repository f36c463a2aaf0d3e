"""However a run is laid out and ended, its report says what the server says, and nothing is left behind."""

from pathlib import Path

import pytest

from tests.cluster import cases
from tests.cluster.cases import run
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

REPORT_INTERVAL_S = 3.0
"""How often a Locust worker reports (`locust.runners.WORKER_REPORT_INTERVAL`)."""


def outcome_of(layout: str, end: str, folder: Path, triton: EmbeddedTriton) -> cases.Outcome:
    return run(layout, end, folder, f"grpc://{triton.grpc_url}", triton.http_url)


@pytest.mark.parametrize(("layout", "end"), [case for case in cases.CASES if "kill" not in case[1]])
def test_server_journal_ledger_and_locust_agree(layout: str, end: str, tmp_path: Path, triton: EmbeddedTriton) -> None:
    outcome = outcome_of(layout, end, tmp_path, triton)
    counts = {"journal": len(outcome.journal), "ledger": outcome.ledger, "Locust": outcome.by_locust}
    assert counts == dict.fromkeys(counts, outcome.server), outcome.log
    assert outcome.exit_code == 0, outcome.log
    assert outcome.report["totals"]["rpcs_failed"] == 0
    if end != "SIGTERM to all":  # where the workers are faster, the master sees the last of them leave, and finishes
        assert outcome.report["state"] == ("finished" if "run-time" in end or "a worker" in end else "interrupted")
    assert {worker["state"] for worker in outcome.report["workers"]} == {"finished"}
    assert not outcome.left_processes
    assert not outcome.left_files


@pytest.mark.parametrize("layout", cases.ENDS["kill -9 of a worker"])
def test_a_killed_worker_loses_at_most_its_last_interval_and_is_named(
    layout: str, tmp_path: Path, triton: EmbeddedTriton
) -> None:
    outcome = outcome_of(layout, "kill -9 of a worker", tmp_path, triton)
    lost = [worker["worker"] for worker in outcome.report["workers"] if worker["state"] == "lost"]
    assert len(lost) == 1, f"{outcome.report['workers']}\n{outcome.log}"
    assert any(f"worker {lost[0]} was lost" in warning for warning in outcome.report["verdict"]["warnings"])
    # No request but the killed worker's may be missing, and of those only what it did after its last report.
    assert not outcome.lost_before(REPORT_INTERVAL_S + 0.5)
    assert outcome.ledger <= len(outcome.journal) <= outcome.server
    assert outcome.by_locust == outcome.ledger
    assert not outcome.left_processes


@pytest.mark.parametrize("layout", ["local", "processes"])
def test_a_killed_master_leaves_a_report_and_no_process(layout: str, tmp_path: Path, triton: EmbeddedTriton) -> None:
    outcome = outcome_of(layout, "kill -9", tmp_path, triton)
    assert outcome.report["state"] == "running"
    assert not outcome.left_processes, outcome.log
    assert layout == "local" or not outcome.left_files  # the workers still clean up; who is killed cannot
