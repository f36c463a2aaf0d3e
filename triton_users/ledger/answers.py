"""What became of the inference requests to one model, as an audit needs it: answered, or nobody here knows. Plain."""

from __future__ import annotations

from dataclasses import dataclass

REFUSED = frozenset(
    f"StatusCode.{code}"
    for code in (
        "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED",
        "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
    )
)  # fmt: skip
"""Statuses with which a server says that it did not compute a request, or not to its end. Others may come from the way
there, or from this client, while the server computes."""


@dataclass(slots=True)
class Answers:
    """One model's."""

    answered: int = 0
    """Requests that were answered with a result."""
    unknown: int = 0
    """Requests that were given up or whose connection was lost: the server may have computed them."""

    def ended(self, status: str | None, *, failed: bool) -> None:
        """Count a request that ended; `status` is that of its error, None for an error that is a stream's response."""
        if not failed:
            self.answered += 1
        elif status is not None and status not in REFUSED:
            self.unknown += 1

    def add(self, other: Answers) -> None:
        """Count everything that `other` has counted."""
        self.answered += other.answered
        self.unknown += other.unknown

    def since(self, older: Answers) -> Answers:
        """What was counted after `older`, an earlier state of this."""
        return Answers(self.answered - older.answered, self.unknown - older.unknown)
