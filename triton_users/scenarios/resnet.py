"""ResNet: a batch of pictures to the image model, the label and the score of each checked."""

from __future__ import annotations

import math
import os
import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferRequestedOutput
from tritonclient.utils import InferenceServerException

from triton_users.client.streamed import StreamedInput
from triton_users.image_model.own_pictures import OWN_NETWORK, PicturesError, listed, own_folder, read
from triton_users.image_model.pictures import reference_pictures
from triton_users.image_model.preprocessing import PRESETS, Preprocessing, prepared
from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Target
from triton_users.scenarios.calls import infer
from triton_users.settings import IMAGE_MODEL, Settings

LEAST_SCORE = 0.5
"""What our own network gives the right class of one of our drawings at least: it is fitted to give 0.99 and more."""

LARGEST_SCORE = 1.001
"""A probability, and what rounding may add to it."""

SCORE_TOLERANCE = 0.1
"""By how much, of itself, the score of one and the same picture of the user's may differ from one answer to another: a
device may add in another order, or with less precision in another size of batch. Picked arbitrarily."""


@dataclass(frozen=True)
class ResNetPlan:
    """The pictures of one batch, by their number in the gallery; of our drawings, 0 is the vulture."""

    pictures: tuple[int, ...]


@dataclass
class Gallery:
    """The pictures of a process as the model takes them."""

    arrays: npt.NDArray[np.generic]
    """[pictures, and the shape that the model takes]"""
    labels: tuple[str, ...]
    """What is right for each: the name of the class, whatever its case, or its index."""
    own: bool = False
    """Whether they are the user's, so that nothing is known of their scores."""
    scores: dict[int, float] = field(default_factory=dict)
    """Picture -> the first score it got, of the user's."""


