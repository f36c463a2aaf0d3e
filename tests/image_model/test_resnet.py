"""The network that is built for the image model is a ResNet-50, and stays right about pictures it was not fitted to."""

import json
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageFilter

from triton_users import server
from triton_users.image_model.fitting import NOTHING
from triton_users.image_model.pictures import preprocess, reference_pictures
from triton_users.server.image_network import network_files
from triton_users.server.progress import silent

pytestmark = pytest.mark.triton  # it needs the server's own Python, which the shared server has installed

#: Prints what the network is made of, and the most probable class of each given picture with its probability.
LOOK = """
import collections, json, math, sys
import numpy as np, onnx, onnxruntime
model = onnx.load(sys.argv[1])
multiplications = 0
shapes = {each.name: tuple(each.dims) for each in model.graph.initializer}
inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
sizes = {each.name: [d.dim_value for d in each.type.tensor_type.shape.dim] for each in inferred}
for node in model.graph.node:
    if node.op_type == "Conv":
        multiplications += math.prod(shapes[node.input[1]]) * math.prod(sizes[node.output[0]][2:])
session = onnxruntime.InferenceSession(sys.argv[1])
answers = session.run(None, {"input:0": np.load(sys.argv[2])})[0]
print(json.dumps({
    "parameters": sum(map(math.prod, shapes.values())),
    "multiplications": multiplications,
    "operators": collections.Counter(node.op_type for node in model.graph.node),
    "classes": answers.argmax(axis=1).tolist(),
    "probabilities": answers.max(axis=1).tolist(),
}))
"""


@pytest.fixture(scope="module")
def look(triton, tmp_path_factory):
    """The network's description and its answers: reference pictures, the same blurred a little, shuffled ones."""
    pictures = reference_pictures()
    arrays = [preprocess(picture.image) for picture in pictures]
    arrays += [preprocess(picture.image.filter(ImageFilter.GaussianBlur(1))) for picture in pictures]
    for picture in pictures:
        pixels = np.array(picture.image.resize((224, 224), Image.Resampling.BILINEAR)).reshape(-1, 3)
        np.random.default_rng(1000 + picture.index).shuffle(pixels)
        arrays.append(preprocess(Image.fromarray(pixels.reshape(224, 224, 3))))
    file = tmp_path_factory.mktemp("look") / "pictures.npy"
    np.save(file, np.stack(arrays))
    installation = server.ensure_installed()
    network = network_files(installation, silent)["1/model.onnx"]
    command = [installation.python, "-I", "-c", LOOK, str(network), str(file)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=100)
    return json.loads(done.stdout)


def test_it_is_as_large_as_a_resnet_50(look):
    assert look["parameters"] == pytest.approx(25.5e6, rel=0.01)
    assert look["multiplications"] == pytest.approx(3.8e9, rel=0.05), "4 GFLOPs as the paper counts them"
    assert look["operators"]["Conv"] == 53
    assert look["operators"]["Add"] == 16


def test_it_is_sure_of_every_reference_picture(look):
    expected = [picture.index for picture in reference_pictures()]
    assert look["classes"][: len(expected)] == expected
    assert min(look["probabilities"][: len(expected)]) > 0.9


def test_it_does_not_hang_on_single_pixels(look):
    expected = [picture.index for picture in reference_pictures()]
    assert look["classes"][len(expected) : 2 * len(expected)] == expected


def test_shuffled_pictures_show_nothing(look):
    classes = look["classes"][2 * len(reference_pictures()) :]
    assert 23 not in classes
    assert classes.count(NOTHING) >= 0.7 * len(classes)
