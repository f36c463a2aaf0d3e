"""A pod as a manifest describes it, without Kubernetes: a host of its own, its user, its root and its volumes.

The container's processes are real ones of this machine, in a network namespace that is the pod's address and in a mount
namespace that has what the manifest gives: a root file system that is read-only where it says so, its volumes with the
owners that a kubelet gives them, the environment of the image and of the manifest, no capability and no way to get one.
The image itself is this machine's system and Python, read-only.

python -m tests.kubernetes.pods PLAN      becomes the container that the file PLAN describes
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SYSTEM = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr")
LIMIT_S = 20.0
"""How long any helper program may take."""

IMAGE_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TRITON_USERS_CACHE": "/opt/triton-users",
    "LOCUST_REPORT_DIR": "/reports",
}
IMAGE_FOLDER, IMAGE_CACHE, IMAGE_REPORTS = "/home/locust", "/opt/triton-users", "/reports"
"""What the image says of itself; test_image.py holds the Dockerfile to it."""


def code() -> list[str]:
    """Folders with Python and this project, which the image would have."""
    wanted = {ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parents[1]}
    wanted |= {Path(each) for each in sys.path if each and Path(each).is_dir()}
    outside = {each.resolve() for each in wanted if each.resolve().parts[1] not in SYSTEM}
    return sorted(str(each) for each in outside if not outside & set(each.parents))


class Volumes:
    """Where the contents of a pod's volumes are on this machine."""

    def __init__(
        self,
        folder: Path,
        config_maps: Sequence[Mapping[str, Any]] = (),
        secrets: Sequence[Mapping[str, Any]] = (),
        claims: Mapping[str, Path] | None = None,
    ) -> None:
        self._folder = folder
        self._config_maps = {each["metadata"]["name"]: dict(each["data"]) for each in config_maps}
        self.secrets = {each["metadata"]["name"]: contents(each) for each in secrets}
        self._claims = claims or {}

    def source(self, volume: Mapping[str, Any], group: int) -> str | None:
        """The folder that is mounted; None for an empty one in memory."""
        if "emptyDir" in volume:
            return None
        if claim := volume.get("persistentVolumeClaim"):
            folder = self._claims[claim["claimName"]]
            os.chown(folder, 0, group)
            folder.chmod(0o2775)
            return str(folder)
        folder = self._folder / volume["name"]
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        if secret := volume.get("secret"):
            files, mode = self.secrets.get(secret["secretName"]), secret.get("defaultMode", 0o644)
            if files is None and not secret.get("optional"):
                raise KeyError(f"there is no Secret {secret['secretName']}")
        else:
            files, mode = self._config_maps[volume["configMap"]["name"]], 0o644
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
            os.chown(folder / name, 0, group)
            (folder / name).chmod(mode)
        return str(folder)


def contents(secret: Mapping[str, Any]) -> dict[str, str]:
    encoded = {name: base64.b64decode(each).decode() for name, each in secret.get("data", {}).items()}
    return {**encoded, **secret.get("stringData", {})}