class ResNet(Scenario):
    """The server's top class for each picture, asked for with class_count=1, must be the right one, with a score that
    can be."""

    name = "ResNet"
    description = "a batch of pictures to the image model, every label and score checked"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.prepare(session.shared, session.target, session.settings)
        self.gallery: Gallery = session.shared["gallery"]
        self.tensors = session.target.image_tensors
        self.batch = self.tensors.batch(session.settings.batch_size)

    @classmethod
    def prepare(cls, shared: dict[str, Any], target: Target, settings: Settings) -> None:
        """Draw or read the pictures and bring them to the model's size: a tenth of a second or more."""
        if "gallery" in shared:
            return
        folder, tensors, how = own_folder(settings.pictures), target.image_tensors, preprocessing(settings)
        if folder is not None:
            shared["gallery"] = Gallery(*read(folder, tensors, how), own=True)
        else:
            pictures = reference_pictures()
            arrays = np.stack([prepared(picture.image, how, tensors) for picture in pictures])
            shared["gallery"] = Gallery(arrays, tuple(picture.label for picture in pictures))

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        model = settings.image_model
        if model not in target.models:
            where = " (the folder models/ has it once it is built, by `python -m triton_users.server install`)"
            load = f"load it{where if model == IMAGE_MODEL else ''}"
            return f"the image model {model} is not ready on the server; {load}, or give {cls.name} weight 0"
        if target.image_model_fault:
            return f"{target.image_model_fault}; or give {cls.name} weight 0"
        folder = own_folder(settings.pictures)
        if folder is None and model != IMAGE_MODEL:
            return (
                f"nothing says what {model} must answer; give --pictures a folder of pictures that it knows, or "
                f"{cls.name} weight 0"
            )
        if folder is None and os.environ.get(OWN_NETWORK):
            return (
                f"{OWN_NETWORK} names a network of your own, which knows nothing of this project's drawings; give "
                f"--pictures a folder of pictures that it knows, or {cls.name} weight 0"
            )
        try:
            if folder is not None:
                listed(folder)
        except PicturesError as error:
            return str(error)
        return ""

    def plan(self, draw: random.Random) -> ResNetPlan:
        """Any pictures in any order, the first of the gallery at least once."""
        pictures = [draw.randrange(len(self.gallery.labels)) for _ in range(self.batch)]
        pictures[draw.randrange(len(pictures))] = 0
        return ResNetPlan(tuple(pictures))

    def run(self, plan: ResNetPlan) -> int:
        batch, tensors, settings = [self.gallery.arrays[p] for p in plan.pictures], self.tensors, self.session.settings
        shape = (len(batch), *batch[0].shape) if tensors.batched else batch[0].shape
        tensor = StreamedInput(tensors.input, shape, tensors.datatype, batch)
        wanted = InferRequestedOutput(tensors.output, class_count=settings.image_top_k)
        try:
            result = infer(self.session, self.session.client, settings.image_model, [tensor], outputs=[wanted])
        except InferenceServerException as exc:
            raise ScenarioFailure(f"a batch of {len(batch)} pictures got no answer: {exc}", requests=1) from exc
        self._judge(plan, result.as_numpy(tensors.output))
        return 1

    def _judge(self, plan: ResNetPlan, answer: npt.NDArray[Any] | None) -> None:
        if answer is not None and not self.tensors.batched:
            answer = answer[np.newaxis]
        asked = (len(plan.pictures), self.session.settings.image_top_k)
        if answer is None or answer.shape != asked:
            shape = "no classes" if answer is None else f"classes of shape {answer.shape}"
            raise ScenarioFailure(f"{shape} for a batch of {len(plan.pictures)} pictures, not {asked}", requests=1)
        wrong, impossible = [], []
        for position, (picture, entries) in enumerate(zip(plan.pictures, answer, strict=True)):
            expected, best = self.gallery.labels[picture], [Classified.read(entry) for entry in entries]
            got = next((each for each in best if each.is_of(expected)), None)
            if got is None:
                wrong.append((position, expected, ", ".join(each.text for each in best)))
            elif why := self._why_impossible(picture, got.score):
                impossible.append((position, why, got.text))
        if wrong:
            position, expected, text = wrong[0]
            raise ScenarioFailure(
                f"{len(wrong)} of {len(plan.pictures)} pictures got a wrong label: picture {position} is {expected}, "
                f"the answer was {text!r} (score:index:label){self._hint(len(wrong))}",
                requests=1,
                wrong=wrong,
            )
        if impossible:
            position, why, text = impossible[0]
            raise ScenarioFailure(
                f"{len(impossible)} of {len(plan.pictures)} pictures got a score that cannot be beside a right label: "
                f"the answer to picture {position} was {text!r} (score:index:label), {why}",
                requests=1,
                impossible=impossible,
            )

    def _hint(self, wrong: int) -> str:
        if self.gallery.own or wrong < self.batch:
            return ""
        return "; a network that is not this project's knows none of its drawings: give --pictures that it knows"

    def _why_impossible(self, picture: int, score: float) -> str:
        """Why this cannot be the score of the right class; "" when it can."""
        if not math.isfinite(score):
            return "which is no score"
        if not self.gallery.own:
            right = LEAST_SCORE <= score <= LARGEST_SCORE
            return "" if right else f"and this network's scores of these pictures are from {LEAST_SCORE:g} to 1"
        first = self.gallery.scores.setdefault(picture, score)
        if abs(score - first) > SCORE_TOLERANCE * max(abs(score), abs(first)):
            return f"and an earlier answer to the same picture had the score {first:g}"
        return ""


@dataclass(frozen=True)
class Classified:
    """One entry `score:index:label` of a classification, as Triton's extension of that name writes it."""

    text: str
    score: float
    """NaN where there is none."""
    index: str
    label: str | None
    """None where the model has no label for the class."""

    @classmethod
    def read(cls, entry: Any) -> Classified:
        """What of it can be read; whatever the server answered is read as something."""
        text = entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)
        parts = text.split(":", 2)
        try:
            score = float(parts[0])
        except ValueError:
            score = math.nan
        return cls(text, score, parts[1] if len(parts) > 1 else "", parts[2] if len(parts) == 3 else None)

    def is_of(self, expected: str) -> bool:
        """Whether it is of this class, by its index or by its name."""
        if expected.isdecimal() and self.label != expected:
            return self.index.isdecimal() and int(self.index) == int(expected)
        return self.label is not None and self.label.strip().casefold() == expected.strip().casefold()


def preprocessing(settings: Settings) -> Preprocessing:
    """How the pictures of a run are prepared: as its preset says, and what the options say in place of that."""
    own: dict[str, Any] = {
        "mean": settings.image_mean,
        "scale": settings.image_scale,
        "channels": settings.image_channels,
        "filter": settings.image_filter,
    }
    if settings.image_crop >= 0:
        own["crop"] = settings.image_crop
    return replace(
        PRESETS[settings.image_preset], **{name: value for name, value in own.items() if value not in ("", ())}
    )
