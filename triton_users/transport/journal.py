"""What connections live through, in the log, in a bounded number of lines; knows no connections.

A soak of 12 hours with hundreds of connections should leave a story that somebody can read. So of each kind of line a
few are written at once and then one a minute, which says how many were left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

#: Lines of one kind at once, before the pace holds. Picked arbitrarily: eight users' connections, and some.
BURST: Final = 10
#: Seconds for one more line of a kind.
PACE_S: Final = 60.0


class Journal:
    """Writes to a logger at INFO, a token bucket for each kind of line; a kind is the line's format."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = monotonic) -> None:
        self._logger = logger
        self._clock = clock
        #: Kind -> tokens left, when that was, and lines left out since the last one that was written.
        self._kinds: dict[str, tuple[float, float, int]] = {}

    def info(self, kind: str, *arguments: Any) -> None:
        """Write a line, or count it as left out. `kind` is a format for `arguments`, one of few."""
        now_s = self._clock()
        tokens, before_s, left_out = self._kinds.get(kind, (float(BURST), now_s, 0))
        tokens = min(float(BURST), tokens + (now_s - before_s) / PACE_S)
        if tokens < 1:
            self._kinds[kind] = tokens, now_s, left_out + 1
            return
        self._kinds[kind] = tokens - 1, now_s, 0
        if left_out:
            self._logger.info(f"{kind} (and %d more lines like this)", *arguments, left_out)
        else:
            self._logger.info(kind, *arguments)


#: The transport's logger, for what is of interest only to who asks for DEBUG.
logger: Final = logging.getLogger("triton_users.transport")
#: The process's one journal, as its logger is one: the bound must hold for all channels together.
journal: Final = Journal(logger)
