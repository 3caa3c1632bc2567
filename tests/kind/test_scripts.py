"""Every shell script of the repository, linted; and those that build and pin the image."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kind.shell import FILES, SCRIPTS, Shell
from tests.support.processes import ROOT

BUILD = ".image/build.sh"
PIN = ".image/pin.sh"
COMMIT = "8f2c" * 10
DIGEST = "sha256:" + "ab" * 32


def scripts() -> list[str]:
    """Every shell script that is committed, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.sh", ".ci/run"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(listed.stdout.split())


def test_the_scripts_of_image_and_cluster_are_among_those_linted() -> None:
    assert {*SCRIPTS, ".ci/run"} <= set(scripts())


@pytest.mark.parametrize("name", scripts())
def test_shellcheck_finds_no_fault_with_a_script(name: str) -> None:
    shellcheck = str(Path(sys.executable).with_name("shellcheck"))
    done = subprocess.run([shellcheck, name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_plain_sh_and_ends_at_the_first_failure(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert text.startswith("#!/bin/sh\n# ")
    assert "\nset -eu\n" in text


@pytest.mark.parametrize(("command", "goal"), [("up", "kind-up"), ("demo", "kind-demo"), ("down", "kind-down")])
def test_make_runs_the_script_for_the_cluster(command: str, goal: str) -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", goal], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert told == f"sh .kind/cluster.sh {command}\n"


def test_the_image_is_built_with_the_commit_and_its_time(shell: Shell) -> None:
    shell.program("git", {"rev-parse": f"echo {COMMIT}", "log": "echo 1700000000"})
    done = shell.run(BUILD, SOURCE="https://git.example.com/keyferry")
    assert done.returncode == 0, done.stderr
    (build,) = shell.called("docker buildx build")
    arguments = dict(re.findall(r"--build-arg (\w+)=(\S+)", build))
    assert arguments.pop("VERSION") in done.stdout
    assert arguments == {
        "REVISION": COMMIT,
        "SOURCE_DATE_EPOCH": "1700000000",
        "SOURCE": "https://git.example.com/keyferry",
    }


def test_a_build_from_changed_files_says_so(shell: Shell) -> None:
    shell.program("git", {"rev-parse": f"echo {COMMIT}", "status": "echo ' M Dockerfile'", "log": "echo 1700000000"})
    assert shell.run(BUILD).returncode == 0
    assert f"REVISION={COMMIT}-dirty " in shell.called("docker buildx build")[0]


def test_a_build_outside_of_git_leaves_the_revision_to_the_dockerfile(shell: Shell) -> None:
    assert shell.run(BUILD).returncode == 0
    (build,) = shell.called("docker buildx build")
    assert re.findall(r"--build-arg (\w+)=", build) == ["VERSION"]


def test_a_mirror_is_used_for_the_base_and_for_packages(shell: Shell) -> None:
    shell.run(BUILD, BASE="mirror.example.com/python@sha256:1", PIP_CONFIG_FILE="/tmp/pip.conf")
    (build,) = shell.called("docker buildx build")
    assert "--build-arg BASE=mirror.example.com/python@sha256:1 " in build
    assert "--secret id=pip,src=/tmp/pip.conf " in build


@pytest.mark.parametrize("script", [BUILD, PIN])
def test_without_docker_nothing_is_built_or_pinned(shell: Shell, script: str) -> None:
    shell.without("docker")
    done = shell.run(script)
    assert done.returncode == 2
    assert done.stderr.startswith("docker is needed ")


def test_without_buildx_nothing_is_built(shell: Shell) -> None:
    shell.program("docker", {"buildx version": "exit 1"})
    done = shell.run(BUILD)
    assert done.returncode == 2
    assert "docker buildx is needed" in done.stderr


def test_pinning_writes_the_digest_that_the_registry_gives(shell: Shell) -> None:
    shell.program("docker", {"imagetools inspect": f"echo {DIGEST}"})
    before = (shell.checkout / "Dockerfile").read_text("utf-8")
    done = shell.run(PIN)
    assert done.returncode == 0, done.stderr
    after = (shell.checkout / "Dockerfile").read_text("utf-8")
    tag = re.search(r"^ARG BASE=([^@]+)@", before, re.MULTILINE)
    assert tag is not None
    assert shell.calls == [f"docker buildx imagetools inspect {tag[1]} --format {{{{.Manifest.Digest}}}}"]
    assert after == re.sub(r"(?m)^ARG BASE=.*$", f"ARG BASE={tag[1]}@{DIGEST}", before)


@pytest.mark.parametrize("answer", ["echo", "echo sha256:short", "echo unauthorized >&2; exit 1"])
def test_what_is_no_digest_is_never_written(shell: Shell, answer: str) -> None:
    shell.program("docker", {"imagetools inspect": answer})
    before = (shell.checkout / "Dockerfile").read_text("utf-8")
    assert shell.run(PIN).returncode == 1
    assert (shell.checkout / "Dockerfile").read_text("utf-8") == before
    assert {path.name for path in shell.checkout.iterdir() if path.is_file()} == {
        name for name in FILES if "/" not in name
    }
