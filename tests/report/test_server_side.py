"""The report's part about the server: made of counts, with no server."""

from __future__ import annotations

import pytest

from triton_users.ledger import Ledger
from triton_users.report import server_side
from triton_users.report.text import render_text
from triton_users.witness.seen import Seen, Source
from triton_users.witness.series import Key, Samples
from triton_users.witness.statistics import ModelCounts

MS = 1_000_000
TEN = ModelCounts(
    success=10, queue_ns=20 * MS, input_ns=1 * MS, infer_ns=40 * MS, output_ns=2 * MS, inferences=40, executions=8
)


def answered(times: int, latency_us: int = 8_000) -> Ledger:
    ledger = Ledger()
    for _ in range(times):
        ledger.row("SequenceValid", "m").record(latency_us, 0, 10, 10)
    return ledger


def test_a_mean_requests_time_is_told_by_its_parts_and_they_add_up_to_what_the_client_saw() -> None:
    [model] = server_side.models(Seen(models={"m": TEN}), answered(10))

    assert (model["queue_ms"], model["input_ms"], model["infer_ms"], model["output_ms"]) == (2.0, 0.1, 4.0, 0.2)
    assert model["client_ms"] == pytest.approx(8.0, rel=0.01)
    assert model["network_ms"] == pytest.approx(1.7, abs=0.1)
    assert model["mean_batch"] == 5.0


@pytest.mark.parametrize("ours", [0, 5])
def test_where_others_sent_most_of_the_requests_the_clocks_are_not_subtracted_from_one_another(ours: int) -> None:
    [model] = server_side.models(Seen(models={"m": TEN}), answered(ours))

    assert model["network_ms"] is None


def test_an_ensemble_is_told_with_its_steps_and_each_of_them_by_itself() -> None:
    seen = Seen(models={"both": TEN, "first": TEN, "m": TEN}, steps={"both": ("first", "m")})
    found = {model["model"]: model for model in server_side.models(seen, Ledger())}

    assert found["both"]["steps"] == ["first", "m"]
    assert [name for name, model in found.items() if model["is_step"]] == ["first", "m"]


def test_a_model_that_was_sent_nothing_has_no_line() -> None:
    assert server_side.models(Seen(models={"idle": ModelCounts()}), Ledger()) == []


def counted(rows: int) -> Samples:
    samples = Samples()
    for second in range(rows):
        values = {"success": 100 * second, "queue_ns": 200 * MS * second, "executions": 25 * second}
        values |= {"inferences": 100 * second, "failed": 0}
        samples.add(
            float(second), {**{Key(what, "", "m"): float(n) for what, n in values.items()}, Key("memory", "MiB"): 512.0}
        )
    return samples


def test_counters_are_shown_as_rates_and_means_and_gauges_as_they_are() -> None:
    shown = server_side.series(Seen(samples=counted(5), models={"m": TEN}))
    values = {(each["name"], each["of"]): each["values"] for each in shown["series"]}

    assert shown["t_s"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert values["requests", "m"] == [None, 100.0, 100.0, 100.0, 100.0]
    assert values["queue", "m"] == [None, 2.0, 2.0, 2.0, 2.0]
    assert values["mean_batch", "m"] == [None, 4.0, 4.0, 4.0, 4.0]
    assert values["memory", ""] == [512.0] * 5
    assert ("failures", "m") not in values


@pytest.mark.parametrize("rows", [1, 239, 240, 241, 700])
def test_a_long_run_has_a_bounded_number_of_points_and_the_newest_one(rows: int) -> None:
    shown = server_side.series(Seen(samples=counted(rows), models={"m": TEN}))

    assert len(shown["t_s"]) <= server_side.MAX_ROWS
    assert shown["t_s"][-1] == rows - 1
    assert all(len(each["values"]) == len(shown["t_s"]) for each in shown["series"])


def test_a_server_with_very_many_models_shows_the_busiest() -> None:
    samples = Samples()
    models = {f"m{number}": ModelCounts(success=number) for number in range(1, 60)}
    for second in range(3):
        samples.add(float(second), {Key("success", "", m): float(second * c.success) for m, c in models.items()})
    shown = server_side.series(Seen(samples=samples, models=models))

    assert {each["of"] for each in shown["series"]} == {f"m{number}" for number in range(40, 60)}


def test_nothing_that_was_seen_makes_an_empty_part() -> None:
    assert server_side.section(Seen(), Ledger()) == {
        "sources": [],
        "models": [],
        "audit": {"text": "", "models": []},
        "series": {"t_s": [], "series": []},
    }


def test_the_text_has_a_table_of_it(report) -> None:
    seen = Seen(models={"m": TEN}, sources=(Source("metrics", 0, "give its address"),))
    text = render_text({**report, "server_side": server_side.section(seen, answered(10))})

    assert "Where the time went" in text
    assert "5.00  m" in text
