"""Classifiers of other shapes than the reference's on a real Triton: their pictures are sent as they take them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.locust_process import Ended, Locust
from triton_users import server
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

COLOURS = ("red", "green", "blue")

#: Writes a network whose score for each class is the mean of one channel of its input.
WRITE = """
import sys
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

path, kind, axes, *shape = sys.argv[1:]
shape = [int(size) if size.lstrip("-").isdecimal() else size for size in shape]
shape = [None if size == -1 else size for size in shape]
channels = 3 if 3 in shape else 1
out = (["n"] if shape[0] == "n" else []) + [3 if channels == 3 else 2]
nodes = [
    helper.make_node("Cast", ["data"], ["numbers"], to=TensorProto.FLOAT),
    helper.make_node("ReduceMean", ["numbers"], ["means"], axes=[int(axis) for axis in axes.split(",")], keepdims=0),
    helper.make_node("Mul", ["means", "signs"], ["scores"]),
]
signs = np.array([1, 1, 1] if channels == 3 else [-1, 1], np.float32)
graph = helper.make_graph(
    nodes,
    "colours",
    [helper.make_tensor_value_info("data", getattr(TensorProto, kind), shape)],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, out)],
    [numpy_helper.from_array(signs, "signs")],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
"""

#: Model -> its datatype, the axes of a picture, the shape that its network has, and its max_batch_size.
MODELS = {
    "first": ("FLOAT", "2,3", ["n", "3", "32", "48"], 8),
    "last_open": ("FLOAT", "1,2", ["n", "-1", "-1", "3"], 4),
    "single": ("FLOAT", "1,2", ["3", "24", "24"], 0),
    "bytes": ("UINT8", "1,2", ["n", "20", "20", "3"], 4),
    "grey": ("FLOAT", "2,3", ["n", "1", "28", "28"], 8),
}


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    folder = tmp_path_factory.mktemp("models")
    python = server.ensure_installed().python
    for name, (kind, axes, shape, batch) in MODELS.items():
        (folder / name / "1").mkdir(parents=True)
        subprocess.run(
            [python, "-I", "-c", WRITE, str(folder / name / "1" / "model.onnx"), kind, axes, *shape],
            check=True,
            timeout=60,
        )
        dims = ", ".join(shape[1:] if batch else shape)
        labels = ("dark", "bright") if name == "grey" else COLOURS
        (folder / name / "labels.txt").write_text("\n".join(labels) + "\n")
        (folder / name / "config.pbtxt").write_text(
            f"""name: "{name}"
backend: "onnxruntime"
max_batch_size: {batch}
default_model_filename: "model.onnx"
input [ {{ name: "data" data_type: TYPE_{"UINT8" if kind == "UINT8" else "FP32"} dims: [ {dims} ] }} ]
output [ {{ name: "scores" data_type: TYPE_FP32 dims: [ {len(labels)} ] label_filename: "labels.txt" }} ]
"""
        )
    with EmbeddedTriton(folder, grace_s=0) as triton:
        yield triton


def photos(folder: Path) -> Path:
    """Three pictures of each colour, and a file of labels beside sub-folders' other form."""
    random = np.random.default_rng(1)
    for channel, colour in enumerate(COLOURS):
        (folder / "photos" / colour).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 120, (40 + number, 60, 3), np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(folder / "photos" / colour / f"{number}.png")
    return folder / "photos"


def run(triton: EmbeddedTriton, folder: Path, model: str, pictures: Path, *arguments: str) -> Ended:
    options = ["-H", f"grpc://{triton.grpc_url}", "--image-model", model, "--pictures", str(pictures), "-u", "2"]
    chosen = () if "--scenarios" in arguments else ("--scenarios", "ResNet")
    return Locust(folder, *options, "-t", "3s", *chosen, *arguments).ended()


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("first", ("--image-preset", "unit")),
        ("last_open", ("--image-preset", "inception", "--image-size", "30x50", "--processes", "2", "-t", "9s")),
        ("single", ("--image-preset", "torchvision")),
        ("bytes", ("--image-preset", "raw", "--image-filter", "nearest")),
    ],
)
def test_right_labels_pass_in_every_layout_and_datatype(
    classifiers: EmbeddedTriton, tmp_path: Path, model: str, arguments: tuple[str, ...]
) -> None:
    ended = run(classifiers, tmp_path, model, photos(tmp_path), *arguments)
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario("ResNet")
    assert scenario["passed"] == scenario["runs"] > 0


def test_a_wrong_preprocessing_is_a_wrong_label(classifiers: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(classifiers, tmp_path, "first", photos(tmp_path), "--image-preset", "unit", "--image-channels", "BGR")
    assert ended.exit_code == 1, ended.output
    assert "pictures got a wrong label" in ended.report["verdict"]["reasons"][0]
    among_all = run_again(classifiers, tmp_path, "--image-channels", "BGR", "--image-top-k", "3")
    assert among_all.exit_code == 0, among_all.output


def run_again(triton: EmbeddedTriton, folder: Path, *arguments: str) -> Ended:
    (folder / "again").mkdir()
    return run(triton, folder / "again", "first", folder / "photos", "--image-preset", "unit", *arguments)


def test_a_grey_model_with_a_file_of_labels_and_perf_analyzer_beside_it(
    classifiers: EmbeddedTriton, tmp_path: Path
) -> None:
    pictures = tmp_path / "grey"
    pictures.mkdir()
    for name, value in (("night.png", 10), ("day.jpg", 240)):
        Image.new("L", (50, 30), value).save(pictures / name)
    (pictures / "labels.csv").write_text("file,label\nnight.png,dark\nday.jpg,1\n")
    arguments = ("--image-preset", "inception", "--scenarios", "ResNet,PerfAnalyzer", "-t", "8s", "--allow-failure", "")
    ended = run(classifiers, tmp_path, "grey", pictures, *arguments)
    assert ended.exit_code == 0, ended.output
    assert all(ended.scenario(name)["passed"] > 0 for name in ("ResNet", "PerfAnalyzer"))


def test_without_pictures_nothing_starts(classifiers: EmbeddedTriton, tmp_path: Path) -> None:
    options = ["-H", f"grpc://{classifiers.grpc_url}", "--image-model", "first", "--scenarios", "ResNet", "-t", "3s"]
    ended = Locust(tmp_path, *options).ended()
    assert ended.exit_code == 2
    assert "nothing says what first must answer; give --pictures a folder of pictures that it knows" in ended.output
