"""Models as a server would describe them, for tests that need no server."""

from triton_users.inputs.model import ModelSpec, TensorSpec


def model(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (), **fields: object) -> ModelSpec:
    return ModelSpec("m", inputs, outputs, **fields)  # type: ignore[arg-type]


def ints(name: str = "IN", *shape: int, **fields: bool) -> TensorSpec:
    return TensorSpec(name, "INT32", shape or (4,), **fields)
