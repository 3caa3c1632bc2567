"""What `make kind-up`, `kind-demo` and `kind-down` do, with programs that take notes instead of a cluster."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kind.shell import Shell
from tests.support.chart import CHART, container, rendered
from tests.support.processes import ROOT

CLUSTER = ".kind/cluster.sh"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
IMAGE = f"keyferry:{VERSION}"
THERE = {"get clusters": "echo other; echo keyferry"}


def values(call: str) -> dict[str, Any]:
    """The values that a call of Helm sets."""
    words = shlex.split(call)
    found: dict[str, Any] = {}
    for flag, setting in itertools.pairwise(words):
        if flag in {"--set", "--set-string"}:
            path, value = setting.split("=", 1)
            *parents, last = path.split(".")
            inner = found
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[last] = value
    return found


@pytest.mark.parametrize("program", ["docker", "kind", "kubectl", "helm"])
def test_a_program_that_is_missing_is_named_before_anything_is_done(shell: Shell, program: str) -> None:
    shell.without(program)
    done = shell.run(CLUSTER, "demo")
    assert done.returncode == 2
    assert re.fullmatch(rf"{program} is needed and is not installed: https://\S+\n", done.stderr)
    assert not shell.calls


def test_a_docker_that_does_not_run_is_told_before_anything_is_done(shell: Shell) -> None:
    shell.program("docker", {"info": "exit 1"})
    done = shell.run(CLUSTER, "up")
    assert done.returncode == 2
    assert "no Docker daemon answers" in done.stderr
    assert shell.calls == ["docker info"]


def test_a_command_that_is_unknown_does_nothing(shell: Shell) -> None:
    done = shell.run(CLUSTER, "upp")
    assert (done.returncode, shell.calls) == (2, [])
    assert "up|demo|down" in done.stderr


def test_up_makes_a_cluster_with_a_kubeconfig_of_its_own(shell: Shell) -> None:
    done = shell.run(CLUSTER, "up")
    kubeconfig = f"{shell.checkout}/.demo/kind-keyferry.kubeconfig"
    assert done.returncode == 0, done.stderr
    assert shell.called("kind create") == [
        f"kind create cluster --name keyferry --config kind-config.yaml --kubeconfig {kubeconfig} --wait 180s"
    ]
    assert shell.kubeconfigs == {kubeconfig}
    assert f"export KUBECONFIG={kubeconfig}" in done.stdout


def test_up_leaves_a_cluster_that_is_there_as_it_is(shell: Shell) -> None:
    shell.program("kind", THERE)
    assert shell.run(CLUSTER, "up").returncode == 0
    assert not shell.called("kind create", "kind delete")
    assert len(shell.called("kind export kubeconfig --name keyferry")) == 1


def test_a_cluster_whose_name_only_begins_alike_is_another(shell: Shell) -> None:
    shell.program("kind", {"get clusters": "echo keyferry-2"})
    assert shell.run(CLUSTER, "up").returncode == 0
    assert shell.called("kind create")


def test_the_demo_takes_its_steps_in_order(shell: Shell) -> None:
    done = shell.run(CLUSTER, "demo")
    assert done.returncode == 0, done.stderr
    steps = [
        *("docker info", "kind get clusters", "kind create cluster", "docker buildx version", "docker buildx build"),
        *("kind load docker-image", "docker image inspect", "helm upgrade --install keyferry charts/keyferry"),
        *("kubectl wait --for=condition=Established", "kubectl apply --filename docs/examples/quickstart.yaml"),
        "kubectl wait --for=condition=Ready --timeout=60s --namespace default externalsecret/database",
        *("kubectl get secretstore,externalsecret,secret/database", "kubectl get secret/database"),
    ]
    calls = [call for call in shell.calls if not call.startswith("git ")]
    assert len(calls) == len(steps)
    for call, step in zip(calls, steps, strict=True):
        assert call.startswith(step)
    assert "  password\n" in done.stdout
    assert "make kind-down" in done.stdout


@pytest.mark.parametrize(
    ("given", "repository", "tag"),
    [
        ("", "keyferry", VERSION),
        ("localhost:5000/team-a/keyferry", "localhost:5000/team-a/keyferry", VERSION),
        ("registry.example.com/keyferry:dev", "registry.example.com/keyferry", "dev"),
    ],
)
def test_the_chart_is_installed_with_the_image_that_was_built(
    shell: Shell, given: str, repository: str, tag: str
) -> None:
    assert shell.run(CLUSTER, "demo", IMAGE=given).returncode == 0
    (build,) = shell.called("docker buildx build")
    assert f" --tag {repository}:{tag} " in build
    assert shell.called("kind load") == [f"kind load docker-image {repository}:{tag} --name keyferry"]
    (install,) = shell.called("helm")
    # The chart's own schema and templates have the last word on what is set.
    objects = rendered(values(install))
    assert container(objects)["image"] == f"{repository}:{tag}"
    assert container(objects)["imagePullPolicy"] == "Never"
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["metadata"]["annotations"]["image-id"] == "sha256:0123"


def test_what_is_applied_and_waited_for_is_what_the_quickstart_has() -> None:
    script = (ROOT / CLUSTER).read_text("utf-8")
    objects = list(yaml.safe_load_all((ROOT / "docs/examples/quickstart.yaml").read_text("utf-8")))
    names = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects}
    assert set(re.findall(r"\b((?:secretstore|externalsecret)/[a-z]+)", script)) == names
    assert {each["metadata"]["namespace"] for each in objects} == {"default"}


def test_the_demo_shows_keys_of_the_secret_and_no_value(shell: Shell) -> None:
    assert shell.run(CLUSTER, "demo").returncode == 0
    (call,) = [each for each in shell.calls if "go-template" in each]
    template = re.search(r"--output (go-template=.*)$", call)
    assert template is not None
    kubectl = str(Path(sys.executable).with_name("kubectl"))
    secret = ["create", "secret", "generic", "database", "--from-literal=user=c4n4ry", "--from-literal=pin=c4n4ry"]
    shown = subprocess.run(
        [kubectl, *secret, "--dry-run=client", "--output", template[1]], check=True, capture_output=True, text=True
    )
    assert shown.stdout == "  pin\n  user\n"
    tables = [each for each in shell.called("kubectl get") if each != call]
    assert tables
    assert not [each for each in tables if "--output" in each or " -o" in each]


def test_an_image_that_cannot_be_built_ends_the_demo(shell: Shell) -> None:
    shell.program("docker", {"buildx build": "exit 7"})
    assert shell.run(CLUSTER, "demo").returncode == 7
    assert not shell.called("kind load", "helm", "kubectl", "kind delete")


@pytest.mark.parametrize(
    ("program", "call", "step", "never"),
    [
        ("helm", "upgrade", "installing the chart", "kubectl apply"),
        ("kubectl", "Established", "waiting for the CRDs", "kubectl apply"),
        ("kubectl", "quickstart.yaml", "applying the quickstart", "kubectl wait --for=condition=Ready"),
        ("kubectl", "condition=Ready", "waiting for the ExternalSecret", "kubectl get secret/database"),
    ],
)
def test_a_step_that_fails_is_told_with_what_the_cluster_says(
    shell: Shell, program: str, call: str, step: str, never: str
) -> None:
    # What is asked of the cluster afterwards fails as well where nothing was installed.
    shell.program(program, {call: "exit 1", "describe": "exit 1", "logs": "echo 'the log'"})
    done = shell.run(CLUSTER, "demo")
    assert done.returncode == 1
    assert f"This did not work: {step}." in done.stderr
    assert "The cluster is still there: export KUBECONFIG=" in done.stderr
    assert len(shell.called("kubectl get pods", "kubectl logs", "kubectl describe")) == 3
    assert not shell.called(never, "kind delete")
    assert "To look around" not in done.stdout


def test_down_removes_the_cluster_and_its_kubeconfig(shell: Shell) -> None:
    shell.program("kind", THERE)
    kubeconfig = shell.checkout / ".demo" / "kind-keyferry.kubeconfig"
    kubeconfig.parent.mkdir()
    kubeconfig.touch()
    assert shell.run(CLUSTER, "down").returncode == 0
    assert shell.called("kind delete") == [f"kind delete cluster --name keyferry --kubeconfig {kubeconfig}"]
    assert not kubeconfig.exists()


def test_down_without_a_cluster_is_no_failure(shell: Shell) -> None:
    done = shell.run(CLUSTER, "down", CLUSTER="mine")
    assert (done.returncode, done.stdout) == (0, "There is no cluster mine\n")
    assert not shell.called("kind delete")


def test_the_nodes_are_pinned_and_new_enough_for_the_chart() -> None:
    config = yaml.safe_load((ROOT / "kind-config.yaml").read_text("utf-8"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    oldest = re.search(r">=1\.(\d+)", chart["kubeVersion"])
    assert oldest is not None
    assert {node["role"] for node in config["nodes"]} == {"control-plane", "worker"}
    for node in config["nodes"]:
        image = re.fullmatch(r"kindest/node:v1\.(\d+)\.\d+@sha256:[0-9a-f]{64}", node["image"])
        assert image is not None
        assert int(image[1]) >= int(oldest[1])
