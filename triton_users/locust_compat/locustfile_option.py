"""Whether a locustfile was named, which Locust does not say: the option has a default, `locustfile.py`.

Seen in 2.46 and 2.47. It can go when Locust has a way to give another default locustfile.
"""

from __future__ import annotations

from collections.abc import Sequence

from locust.argument_parser import get_empty_argument_parser


def names_a_locustfile(arguments: Sequence[str]) -> bool:
    """Whether these arguments, the environment or a config file name one, read as Locust itself reads them."""
    parser = get_empty_argument_parser(add_help=False)
    parser.set_defaults(locustfile=None)
    options, _ = parser.parse_known_args(list(arguments))
    return options.locustfile is not None
