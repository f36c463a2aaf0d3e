"""The ResNet scenario against a client that answers labels."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from tests.scenarios.fakes import FakeClient, Request, make_session, status_error
from triton_users.image_model.pictures import reference_pictures
from triton_users.scenarios.base import ScenarioFailure
from triton_users.scenarios.resnet import Gallery, ResNet, ResNetPlan, label_of

LABELS = ("VULTURE", "ZEBRA", "LEMON")
GALLERY = Gallery(np.stack([np.full((224, 224, 3), number, np.float32) for number in range(3)]), LABELS)


def classes(request: Request) -> np.ndarray:
    """Tells the made-up pictures apart by their first number."""
    return np.array([[f"0.900000:{int(p.flat[0])}:{LABELS[int(p.flat[0])]}".encode()] for p in request.array], object)


def scenario(answer: Any = classes, **settings: Any) -> ResNet:
    session = make_session(FakeClient(answer), **settings)
    session.shared["gallery"] = GALLERY
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
    ("entry", "label"),
    [
        (b"0.600000:3:VULTURE", "VULTURE"),
        ("0.600000:3:VULTURE", "VULTURE"),
        (b"0.6:3:a: b", "a: b"),
        (b"0.600000:3", None),
        (b"", None),
        (b"0.6:3:\xff", "\ufffd"),
        (0.5, None),
    ],
)
def test_the_label_is_all_after_the_second_colon(entry: Any, label: str | None) -> None:
    assert label_of(entry) == label


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
