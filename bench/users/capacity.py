"""Users whose capacity `python -m bench capacity` searches: identity requests of 16 numbers."""

from locust import events

from triton_users.model_user import TritonModelUser
from triton_users.options import add_options
from triton_users.plugin import install

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))


class Identity(TritonModelUser):
    model = "custom_nobatch_zero_1_float32"
    shapes = {"INPUT0": (16,)}  # noqa: RUF012 - as the documentation shows it
