"""The manifests' own commands, as their user, in their read-only file systems, each pod on a host of its own.

What `kubectl apply -k` gives is started here without Kubernetes: see pods.py. Names, ports, options and volumes are
those of the files; only how long a run takes and how much it does comes from outside, as environment variables.
"""

from __future__ import annotations

import copy
import json
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.commands import until as wait_until
from tests.cluster.hosts import Hosts, Program, why_not
from tests.kubernetes.manifests import ROOT, only, pod
from tests.kubernetes.pods import Container, Volumes, container
from triton_users.server.cache import cache_folder

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(400),  # a busy machine
]

JOB, WORKERS = only("Job", "master.yaml"), only("Deployment", "workers.yaml")
CONFIG, SECRET = only("ConfigMap", "config.yaml"), only("Secret", "secret.yaml")
TEST = only("LocustTest", "locusttest.yaml")
TRITON, METRICS = "8001", "8002"
"""The server's ports in config.yaml."""
WORKER_HOSTS = ("worker-1", "worker-2")
LIMIT_S = 100.0
"""How long anything may take: four Python programs start on a machine that others use."""
LIGHT = {"LOCUST_SCENARIOS": "SequenceValid", "LOCUST_SEED": "7", "LOCUST_USERS": "2"}
SHORT = {**LIGHT, "LOCUST_RUN_TIME": "6s"}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    names = ["server", "master", "worker-1", "worker-2"]
    with Hosts(names, serves=[TRITON, METRICS, "custom_sequence_int32"]) as ready:
        yield ready


Start = Callable[..., Container]


@pytest.fixture
def start(hosts: Hosts, tmp_path: Path) -> Iterator[Start]:
    """Start the container of a pod on a host, with what the manifests give it."""
    reports = tmp_path / "reports"
    reports.mkdir()
    names = {
        "triton": hosts.addresses["server"],
        "triton-users-master": hosts.addresses["master"],
    }
    with ExitStack() as stack:

        def start(
            host: str,
            template: dict[str, Any],
            config_map: dict[str, Any] = CONFIG,
            secrets: tuple[Any, ...] = (),
            **keywords: Any,
        ) -> Container:
            number = sum(1 for _ in tmp_path.iterdir())
            volumes = Volumes(tmp_path / f"volumes-{number}", [config_map], secrets, {"triton-users-reports": reports})
            made = container(
                tmp_path / f"{host}-{number}", template, within=hosts.within(host), hosts=names, volumes=volumes,
                entrypoint=ENTRYPOINT, cache=cache_folder(), **keywords,
            )  # fmt: skip
            return stack.enter_context(made)

        yield start


ENTRYPOINT = [sys.executable, "-m", "triton_users"]
"""The image's, `triton-users`, with this machine's Python."""


