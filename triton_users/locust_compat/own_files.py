"""The files that Locust writes itself, `--csv` and `--html`, at the end of a command. Knows no number of ours."""

from __future__ import annotations

import os
import time
from typing import Any

import gevent
from locust.env import Environment
from locust.html import get_html_report, process_html_filename
from locust.runners import WorkerRunner
from locust.stats import StatsCSVFileWriter


def write_own_files_when_all_is_counted(environment: Environment) -> None:
    """Have the files of `--csv` and `--html` written once more at the end of the command; call it first in `init`.

    Locust writes `--csv` every second and closes the files as they are: what came after the last second, and what
    workers sent while the run ended, is in none. After Ctrl+C it writes `--html` before the run's users have ended, and
    after SIGTERM, in a local run, not at all. Nothing can be written later than `quitting`: `--json` and `--json-file`
    reset the statistics that they write. Seen in 2.46 and 2.47. Can go when Locust writes all of them where it writes
    `--json-file`.

    A worker writes none: with `--processes` it has its master's options, and Locust has it write `--json-file` over the
    master's, with no requests, when it ends later.
    """
    if isinstance(environment.runner, WorkerRunner):
        options: Any = environment.parsed_options
        options.json_file, options.json = None, False
        return
    csv_files: list[tuple[Any, gevent.Greenlet[..., Any]]] = []
    stats_writer = StatsCSVFileWriter.stats_writer

    def remember_and_write(files: StatsCSVFileWriter) -> None:
        csv_files.append((files, gevent.getcurrent()))  # type: ignore[arg-type]  # Locust spawns it
        stats_writer(files)

    StatsCSVFileWriter.stats_writer = remember_and_write  # type: ignore[method-assign, assignment]  # what this is about

    def write(**_: Any) -> None:
        while csv_files:
            files, greenlet = csv_files.pop()
            greenlet.kill()  # or it may write once more, the statistics that are reset by then
            _write_csv(files)
        options: Any = environment.parsed_options
        if options.html_file:
            _write_html(environment, options)

    environment.events.quitting.add_listener(write)  # Locust calls these in reverse, so this one after ours


def _write_csv(files: Any) -> None:
    for file, writer, columns, write_rows in (
        (files.requests_csv_filehandle, files.requests_csv_writer, files.requests_csv_columns,
         files._requests_data_rows),
        (files.failures_csv_filehandle, files.failures_csv_writer, files.failures_columns,
         files._failures_data_rows),
        (files.exceptions_csv_filehandle, files.exceptions_csv_writer, files.exceptions_columns,
         files._exceptions_data_rows),
    ):  # fmt: skip
        file.seek(0)
        writer.writerow(columns)
        write_rows(writer)
        file.truncate()
    files._stats_history_data_rows(files.stats_history_csv_writer, time.time())


def _write_html(environment: Environment, options: Any) -> None:
    report = get_html_report(environment, show_download_link=False)
    process_html_filename(options)
    if folder := os.path.dirname(options.html_file):
        os.makedirs(folder, exist_ok=True)
    with open(options.html_file, "w", encoding="utf-8") as file:
        file.write(report)
