"""The only moment between Locust's reading of the command line and its fork. Knows no option."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser


def act_before_locust_forks(parser: LocustArgumentParser, act: Callable[[Namespace], None]) -> None:
    """Have `parser.parse_args` call `act` with the options of the command; those of other argument lists do not count.

    Between reading the command line and forking the workers of `--processes`, or connecting a worker, Locust calls
    nothing of others. Seen in 2.46 and 2.47. Can go when there is an event between the two.
    """
    parse_args = parser.parse_args

    def parse_and_act(*arguments: Any, **keywords: Any) -> Any:
        options = parse_args(*arguments, **keywords)
        if not arguments and not keywords:
            act(options)
        return options

    parser.parse_args = parse_and_act
