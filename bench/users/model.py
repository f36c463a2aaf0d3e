"""The project's own locustfile, which puts the models of `--models` under load."""

from __future__ import annotations

from bench.users.recorder import record
from locustfile import *  # noqa: F403  # the users and listeners of the project's own locustfile

record()
