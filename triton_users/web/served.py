"""What the start form offers under "models": those that a server has, and what each needs to be told. Asks, once."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from tritonclient.utils import InferenceServerException

from triton_users.client.describe import describe, ready_models
from triton_users.declaration import read
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import example_sizes
from triton_users.ledger.plain import cut
from triton_users.run.server_state import client_for
from triton_users.settings import ConnectionSettings

LIMIT_S = 5.0
"""How long the server may take for each answer, in seconds: a person waits."""
MAX_MODELS = 200
"""Models that are offered; a name can be typed too."""


def served(host: str, options: Namespace) -> dict[str, Any]:
    """The models that are ready at `host`: their names, inputs and the sizes they need; or "message", why not."""
    try:
        client = client_for(host, read(ConnectionSettings, options), LIMIT_S)
    except (ValueError, OSError) as error:
        return {"models": [], "message": cut(str(error))}
    try:
        names = ready_models(client, LIMIT_S)
        if names is None:
            return {"models": [], "message": "this server has no index of its models; write their names"}
        more = f"{len(names) - MAX_MODELS} more are not shown" if len(names) > MAX_MODELS else ""
        return {"models": [_offer(client, name) for name in names[:MAX_MODELS]], "message": more}
    except InferenceServerException as error:
        return {"models": [], "message": cut(" ".join(str(error).split()))}
    finally:
        client.close()


def _offer(client: Any, name: str) -> dict[str, str]:
    try:
        spec = describe(client, name, LIMIT_S)
    except (InferenceServerException, DataError) as error:
        return {"name": name, "inputs": f"not described: {cut(' '.join(str(error).split()), 300)}", "shape": ""}
    return {"name": name, "inputs": ", ".join(map(str, spec.inputs)), "shape": example_sizes(spec)}
