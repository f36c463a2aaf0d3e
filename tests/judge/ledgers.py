"""Counts to judge."""

from triton_users.ledger import Ledger

NAMES = ("SequenceValid", "Timeout", "ResNet")


def ledger(**runs: tuple[int, int]) -> Ledger:
    """Scenario -> (passed, failed)."""
    made = Ledger()
    for name, (passed, failed) in runs.items():
        made.scenario(name).passed = passed
        made.scenario(name).failed = failed
        for _ in range(passed + failed):
            made.row(name, "m").record(1000, 1, 10, 10)
    return made


def own_requests(answered: int, failed: int, model: str = "bert") -> Ledger:
    """Requests outside of any scenario."""
    made = Ledger()
    for _ in range(answered):
        made.row("", model).record(1000, 1, 10, 10)
    for number in range(failed):
        made.row("", model).record_error(f"[StatusCode.UNAVAILABLE] try {number}", 10, 0)
    return made
