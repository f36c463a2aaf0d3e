"""The stress test's users, its options, and the plugin that wires them: what a locustfile takes over whole.

    from triton_users.locustfile import *

is a complete locustfile; users of your own can stand below it. Unlike the rest of the package this module does
something when it is imported: it listens to Locust's events, as a locustfile does.
"""

from locust import events

from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.stress import TritonLoadUser, TritonStressUser

__all__ = ["TritonLoadUser", "TritonStressUser"]

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))
