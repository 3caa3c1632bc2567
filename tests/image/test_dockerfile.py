"""The Dockerfile, read: what it is made from, who it runs as, what the engine gets to see."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import dockerfile
from tests.support.processes import ROOT

FILE = dockerfile.parse()
BUILD, IMAGE = FILE.stages
CARRIED_OUT = {"ARG", "ENV", "WORKDIR", "COPY", "RUN"}
"""What ``tests.image.rehearse`` does of a build stage."""


def commands(stage: dockerfile.Stage) -> list[str]:
    """The commands of a stage, one by one."""
    return [part.strip() for each in stage.all("RUN") for part in each.rest.split("&&")]


def test_every_image_that_is_built_upon_is_pinned_by_its_digest() -> None:
    assert [stage.base for stage in FILE.stages] == ["${BASE}", "scratch"]
    assert set(FILE.arguments) == {"BASE"}
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", FILE.arguments["BASE"])


def test_no_frontend_is_fetched_that_nothing_pins() -> None:
    assert "syntax=" not in dockerfile.DOCKERFILE.read_text("utf-8")


def test_every_package_is_installed_by_its_hash_and_none_is_built() -> None:
    installs = [command for command in commands(BUILD) if " install " in command]
    assert len(installs) == 3
    for command in installs:
        hashed = "--require-hashes --only-binary :all:" in re.sub(r"\s+", " ", command)
        assert hashed or "--no-deps --no-index /dist/*.whl" in command
        # What is compiled at installation holds its time.
        assert "/opt/keyferry" not in command or "--no-compile" in command


def test_the_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    assert [each.rest for each in IMAGE.all("USER")] == ["65532:65532"]
    assert not BUILD.all("USER")


def test_the_image_starts_without_a_shell() -> None:
    assert [each.words for each in IMAGE.all("ENTRYPOINT")] == [["/opt/keyferry/bin/keyferry"]]
    assert [each.words for each in IMAGE.all("CMD")] == [["run"]]
    assert all(each.rest.startswith("[") for word in ("ENTRYPOINT", "CMD") for each in IMAGE.all(word))
    # There is none in it that could be told to.
    assert not IMAGE.all("RUN")
    assert not IMAGE.all("HEALTHCHECK")


def test_the_image_holds_what_the_build_put_together_and_nothing_else() -> None:
    copies = IMAGE.all("COPY")
    assert [(each.flags, each.words) for each in copies] == [(("from=build",), ["/rootfs", "/"])]
    assert not [each for stage in FILE.stages for each in stage.all("ADD")]


def test_labels_tell_version_revision_source_and_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in IMAGE.pairs("LABEL").items()}
    assert labels["title"] == project["name"]
    assert labels["licenses"] == project["license"]
    assert {name: labels[name] for name in ("version", "revision", "source")} == {
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "source": "${SOURCE}",
    }
    assert IMAGE.pairs("ARG")["VERSION"] == project["version"]
    assert {"REVISION", "SOURCE"} <= set(IMAGE.pairs("ARG"))


def test_everything_that_is_copied_is_there_and_is_sent() -> None:
    sources = [name for each in BUILD.all("COPY") for name in each.words[:-1]]
    assert sources
    for name in sources:
        assert (ROOT / name).exists(), name
        assert dockerfile.sent(dockerfile.ignored(), name), name


@pytest.mark.parametrize(
    "name",
    [
        ".git/config",
        ".venv/bin/python",
        ".demo/kind-keyferry.kubeconfig",
        "tests/test_house.py",
        "docs/quickstart.md",
        "operator/keyferry/__pycache__/errors.cpython-313.pyc",
        "dist/keyferry.cdx.json",
    ],
)
def test_what_is_not_needed_never_reaches_the_engine(name: str) -> None:
    assert not dockerfile.sent(dockerfile.ignored(), name)


def test_the_rehearsal_leaves_no_instruction_of_the_build_out() -> None:
    assert {each.word for each in BUILD.instructions} <= CARRIED_OUT
    # Without a flag that changes what an instruction does; the secret is a file for pip that may be absent.
    flags = {flag for each in BUILD.instructions for flag in each.flags}
    assert flags == {"mount=type=secret,id=pip,target=/etc/pip.conf"}


def test_a_dockerfile_is_read_as_the_engine_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text(
        "# a comment\nARG BASE=a:1\nFROM ${BASE} AS one\nRUN --mount=type=cache true \\\n# between\n && echo --no\n"
        'FROM one\nENV A=1 \\\n    B="two words"\nCMD ["a", "b c"]\n',
        "utf-8",
    )
    read = dockerfile.parse(path)
    first, second = read.stages
    assert read.arguments == {"BASE": "a:1"}
    assert (first.base, first.name, second.base, second.name) == ("${BASE}", "one", "one", "")
    assert first.instructions == [dockerfile.Instruction("RUN", ("mount=type=cache",), "true && echo --no")]
    assert second.pairs("ENV") == {"A": "1", "B": "two words"}
    assert second.all("CMD")[0].words == ["a", "b c"]