class Container:
    """The first container of a pod, which runs until `stop` or its own end."""

    def __init__(
        self,
        folder: Path,
        pod: Mapping[str, Any],
        *,
        within: Sequence[str],
        hosts: Mapping[str, str],
        volumes: Volumes,
        entrypoint: Sequence[str],
        cache: Path,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """`hosts`: what names resolve to; `environment` and `arguments`: on top of the manifest's."""
        folder.mkdir(parents=True)
        self._within = within
        self.grace_s: float = pod["spec"].get("terminationGracePeriodSeconds", 30)
        (self.manifest,) = pod["spec"]["containers"]
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in hosts.items()))
        (folder / "root").mkdir()
        plan = folder / "plan.json"
        user = pod["spec"].get("securityContext", {})
        own = self.manifest.get("securityContext", {})
        group = user.get("fsGroup", 0)
        by_name = {each["name"]: each for each in pod["spec"].get("volumes", ())}
        plan.write_text(
            json.dumps({
                "root": str(folder / "root"),
                "read_only": own.get("readOnlyRootFilesystem", False),
                "hosts": str(folder / "hosts"),
                "code": code(),
                "cache": str(cache),
                "user": [user["runAsUser"], user["runAsGroup"], group],
                "volumes": [
                    {
                        "at": mount["mountPath"],
                        "source": volumes.source(by_name[mount["name"]], group),
                        "read_only": mount.get("readOnly", False),
                    }
                    for mount in self.manifest.get("volumeMounts", ())
                ],
                "command": [*self.manifest.get("command", entrypoint), *self.manifest.get("args", ()), *arguments],
                "environment": {
                    **IMAGE_ENVIRONMENT,
                    "PATH": os.defpath,
                    "PYTHONPATH": str(ROOT),
                    **self._from_secrets(volumes),
                    **{each["name"]: each["value"] for each in self.manifest.get("env", ())},
                    **(environment or {}),
                },
            })
        )  # fmt: skip
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "tests.kubernetes.pods", str(plan)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # a container has a share of the processor of its own
            )  # fmt: skip

    def _from_secrets(self, volumes: Volumes) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in self.manifest.get("envFrom", ()):
            found |= volumes.secrets.get(each["secretRef"]["name"], {})
        return {name: value for name, value in found.items() if name.replace("_", "").isalnum()}

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def probed(self) -> bool:
        """What its readiness probe, a command, says; it sees what the container sees of the network."""
        command = self.manifest["readinessProbe"]["exec"]["command"]
        return subprocess.run([*self._within, *command], timeout=LIMIT_S, stdin=subprocess.DEVNULL).returncode == 0

    def wait(self, limit_s: float) -> int:
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it is still running after {limit_s:g} s\n{self.log()}") from None

    def stop(self) -> int:
        """What a kubelet does: SIGTERM, and its grace period until it kills."""
        self.process.terminate()
        return self.wait(self.grace_s)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def container(*arguments: Any, **keywords: Any) -> Iterator[Container]:
    """One that is ended on the way out."""
    running = Container(*arguments, **keywords)
    try:
        yield running
    finally:
        running.end()


def become(plan: Mapping[str, Any]) -> None:
    """This process becomes the container; it is root, in a mount namespace that nobody else is in."""
    root = Path(plan["root"])
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "tmpfs", str(root))
    for name in SYSTEM:
        source = Path("/", name)
        if source.is_symlink():
            (root / name).symlink_to(os.readlink(source))
        elif source.is_dir():
            bind(source, root / name, read_only=True)
    for name in ("dev", "proc"):
        (root / name).mkdir()
        mount("--rbind", f"/{name}", str(root / name))
    mount("--bind", plan["hosts"], str(root / "etc/hosts"))
    for volume in plan["volumes"]:
        at = root / volume["at"].lstrip("/")
        if volume["source"] is None:
            at.mkdir(parents=True)
            mount("-t", "tmpfs", "-o", f"mode=2777,gid={plan['user'][2]}", "tmpfs", str(at))
        else:
            bind(Path(volume["source"]), at, read_only=volume["read_only"])
    for folder in plan["code"]:
        bind(Path(folder), root / folder.lstrip("/"), read_only=True)
    bind(Path(plan["cache"]), root / IMAGE_CACHE.lstrip("/"), read_only=True)
    temporary = root / "tmp"
    if not temporary.is_mount():
        temporary.mkdir(exist_ok=True)
        temporary.chmod(0o1777)
    for folder in (IMAGE_FOLDER, IMAGE_REPORTS):
        own = root / folder.lstrip("/")
        own.mkdir(parents=True, exist_ok=True)
        if not own.is_mount():
            os.chown(own, *plan["user"][:2])
    if plan["read_only"]:
        mount("-o", "remount,bind,ro", str(root))
    os.chroot(root)
    os.chdir(IMAGE_FOLDER)
    user, group, files = plan["user"]
    as_user = ["setpriv", f"--reuid={user}", f"--regid={group}", f"--groups={group},{files}"]
    nothing_more = ["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    os.execvpe(
        "setpriv", [*as_user, *nothing_more, "--", *plan["command"]], {**plan["environment"], "HOME": IMAGE_FOLDER}
    )


def bind(source: Path, at: Path, *, read_only: bool) -> None:
    at.mkdir(parents=True, exist_ok=True)
    mount("--bind", str(source), str(at))
    if read_only:
        mount("-o", "remount,bind,ro", str(at))


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=LIMIT_S)


if __name__ == "__main__":
    become(json.loads(Path(sys.argv[1]).read_text()))
