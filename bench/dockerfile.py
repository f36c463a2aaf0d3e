"""A Dockerfile and its .dockerignore as values: stages, their instructions, which files a build gets. Runs nothing."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass
class Stage:
    """One FROM and what follows, as (instruction, its arguments)."""

    image: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [arguments for name, arguments in self.steps if name == instruction]

    def variables(self) -> dict[str, str]:
        """Its own environment variables."""
        return dict(each.split("=", 1) for each in " ".join(self.all("ENV")).split())


def stages(file: Path = ROOT / "Dockerfile") -> list[Stage]:
    text = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#"))
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.replace("\\\n", " ").splitlines())):
        instruction, arguments = line.split(maxsplit=1)
        if instruction == "FROM":
            image, _, name = arguments.partition(" AS ")
            found.append(Stage(image, name))
        else:
            found[-1].steps.append((instruction, arguments))
    return found


def ignored(path: str, file: Path = ROOT / ".dockerignore") -> bool:
    """Whether a file of the checkout is kept from the build: the last line that matches it or a folder of it counts."""
    found = False
    parts = path.split("/")
    parents = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for line in file.read_text().splitlines():
        if line and not line.startswith("#"):
            anywhere = "**/" in line
            pattern = line.removeprefix("!").removeprefix("**/")
            if any(fnmatch.fnmatch(name, pattern) for name in (parts if anywhere else parents)):
                found = not line.startswith("!")
    return found
