"""`python -m triton_users models -H grpc://HOST:PORT`: what a server serves, and what TritonModelUser would send it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from tritonclient.utils import InferenceServerException

from triton_users.client.describe import describe, ready_models
from triton_users.declaration import EXIT_USAGE, declared, read
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec, example_options
from triton_users.options import add_option
from triton_users.run.server_state import client_for
from triton_users.settings import ConnectionSettings

LIMIT_S = 10.0
"""How long the server may take for each answer, in seconds."""


def main(arguments: Sequence[str]) -> int:
    """Print the models and return the exit code: 2 when the server cannot be asked."""
    parser = ArgumentParser(prog="triton-users models", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("models", nargs="*", help="Only these; needed where a server has no index of its models.")
    parser.add_argument("-H", "--host", required=True, help="The server, for instance grpc://127.0.0.1:8001.")
    for option in declared(ConnectionSettings).values():
        add_option(parser, option)
    options = parser.parse_args(arguments)
    try:
        client = client_for(options.host, read(ConnectionSettings, options), LIMIT_S)
        try:
            names = options.models or ready_models(client, LIMIT_S)
            if names is None:
                raise ValueError(f"the server at {options.host} has no index of its models; name them")
            for name in names:
                print(described(client, name), flush=True)
            if names:
                print(
                    f'to put some under load: --models "{names[0]}", with commas between, and what stands behind "add"'
                )
        finally:
            client.close()
    except (ValueError, OSError, InferenceServerException) as error:  # a mistake in an option is a ValueError
        sys.stderr.write(f"triton-users: error: {error}\n")
        return EXIT_USAGE
    return 0


def described(client: object, name: str) -> str:
    """One model in a few lines; why not, when the server does not describe it."""
    try:
        return text(describe(client, name, LIMIT_S))
    except (InferenceServerException, DataError) as error:
        return f"{name}\n  not described: {error}"


def text(spec: ModelSpec) -> str:
    """The model, its inputs and outputs, what would be sent, and what must be given."""
    sent = "sequences over a stream" if spec.sequences else "requests over a stream" if spec.decoupled else "requests"
    if spec.max_batch_size:
        sent += f", batches of up to {spec.max_batch_size}"
    if spec.decoupled:
        sent += ", any number of responses each"
    lines = [
        spec.name,
        f"  sent      {sent}",
        f"  inputs    {', '.join(map(str, spec.inputs))}",
        f"  outputs   {', '.join(map(str, spec.outputs))}",
    ]
    if spec.steps:
        lines.append(f"  ensemble  {', '.join(spec.steps)}")
    if spec.unresolved:
        lines.append(f"  add       {example_options(spec)}   (with sizes of your own for those that are open)")
    return "\n".join(lines)
