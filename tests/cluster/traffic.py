"""A locustfile whose traffic can be counted three times: by the server, by Locust with us, and by a journal of its own.

Its users send one request at a time. With `--stop-timeout` they finish the one they are at, so that client and server
must agree to the last request; without it, what was in flight at the end is the server's alone.
"""

import os
import struct
import time

import locust.runners
import numpy as np
from locust import events, task
from tritonclient.grpc import InferInput

from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.users import TritonGrpcUser

MODEL = "custom_nobatch_zero_1_float32"

# How long a worker goes on without its master is Locust's constant; a test cannot wait that minute.
locust.runners.MASTER_HEARTBEAT_TIMEOUT = float(os.environ.get("MASTER_SILENT_S", "60"))

events.init_command_line_parser.add_listener(add_options)


@events.init.add_listener
def on_init(environment, **_):
    install(environment)
    journal = os.open(
        os.path.join(os.environ["JOURNAL"], str(os.getpid())), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644
    )

    def on_request(exception, **_):
        os.write(journal, struct.pack("<d?", time.time(), exception is not None))

    environment.events.request.add_listener(on_request)


class OneAtATime(TritonGrpcUser):
    """Echoes sixteen numbers, again and again."""

    def on_start(self):
        values = np.arange(16, dtype=np.float32)
        self.inputs = [InferInput("INPUT0", [16], "FP32").set_data_from_numpy(values)]

    @task
    def echo(self):
        self.client.infer(MODEL, self.inputs, client_timeout=5.0)
