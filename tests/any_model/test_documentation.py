"""The Python in docs/own_model.md runs as it stands there."""

import re
from pathlib import Path

import pytest

from tests.any_model.commands import locust_on
from tests.end_to_end.locust_process import ROOT
from triton_users.server import EmbeddedTriton

PAGE = ROOT / "docs" / "own_model.md"


@pytest.mark.triton
def test_the_class_in_the_page_about_models_of_ones_own_passes(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    ended = locust_on(f"grpc://{any_triton.grpc_url}", tmp_path, program)
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario("sum")
    assert scenario["answers_checked"] == scenario["requests"] > 0
