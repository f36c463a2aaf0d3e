"""Which sequences a server may still hold. Knows no client; times are told to it."""

from __future__ import annotations

from collections import OrderedDict

from triton_users.scenarios.base import Session


def open_sequences(session: Session) -> OpenSequences:
    """The sequences this user has open, the same for all its scenarios."""
    held_s = session.settings.idle_limit_s + session.settings.idle_margin_s
    opened: OpenSequences = session.state.setdefault("open sequences", OpenSequences(held_s))
    return opened


class OpenSequences:
    """Which sequences a server may still hold, by model and correlation id.

    One is open from its first request until its END was answered, or until `held_s` (the server's idle limit and a
    margin) after the last sign of it: a request handed over, an answer, a stream cut off. Where it is not known what
    the server did, it counts as open.

    It holds at most `capacity` sequences. When one more comes, the one longest silent is dropped, and until that one's
    time is over every unknown sequence counts as open.
    """

    def __init__(self, held_s: float, capacity: int = 4096) -> None:
        self._held_s = held_s
        self._capacity = capacity
        self._last_sign: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._all_open_until = float("-inf")

    def __len__(self) -> int:
        return len(self._last_sign)

    def seen(self, model: str, correlation_id: int, now: float) -> None:
        """A request of the sequence was handed over, or its stream ended otherwise than by an answered END."""
        key = (model, correlation_id)
        self._last_sign[key] = now
        self._last_sign.move_to_end(key)
        if len(self._last_sign) > self._capacity:
            _, dropped = self._last_sign.popitem(last=False)
            self._all_open_until = max(self._all_open_until, dropped + self._held_s)

    def open_at(self, now: float) -> int:
        """How many are open."""
        count = 0
        for last_sign in reversed(self._last_sign.values()):
            if now >= last_sign + self._held_s:
                break  # the ones before it are older still
            count += 1
        return count

    def ended(self, model: str, correlation_id: int) -> None:
        """Its END was answered."""
        self._last_sign.pop((model, correlation_id), None)

    def was_left(self, model: str, correlation_id: int) -> bool:
        """Whether it was ever left open and not begun and ended since; it may have been reclaimed long ago."""
        return (model, correlation_id) in self._last_sign or self._all_open_until > float("-inf")

    def is_open(self, model: str, correlation_id: int, now: float) -> bool:
        last_sign = self._last_sign.get((model, correlation_id))
        if last_sign is None:
            return now < self._all_open_until
        return now < last_sign + self._held_s
