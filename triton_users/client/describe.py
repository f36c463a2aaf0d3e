"""Asks a server for its models: index, metadata, configuration; less of a server that is no Triton."""

from __future__ import annotations

from typing import Any

from tritonclient.utils import InferenceServerException

from triton_users.inputs.model import ModelSpec, from_server

UNIMPLEMENTED = "StatusCode.UNIMPLEMENTED"


def ready_models(client: Any, limit_s: float) -> list[str] | None:
    """Names of the models that are ready, sorted; None when the server has no RepositoryIndex.

    Raises InferenceServerException for any other error.
    """
    try:
        index = client.get_model_repository_index(client_timeout=limit_s)
    except InferenceServerException as error:
        if error.status() == UNIMPLEMENTED:
            return None
        raise
    return sorted({model.name for model in index.models if model.state in ("READY", "")})


def describe(client: Any, model: str, limit_s: float) -> ModelSpec:
    """The model as its server describes it; without ModelConfig, which KServe's protocol does not have, less is known.

    Raises InferenceServerException when the server does not know the model, DataError for an unknown datatype.
    """
    metadata = client.get_model_metadata(model, client_timeout=limit_s)
    try:
        config = client.get_model_config(model, client_timeout=limit_s).config
    except InferenceServerException as error:
        if error.status() != UNIMPLEMENTED:
            raise
        config = None
    return from_server(metadata, config)
