"""The random numbers of plans: a generator that is at the numbers of any plan at once. Knows no plan."""

from __future__ import annotations

import random
from hashlib import blake2b
from typing import Any, Final, NoReturn

_MASK: Final = 2**64 - 1
_GAMMA: Final = 0x9E3779B97F4A7C15
#: Numbers of 64 bits for each plan; one that draws more goes on with those of the next plan.
_EACH: Final = 2**20


class PlanRandom(random.Random):
    """One user's. SplitMix64 (java.util.SplittableRandom): each number is a hash of how many came before it.

    Python's own generator takes 4 us to seed, as long as all else that the plan of a request needs.
    """

    def __init__(self, key: bytes) -> None:
        """`key`: the same one makes the same numbers."""
        self._first = int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
        super().__init__()
        self.begin(0)

    def begin(self, plan: int) -> None:
        """The next numbers are those of the user's plan of this number, whatever was drawn before."""
        self._state = self._first + plan * _EACH * _GAMMA
        self.gauss_next = None

    def getrandbits(self, k: int) -> int:
        if k > 64:
            return self.getrandbits(64) | self.getrandbits(k - 64) << 64
        self._state = z = self._state + _GAMMA & _MASK
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
        return (z ^ z >> 31) >> 64 - k

    def random(self) -> float:
        return self.getrandbits(53) * 2.0**-53

    def seed(self, *_args: Any, **_options: Any) -> None:
        """Has no effect: see `begin`."""

    def _has_none(self, *_args: Any, **_options: Any) -> NoReturn:
        raise NotImplementedError("its state is its key and how many numbers were drawn")

    getstate = setstate = _has_none
