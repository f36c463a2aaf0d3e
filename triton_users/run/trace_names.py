"""Whether what a trace names is there: models, scenarios, tasks, and entries of input data. Knows no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from triton_users.declaration import UsageError
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.pool import RequestPool
from triton_users.locust_compat.open_loop import tasks_by_name
from triton_users.run.configuration import RunConfiguration, weights
from triton_users.scenarios import ALL
from triton_users.stress import runs_scenarios

Known = Mapping[str, frozenset[str]]
"""What a trace can name -> the models whose input data it may send; none where it has no such data."""


def names_of(user_class: type) -> dict[str, Callable[..., object]]:
    """Name in a trace -> task of this class: its functions' names, and of a class for one model that model's."""
    named = tasks_by_name(user_class)
    model = getattr(user_class, "model", "")
    if isinstance(model, str) and model and len(named) == 1:
        named[model] = next(iter(named.values()))
    return named


def known(user_classes: Collection[type], configuration: RunConfiguration) -> Known:
    """What a trace can name in this run."""
    models = {each.name for each in configuration.models if not each.own_requests}
    found: dict[str, frozenset[str]] = {}
    if runs_scenarios(user_classes):
        played = weights(configuration.settings, configuration.left_out)
        found = {name: frozenset({name} & models) for name in played}
    for each in user_classes:
        sends = frozenset({getattr(each, "model", "")} & models)
        for name in names_of(each):
            found[name] = found.get(name, frozenset()) | sends
    return found


def check(named: Iterable[tuple[str, str]], known: Known, pool: Callable[[str], RequestPool]) -> None:
    """Raise UsageError when these pairs of model and input name what no user of the run can send.

    `pool`: the requests of a model; it is asked only for those of which an input is named.
    """
    named = list(named)
    if unknown := sorted({model for model, _ in named} - {"", *known}):
        raise UsageError(
            f"arrivals: the trace names {', '.join(unknown)}, which no user of this run can send; "
            f"it can name: {', '.join(sorted(known))}"
        )
    entries: dict[str, set[str]] = {}
    for model, entry in named:
        if entry and model in ALL:
            raise UsageError(f"arrivals: the trace names the input {entry!r} for {model}, which makes its own")
        if entry:
            for each in known[model] if model else frozenset().union(*known.values()):
                entries.setdefault(each, set()).add(entry)
    for model, wanted in sorted(entries.items()):
        requests = pool(model)
        for entry in sorted(wanted):
            try:
                requests.entry(entry)
            except DataError as error:
                raise UsageError(f"arrivals: the trace names an input for {model}: {error}") from None
