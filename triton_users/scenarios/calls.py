"""Single requests as scenarios send them: under a limit, their deadlines told, an identity's answer compared whole."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import gevent
import numpy as np
import numpy.typing as npt
from gevent import GreenletExit
from tritonclient.utils import InferenceServerException

from triton_users.client.rpc_events import BusyWhenStopped
from triton_users.client.streamed import StreamedInput
from triton_users.scenarios.base import Client, ScenarioFailure, Session
from triton_users.scenarios.models import IdentityModel
from triton_users.scenarios.patience import Patience

DEADLINE_EXCEEDED = "StatusCode.DEADLINE_EXCEEDED"

START_ERROR = "must specify the START flag on the first request of the sequence"
"""What Triton says to a request of a sequence that it does not know, in the middle of its error."""

MAX_NUMBERS = 2**20
"""Numbers in the largest tensor of an identity check: 4 MiB of them."""


class _GaveUp(BaseException):
    """Ends a call that nobody waits for any more; the channel counts it as a failed one, under this text."""


def infer(session: Session, client: Client, model: str, inputs: list[Any], **kwargs: Any) -> Any:
    """`client.infer` under the run's request timeout, and beyond it while the server shows that it is at work.

    InferenceServerException as from the client. Skip when the server was busy for too long to prove anything.
    """
    limit_s = session.settings.request_timeout_ms / 1e3
    patience = Patience(session, client, model, limit_s)
    last_s = patience.longest_s + limit_s
    call = gevent.spawn(_outcome, client, model, inputs, {"client_timeout": last_s, **kwargs})
    try:
        while not call.ready():
            call.join(patience.pause_s)
            if call.ready():
                break
            broken = patience.look()
            if broken and not call.ready():
                call.kill(_GaveUp(f"no answer within {patience.waited_s:.1f} s"))
                text = f"no answer within {patience.waited_s:.1f} s; {broken}"
                raise _told(session, model, patience, InferenceServerException(text, status=DEADLINE_EXCEEDED))
    finally:
        call.kill(BusyWhenStopped if patience.at_work else GreenletExit)
    outcome = call.value
    if isinstance(outcome, InferenceServerException) and outcome.status() == DEADLINE_EXCEEDED:
        raise _told(session, model, patience, outcome)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _outcome(client: Client, model: str, inputs: list[Any], kwargs: dict[str, Any]) -> Any:
    """The result of the call, or the exception that ended it."""
    try:
        return client.infer(model, inputs, **kwargs)
    except (Exception, _GaveUp) as error:  # noqa: BLE001 - `infer` raises it
        return error


def _told(
    session: Session, model: str, patience: Patience, error: InferenceServerException
) -> InferenceServerException:
    session.signals.deadline_exceeded(
        model=model, expected=False, elapsed_s=patience.waited_s, limit_s=patience.limit_s
    )
    return error


def random_numbers() -> npt.NDArray[np.float32]:
    """The numbers that `draw_numbers` takes from, the same in each process; 20 ms to make.

    Of every magnitude from 2**-63 to 2, with any sign and mantissa. None is NaN or denormal, which a device need not
    hand back bit by bit.
    """
    bits = np.random.default_rng(0).integers(0, 2**32, 2 * MAX_NUMBERS, np.uint32)
    return ((bits & np.uint32(0xBFFFFFFF)) | np.uint32(0x20000000)).view(np.float32)


def draw_numbers(draw: random.Random, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A stretch of `numbers`, of any length up to half of them.

    Small and large tensors are as likely, since a server takes them other ways: in one frame or in many, into one piece
    of memory or several.
    """
    start, count = draw_stretch(draw, len(numbers))
    return numbers[start : start + count]


def draw_stretch(draw: random.Random, of: int = 2 * MAX_NUMBERS) -> tuple[int, int]:
    """The start and the length of what `draw_numbers` takes from so many numbers."""
    count = int((of // 2) ** draw.uniform(0, 1))
    return draw.randrange(of - count), count


def check_identity(
    session: Session, client: Client, model: IdentityModel, values: Sequence[float] | npt.NDArray[np.float32]
) -> None:
    """Send these numbers, which FP32 holds exactly, to an identity model. ScenarioFailure unless they come back."""
    sent = np.array(values, dtype=np.float32).reshape(model.shape(len(values)))
    tensor = StreamedInput(model.input, sent.shape, "FP32", [sent])
    try:
        answer = infer(session, client, model.name, [tensor]).as_numpy(model.output)
    except InferenceServerException as exc:
        raise ScenarioFailure(
            f"{model.name} did not answer a request of {sent.size} numbers: {exc}",
            requests=1,
            model=model.name,
            numbers=sent.size,
        ) from exc
    if wrong := mismatch(sent, answer):
        raise ScenarioFailure(
            f"{model.name} answered {'nothing as ' + model.output if answer is None else wrong}",
            requests=1,
            model=model.name,
            numbers=sent.size,
        )


def mismatch(sent: npt.NDArray[np.float32], answer: npt.NDArray[Any] | None) -> str:
    """In what an identity's answer differs from what it was sent, bit by bit; "" when in nothing."""
    if answer is None:
        return "nothing"
    if answer.dtype != sent.dtype or answer.shape != sent.shape:
        return f"{answer.dtype} of shape {list(answer.shape)} to {sent.dtype} of shape {list(sent.shape)}"
    expected, got = sent.reshape(-1), answer.reshape(-1)
    differ = np.flatnonzero(expected.view(np.uint32) != got.view(np.uint32))
    if not differ.size:
        return ""
    first = int(differ[0])
    return (
        f"other numbers than it was sent: {differ.size:,} of {sent.size:,} differ, the first at index {first}: "
        f"expected {expected[first]!s} ({expected.view(np.uint32)[first]:#010x}), got {got[first]!s} "
        f"({got.view(np.uint32)[first]:#010x})"
    )
