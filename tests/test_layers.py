"""Imports go downward only: what each part may know of the others."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "triton_users"

#: Part -> top-level packages and parts of ours that it must never import.
FORBIDDEN = {
    "transport": {"locust", "tritonclient", "numpy", "triton_users"},
    "ledger": {"locust", "gevent", "tritonclient", "numpy", "triton_users"},
    "system": {"locust", "gevent", "tritonclient", "numpy", "triton_users"},
    "image_model": {"locust", "gevent", "tritonclient", "triton_users"},
    "locust_compat": {"tritonclient", "numpy", "triton_users"},
    "witness": {"locust", "triton_users"},
    "declaration": {"locust", "gevent", "tritonclient", "numpy", "triton_users"},
    "settings": {"locust", "gevent", "tritonclient", "numpy"}
    | {f"triton_users.{part.stem}" for part in PACKAGE.iterdir() if part.stem != "declaration"},
    "client": {f"triton_users.{part}" for part in ("scenarios", "users", "stress", "plugin", "run", "judge", "report")},
    "scenarios": {"locust"} | {f"triton_users.{part}" for part in ("users", "stress", "plugin", "events", "run")},
    "server": {"locust", "tritonclient"} | {f"triton_users.{part}" for part in ("scenarios", "users", "plugin", "run")},
    "inputs": {"locust", "gevent"}
    | {f"triton_users.{part}" for part in ("client", "scenarios", "users", "stress", "plugin", "run", "report")},
    "capacity": {"locust", "gevent", "tritonclient"}
    | {f"triton_users.{part}" for part in ("run", "report", "plugin", "scenarios", "client")},
    "judge": {"locust", "gevent", "tritonclient"} | {f"triton_users.{part}" for part in ("run", "report", "plugin")},
    "report": {"locust", "gevent", "tritonclient"} | {f"triton_users.{part}" for part in ("users", "plugin", "run")},
    "exports": {"locust", "tritonclient"} | {f"triton_users.{part}" for part in ("users", "plugin", "run", "web")},
    "compare": {"locust", "gevent"} | {f"triton_users.{part}" for part in ("users", "stress", "plugin", "web")},
    "users": {"triton_users.scenarios", "triton_users.plugin", "triton_users.stress", "triton_users.run"},
    "run": {"triton_users.plugin", "triton_users.web", "triton_users.replay"},
    "replay": {"locust"} | {f"triton_users.{part}" for part in ("plugin", "web", "stress", "events")},
}


def modules_of(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


def imports_of(module: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("part", sorted(FORBIDDEN))
def test_a_part_imports_nothing_that_stands_above_it(part: str) -> None:
    own = f"triton_users.{part}"
    modules = modules_of(part)
    assert modules
    for module in modules:
        for name in imports_of(module):
            if name == own or name.startswith(f"{own}."):
                continue
            above = [bad for bad in FORBIDDEN[part] if name == bad or name.startswith(f"{bad}.")]
            assert not above, f"{module.relative_to(PACKAGE.parent)} imports {name}"


def test_only_the_client_touches_private_attributes_of_tritonclient() -> None:
    for module in PACKAGE.rglob("*.py"):
        if module.name != "client.py":
            text = module.read_text()
            assert "_client_stub" not in text, module
            assert "._stream " not in text or "tritonclient" not in text, module