class Seen:
    """A master from another host: its ports, its metrics, its web UI."""

    def __init__(self, hosts: Hosts) -> None:
        self._program = Program(*hosts.within("server"), sys.executable, "-m", "tests.kubernetes.prober")
        self.address = hosts.addresses["master"]

    def listens(self) -> bool:
        """What the master's readiness probe says."""
        (box,) = pod(JOB)["spec"]["containers"]
        ports = {each["name"]: each["containerPort"] for each in box["ports"]}
        found: bool = self._ask(f"{self.address}:{ports[box['readinessProbe']['tcpSocket']['port']]}")
        return found

    def users(self) -> int:
        """As Prometheus scrapes them, which finds the master's pod by its annotations."""
        how = pod(JOB)["metadata"]["annotations"]
        text = self.page(f"{how['prometheus.io/port']}{how['prometheus.io/path']}") or ""
        found = re.search(r"^triton_users_users (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def page(self, port_and_path: str) -> str | None:
        found: str | None = self._ask(f"http://{self.address}:{port_and_path}")
        return found

    def _ask(self, question: str) -> Any:
        return json.loads(self._program.ask(question))

    def close(self) -> None:
        self._program.close()


@pytest.fixture
def seen(hosts: Hosts) -> Iterator[Seen]:
    made = Seen(hosts)
    yield made
    made.close()


def until(what: str, true: Callable[[], object], containers: list[Container]) -> None:
    try:
        wait_until(what, true, LIMIT_S, every_s=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{everything(containers)}") from None


def workers(start: Start, **keywords: Any) -> list[Container]:
    assert WORKERS["spec"]["replicas"] == 2
    return [start(host, pod(WORKERS), **keywords) for host in WORKER_HOSTS]


def report(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("reports/*/report.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def everything(containers: list[Container]) -> str:
    return "\n".join(each.log()[-4000:] for each in containers)


def with_command(template: dict[str, Any], *command: str) -> dict[str, Any]:
    changed = copy.deepcopy(template)
    changed["spec"]["containers"][0] |= {"command": list(command), "args": []}
    return changed


def test_a_container_of_these_tests_is_held_as_tightly_as_its_manifest_says(start: Start, tmp_path: Path) -> None:
    asks = "id -u; id -G; grep -hE 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status; touch /tmp/a /reports/a && echo written"
    box = start("master", with_command(pod(JOB), "sh", "-c", f"{asks}; touch /a /home/locust/a /opt/triton-users/a"))
    assert box.wait(20) == 1
    user, groups, effective, bounding, no_more, written, *refused = box.log().splitlines()
    assert (user, groups, written) == ("10001", "10001", "written")
    assert {int(each.split()[1], 16) for each in (effective, bounding)} == {0}, "a capability is left"
    assert no_more.split() == ["NoNewPrivs:", "1"]
    assert len(refused) == 3, refused
    assert all("Read-only file system" in each for each in refused), refused


def test_a_run_passes_and_its_report_is_in_the_volume(start: Start, seen: Seen, tmp_path: Path) -> None:
    """With the secret, whose header master and workers send and nobody shows."""
    config = copy.deepcopy(CONFIG)
    config["data"]["locust.conf"] = uncommented(config["data"]["locust.conf"], "grpc-header")
    made = {"secrets": (SECRET,), "config_map": config}
    early = workers(start, **made)
    assert not any(each.probed() for each in early), "there is no master yet"
    assert not seen.listens()
    environment = {**SHORT, "LOCUST_SCENARIOS": "SequenceValid,PerfAnalyzer", "LOCUST_RUN_TIME": "12s"}
    master = start("master", pod(JOB), environment=environment, **made)
    every = [master, *early]
    until("the master listens", seen.listens, every)
    until("the workers are connected to it", lambda: all(each.probed() for each in early), every)
    until("there is load", lambda: seen.users() == 2, every)
    assert master.wait(LIMIT_S) == 0, everything(every)
    assert [each.wait(LIMIT_S) for each in early] == [0, 0], everything(early)

    found = report(tmp_path)
    assert found["verdict"]["passed"], found["verdict"]
    assert sorted(each["state"] for each in found["workers"]) == ["finished"] * 2
    assert "PerfAnalyzer is left out" not in master.log(), "the image's own runs from a read-only folder"
    files = {each.name: each.stat() for each in tmp_path.glob("reports/*/*")}
    assert {"report.html", "report.json", "report.txt", "junit.xml"} <= set(files)
    assert all((each.st_uid, stat.S_IMODE(each.st_mode) & 0o444) == (10001, 0o444) for each in files.values())
    assert "Triton stress report: PASSED" in master.log(), "`kubectl logs` has the report too"
    shown = everything(every) + "".join(each.read_text() for each in tmp_path.glob("reports/*/*"))
    assert "authorization" in shown
    assert SECRET["stringData"]["TOKEN"] not in shown


def uncommented(text: str, option: str) -> str:
    assert f"# {option} = " in text
    return text.replace(f"# {option} = ", f"{option} = ")


def test_a_master_whose_pod_is_deleted_leaves_its_report(start: Start, seen: Seen, tmp_path: Path) -> None:
    waiting = workers(start)
    master = start("master", pod(JOB), environment=LIGHT)  # for the ten minutes of config.yaml
    until("there is load", seen.users, [master, *waiting])
    assert master.stop() == 1, "a run that was ended before its run time has not passed"
    assert report(tmp_path)["verdict"]["reasons"]
    assert [each.wait(LIMIT_S) for each in waiting] == [0, 0], everything(waiting)


def test_a_worker_whose_pod_is_deleted_leaves_its_counts(start: Start, seen: Seen, tmp_path: Path) -> None:
    """And a verdict that is not passed fails the Job."""
    first, second = workers(start)
    fails = {**LIGHT, "LOCUST_RUN_TIME": "12s", "LOCUST_THRESHOLDS": "p50_ms<0.001"}
    master = start("master", pod(JOB), environment=fails)
    until("there is load", seen.users, [master, first, second])
    assert first.stop() == 0, first.log()
    assert master.wait(LIMIT_S) == 1, master.log()
    found = report(tmp_path)
    assert "lost" not in {each["state"] for each in found["workers"]}, found["workers"]


def test_a_master_without_workers_gives_up(start: Start) -> None:
    master = start("master", pod(JOB), environment={**SHORT, "LOCUST_EXPECT_WORKERS_MAX_WAIT": "1"})
    assert master.wait(LIMIT_S) == 1, master.log()
    assert "Gave up waiting for workers" in master.log()


def test_an_option_that_does_not_exist_ends_the_master_at_once(start: Start) -> None:
    config = copy.deepcopy(CONFIG)
    config["data"]["locust.conf"] += "\ntresholds = p99_ms<50\n"
    master = start("master", pod(JOB), config_map=config, environment=SHORT)
    assert master.wait(LIMIT_S) == 2, master.log()
    assert "tresholds" in master.log()


def operated(role: list[str]) -> dict[str, Any]:
    """The pod that the operator makes of locusttest.yaml: its arguments after those of the role, no user, no volume."""
    spec = TEST["spec"]
    box = {"name": "locust", "image": spec["image"], "args": [*role, *shlex.split(spec["args"])], "env": spec["env"]}
    return {"spec": {"containers": [box], "securityContext": {"runAsUser": 10001, "runAsGroup": 10001}}}


def test_the_operator_s_run_ends_and_its_web_ui_gives_the_report(start: Start, seen: Seen) -> None:
    running = [start(host, operated(["--worker", "--master-host", "triton-users-master"])) for host in WORKER_HOSTS]
    shorter = ["--run-time", "6s", "--scenarios", "SequenceValid", "--users", "2"]
    running += [start("master", operated(["--master"]), arguments=shorter)]

    def state() -> str:
        return str(json.loads(seen.page("8089/stats/requests") or "{}").get("state"))

    until("the run has ended", lambda: state() == "stopped", running)
    page = (ROOT / "docs/kubernetes.md").read_text()
    forms = {path: seen.page(f"8089{path}") for path in re.findall(r"curl -O http://localhost:8089(\S+)", page)}
    assert len(forms) == 2
    assert all(forms.values()), forms.keys()
    found = json.loads(seen.page("8089/triton/report/report.json") or "{}")
    assert found["verdict"]["passed"], found["verdict"]
    assert len(found["workers"]) == 2
    assert all(each.process.poll() is None for each in running), everything(running)
