"""`models/` as files: complete folders, shared code kept the same, and configurations that need no completion."""

from pathlib import Path

import pytest

from triton_users.image_model.pictures import reference_pictures

MODELS = Path(__file__).parents[2] / "models"
ACCUMULATORS = sorted(MODELS.glob("custom_*sequence_*"))
IDENTITIES = sorted(MODELS.glob("custom_*zero_1_float32"))


@pytest.mark.parametrize("family", [ACCUMULATORS, IDENTITIES], ids=["accumulators", "identities"])
def test_models_of_a_family_have_the_same_code(family):
    """Each folder must work when it is copied alone, so the code is there in each."""
    assert len(family) in (2, 4)
    assert len({(folder / "1/model.py").read_bytes() for folder in family}) == 1


def test_each_model_is_named_like_its_folder():
    configurations = list(MODELS.glob("*/config.pbtxt"))
    assert len(configurations) == 8
    for configuration in configurations:
        assert f'name: "{configuration.parent.name}"' in configuration.read_text()


def test_accumulators_differ_in_type_and_batch_only():
    for folder in ACCUMULATORS:
        text = (folder / "config.pbtxt").read_text()
        assert ("max_batch_size: 0" in text) == ("nobatch" in folder.name)
        assert ("TYPE_FP32" in text) == folder.name.endswith("float32")
        assert "max_sequence_idle_microseconds: 7000000" in text
        assert "count: 2" in text


def test_the_label_file_has_a_thousand_lines_and_the_pictures_at_their_places():
    labels = (MODELS / "resnet_v1_50/labels.txt").read_text().splitlines()
    assert len(labels) == len(set(labels)) == 1000
    assert labels[23] == "VULTURE"
    for picture in reference_pictures():
        assert labels[picture.index] == picture.label


def test_no_network_is_kept_in_the_repository():
    assert not (MODELS / "resnet_v1_50/1/model.onnx").exists()
