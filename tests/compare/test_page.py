"""compare.html in a real Chromium: what somebody who has to decide sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compare.test_outcome import NAMES, rounds
from tests.web.chromium import chromium, texts
from triton_users.compare.outcome import compare_reports, compare_rounds
from triton_users.compare.render import render_html

pytestmark = pytest.mark.browser


def test_the_page_shows_the_verdict_and_of_each_measure_all_pairs(tmp_path: Path) -> None:
    answers = {"compared": 3, "different": ["m: OUTPUT0[0] is 2, not <b>1</b>"], "models": ["m"], "notes": ["a note"]}
    worse = compare_rounds(NAMES, rounds(1.0), rounds(1.2, failed=1), 0.05, answers)
    unpaired = compare_reports(NAMES, rounds(1.0)[0], rounds(1.0)[0], 0.05)
    (tmp_path / "worse.html").write_text(render_html(worse))
    (tmp_path / "unpaired.html").write_text(render_html(unpaired))
    with chromium() as browser:
        browser.get((tmp_path / "worse.html").as_uri())
        assert texts(browser, "#state, #verdict h2") == ["failed", "6 REGRESSIONS"]
        assert texts(browser, "#verdict li") == worse.regressions
        assert texts(browser, "#measures tbody td:last-child") == ["worse"] * 4
        assert len(texts(browser, "#measures tbody tr:first-child circle.pair")) == 10
        assert texts(browser, "#failing tbody td") == ["0", "1,000", "10", "1,000", "worse"]
        assert texts(browser, "#answers .bad") == answers["different"]
        assert texts(browser, "#warnings li") == ["a note"]
        browser.get((tmp_path / "unpaired.html").as_uri())
        assert texts(browser, "#state") == ["passed"]
        assert len(texts(browser, "#measures .middle")) == 3
        assert texts(browser, ".pair") == []
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
