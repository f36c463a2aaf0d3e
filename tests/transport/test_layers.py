"""The table of layers in docs/transport.md is true: each module stands in it once, and imports go down it only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "triton_users" / "transport"
PREFIX = "triton_users.transport."


def layers() -> list[str]:
    """The modules of the documented table, from the top one to the one that imports nothing."""
    section = (ROOT / "docs" / "transport.md").read_text().partition("## The layers")[2].partition("\n## ")[0]
    rows = [line.split("|")[2] for line in section.splitlines() if line.startswith("|")][2:]
    modules = []
    for row in rows:
        folder = ""
        for name in re.findall(r"`([a-z0-9_/]+)`", row):
            folder = name[: name.rfind("/") + 1] or folder  # a folder holds for the rest of its row
            modules.append((folder + name[name.rfind("/") + 1 :]).replace("/", "."))
    return modules


def imports_of(module: str) -> set[str]:
    """The transport's modules that a module of it imports, also those for type checkers only."""
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix(PREFIX) for name in found if name.startswith(PREFIX)}
    return ours & set(layers())


def test_each_module_stands_in_the_table_once() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert sorted(layers()) == sorted(str(path.relative_to(PACKAGE))[:-3].replace("/", ".") for path in files)


@pytest.mark.parametrize("module", layers())
def test_imports_go_down_the_table(module: str) -> None:
    order = layers()
    above = {name for name in imports_of(module) if order.index(name) <= order.index(module)}
    assert not above, f"{module} imports {sorted(above)}, which stand above it"


def test_nobody_imports_the_package_from_inside_it() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path != PACKAGE / "__init__.py":
            assert "from triton_users.transport import" not in path.read_text(), path
