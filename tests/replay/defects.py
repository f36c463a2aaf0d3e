"""A failure found on a defective server, as a report that has it and nothing else."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.ledger.plain import MAX_PLAN_ITEMS, plain
from triton_users.scenarios import ALL
from triton_users.scenarios.base import ScenarioFailure

DEFECTS = Path(__file__).parents[1] / "defective_models"


def report_of(triton: server.EmbeddedTriton, folder: Path, scenario: str, command: str = "", **settings: Any) -> Path:
    """Plays the scenario with plans of its own until it fails; where its report.json is.

    `command` is the options of the run that is supposed to have found it, which `settings` must equal.
    """
    with open_session(triton, folder, **settings) as session:
        played = ALL[scenario](session)
        for seed in range(100):
            plan = played.plan(random.Random(seed))
            try:
                played.run(plan)
            except ScenarioFailure as failure:
                record = {"plan": plain(asdict(plan), most=MAX_PLAN_ITEMS), "evidence": plain(failure.evidence)}
                kept = {"scenario": scenario, "worker": "local", "at_s": 1.0, "reason": str(failure), "record": record}
                path = folder / "report.json"
                path.write_text(
                    json.dumps(
                        {
                            "scenarios": [{"evidence": {"failures": [kept]}}],
                            "server": {"version": triton.version},
                            "reproduce": f"triton-users --headless -H grpc://{triton.grpc_url} {command}",
                        }
                    )
                )
                return path
    raise AssertionError(f"{scenario} did not fail on this server")
