"""The LocustTest of Locust's own operator, as Locust's documentation describes it: fields, types, what must be there.

https://docs.locust.io/en/stable/kubernetes-operator.html, section "LocustTest CRD Configuration", read in November 2026
for operator 0.1. No package registry carries the operator's own definition, so this is a description of it, not a copy,
and like `kubectl apply` with strict validation it refuses any other field.
"""

from __future__ import annotations

from typing import Any

API_VERSION = "locust.io/v1"
STRING = {"type": "string"}


def record(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


STRINGS = {"type": "object", "additionalProperties": STRING}
QUANTITIES = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}
ROLE = record(labels=STRINGS, annotations=STRINGS, resources=record(requests=QUANTITIES, limits=QUANTITIES))
NAMED = record(("name",), name=STRING)
LOCUSTFILE = {
    "oneOf": [
        record(("content",), content=STRING),
        record(("configMap",), configMap=record(("name",), name=STRING, key=STRING)),
    ]
}

SPEC = record(
    ("workers",),
    image=STRING,
    imagePullPolicy={"enum": ["IfNotPresent", "Always", "Never"]},
    imagePullSecrets={"type": "array", "items": NAMED},
    workers={"type": "integer", "minimum": 1},
    args=STRING,
    env={"type": "array", "items": record(("name",), name=STRING, value=STRING)},
    labels=STRINGS,
    annotations=STRINGS,
    locustfile=LOCUSTFILE,
    master=ROLE,
    worker=ROLE,
)
SCHEMA = record(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": API_VERSION},
    kind={"const": "LocustTest"},
    metadata=record(("name",), name=STRING, namespace=STRING, labels=STRINGS, annotations=STRINGS),
    spec=SPEC,
)
