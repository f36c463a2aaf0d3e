"""What a user's own code says of a request that has ended: Locust's `catch_response`, for gRPC. Fires nothing."""

from __future__ import annotations

from typing import Any

from triton_users.client.rpc_events import RequestFailure


class CheckFailure(RequestFailure):
    """A request that was answered, and whose answer the user's own check calls wrong."""

    def __init__(self, message: str, evidence: dict[str, Any]) -> None:
        super().__init__(None, message)
        self.evidence = evidence


class CaughtResponse:
    """Takes the verdict on the newest request of a `TritonClient.catch_response` block; the last word counts."""

    def __init__(self) -> None:
        self._failure: CheckFailure | None = None
        self._judged = False

    def failure(self, message: str, **evidence: Any) -> None:
        """Count it as failed, under this message; `evidence`, plain values, stands with it in the report."""
        self._failure, self._judged = CheckFailure(message, evidence), True

    def success(self) -> None:
        """Count it as a success, whatever the server answered."""
        self._failure, self._judged = None, True

    def apply_to(self, events: list[dict[str, Any]]) -> None:
        """Change the newest of these `request` events as was said. ValueError when there is none."""
        if not self._judged:
            return
        if not events:
            raise ValueError("catch_response: no request ended inside the block that this could be said of")
        newest = events[-1]
        if self._failure is None and newest["exception"] is not None:
            newest["expected_error"] = newest["exception"]
        newest["exception"] = self._failure
