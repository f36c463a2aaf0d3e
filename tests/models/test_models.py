"""What each model of `models/` answers, on the real Triton, asked over HTTP."""

from __future__ import annotations

import subprocess
import sys
import time

import gevent
import numpy as np
import pytest

from tests.server.asking import infer, sequence, step
from triton_users.image_model.pictures import Picture, preprocess, reference_pictures

pytestmark = pytest.mark.triton

ACCUMULATORS = [
    "custom_sequence_int32",
    "custom_nobatch_sequence_int32",
    "custom_sequence_float32",
    "custom_nobatch_sequence_float32",
]

#: Ids of these tests; no other test uses this range.
IDS = iter(range(7_000_000_000, 7_000_001_000))

#: Sends a request to the slow model with the id given, and waits for an answer that it will not live to see.
CLIENT = """
import sys
import numpy as np
import tritonclient.grpc as grpc
client = grpc.InferenceServerClient(sys.argv[1])
tensor = grpc.InferInput("INPUT0", [1, 2], "FP32")
tensor.set_data_from_numpy(np.zeros([1, 2], np.float32))
client.infer("custom_zero_1_float32", [tensor], sequence_id=int(sys.argv[2]))
"""


@pytest.mark.parametrize("model", ACCUMULATORS)
def test_an_accumulator_answers_the_running_sum(triton, model):
    assert sequence(triton.http_url, model, [5, 0, 7, 100], next(IDS)) == [5, 5, 12, 112]


@pytest.mark.parametrize("model", ACCUMULATORS)
def test_an_accumulator_takes_string_ids(triton, model):
    assert sequence(triton.http_url, model, [1, 2], "seven") == [1, 3]


def test_int32_wraps_around(triton):
    assert sequence(triton.http_url, ACCUMULATORS[0], [2**31 - 1, 1], next(IDS)) == [2**31 - 1, -(2**31)]


def test_fp32_equals_a_running_float32_sum_bit_for_bit(triton):
    values = [1e6 + 0.1, 0.3, 1e-3, 7.7, 1048575.0, 0.1]
    answers = sequence(triton.http_url, "custom_sequence_float32", values, next(IDS))
    assert np.float32(answers).tolist() == np.cumsum(np.float32(values), dtype=np.float32).tolist()


@pytest.mark.parametrize("model", ACCUMULATORS)
def test_sequences_that_run_at_once_do_not_see_each_other(triton, model):
    keys = [next(IDS) for _ in range(6)]
    running = [gevent.spawn(sequence, triton.http_url, model, [key % 1000, 1, 1, 1], key) for key in keys]
    for key, each in zip(keys, running, strict=True):
        assert each.get(timeout=60) == [key % 1000 + number for number in range(4)]


@pytest.mark.parametrize("model", ACCUMULATORS)
def test_a_sequence_of_an_id_that_has_ended_starts_anew(triton, model):
    key = next(IDS)
    assert sequence(triton.http_url, model, [5, 6], key) == [5, 11]
    assert sequence(triton.http_url, model, [1, 2], key) == [1, 3]


def test_start_in_the_middle_restarts_the_sum(triton):
    key = next(IDS)
    assert sequence(triton.http_url, ACCUMULATORS[1], [5, 6], key, end=False) == [5, 11]
    assert sequence(triton.http_url, ACCUMULATORS[1], [1, 2], key) == [1, 3]


@pytest.mark.parametrize("model", ACCUMULATORS)
def test_a_request_without_start_is_refused(triton, model):
    assert "must specify the START flag" in step(triton.http_url, model, 1, next(IDS))


def test_an_identity_answers_what_it_is_asked(triton):
    values = [0.0, -1.5, 3e38]
    _, body = infer(triton.http_url, "custom_nobatch_zero_1_float32", {"INPUT0": ("FP32", [3], values)})
    assert np.float32(body["outputs"][0]["data"]).tolist() == np.float32(values).tolist()
    assert body["outputs"][0]["shape"] == [3]


def test_a_delayed_identity_ends_with_its_killed_client_and_a_witness_tells_when(triton):
    key = next(IDS)
    client = subprocess.Popen([sys.executable, "-c", CLIENT, triton.grpc_url, str(key)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: executing(triton, key), limit_s=30)
    finally:
        client.kill()
        client.wait()
    wait_until(lambda: not executing(triton, key), limit_s=5)


def executing(triton, key: int) -> bool:
    _, body = infer(triton.http_url, "custom_executing", {"INPUT0": ("INT64", [2], [key, -1])})
    return bool(body["outputs"][0]["data"][0])


def wait_until(what, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "not within the limit"
        time.sleep(0.02)


def test_the_witness_forgets_what_has_ended(triton):
    key = next(IDS)
    answers = []
    for what in (-1, 1, -1, 0, -1):
        _, body = infer(triton.http_url, "custom_executing", {"INPUT0": ("INT64", [2], [key, what])})
        answers.append(body["outputs"][0]["data"][0])
    assert answers == [0, 1, 1, 0, 0]


def labels(triton, arrays: list[np.ndarray]) -> list[str]:
    """The top class of each picture, by name."""
    batch = np.stack(arrays)
    _, body = infer(
        triton.http_url,
        "resnet_v1_50",
        {"input:0": ("FP32", list(batch.shape), batch.ravel().tolist())},
        [{"name": "resnet_v1_50/predictions/Softmax:0", "parameters": {"classification": 1}}],
    )
    return [entry.split(":")[2] for entry in body["outputs"][0]["data"]]


def test_the_image_model_names_every_reference_picture(triton):
    pictures = reference_pictures()
    assert labels(triton, [preprocess(picture.image) for picture in pictures]) == [each.label for each in pictures]


def test_blank_and_shuffled_pictures_are_no_vultures(triton):
    vulture = next(picture for picture in reference_pictures() if picture.label == "VULTURE")
    blanks = [np.full((224, 224, 3), shade - 118.0, np.float32) for shade in (0, 77, 128, 200, 255)]
    assert "VULTURE" not in labels(triton, [*blanks, shuffled(vulture, seed=1), shuffled(vulture, seed=2)])


def shuffled(picture: Picture, seed: int) -> np.ndarray:
    pixels = preprocess(picture.image).reshape(-1, 3)
    return np.random.default_rng(seed).permutation(pixels).reshape(224, 224, 3)


def test_the_image_model_gives_probabilities_of_a_thousand_classes(triton):
    batch = preprocess(reference_pictures()[0].image)[None]
    _, body = infer(triton.http_url, "resnet_v1_50", {"input:0": ("FP32", [1, 224, 224, 3], batch.ravel().tolist())})
    (output,) = body["outputs"]
    assert output["shape"] == [1, 1000]
    assert sum(output["data"]) == pytest.approx(1.0, abs=1e-4)
    assert output["data"][23] > 0.9
