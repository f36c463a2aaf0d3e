"""The reference pictures: drawn, not shipped, and the same on every machine. It knows no server and no model.

`resnet_v1_50` as this project builds it is fitted to these pictures, and the ResNet scenario sends them. Each has the
index and the name of the ImageNet class that it shows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

#: Size of a drawn picture, larger than what the model takes, so that resizing it matters.
WIDTH, HEIGHT = 480, 360

#: Side of the square picture that the model takes.
MODEL_SIDE = 224

#: Mean of red, green and blue that is subtracted, as in the original ResNet and VGG networks.
CHANNEL_MEANS = (123.0, 117.0, 104.0)

Colour = tuple[int, int, int]
Draw = ImageDraw.ImageDraw


@dataclass(frozen=True)
class Picture:
    """A picture and the answer that is right for it."""

    name: str
    #: Text of the class in the model's label file.
    label: str
    #: Index of the class, 0 to 999.
    index: int
    #: RGB, WIDTH x HEIGHT.
    image: Image.Image


def preprocess(image: Image.Image) -> npt.NDArray[np.float32]:
    """What the model takes: [224, 224, 3] FP32, RGB, resized bilinearly, minus CHANNEL_MEANS."""
    resized = image.convert("RGB").resize((MODEL_SIDE, MODEL_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32) - np.array(CHANNEL_MEANS, dtype=np.float32)


def reference_pictures() -> list[Picture]:
    """Every reference picture, the vulture first."""
    return [Picture(name, name.upper(), index, _drawn(draw)) for name, index, draw in _PICTURES]


def _drawn(draw: Callable[[Draw], None]) -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT))
    draw(ImageDraw.Draw(image))
    return image


def _sky(draw: Draw, top: Colour, bottom: Colour) -> None:
    """A vertical gradient over the whole picture."""
    for y in range(HEIGHT):
        part = y / HEIGHT
        red, green, blue = (round(a + (b - a) * part) for a, b in zip(top, bottom, strict=True))
        draw.line([(0, y), (WIDTH, y)], fill=(red, green, blue))


def _disc(draw: Draw, x: float, y: float, radius: float, fill: Colour, outline: Colour | None = None) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill, outline=outline, width=4)


def _around(x: float, y: float, radius: float, degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return x + radius * math.cos(angle), y + radius * math.sin(angle)


def _vulture(draw: Draw) -> None:
    """A dark bird with a bald red head on a bare branch, before an evening sky."""
    _sky(draw, (236, 170, 110), (250, 222, 170))
    draw.line([(0, 318), (480, 296)], fill=(84, 60, 40), width=16)
    draw.line([(330, 304), (420, 210)], fill=(84, 60, 40), width=9)
    draw.polygon([(150, 120), (250, 90), (320, 180), (300, 290), (250, 330), (190, 290)], fill=(38, 30, 30))
    rng = random.Random(23)
    for _ in range(160):  # feathers
        x, y = rng.uniform(185, 300), rng.uniform(130, 290)
        draw.line([(x, y), (x - 8, y + 22)], fill=rng.choice([(58, 46, 44), (22, 18, 20), (74, 60, 54)]), width=4)
    draw.polygon([(240, 290), (300, 270), (290, 350), (262, 352)], fill=(26, 20, 22))
    _disc(draw, 180, 124, 34, (232, 226, 214))  # ruff
    draw.line([(178, 118), (150, 84)], fill=(196, 92, 84), width=24)
    _disc(draw, 142, 76, 26, (204, 84, 76))
    draw.polygon([(124, 70), (84, 86), (92, 104), (128, 92)], fill=(228, 206, 150))
    draw.polygon([(84, 86), (92, 104), (82, 118)], fill=(120, 96, 60))
    _disc(draw, 136, 70, 5, (16, 16, 16))
    for x in (222, 252):
        draw.line([(x, 296), (x + 4, 312)], fill=(214, 200, 160), width=8)


def _goldfish(draw: Draw) -> None:
    _sky(draw, (60, 150, 200), (10, 60, 110))
    draw.polygon([(330, 180), (440, 100), (415, 180), (440, 262)], fill=(255, 150, 40))
    draw.ellipse([90, 105, 350, 255], fill=(255, 120, 20))
    draw.polygon([(180, 112), (240, 50), (280, 118)], fill=(255, 160, 50))
    _disc(draw, 140, 165, 15, (255, 255, 255))
    _disc(draw, 137, 166, 8, (0, 0, 0))
    for x, y, radius in ((60, 90, 12), (76, 50, 8), (48, 20, 6)):
        _disc(draw, x, y, radius, (190, 225, 245))


def _ladybug(draw: Draw) -> None:
    _sky(draw, (120, 190, 70), (60, 140, 40))
    _disc(draw, 240, 96, 56, (20, 20, 20))
    _disc(draw, 240, 200, 120, (210, 24, 24))
    draw.line([(240, 80), (240, 320)], fill=(20, 20, 20), width=8)
    for x, y in ((185, 150), (295, 150), (170, 220), (310, 220), (205, 275), (275, 275)):
        _disc(draw, x, y, 20, (20, 20, 20))


def _zebra(draw: Draw) -> None:
    _sky(draw, (206, 190, 120), (170, 150, 80))
    draw.rectangle([40, 60, 440, 300], fill=(245, 245, 240))
    for x in range(50, 460, 36):
        draw.line([(x, 60), (x - 26, 180), (x, 300)], fill=(15, 15, 15), width=16)


def _balloon(draw: Draw) -> None:
    _sky(draw, (90, 160, 235), (200, 225, 250))
    for number, colour in enumerate([(220, 40, 60), (250, 210, 60), (60, 160, 80), (60, 80, 190)]):
        inset = number * 34
        draw.ellipse([120 + inset, 20, 360 - inset, 260], fill=colour)
    draw.line([(170, 230), (215, 300)], fill=(60, 50, 40), width=3)
    draw.line([(310, 230), (265, 300)], fill=(60, 50, 40), width=3)
    draw.rectangle([212, 298, 268, 340], fill=(140, 90, 40))


def _beacon(draw: Draw) -> None:
    """A lighthouse at night."""
    _sky(draw, (10, 14, 50), (40, 50, 100))
    draw.polygon([(240, 70), (0, 0), (0, 130)], fill=(240, 230, 140))
    for number in range(6):
        top, half = 90 + number * 42, 26 + number * 5
        colour = (225, 40, 40) if number % 2 else (245, 245, 245)
        corners = [(240 - half, top), (240 + half, top), (245 + half, top + 42), (235 - half, top + 42)]
        draw.polygon(corners, fill=colour)
    draw.rectangle([216, 50, 264, 90], fill=(255, 240, 120), outline=(20, 20, 20), width=4)
    draw.polygon([(206, 50), (274, 50), (240, 16)], fill=(30, 30, 30))
    draw.rectangle([0, 330, 480, 360], fill=(30, 40, 40))


def _mountain_tent(draw: Draw) -> None:
    _sky(draw, (150, 190, 220), (220, 230, 220))
    draw.polygon([(0, 240), (120, 80), (220, 240)], fill=(130, 140, 150))
    draw.polygon([(0, 360), (0, 240), (480, 240), (480, 360)], fill=(70, 120, 60))
    draw.polygon([(120, 320), (270, 120), (420, 320)], fill=(240, 120, 20))
    draw.polygon([(240, 320), (270, 120), (320, 320)], fill=(60, 40, 30))


def _soccer_ball(draw: Draw) -> None:
    _sky(draw, (40, 130, 50), (30, 100, 40))
    for left in range(0, WIDTH, 96):
        draw.rectangle([left, 0, left + 47, HEIGHT], fill=(50, 150, 60))
    _disc(draw, 240, 180, 130, (245, 245, 245), (20, 20, 20))
    patches = [(240.0, 180.0, 44), *((*_around(240, 180, 112, 18 + 72 * side), 30) for side in range(5))]
    for x, y, radius in patches:
        draw.polygon([_around(x, y, radius, 72 * side - 90) for side in range(5)], fill=(15, 15, 15))


def _umbrella(draw: Draw) -> None:
    _sky(draw, (120, 125, 140), (90, 95, 110))
    rng = random.Random(879)
    for _ in range(140):  # rain
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        draw.line([(x, y), (x - 6, y + 20)], fill=(180, 190, 210), width=2)
    for number in range(6):
        colour = (140, 30, 150) if number % 2 else (240, 220, 40)
        draw.pieslice([80, 60, 400, 330], 180 + number * 30, 210 + number * 30, fill=colour)
    draw.line([(240, 190), (240, 320)], fill=(60, 40, 30), width=8)
    draw.arc([208, 290, 244, 340], 0, 180, fill=(60, 40, 30), width=8)


def _wall_clock(draw: Draw) -> None:
    _sky(draw, (200, 175, 150), (190, 165, 140))
    _disc(draw, 240, 180, 150, (90, 50, 20))
    _disc(draw, 240, 180, 132, (250, 248, 235))
    for hour in range(12):
        draw.line([_around(240, 180, 108, 30 * hour), _around(240, 180, 126, 30 * hour)], fill=(20, 20, 20), width=8)
    draw.line([(240, 180), _around(240, 180, 70, 215)], fill=(20, 20, 20), width=12)
    draw.line([(240, 180), _around(240, 180, 105, 320)], fill=(20, 20, 20), width=7)


def _traffic_light(draw: Draw) -> None:
    _sky(draw, (160, 175, 190), (205, 210, 215))
    draw.rectangle([228, 300, 252, 360], fill=(60, 60, 60))
    draw.rectangle([180, 16, 300, 306], fill=(25, 28, 30))
    for y, colour in ((66, (240, 30, 30)), (160, (250, 190, 30)), (254, (40, 210, 90))):
        _disc(draw, 240, y, 40, colour)


def _mushroom(draw: Draw) -> None:
    _sky(draw, (60, 80, 50), (30, 50, 30))
    draw.rectangle([200, 180, 280, 330], fill=(235, 225, 200))
    draw.pieslice([90, 50, 390, 320], 180, 360, fill=(200, 40, 30))
    for x, y, radius in ((160, 140, 18), (225, 95, 22), (300, 120, 18), (340, 165, 12), (250, 155, 16), (125, 170, 10)):
        _disc(draw, x, y, radius, (250, 245, 240))


def _lemon(draw: Draw) -> None:
    _sky(draw, (40, 90, 170), (30, 70, 140))
    draw.polygon([(60, 180), (130, 140), (130, 220)], fill=(240, 215, 40))
    draw.polygon([(420, 180), (350, 140), (350, 220)], fill=(240, 215, 40))
    draw.ellipse([100, 80, 380, 280], fill=(250, 228, 50))
    rng = random.Random(951)
    for _ in range(90):
        x, y = _around(240, 180, 1, rng.uniform(0, 360))
        reach = rng.uniform(0, 90)
        _disc(draw, 240 + (x - 240) * reach * 1.35, 180 + (y - 180) * reach, 3, (215, 190, 30))


def _pizza(draw: Draw) -> None:
    _sky(draw, (110, 70, 45), (90, 55, 35))
    _disc(draw, 240, 180, 165, (205, 150, 80))
    _disc(draw, 240, 180, 145, (245, 205, 95))
    rng = random.Random(963)
    for _ in range(14):
        x, y = _around(240, 180, rng.uniform(20, 120), rng.uniform(0, 360))
        _disc(draw, x, y, 19, (190, 40, 30), (140, 25, 20))
    for angle in range(0, 180, 45):
        draw.line([_around(240, 180, 165, angle), _around(240, 180, 165, angle + 180)], fill=(150, 100, 50), width=4)


def _volcano(draw: Draw) -> None:
    _sky(draw, (50, 20, 40), (160, 60, 40))
    draw.polygon([(20, 360), (190, 130), (290, 130), (460, 360)], fill=(50, 40, 45))
    draw.polygon([(200, 132), (280, 132), (300, 240), (255, 360), (225, 250)], fill=(255, 110, 20))
    rng = random.Random(980)
    for _ in range(70):
        x, y = rng.gauss(240, 50), rng.uniform(5, 125)
        _disc(draw, x, y, rng.uniform(2, 8), rng.choice([(255, 200, 60), (255, 120, 30), (220, 60, 30)]))


def _daisy(draw: Draw) -> None:
    _sky(draw, (90, 150, 80), (60, 110, 60))
    for number in range(16):
        x, y = _around(240, 180, 92, number * 22.5)
        _disc(draw, x, y, 34, (252, 252, 250), (205, 205, 210))
    _disc(draw, 240, 180, 56, (250, 200, 20))


#: Name, ImageNet class index and drawing of each picture.
_PICTURES: tuple[tuple[str, int, Callable[[Draw], None]], ...] = (
    ("vulture", 23, _vulture),
    ("goldfish", 1, _goldfish),
    ("ladybug", 301, _ladybug),
    ("zebra", 340, _zebra),
    ("balloon", 417, _balloon),
    ("beacon", 437, _beacon),
    ("mountain tent", 672, _mountain_tent),
    ("soccer ball", 805, _soccer_ball),
    ("umbrella", 879, _umbrella),
    ("wall clock", 892, _wall_clock),
    ("traffic light", 920, _traffic_light),
    ("mushroom", 947, _mushroom),
    ("lemon", 951, _lemon),
    ("pizza", 963, _pizza),
    ("volcano", 980, _volcano),
    ("daisy", 985, _daisy),
)
