"""docs/kubernetes/ by the rules of Kubernetes: its schemas, its strictest security standard, what refers to what."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from locust.argument_parser import get_parser

from tests.kubernetes import locusttest
from tests.kubernetes.manifests import APPLIED, FOLDER, ROOT, Manifest, every, only, pod, read
from triton_users.locust_compat.interrupts import END_LIMIT_S
from triton_users.options import add_options

VERSIONS = ("1.25", "1.31", "1.37")
"""Kubernetes' schemas that the package has, from its oldest to its newest."""


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


OURS = [each for each in every() if each["kind"] != "LocustTest"]
PODS = [each for each in OURS if pod(each)]
RUNS = [only("Job", "master.yaml"), only("Deployment", "workers.yaml")]


def check(manifest: Manifest, version: str) -> None:
    if manifest["kind"] == "LocustTest":
        jsonschema.Draft202012Validator(locusttest.SCHEMA).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OURS, ids=named)
def test_each_manifest_is_valid(manifest: Manifest, version: str) -> None:
    check(manifest, version)


def test_the_locusttest_is_valid_by_the_operator_s_documentation() -> None:
    check(only("LocustTest", "locusttest.yaml"), "")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there are objects with fields that Kubernetes knows; labels, data and limits are the user's words."""
    free = {"labels", "annotations", "matchLabels", "data", "stringData", "requests", "limits", "selector"}
    if isinstance(value, dict):
        if path[-1:] not in {(name,) for name in free} or "matchLabels" in value:
            yield path
        for name, each in value.items():
            yield from places(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, (*path, number))


MISSPELT = [(manifest, path) for manifest in every() for path in places(manifest)]


@pytest.mark.parametrize(
    ("manifest", "path"), MISSPELT, ids=[f"{named(each)}-{'.'.join(map(str, path))}" for each, path in MISSPELT]
)
def test_a_misspelt_field_is_refused_wherever_it_stands(manifest: Manifest, path: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(manifest)
    place = changed
    for step in path:
        place = place[step]
    place["misspelt"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        check(changed, VERSIONS[-1])


@pytest.mark.parametrize("manifest", PODS, ids=named)
def test_each_pod_keeps_the_restricted_security_standard_and_cannot_write_its_root(manifest: Manifest) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, and a bit more."""
    spec = pod(manifest)["spec"]
    user = spec["securityContext"]
    assert user["runAsNonRoot"] is True
    assert user["runAsUser"] > 0
    assert user["runAsGroup"] > 0
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & set(spec)
    assert {kind for each in spec["volumes"] for kind in each} <= {
        "name", "configMap", "secret", "emptyDir", "persistentVolumeClaim"
    }  # fmt: skip
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in each for each in container.get("ports", ()))


@pytest.mark.parametrize("manifest", PODS, ids=named)
def test_each_container_says_what_it_needs_and_none_is_throttled(manifest: Manifest) -> None:
    for container in pod(manifest)["spec"]["containers"]:
        resources = container["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}
        assert set(resources["limits"]) == {"memory"}


@pytest.mark.parametrize("manifest", RUNS, ids=named)
def test_no_probe_can_kill_a_busy_process(manifest: Manifest) -> None:
    (container,) = pod(manifest)["spec"]["containers"]
    assert {name for name in container if name.endswith("Probe")} == {"readinessProbe"}


@pytest.mark.parametrize("manifest", RUNS, ids=named)
def test_a_deleted_pod_has_the_time_that_a_run_takes_to_end(manifest: Manifest) -> None:
    assert pod(manifest)["spec"]["terminationGracePeriodSeconds"] > END_LIMIT_S


@pytest.mark.parametrize("manifest", PODS, ids=named)
def test_what_a_pod_mounts_is_there(manifest: Manifest) -> None:
    spec = pod(manifest)["spec"]
    volumes = {each["name"]: each for each in spec["volumes"]}
    mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
    assert mounted == set(volumes)
    for volume in volumes.values():
        if config := volume.get("configMap"):
            assert config["name"] == only("ConfigMap", "config.yaml")["metadata"]["name"]
        if secret := volume.get("secret"):
            assert secret["secretName"] == only("Secret", "secret.yaml")["metadata"]["name"]
            assert secret["optional"] is True
        if claim := volume.get("persistentVolumeClaim"):
            assert claim["claimName"] == only("PersistentVolumeClaim", "master.yaml")["metadata"]["name"]


def test_the_service_leads_to_the_master_and_to_nobody_else() -> None:
    service, (job, workers) = only("Service", "master.yaml"), RUNS
    selector, labels = service["spec"]["selector"], [pod(each)["metadata"]["labels"] for each in (job, workers)]
    assert [selector.items() <= each.items() for each in labels] == [True, False]
    (master,) = pod(job)["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in master["ports"]}
    assert {each["targetPort"]: each["port"] for each in service["spec"]["ports"]} == ports
    (worker,) = pod(workers)["spec"]["containers"]
    assert worker["args"] == ["--worker", "--master-host", service["metadata"]["name"]]


def test_the_numbers_that_stand_in_two_files_are_the_same() -> None:
    config = only("ConfigMap", "config.yaml")["data"]["locust.conf"]
    options = dict(line.split(" = ") for line in config.splitlines() if " = " in line and not line.startswith("#"))
    workers = only("Deployment", "workers.yaml")
    assert int(options["expect-workers"]) == workers["spec"]["replicas"]
    job = pod(RUNS[0])
    ports = {each["name"]: str(each["containerPort"]) for each in job["spec"]["containers"][0]["ports"]}
    assert options["prometheus-port"] == ports["metrics"] == job["metadata"]["annotations"]["prometheus.io/port"]
    test = only("LocustTest", "locusttest.yaml")["spec"]
    assert f"--expect-workers {test['workers']} " in test["args"]
    assert f"--prometheus-port {test['master']['annotations']['prometheus.io/port']} " in test["args"]
    image = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["images"][0]
    assert test["image"] == f"{image['newName']}:{image['newTag']}"
    assert {each["resources"]["limits"]["memory"] for each in (test["worker"],)} == {
        pod(workers)["spec"]["containers"][0]["resources"]["limits"]["memory"]
    }


@pytest.mark.kubectl
@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is missing; on Debian: apt-get install kubernetes-client"
)
def test_kubectl_applies_all_manifests_with_the_image_s_name() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rendered = {named(each): each for each in yaml.safe_load_all(done.stdout)}
    wanted = {named(each): each for file in APPLIED for each in read(file)}
    image = "registry.example/triton-users:0.2.0"
    for manifest in wanted.values():
        if template := pod(manifest):
            template["spec"]["containers"][0]["image"] = image
    assert rendered == wanted


def test_the_page_names_every_file_and_every_command_stands_in_both() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for path in FOLDER.iterdir():
        assert f"kubernetes/{path.name}" in page, path.name
    report = (FOLDER / "report.yaml").read_text()
    for line in re.findall(r"^#     (kubectl .*)$", report, re.MULTILINE):
        assert line in page


def test_the_options_that_the_page_shows_are_options() -> None:
    """Each block of a configuration file in it, put into config.yaml's place, is understood."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    blocks = [block for block in page.split("\n\n") if re.match(r"    [a-z-]+ = ", block)]
    assert len(blocks) == 2
    parser = get_parser()
    add_options(parser)
    for block in [*blocks, only("ConfigMap", "config.yaml")["data"]["locust.conf"]]:
        parsed = parser.parse_args([], config_file_contents=textwrap.dedent(block), env_vars={})
        assert parsed.num_users in (8, 200)
