"""Whether a server that did not answer a sequence in time is busy or broken, by what it did meanwhile."""

from __future__ import annotations

from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import Session
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.scenarios.server_work import work_of

LOOK_LIMIT_S = 10.0
"""How long the server may take to say how much it has executed, in seconds; asked twice, and only by who waits."""


class Progress:
    """Evidence for one run of sequences, from just before its first request.

    A busy server goes on executing: it has answered more of these sequences since half of their time, or it has not
    begun one of them for want of a slot. Triton gives slots in the order of the STARTs, so a sequence without a slot is
    not overtaken by one that began much later. A server that executes nothing of the model, lets a sequence lie that it
    had begun, or gives a slot to a later one has lost the request.
    """

    def __init__(self, session: Session, model: str, correlation_ids: list[int]) -> None:
        self._session = session
        self._model = model
        self._begun_s = session.clock()
        opened = open_sequences(session)
        self._had_slot = any(opened.is_open(model, each, self._begun_s) for each in correlation_ids)
        self._looked_s: float | None = None
        self._answers = 0
        self._executed: int | None = None

    def look(self, answers: int) -> None:
        """Half of the time is over, and so many answers have come."""
        self._looked_s, self._answers, self._executed = self._session.clock(), answers, self._executed_now()

    def busy(self, answers: int, begun: bool) -> str:
        """All of the time is over: why that proves nothing about the server; "" when it shows that it is broken.

        `begun`: whether a sequence of the run has some of its answers but not all.
        """
        executed = self._executed_now()
        if self._looked_s is None or self._executed is None or executed is None or executed <= self._executed:
            return ""
        if answers > self._answers:
            return "the server was busy: it was still answering the sequence when its time was over"
        if not begun and self._last_begun_of_others().get(self._model, 0.0) < self._looked_s:
            return "the server was busy: the sequence still waited for a slot when its time was over"
        return ""

    def answered(self) -> None:
        """All sequences of the run were answered."""
        if not self._had_slot:  # one that has its slot from before waits for none
            begun = self._last_begun_of_others()
            begun[self._model] = max(self._begun_s, begun.get(self._model, 0.0))

    def _last_begun_of_others(self) -> dict[str, float]:
        """Model -> when the latest run of sequences that was answered in whole had begun, of all users here."""
        begun: dict[str, float] = self._session.shared.setdefault("sequences begun", {})
        return begun

    def _executed_now(self) -> int | None:
        """How often the server has executed the model; None when it does not say."""
        client = self._session.client
        try:
            with client.expect_error(lambda _: True):
                return work_of(client, self._model, LOOK_LIMIT_S).executions
        except InferenceServerException:
            return None
