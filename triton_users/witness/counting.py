"""What a server counted over a run, though it or a model of it was started again in the middle. Knows no clock.

counting = Counting()
counting.begin(statistics, now_s)
counting.take(statistics, now_s, reconnected=False)       # again and again
counting.total, counting.restarts, counting.several
"""

from __future__ import annotations

from dataclasses import dataclass

from triton_users.witness.statistics import ModelCounts, Statistics

MAX_RESTARTS = 50
"""Restarts that are kept; a report needs no more."""
TURNS = 3
"""So many times the counters of one server do not go back within TURNS_S without a lost connection."""
TURNS_S = 30.0
"""In seconds. Picked arbitrarily: a model that is loaded so often is not ready for moments that others see."""


@dataclass(frozen=True)
class Restart:
    """Counters that began anew."""

    model: str
    """"" for the whole server."""
    from_s: float
    """When it last answered before, in the caller's seconds."""
    to_s: float
    """When it answered again."""
    server: str = ""
    """Which of several servers; "" where one is known."""


class Counting:
    """Adds up what is counted between any two answers, so that nothing seen is lost when counters begin anew.

    All counters of a server that was started again go back, and the connection to it is lost. Without that it was the
    model. Counters that go back again and again on one connection, each time to no less than before, are those of
    several servers behind one address; so are those that other connections still find.
    """

    def __init__(self) -> None:
        self.total: Statistics = {}
        """Model -> what was counted since `begin`."""
        self.restarts: list[Restart] = []
        self.several = False
        """Whether the answers are those of several servers: the total means nothing then."""
        self.reconnected = False
        """Whether the connection was lost in between: a server that had counted little may have been started again, and
        by now have counted more."""
        self._last: Statistics = {}
        self._last_s = 0.0
        self._away: dict[str, float] = {}
        self._turns: dict[str, list[tuple[float, int]]] = {}

    def begin(self, statistics: Statistics, now_s: float) -> None:
        """Count from here on; forget what was before."""
        self.__init__()  # type: ignore[misc]  # as new
        self._last, self._last_s = statistics, now_s

    def take(self, statistics: Statistics, now_s: float, *, reconnected: bool, still_there: bool = False) -> None:
        """Take an answer in. `reconnected`: whether the connection was made anew since the last one.

        `still_there`: whether another connection still finds a server whose counters did not go `back`.
        """
        self.several |= still_there
        back = self.back(statistics)
        for name, counts in statistics.items():
            grown = counts if name in back else counts.since(self._last.get(name, _NOTHING))
            if grown != _NOTHING or name not in self.total:
                self.total[name] = self.total.get(name, _NOTHING).plus(grown)
        for name in self._last.keys() - statistics.keys():
            self._away.setdefault(name, self._last_s)
        restarted = bool(back) and reconnected
        self.reconnected |= reconnected
        if restarted:
            self._restarted(Restart("", self._last_s, now_s))
        for name in statistics:
            since_s = self._away.pop(name, None)
            if since_s is not None and not restarted:
                self._restarted(Restart(name, since_s, now_s))
            elif name in back and not restarted:
                self._turned(name, statistics[name], now_s)
        self._last, self._last_s = statistics, now_s

    def back(self, statistics: Statistics) -> list[str]:
        """The models whose counters are lower in this answer than in the last that was taken in."""
        return [name for name, counts in statistics.items() if counts.began_anew(self._last.get(name, _NOTHING))]

    def _turned(self, name: str, counts: ModelCounts, now_s: float) -> None:
        turns = [each for each in self._turns.get(name, []) if now_s - each[0] <= TURNS_S]
        self._turns[name] = turns = [*turns, (now_s, counts.success)][-TURNS:]
        lows = [low for _, low in turns]
        if len(turns) == TURNS and lows == sorted(lows) and lows[0] > 0:
            self.several = True
            self.restarts = [each for each in self.restarts if each.model != name]
        self._restarted(Restart(name, self._last_s, now_s))

    def _restarted(self, restart: Restart) -> None:
        if not self.several and len(self.restarts) < MAX_RESTARTS:
            self.restarts.append(restart)


_NOTHING = ModelCounts()
