"""Locust's own files have the last numbers."""

from __future__ import annotations

import csv
from argparse import Namespace
from pathlib import Path

import gevent
from locust.env import Environment
from locust.runners import WorkerRunner
from locust.stats import StatsCSVFileWriter

from triton_users.locust_compat.own_files import write_own_files_when_all_is_counted


def counted(path: Path) -> dict[str, int]:
    with path.open() as file:
        return {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}


def run_with_csv(environment: Environment, folder: Path) -> Path:
    """A request comes after the files were last written, and the command ends."""
    files = StatsCSVFileWriter(environment, [0.5], str(folder / "c"))
    writer = gevent.spawn(files.stats_writer)
    gevent.sleep(0)
    environment.stats.log_request("grpc", "late", 1, 1)
    environment.events.quitting.fire(environment=environment, reverse=True)
    environment.stats.serialize_stats()  # what `--json` does
    files.close_files()
    writer.kill()
    return folder / "c_stats.csv"


def environment(**options: str) -> Environment:
    made = Environment(parsed_options=Namespace(**{"html_file": "", **options}))
    made.create_local_runner()
    return made


def test_what_came_after_the_last_second_is_in_the_csv_files(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(StatsCSVFileWriter, "stats_writer", StatsCSVFileWriter.stats_writer)  # given back after it
    made = environment()
    write_own_files_when_all_is_counted(made)
    assert counted(run_with_csv(made, tmp_path)) == {"late": 1, "Aggregated": 1}


def test_the_html_report_is_written_at_the_end(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(StatsCSVFileWriter, "stats_writer", StatsCSVFileWriter.stats_writer)
    made = environment(html_file=str(tmp_path / "new" / "u{u}.html"))
    made.parsed_options.num_users, made.parsed_options.spawn_rate, made.parsed_options.run_time = 3, None, None
    write_own_files_when_all_is_counted(made)
    made.stats.log_request("grpc", "late", 1, 1)
    made.events.quitting.fire(environment=made, reverse=True)
    assert '"late"' in (tmp_path / "new" / "u3.html").read_text()


class Worker(WorkerRunner):
    """One without a master."""

    def __init__(self) -> None:
        pass

    def __del__(self) -> None:
        pass


def test_a_worker_writes_no_file_over_its_masters() -> None:
    made = Environment(parsed_options=Namespace(json_file="stats", json=True, html_file=""))
    made.runner = Worker()
    write_own_files_when_all_is_counted(made)
    assert (made.parsed_options.json_file, made.parsed_options.json) == (None, False)


def test_locust_still_closes_them_as_they_are(tmp_path: Path) -> None:
    """When this fails, see whether the function can go."""
    assert "late" not in counted(run_with_csv(environment(), tmp_path))


def test_locust_still_resets_what_it_writes_as_json() -> None:
    made = environment()
    made.stats.log_request("grpc", "m", 1, 1)
    made.stats.serialize_stats()
    assert made.stats.get("m", "grpc").num_requests == 0
