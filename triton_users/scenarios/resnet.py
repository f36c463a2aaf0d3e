"""ResNet: a batch of pictures to the image model, the label of each checked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferRequestedOutput
from tritonclient.utils import InferenceServerException

from triton_users.client.streamed import StreamedInput
from triton_users.image_model.pictures import preprocess, reference_pictures
from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Target
from triton_users.scenarios.calls import infer
from triton_users.scenarios.models import IMAGE_INPUT, IMAGE_MODEL, IMAGE_OUTPUT
from triton_users.settings import Settings


@dataclass(frozen=True)
class ResNetPlan:
    """The pictures of one batch, by their number in `reference_pictures()`; 0 is the vulture."""

    pictures: tuple[int, ...]


@dataclass(frozen=True)
class Gallery:
    """The reference pictures as the model takes them."""

    arrays: npt.NDArray[np.float32]
    """[pictures, 224, 224, 3]"""
    labels: tuple[str, ...]


class ResNet(Scenario):
    """The server's top class for each picture, asked for with class_count=1, must be the right one."""

    name = "ResNet"
    description = "a batch of pictures to the image model, every label checked"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.prepare(session.shared)
        self.gallery: Gallery = session.shared["gallery"]

    @classmethod
    def prepare(cls, shared: dict[str, Any]) -> None:
        """Draw the pictures and bring them to the model's size: a tenth of a second or more."""
        if "gallery" not in shared:
            pictures = reference_pictures()
            arrays = np.stack([preprocess(picture.image) for picture in pictures])
            shared["gallery"] = Gallery(arrays, tuple(picture.label for picture in pictures))

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        if IMAGE_MODEL in target.models:
            return ""
        return (
            f"the image model {IMAGE_MODEL} is not ready on the server; load it (the folder models/ has it once it is "
            f"built, by `python -m triton_users.server install`), or give {cls.name} weight 0"
        )

    def plan(self, draw: random.Random) -> ResNetPlan:
        """Any pictures in any order, the vulture at least once."""
        pictures = [draw.randrange(len(self.gallery.labels)) for _ in range(self.session.settings.batch_size)]
        pictures[draw.randrange(len(pictures))] = 0
        return ResNetPlan(tuple(pictures))

    def run(self, plan: ResNetPlan) -> int:
        batch = [self.gallery.arrays[picture] for picture in plan.pictures]
        tensor = StreamedInput(IMAGE_INPUT, (len(batch), *batch[0].shape), "FP32", batch)
        wanted = InferRequestedOutput(IMAGE_OUTPUT, class_count=1)
        try:
            result = infer(self.session, self.session.client, IMAGE_MODEL, [tensor], outputs=[wanted])
        except InferenceServerException as exc:
            raise ScenarioFailure(f"a batch of {len(batch)} pictures got no answer: {exc}", requests=1) from exc
        self._judge(plan, result.as_numpy(IMAGE_OUTPUT))
        return 1

    def _judge(self, plan: ResNetPlan, answer: npt.NDArray[Any] | None) -> None:
        if answer is None or answer.shape != (len(plan.pictures), 1):
            shape = "no classes" if answer is None else f"classes of shape {answer.shape}"
            raise ScenarioFailure(
                f"{shape} for a batch of {len(plan.pictures)} pictures, not ({len(plan.pictures)}, 1)", requests=1
            )
        wrong = []
        for position, (picture, entry) in enumerate(zip(plan.pictures, answer[:, 0], strict=True)):
            label = label_of(entry)
            if label != self.gallery.labels[picture]:
                wrong.append((position, self.gallery.labels[picture], _text(entry)))
        if wrong:
            position, expected, got = wrong[0]
            raise ScenarioFailure(
                f"{len(wrong)} of {len(plan.pictures)} pictures got a wrong label: picture {position} is {expected}, "
                f"the answer was {got!r} (score:index:label)",
                requests=1,
                wrong=wrong,
            )


def label_of(entry: Any) -> str | None:
    """The label in one entry `score:index:label` of a classification; None when it has none."""
    parts = _text(entry).split(":", 2)
    return parts[2] if len(parts) == 3 else None


def _text(entry: Any) -> str:
    return entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)
