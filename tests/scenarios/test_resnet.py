"""The ResNet scenario against a client that answers labels."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.scenarios.fakes import FakeClient, Request, make_session, status_error
from triton_users.image_model.own_pictures import OWN_NETWORK
from triton_users.image_model.pictures import reference_pictures
from triton_users.image_model.preprocessing import PRESETS
from triton_users.image_model.tensors import ImageTensors
from triton_users.scenarios.base import ScenarioFailure, Target
from triton_users.scenarios.resnet import Classified, Gallery, ResNet, ResNetPlan, preprocessing
from triton_users.settings import IMAGE_PRESETS, Settings

LABELS = ("VULTURE", "ZEBRA", "LEMON")
ARRAYS = np.stack([np.full((224, 224, 3), number, np.float32) for number in range(3)])


def classes(request: Request) -> np.ndarray:
    """Tells the made-up pictures apart by their first number."""
    return np.array([[f"0.900000:{int(p.flat[0])}:{LABELS[int(p.flat[0])]}".encode()] for p in request.array], object)


def scenario(answer: Any = classes, **settings: Any) -> ResNet:
    session = make_session(FakeClient(answer), **settings)
    session.shared["gallery"] = Gallery(ARRAYS, LABELS)
    return ResNet(session)


PLAN = ResNetPlan((1, 0, 2, 1))


def test_right_labels_pass() -> None:
    resnet = scenario()
    assert resnet.run(PLAN) == 1
    (request,) = resnet.session.client.requests
    assert request.array.shape == (4, 224, 224, 3)
    (output,) = request.extra["outputs"]
    assert output.name() == "resnet_v1_50/predictions/Softmax:0"


def test_one_wrong_label_in_the_batch_fails() -> None:
    def swapped(request: Request) -> np.ndarray:
        answer = classes(request)
        answer[2, 0] = b"0.900000:0:VULTURE"
        return answer

    with pytest.raises(
        ScenarioFailure, match=r"1 of 4 pictures got a wrong label: picture 2 is LEMON, the answer was '0"
    ) as f:
        scenario(swapped).run(PLAN)
    assert f.value.requests == 1
    assert f.value.evidence["wrong"] == [(2, "LEMON", "0.900000:0:VULTURE")]


@pytest.mark.parametrize("shape", [(3, 1), (5, 1), (4,), (4, 2)])
def test_a_wrong_count_fails(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScenarioFailure, match="for a batch of 4 pictures"):
        scenario(lambda request: np.full(shape, b"0.9:0:VULTURE", object)).run(PLAN)


def test_a_missing_output_fails() -> None:
    with pytest.raises(ScenarioFailure, match="no classes for a batch of 4 pictures"):
        scenario(lambda request: None).run(PLAN)


def test_an_error_fails() -> None:
    with pytest.raises(ScenarioFailure, match=r"a batch of 4 pictures got no answer: .*out of memory"):
        scenario(lambda request: status_error("RESOURCE_EXHAUSTED", "out of memory")).run(PLAN)


@pytest.mark.parametrize(
    ("entry", "score", "index", "label"),
    [
        (b"0.600000:3:VULTURE", 0.6, "3", "VULTURE"),
        ("0.600000:3:VULTURE", 0.6, "3", "VULTURE"),
        (b"0.6:3:a: b", 0.6, "3", "a: b"),
        (b"0.600000:3", 0.6, "3", None),
        (b"inf:3:A", float("inf"), "3", "A"),
        (b"0.6:3:\xff", 0.6, "3", "\ufffd"),
        (0.5, 0.5, "", None),
    ],
)
def test_an_entry_is_a_score_an_index_and_all_after_the_second_colon(
    entry: Any, score: float, index: str, label: str | None
) -> None:
    read = Classified.read(entry)
    assert (read.score, read.index, read.label) == (score, index, label)


@pytest.mark.parametrize("entry", [b"", b"nan:3:A", b"high:3:A"])
def test_what_is_no_number_is_no_score(entry: bytes) -> None:
    assert math.isnan(Classified.read(entry).score)


@pytest.mark.parametrize(
    ("entry", "expected", "same"),
    [
        (b"0.9:23:vulture", "VULTURE", True),
        (b"0.9:23:Vulture ", "vulture", True),
        (b"0.9:23:VULTURE", "23", True),
        (b"0.9:23", "23", True),
        (b"0.9:23:VULTURE", "023", True),
        (b"0.9:5:23", "23", True),
        (b"0.9:24:VULTURE", "23", False),
        (b"0.9:23:PIZZA", "VULTURE", False),
        (b"0.9:23", "VULTURE", False),
        (b"", "23", False),
    ],
)
def test_a_class_is_compared_by_its_index_or_by_its_name_whatever_the_case(
    entry: bytes, expected: str, same: bool
) -> None:
    assert Classified.read(entry).is_of(expected) is same


def with_score(score: str, of: int = 2) -> Any:
    def answer(request: Request) -> np.ndarray:
        entries = classes(request)
        entries[of, 0] = entries[of, 0].replace(b"0.900000", score.encode())
        return entries

    return answer


@pytest.mark.parametrize("score", ["inf", "-inf", "nan", "", "x"])
def test_a_score_that_is_no_number_fails_beside_a_right_label(score: str) -> None:
    for own in (False, True):
        resnet = scenario(with_score(score))
        resnet.gallery.own = own
        with pytest.raises(ScenarioFailure, match=r"1 of 4 pictures got a score that cannot be .* which is no score"):
            resnet.run(PLAN)


@pytest.mark.parametrize("score", ["0.001000", "0.000000", "-0.900000", "1.010000", "7"])
def test_a_score_that_our_network_does_not_give_its_drawings_fails(score: str) -> None:
    with pytest.raises(ScenarioFailure, match=r"picture 2 was '.*:2:LEMON' .* from 0\.5 to 1") as caught:
        scenario(with_score(score)).run(PLAN)
    assert caught.value.evidence["impossible"][0][0] == 2


def test_of_a_users_network_the_score_of_a_picture_must_stay_what_it_was() -> None:
    resnet = scenario(with_score("0.040000"))
    resnet.gallery.own = True
    assert resnet.run(PLAN) == 1
    resnet.session.client.answer = with_score("0.041000")
    assert resnet.run(PLAN) == 1, "a device may round otherwise"
    resnet.session.client.answer = with_score("0.001000")
    with pytest.raises(ScenarioFailure, match=r"an earlier answer to the same picture had the score 0\.04"):
        resnet.run(PLAN)


def test_a_batch_of_wrong_labels_alone_may_be_another_network() -> None:
    def all_wrong(request: Request) -> np.ndarray:
        return np.full((len(request.array), 1), b"0.9:7:COCK", object)

    with pytest.raises(ScenarioFailure, match="give --pictures that it knows"):
        scenario(all_wrong, batch_size=4).run(PLAN)


def test_a_network_of_the_users_needs_pictures_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("a:1", frozenset(["resnet_v1_50"]))
    monkeypatch.setenv(OWN_NETWORK, str(tmp_path / "own.onnx"))
    assert "knows nothing of this project's drawings; give --pictures" in ResNet.unavailable(target, Settings(seed=1))
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "cat" / "one.png")
    settings = Settings(seed=1, pictures=str(tmp_path / "photos"))
    assert ResNet.unavailable(target, settings) == ""
    shared: dict[str, Any] = {}
    ResNet.prepare(shared, target, settings)
    assert (shared["gallery"].labels, shared["gallery"].own) == (("cat",), True)


def test_another_model_needs_pictures_that_it_knows(tmp_path: Path) -> None:
    target = Target("a:1", frozenset(["densenet"]))
    settings = Settings(seed=1, image_model="densenet")
    assert "nothing says what densenet must answer; give --pictures" in ResNet.unavailable(target, settings)
    unready = ResNet.unavailable(Target("a:1", frozenset(["resnet_v1_50"])), settings)
    assert unready == "the image model densenet is not ready on the server; load it, or give ResNet weight 0"
    strange = Target("a:1", frozenset(["densenet"]), image_model_fault="its input has five dimensions")
    assert ResNet.unavailable(strange, settings).startswith("its input has five dimensions")


def test_a_label_may_be_among_the_best_classes() -> None:
    def second(request: Request) -> np.ndarray:
        return np.array([[b"0.5:9:FOX", entry[0], b"0.1:8:CAT"] for entry in classes(request)], object)

    assert scenario(second, image_top_k=3).run(PLAN) == 1
    with pytest.raises(ScenarioFailure, match=r"picture 0 is ZEBRA, the answer was '0.5:9:FOX, 0.1:8:CAT'"):
        scenario(lambda request: np.delete(second(request), 1, 1), image_top_k=2).run(PLAN)
    with pytest.raises(ScenarioFailure, match=r"classes of shape \(4, 1\) for a batch of 4 pictures, not \(4, 3\)"):
        scenario(image_top_k=3).run(PLAN)


@pytest.mark.parametrize(("most", "exactly", "pictures"), [(0, 0, 32), (8, 0, 8), (0, 4, 4), (64, 0, 32)])
def test_a_batch_has_what_the_model_takes(most: int, exactly: int, pictures: int) -> None:
    tensors = ImageTensors("in", "out", most=most, exactly=exactly)
    session = make_session(FakeClient(classes), target=Target("a:1", frozenset(), image=tensors), batch_size=32)
    session.shared["gallery"] = Gallery(ARRAYS, LABELS)
    assert len(ResNet(session).plan(random.Random(1)).pictures) == pictures


def test_the_options_take_the_place_of_the_preset_s() -> None:
    assert preprocessing(Settings()) == PRESETS["reference"]
    own = Settings(image_preset="torchvision", image_mean=(1.0, 2.0, 3.0), image_channels="BGR", image_crop=0.0)
    assert preprocessing(own) == replace(PRESETS["torchvision"], mean=(1.0, 2.0, 3.0), channels="BGR", crop=0.0)


def test_the_presets_are_those_that_the_option_names() -> None:
    assert tuple(PRESETS) == IMAGE_PRESETS


def test_each_plan_fills_the_batch_and_has_the_vulture() -> None:
    resnet = scenario(batch_size=32)
    for seed in range(50):
        pictures = resnet.plan(random.Random(seed)).pictures
        assert len(pictures) == 32
        assert 0 in pictures
        assert set(pictures) <= set(range(3))


def test_pictures_are_prepared_once_for_all_users_of_a_process() -> None:
    one = make_session()
    two = make_session()
    two.shared = one.shared
    first, second = ResNet(one), ResNet(two)
    assert first.gallery is second.gallery
    pictures = reference_pictures()
    assert first.gallery.labels == tuple(picture.label for picture in pictures)
    assert first.gallery.labels[0] == "VULTURE"
    assert first.gallery.arrays.shape == (len(pictures), 224, 224, 3)
