"""The Dockerfile without Docker: each of its commands in a Debian of its own, what it makes, and that this runs.

Needs root, debootstrap, overlayfs and a network. Debian 12 with Debian's own Python 3.11 stands in for the base image
with its 3.12; each stage is an overlay on the one before it, so a stage's size is what it adds. At the end the image
runs as its user, without capabilities and with a read-only root: it tests the embedded Triton of this machine, and the
stage `embedded` writes a model repository.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import procs
from bench.dockerfile import ROOT, Stage, ignored, stages
from triton_users.server import EmbeddedTriton

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,python3-pip,libpython3.11"
#: How long one command may take, in seconds: installing fetches half a gigabyte.
LIMIT_S = 1800.0
#: What pip needs to know of this machine's network.
PASSED_ON = ("PIP_", "SSL_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, help="where the roots are made and kept (default: one that is removed)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    if missing := [each for each in ("debootstrap", "unshare", "setpriv", "mount") if shutil.which(each) is None]:
        raise procs.BenchError(f"`image` needs {', '.join(missing)}; on Debian: apt-get install debootstrap util-linux")
    if os.geteuid() != 0:
        raise procs.BenchError("`image` needs root, for debootstrap and mounts")
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="image-")))
        image = Image(folder, stack)
        rows = [{"stage": stage.name or "the image", "added_mb": image.build(stage)} for stage in stages()]
        for row in rows:
            print(f"{row['stage']:<12}{row['added_mb']:>8.0f} MB")
        image.try_it()
    return rows


class Image:
    """The stages as they are built: each has its own layer, its variables and its folder."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._layers: dict[str, list[Path]] = {}
        self._variables: dict[str, dict[str, str]] = {}
        self._workdir: dict[str, str] = {}
        self._roots: dict[str, Path] = {}

    def build(self, stage: Stage) -> float:
        """Do what the stage says; megabytes that it adds."""
        if stage.image not in self._layers:
            self._layers[stage.image] = [self._debian(stage.image)]
            self._variables[stage.image] = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
            self._workdir[stage.image] = "/"
        name = stage.name or "image"
        upper, work, root = (self._folder / f"{name}-{kind}" for kind in ("layer", "work", "root"))
        for each in (upper, work, root):
            each.mkdir()
        below = self._layers[stage.image]
        overlay = f"lowerdir={':'.join(map(str, below))},upperdir={upper},workdir={work}"
        self._layers[name], self._roots[name] = [upper, *below], root
        self._variables[name] = dict(self._variables[stage.image])
        self._workdir[name] = self._workdir[stage.image]
        command("mount", "-t", "overlay", "-o", overlay, "overlay", str(root))
        try:
            for instruction, arguments in stage.steps:
                self._step(name, root, instruction, arguments)
        finally:
            command("umount", str(root))
        # From now on it is read-only, as an image's layers are: stages that follow may lie on it.
        command("mount", "-t", "overlay", "-o", f"lowerdir={':'.join(map(str, [upper, *below]))}", "overlay", str(root))
        self._stack.callback(command, "umount", str(root))
        return sum(path.lstat().st_size for path in upper.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6

    def _step(self, name: str, root: Path, instruction: str, arguments: str) -> None:
        if instruction == "ENV":
            for each in shlex.split(arguments):
                variable, value = each.split("=", 1)
                self._variables[name][variable] = value.replace("$PATH", self._variables[name]["PATH"])
        elif instruction == "WORKDIR":
            self._workdir[name] = arguments
            inside(root, arguments).mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            *sources, target = arguments.split()
            to = inside(root, os.path.join(self._workdir[name], target))
            if sources[0].startswith("--from="):
                other = self._roots[sources[0].removeprefix("--from=")]
                shutil.copytree(inside(other, sources[1]), to, symlinks=True, dirs_exist_ok=True)
            else:
                for source in sources:
                    copy_from_checkout(source, to / source if target in (".", "./") else to)
        elif instruction == "RUN":
            print(f"RUN {arguments}", flush=True)
            passed_on = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
            self._enter(name, ["/bin/sh", "-c", arguments], {**passed_on, "HOME": "/root"}, NETWORK)

    def try_it(self) -> None:
        """Both images, as their user on a read-only root."""
        with EmbeddedTriton(models=["custom_sequence_int32"]) as triton, tempfile.TemporaryDirectory() as reports:
            os.chown(reports, 10001, 10001)
            address = ["-H", f"grpc://{triton.grpc_url}", "--metrics-url", triton.metrics_url]
            how = ["--headless", "-u", "2", "-t", "30s", "--scenarios", "SequenceValid,PerfAnalyzer"]
            self._as_user("image", ["triton-users", *address, *how], {"/reports": reports})
            (found,) = Path(reports).glob("*/report.html")
            print(f"the image tested a Triton; {found.name} has {found.stat().st_size:,} bytes")
        with tempfile.TemporaryDirectory() as repository:
            os.chown(repository, 10001, 10001)
            models = ["python", "-m", "triton_users.server", "models", "/repository/models"]
            self._as_user("embedded", models, {"/repository": repository})

    def _as_user(self, name: str, what: list[str], volumes: Mapping[str, str]) -> None:
        locked = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--bounding-set=-all"]
        locked += ["--inh-caps=-all", "--no-new-privs", "--", *what]
        self._enter(name, locked, {"HOME": "/home/locust"}, ("/etc/hosts",), volumes)

    def _enter(
        self,
        name: str,
        what: list[str],
        environment: Mapping[str, str],
        files: tuple[str, ...],
        volumes: Mapping[str, str] | None = None,
    ) -> None:
        """Run it in the stage's root, in a mount namespace that ends with it."""
        root = self._roots[name]
        steps = []
        for each in files:
            if Path(each).exists():
                target = inside(root, each)
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.mkdir() if Path(each).is_dir() else target.touch()
                steps.append(["mount", "--bind", os.path.realpath(each), str(target)])
        steps += [["mount", "--bind", source, str(inside(root, at))] for at, source in (volumes or {}).items()]
        steps += [["mount", "--rbind", f"/{each}", str(root / each)] for each in ("proc", "dev")]
        steps.append(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(root / "tmp")])
        script = " && ".join(map(shlex.join, steps))
        there = ["env", "-i", f"--chdir={self._workdir[name]}"]
        there += [f"{key}={value}" for key, value in {**self._variables[name], **environment}.items()]
        script += f" && exec chroot {shlex.quote(str(root))} {shlex.join([*there, *what])}"
        command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)

    def _debian(self, image: str) -> Path:
        """A Debian with a Python, in place of the official image of that name."""
        root = self._folder / "debian"
        if not root.exists():
            print(f"{image}: a Debian {SUITE} with {PACKAGES} stands in for it", flush=True)
            command("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root))
            (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        return root


def copy_from_checkout(source: str, to: Path) -> None:
    for path in files_of(ROOT / source):
        relative = path.relative_to(ROOT)
        if not ignored(str(relative)):
            target = to / relative.relative_to(source) if relative != Path(source) else to
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def files_of(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (each for each in sorted(path.rglob("*")) if each.is_file())


def inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def command(*words: str) -> None:
    subprocess.run(words, check=True, timeout=LIMIT_S)
