"""What `locust` picks up: the stress test's users, its options, and the plugin that wires them."""

from locust import events

from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.stress import TritonLoadUser, TritonStressUser

__all__ = ["TritonLoadUser", "TritonStressUser"]

events.init_command_line_parser.add_listener(add_options)


@events.init.add_listener
def on_init(environment, **_):
    install(environment)
