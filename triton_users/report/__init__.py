"""A run's report: built once as plain values, then rendered as text, JSON, HTML and JUnit XML. Knows no Locust.

    info = RunInfo(started=datetime.now(timezone.utc), seed=settings.seed, settings=asdict(settings), ...)
    report = build_report(info, collector, timeline, now_s=elapsed(), state="finished")
    print(render_text(report))
    folder = ReportFolder(Path(options.report_dir), info.started)   # makes <report_dir>/2026-11-24T04-10-33Z
    folder.write(report)                                            # report.json, .html, .txt, junit.xml; each atomic
    sys.exit(report["verdict"]["exit_code"])

`checkpoint.Checkpoint` writes one now and then while the run goes on, with `state="running"`.

The report is a dict of plain values; `docs/report.md` and `schema.json` beside this file describe it. `build_report` is
a pure function of what it is given; it works the verdict out as well. The page that shows a report is written once, in
`page/`: `html` puts it into one file with the JSON of `view`, and `triton_users.web` serves it with that of a run that
goes on.
"""

from triton_users.report.build import SCHEMA, build_report
from triton_users.report.folder import ReportFolder
from triton_users.report.info import RunInfo
from triton_users.report.text import render_text

__all__ = ["SCHEMA", "ReportFolder", "RunInfo", "build_report", "render_text"]
