"""A user's own ONNX file in the image model's place, on the real Triton."""

import random
import subprocess

import numpy as np
import pytest

from tests.scenarios.real import open_session
from tests.server.asking import infer
from triton_users import server
from triton_users.scenarios.base import ScenarioFailure
from triton_users.scenarios.resnet import ResNet
from triton_users.server.__main__ import main
from triton_users.server.image_network import OWN_NETWORK

pytestmark = pytest.mark.triton

#: Writes a network of the image model's shape that finds a brighter picture to be of a higher class, 500 for black.
WRITE = """
import sys
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

path, input_name, *shape = sys.argv[1:]
output = "resnet_v1_50/predictions/Softmax:0"
nodes = [
    helper.make_node("ReduceMean", [input_name], ["brightness"], axes=[1, 2, 3], keepdims=0),
    helper.make_node("Unsqueeze", ["brightness", "one"], ["column"]),
    helper.make_node("Sub", ["column", "classes"], ["difference"]),
    helper.make_node("Abs", ["difference"], ["distance"]),
    helper.make_node("Neg", ["distance"], ["closeness"]),
    helper.make_node("Softmax", ["closeness"], [output], axis=1),
]
graph = helper.make_graph(
    nodes,
    "brightness",
    [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["n", *map(int, shape)])],
    [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 1000])],
    [
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.arange(-500, 500, dtype=np.float32)[None], "classes"),
    ],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a network with the given input name and has it served."""

    def write(input_name: str, *shape: int) -> None:
        python = server.ensure_installed().python
        sizes = map(str, shape or (224, 224, 3))
        command = [python, "-I", "-c", WRITE, str(tmp_path / "own.onnx"), input_name, *sizes]
        subprocess.run(command, check=True, timeout=60)
        monkeypatch.setenv(OWN_NETWORK, str(tmp_path / "own.onnx"))

    return write


def test_a_users_own_network_is_served_with_its_own_labels(own, tmp_path):
    own("input:0")
    (tmp_path / "labels.txt").write_text("".join(f"BRIGHTNESS {number - 500}\n" for number in range(1000)))
    with server.EmbeddedTriton(models=["resnet_v1_50"], grace_s=0) as triton:
        picture = ("FP32", [1, 224, 224, 3], [7.0] * (224 * 224 * 3))
        wanted = [{"name": "resnet_v1_50/predictions/Softmax:0", "parameters": {"classification": 1}}]
        _, body = infer(triton.http_url, "resnet_v1_50", {"input:0": picture}, wanted)
    (entry,) = body["outputs"][0]["data"]
    assert entry.split(":", 1)[1] == "507:BRIGHTNESS 7"


def test_a_users_own_network_is_tested_with_the_users_own_pictures(own, tmp_path):
    own("input:0")
    for label in ("507", "brightness -20"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
    np.save(tmp_path / "pictures/507/one.npy", np.full((224, 224, 3), 7, np.float32))
    np.save(tmp_path / "pictures/brightness -20/one.npy", np.full((224, 224, 3), -20, np.float32))
    (tmp_path / "labels.txt").write_text("".join(f"BRIGHTNESS {number - 500}\n" for number in range(1000)))
    with (
        server.EmbeddedTriton(models=["resnet_v1_50"], grace_s=0) as triton,
        open_session(triton, tmp_path, batch_size=4) as session,
    ):
        assert ResNet.unavailable(session.target, session.settings) == ""
        resnet = ResNet(session)
        assert [resnet.run(resnet.plan(random.Random(seed))) for seed in range(3)] == [1, 1, 1]
        resnet.gallery.labels = ("508", "brightness -20")
        with pytest.raises(ScenarioFailure, match=r"is 508, the answer was '0\.\d+:507:BRIGHTNESS 7'"):
            resnet.run(resnet.plan(random.Random(0)))


def test_a_network_that_takes_channels_first_is_refused_with_both_shapes(own):
    own("input:0", 3, 224, 224)
    with pytest.raises(
        server.StartError,
        match=r"the network's input input:0 has the shape \['n', 3, 224, 224\], config\.pbtxt says "
        r"\['batch', 224, 224, 3\]",
    ):
        server.EmbeddedTriton(models=["resnet_v1_50"], grace_s=0).start()


def test_a_network_with_other_names_is_refused_with_both(own):
    own("data")
    with pytest.raises(
        server.StartError, match=r"the network's inputs are \['data'\], config\.pbtxt says \['input:0'\]"
    ):
        server.EmbeddedTriton(models=["resnet_v1_50"], grace_s=0).start()


#: Moves the weights of a network, apart from small ones, into a file of that name beside it.
MOVE = """
import sys
import onnx
path, name = sys.argv[1:]
onnx.save(onnx.load(path), path, save_as_external_data=True, location=name)
"""


@pytest.fixture
def in_two_files(own, tmp_path):
    """A network whose weights are in a file beside it."""
    own("input:0")
    python = server.ensure_installed().python
    subprocess.run([python, "-I", "-c", MOVE, str(tmp_path / "own.onnx"), "weights.data"], check=True, timeout=60)
    return tmp_path / "weights.data"


def test_a_network_whose_weights_are_beside_it_is_served(in_two_files):
    with server.EmbeddedTriton(models=["resnet_v1_50"], grace_s=0) as triton:
        picture = ("FP32", [1, 224, 224, 3], [7.0] * (224 * 224 * 3))
        status, _ = infer(triton.http_url, "resnet_v1_50", {"input:0": picture})
    assert status == 200


def test_a_copy_of_the_models_has_all_of_a_users_own_network(in_two_files, tmp_path):
    assert main(["models", str(tmp_path / "models")]) == 0
    copied = tmp_path / "models/resnet_v1_50/1"
    assert (copied / "weights.data").read_bytes() == in_two_files.read_bytes()
    assert (copied / "model.onnx").read_bytes() == (tmp_path / "own.onnx").read_bytes()


def test_a_network_without_its_weights_is_refused_before_anything_is_written(in_two_files, tmp_path, capsys):
    in_two_files.unlink()
    assert main(["models", str(tmp_path / "models")]) == 2
    assert f"its weights should be in {in_two_files}, which is not there" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_file_that_is_no_network_is_refused(tmp_path, monkeypatch):
    (tmp_path / "own.onnx").write_text("not a network")
    monkeypatch.setenv(OWN_NETWORK, str(tmp_path / "own.onnx"))
    with pytest.raises(
        server.ServerError, match=r"own.onnx', which cannot be served: it cannot be read as an ONNX file"
    ):
        server.EmbeddedTriton(models=["resnet_v1_50"], grace_s=0).start()
