"""Each repository of defective models loads; what is wrong with it is the business of the scenario that finds it."""

from pathlib import Path

import pytest

from tests.server.asking import get
from triton_users.server import EmbeddedTriton
from triton_users.server.repository import model_names

DEFECTS = sorted(
    path for path in (Path(__file__).parents[1] / "defective_models").iterdir() if list(path.glob("*/config.pbtxt"))
)


def test_there_are_defects_and_each_is_described():
    readme = (DEFECTS[0].parent / "README.md").read_text()
    assert len(DEFECTS) >= 7
    for defect in DEFECTS:
        assert f"| `{defect.name}` |" in readme


def test_a_defective_model_has_the_name_of_a_healthy_one():
    healthy = model_names(Path(__file__).parents[2] / "models")
    for defect in DEFECTS:
        assert set(model_names(defect)) <= set(healthy)


@pytest.mark.triton
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda path: path.name)
def test_a_defective_repository_loads(defect):
    with EmbeddedTriton(defect, grace_s=0) as triton:
        for name in model_names(defect):
            assert get(triton.http_url, f"/v2/models/{name}/ready")[0] == 200
