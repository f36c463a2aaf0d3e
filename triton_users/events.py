"""The EventHooks this plugin adds to `environment.events`, and what each passes to its listeners.

A listener takes its arguments by name and should accept `**kwargs`, as with any Locust event:

    @events.init.add_listener
    def on_init(environment, **kwargs):
        environment.events.sequence_validation_failure.add_listener(page_somebody)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust.event import EventHook

if TYPE_CHECKING:
    from locust.env import Environment


class ScenarioFinished(EventHook):
    """Fired after each run of a scenario, also one that was skipped.

    :param scenario: Name of the scenario, for instance "SequenceValid"
    :param outcome: "passed", "failed" or "skipped"
    :param requests: Inference requests the run sent
    :param answers_checked: How many of them had an answer that was compared with what is right; 0 unless it passed
    :param duration_s: How long the run took, in seconds
    :param reason: Why it failed or was skipped; "" when it passed
    :param record: Everything needed to reproduce it: seed, worker, user, number of the run, and its plan (a dict)
    :param excusable: False for a failure that fails the test even where the scenario is allowed to fail
    """


class DeadlineExceeded(EventHook):
    """Fired when a request ended with DEADLINE_EXCEEDED.

    :param scenario: Name of the scenario
    :param model: Name of the model
    :param expected: True where the scenario is there to provoke it and it fired in time
    :param elapsed_s: Seconds from the start of the request until the deadline fired
    :param limit_s: The deadline that was set, in seconds
    """


class SequenceValidationFailure(EventHook):
    """Fired when a response of a sequence is not what the sequence's model says it must be.

    :param scenario: Name of the scenario
    :param model: Name of the model
    :param correlation_id: The sequence's correlation id (an int or a str)
    :param step: Number of the response in its sequence, from 0
    :param expected: The value the model of the sequence gives
    :param got: The value the server answered, or the text of the error
    :param steps: What led there: a list of (flags, value sent, expected, got) up to and including this step
    """


class RequestUnanswered(EventHook):
    """Fired for each request that was still without an answer when its user was stopped, or gave its stream up.

    It is neither a success nor a failure of the server, so Locust's `request` event is silent about it.

    :param scenario: Name of the scenario; "" outside of any
    :param model: Name of the model; "" for RPCs that name none
    :param method: The RPC's name
    :param waited_s: How long it had waited, in seconds
    :param busy: Whether the server's statistics had shown it to be at work on other requests of the model meanwhile
    """


class Reconnected(EventHook):
    """Fired when a client's connection has been made again, after one that took no more calls. Not for the first one.

    :param reason: Why the connection before took no more calls: what the server said, or how it was lost
    """


class DeferredChecksSettled(EventHook):
    """Fired when it is known what became of checks that runs of a scenario put off.

    A run of SequenceNoEnd leaves the check behind that the server takes the sequence's slot back. A check that fails is
    a failed run, and is not reported here.

    :param scenario: Name of the scenario
    :param confirmed: How many came out well
    :param unchecked: How many proved nothing or will never be made: the user stopped before their time came
    :param requests: Inference requests that were sent for them outside of any run, when the user stopped
    """


def add_hooks(environment: Environment) -> None:
    """Add our hooks to `environment.events`, once."""
    events = environment.events
    for name, hook in (
        ("scenario_finished", ScenarioFinished),
        ("deadline_exceeded", DeadlineExceeded),
        ("sequence_validation_failure", SequenceValidationFailure),
        ("request_unanswered", RequestUnanswered),
        ("reconnected", Reconnected),
        ("deferred_checks_settled", DeferredChecksSettled),
    ):
        if not hasattr(events, name):
            setattr(events, name, hook())
