"""The folder that the embedded server loads from, composed from a small repository that is made here."""

from pathlib import Path

import pytest

from triton_users.server import image_network, repository
from triton_users.server.errors import InstallError, ServerError
from triton_users.server.image_network import OWN_NETWORK
from triton_users.server.install import Installation
from triton_users.server.progress import silent


@pytest.fixture
def installation(tmp_path) -> Installation:
    """An installation of empty files."""
    found = Installation(tmp_path / "root", tmp_path / "environment", (3, 11), None)
    for file in (found.python_backend / "libtriton_python.so", found.stub, found.python):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return found


@pytest.fixture
def models(tmp_path) -> Path:
    """A repository with a model and the image model, whose network is missing."""
    for name in ("adder", "resnet_v1_50"):
        folder = tmp_path / "models" / name
        (folder / "1").mkdir(parents=True)
        (folder / "config.pbtxt").write_text(f'name: "{name}"')
        (folder / "1/model.py").write_text("")
        (folder / "1/__pycache__").mkdir()
    (tmp_path / "models/resnet_v1_50/labels.txt").write_text("OURS\n")
    return tmp_path / "models"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_models_are_linked_and_the_backend_gets_its_stub(tmp_path, installation, models):
    repository.compose(tmp_path / "run", installation, models, ["adder"], {})
    assert files(tmp_path / "run") == [
        "backends/onnxruntime/model.py",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_stub",
        "models/adder/1/model.py",
        "models/adder/config.pbtxt",
    ]
    assert (tmp_path / "run/models/adder/config.pbtxt").resolve() == models / "adder/config.pbtxt"
    # tritonserver refuses a backend library that is a link out of the backend's folder
    assert not (tmp_path / "run/backends/python/libtriton_python.so").is_symlink()


def test_the_network_is_added_beside_the_repository_not_in_it(tmp_path, installation, models):
    (tmp_path / "own.onnx").write_text("network")
    before = files(models)
    repository.compose(tmp_path / "run", installation, models, None, {"1/model.onnx": tmp_path / "own.onnx"})
    assert (tmp_path / "run/models/resnet_v1_50/1/model.onnx").read_text() == "network"
    assert files(models) == before


def test_a_users_own_network_and_its_labels_take_the_place_of_ours(tmp_path, installation, models, monkeypatch):
    (tmp_path / "own.onnx").write_text("network")
    (tmp_path / "labels.txt").write_text("THEIRS\n")
    installation.python.write_text("#!/bin/sh\necho '[]'\n")  # no weights outside of it
    installation.python.chmod(0o755)
    monkeypatch.setenv(OWN_NETWORK, str(tmp_path / "own.onnx"))
    found = repository.network_for(models, None, installation, silent)
    repository.compose(tmp_path / "run", installation, models, None, found)
    assert (tmp_path / "run/models/resnet_v1_50/1/model.onnx").read_text() == "network"
    assert (tmp_path / "run/models/resnet_v1_50/labels.txt").read_text() == "THEIRS\n"


def test_a_users_own_network_that_is_not_there_is_named(installation, models, monkeypatch):
    monkeypatch.setenv(OWN_NETWORK, "/nowhere/own.onnx")
    with pytest.raises(ServerError, match=r"TRITON_USERS_RESNET is '/nowhere/own.onnx', which is not a file"):
        repository.network_for(models, None, installation, silent)


def test_no_network_is_built_when_the_image_model_is_not_served_or_has_its_own(installation, models):
    assert repository.network_for(models, ["adder"], installation, silent) == {}
    (models / "resnet_v1_50/1/model.onnx").write_text("network")
    assert repository.network_for(models, None, installation, silent) == {}


def test_a_network_that_cannot_be_built_leaves_nothing_and_shows_why(tmp_path, installation, models, monkeypatch):
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(image_network.fitting, "write", lambda path: path.touch())
    installation.python.write_text("#!/bin/sh\necho no room on the disk\nexit 1\n")
    installation.python.chmod(0o755)
    with pytest.raises(InstallError, match=r"Building the ResNet-50 network: failed with exit code 1.\nno room"):
        repository.network_for(models, None, installation, silent)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_a_folder_without_models_is_refused_with_what_is_expected(tmp_path, installation):
    with pytest.raises(ServerError, match=r"No model repository at .*config\.pbtxt"):
        repository.network_for(tmp_path / "empty", None, installation, silent)


def test_a_model_without_a_configuration_is_named_rather_than_passed_over(models):
    (models / "adder/config.pbtxt").unlink()
    with pytest.raises(ServerError, match=rf"No config\.pbtxt in {models}/adder"):
        repository.model_names(models)


def test_the_default_repository_is_the_checkouts():
    assert "custom_sequence_int32" in repository.model_names(repository.default_repository())
